"""Orders, trades and what a market answers to an order. Prices are mantissas, sizes and cash are amounts."""

import dataclasses
import enum
from typing import Final, NamedTuple, Protocol

BUY: Final = 1
SELL: Final = 2
SIDES: Final = {"BUY": BUY, "SELL": SELL}
SIDE_NAMES: Final = {BUY: "BUY", SELL: "SELL"}


class OrderState(enum.StrEnum):
    """The exchange's words for where an order stands (enums.md, "Order status")."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_open(self) -> bool:
        """Whether it still rests."""
        return self in (OrderState.NEW, OrderState.PARTIALLY_FILLED)


@dataclasses.dataclass(slots=True)
class VenueOrder:
    """One order of an account. ``price`` is 0 for MARKET; ``locked`` is what it still holds of the paid currency."""

    order_id: int
    account: str
    symbol: str
    client_order_id: str
    side: int
    order_type: str
    time_in_force: str
    price: int
    size: int
    created_ms: int
    updated_ms: int
    executed: int = 0
    cash: int = 0
    locked: int = 0
    state: OrderState = OrderState.NEW

    @property
    def remaining(self) -> int:
        """What has not traded."""
        return self.size - self.executed


class AccountTrade(NamedTuple):
    """One execution of an account's order. ``trade_id`` is the venue's own number, unique over all its accounts."""

    trade_id: int
    account: str
    symbol: str
    order_id: int
    side: int
    price: int
    size: int
    cash: int
    fee: int
    fee_asset: str
    maker: bool
    time_ms: int


class Execution(NamedTuple):
    """A match that an incoming order made; ``maker_order_id`` is set if the maker is an account's order too."""

    price: int
    size: int
    maker_order_id: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """What a market did with an incoming order: what it matched, whose own orders gave way, and whether it rests."""

    executions: list[Execution]
    rests: bool
    would_take: bool = False
    expired_makers: tuple[int, ...] = ()


class Market(Protocol):
    """One symbol's matching, whatever stands behind it. Resting orders fill through the exchange's ``on_fill``."""

    def takeable(self, side: int, size: int, owner: int) -> tuple[int, int]:
        """What a market order would get now without the owner's own orders: size, and its cash in quote currency."""
        ...

    def reference_price(self) -> int | None:
        """The price that market orders are valued at, or None while nothing is known."""
        ...

    def submit(self, order: VenueOrder, owner: int) -> Placement:
        """Match an order and let it rest if its type says so."""
        ...

    def cancel(self, order_id: int) -> None:
        """Take a resting order out."""
        ...


class OrderWatcher(Protocol):
    """Is told of every order that rests in a market, in the order in which it happens. Sizes are amounts."""

    def added(self, order_id: int, side: int, price: int, size: int) -> None:
        """It rests."""
        ...

    def executed(self, order_id: int, size: int, trade_id: int) -> None:
        """It traded at its price; ``trade_id`` is the public one."""
        ...

    def deleted(self, order_id: int) -> None:
        """It left with what it still had."""
        ...
