"""What a kill switch closes: which books it covers, and the one order that makes each of them smaller. No I/O.

A book is closed by one order at a time. Its name is made of the switch, the book and the number of the attempt alone,
so that whoever plans the same attempt again, after whatever crash, plans the same order.
"""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.execution.risk import RiskChecks
from tradewind.model.enums import OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.fixed_point import to_mantissa
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.wire.commands import ProveFlat, SubmitOrder

CLOSING_PREFIX: Final = "kill-"
"""Begins the name of every order that closes a book."""
_BOOK_DIGITS: Final = 10
_NO_STRATEGY: Final = StrategyId("")
_NO_INSTRUMENT: Final = InstrumentId("")


class Cover(msgspec.Struct, frozen=True, kw_only=True):
    """What a switch covers of one account: everything, one strategy's share or one instrument's."""

    account_id: AccountId
    strategy_id: StrategyId | None = None
    instrument_id: InstrumentId | None = None

    @property
    def is_whole_account(self) -> bool:
        """Whether the account's balances must add up with it."""
        return self.strategy_id is None and self.instrument_id is None

    def covers(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> bool:
        """Whether a book, or an order of it, is in the scope."""
        return self.strategy_id in (None, strategy_id) and self.instrument_id in (None, instrument_id)

    def unfinished(self, orders: Iterable[Order]) -> list[Order]:
        """The scope's part of orders without a known end."""
        return [order for order in orders if self.covers(order.strategy_id, order.instrument_id)]

    def holdings(self, positions: Iterable[Position]) -> list[Position]:
        """The scope's books that are not flat, in an order that does not change."""
        held = [one for one in positions if one.signed_size and self.covers(one.strategy_id, one.instrument_id)]
        return sorted(held, key=lambda one: (one.strategy_id, one.instrument_id))

    def is_halted(self, risk: RiskChecks) -> bool:
        """Whether the order path knows that nothing new may begin here."""
        strategy, instrument = self.strategy_id or _NO_STRATEGY, self.instrument_id or _NO_INSTRUMENT
        return risk.state_of(self.account_id, strategy, instrument) is TradingState.HALTED


def cover_of(command: ProveFlat) -> Cover:
    """The scope of a step, taken apart."""
    return Cover(account_id=command.account_id, strategy_id=command.strategy_id, instrument_id=command.instrument_id)


def attempt_name(kill_id: int, position: Position, attempt: int) -> ClientOrderId:
    """The order of the ``attempt``-th try of a switch to close a book; 36 characters at most."""
    book = hashlib.sha256(f"{position.strategy_id}\0{position.instrument_id}".encode()).hexdigest()[:_BOOK_DIGITS]
    return ClientOrderId(f"{CLOSING_PREFIX}{kill_id}-{book}-{attempt}")


def closing_side(position: Position) -> OrderSide:
    """The side that makes a position smaller."""
    return OrderSide.SELL if position.signed_size > 0 else OrderSide.BUY


def closing_price(position: Position, best: int | None, instrument: Instrument) -> int:
    """What the closing order is valued at, as a mantissa: the opposite best if known, else the position's cost."""
    if best:
        return best
    cost = round(position.average_price, instrument.price_precision)
    return to_mantissa(cost, instrument.price_precision)


def closing_size(position: Position, instrument: Instrument, price: int) -> int:
    """The most that one order may close at ``price``, on the venue's steps; 0 when it is dust: no order is so small."""
    size = min(abs(position.signed_size), instrument.max_size)
    size -= size % instrument.size_increment
    if size < max(instrument.min_size, 1) or instrument.notional(price, size) < instrument.min_notional:
        return 0
    return size


def closing_order(command: ProveFlat, position: Position, size: int, attempt: int, now_ns: int) -> SubmitOrder:
    """The order of one attempt: at the market, so that it does not rest."""
    name = attempt_name(command.kill_id, position, attempt)
    return SubmitOrder(
        event_id=name,
        correlation_id=f"kill:{command.kill_id}",
        causation_id=command.event_id,
        ts_event=now_ns,
        ts_init=now_ns,
        strategy_id=position.strategy_id,
        account_id=command.account_id,
        client_order_id=name,
        instrument_id=position.instrument_id,
        side=closing_side(position),
        order_type=OrderType.MARKET,
        size=size,
        time_in_force=TimeInForce.GTC,
        reduce_only=True,
    )


def book_text(position: Position, instrument: Instrument) -> str:
    """A book as people read it: strategy, instrument, size."""
    size: Decimal = instrument.decimal_size(position.signed_size)
    return f"{position.strategy_id} {position.instrument_id} {size:f}"
