"""Accounts: what each owns, free and locked, and the venue's own books that make every change sum to zero."""

import dataclasses
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue.amounts import ONE

DEPOSITS = "deposits"
"""What was paid in, negative: the other side of all balances."""
FEES = "fees"
MARKET = "market"
"""What the rest of the market gained from our accounts."""


@dataclasses.dataclass(slots=True)
class Holding:
    """One asset of one account, in amounts of 0.00000001."""

    free: int = 0
    locked: int = 0


class BalanceError(ValueError):
    """A change would make a balance negative: a fault of this program, not of a client."""


class Balances:
    """All holdings and the venue's own books. Every method keeps the sum over both unchanged, per asset."""

    def __init__(self) -> None:
        self.holdings: dict[tuple[str, str], Holding] = {}
        self.house: dict[tuple[str, str], int] = {}
        """(book, asset): amount."""

    def of(self, account: str, asset: str) -> Holding:
        """A holding, empty if it was never touched."""
        return self.holdings.setdefault((account, asset), Holding())

    def assets(self, account: str) -> list[str]:
        """The assets that an account ever held, sorted."""
        return sorted(asset for owner, asset in self.holdings if owner == account)

    def deposit(self, account: str, asset: str, amount: int) -> None:
        """Pay in from outside."""
        self._change(account, asset, free=amount)
        self.book(DEPOSITS, asset, -amount)

    def lock(self, account: str, asset: str, amount: int) -> bool:
        """Set free money aside for an order; False if there is not enough."""
        if self.of(account, asset).free < amount:
            return False
        self._change(account, asset, free=-amount, locked=amount)
        return True

    def release(self, account: str, asset: str, amount: int) -> None:
        """Give back what an order does not need any more."""
        self._change(account, asset, free=amount, locked=-amount)

    def pay(self, account: str, asset: str, amount: int) -> None:
        """Pay locked money to the market."""
        self._change(account, asset, locked=-amount)
        self.book(MARKET, asset, amount)

    def receive(self, account: str, asset: str, amount: int, fee: int) -> None:
        """Take from the market; ``fee`` of it goes to the venue."""
        self._change(account, asset, free=amount - fee)
        self.book(MARKET, asset, -amount)
        self.book(FEES, asset, fee)

    def book(self, book: str, asset: str, amount: int) -> None:
        """Add to one of the venue's own books."""
        self.house[book, asset] = self.house.get((book, asset), 0) + amount

    def total(self, asset: str) -> int:
        """The sum over all accounts and all books of the venue: always zero."""
        held = sum(holding.free + holding.locked for (_, of), holding in self.holdings.items() if of == asset)
        return held + sum(amount for (_, of), amount in self.house.items() if of == asset)

    def _change(self, account: str, asset: str, *, free: int = 0, locked: int = 0) -> None:
        holding = self.of(account, asset)
        if holding.free + free < 0 or holding.locked + locked < 0:
            raise BalanceError(f"{account} {asset}: {holding} cannot change by free {free}, locked {locked}")
        holding.free += free
        holding.locked += locked


def parse_balances(text: str) -> dict[str, int]:
    """``BTC=10,USDT=1000000`` as amounts.

    Raises:
        StartRefused: the text has another form.
    """
    return dict(_parse_balance(part) for part in _parts(text))


def _parts(text: str) -> Iterable[str]:
    return (part.strip() for part in text.split(",") if part.strip())


def _parse_balance(part: str) -> tuple[str, int]:
    asset, _, number = part.partition("=")
    try:
        amount = Decimal(number) * ONE
        if amount != int(amount) or not 0 <= amount < 2**62 or not asset.isalnum():
            raise InvalidOperation
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise StartRefused(
            f"TRADEWIND_SIM_VENUE_INITIAL_BALANCES: {part!r} is not like BTC=10 with at most 8 decimals"
        ) from error
    return asset.upper(), int(amount)
