"""What an exchange adapter must do: one client for market data, one for an account's orders.

An adapter never guesses. A send that cannot be proved to have failed before its first byte left, or to have been
answered, is ``OutcomeUnknown``; a failed query raises ``VenueUnavailable`` and is never an empty answer.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.reports import BalanceReport, FillReport, MassStatus, OrderStatusReport, StreamEvent
from tradewind.wire.market_records import RecordArray


class VenueError(Exception):
    """Base of what an adapter raises on purpose."""


class VenueUnavailable(VenueError, ConnectionError):
    """Nothing was sent, or a query got no answer: try again later."""


class VenueRejected(VenueError):
    """The venue answered no. ``code`` and ``reason`` are its own; KNOWN: nothing rests there from this request."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class OrderNotFound(VenueRejected):
    """The venue does not know the order now. Within its visibility delay this proves nothing."""


class RateLimited(VenueUnavailable):
    """Refused by the venue's or our own rate limit before it took effect; ``retry_after_s`` says how long to wait."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"rate limit: try again in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class OutcomeUnknown(VenueError):
    """Bytes may have reached the venue and no answer came: only a later query tells what happened. Never send again."""


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a new order needs at the venue. Prices and sizes are mantissas of the instrument."""

    client_order_id: ClientOrderId
    instrument_id: InstrumentId
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    size: int
    price: int | None = None
    trigger_price: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    reduces: bool = False  # as far as we know it can only make the position smaller, whatever was asked for


def nothing_to_ask() -> None:
    """Nobody must be asked before the write."""


class PreparedOrder(Protocol):
    """A signed request that waits for its commit."""

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        """Write the request once and await the answer.

        ``on_first_byte`` is called right before the write, in the same step of the event loop. It may raise to forbid
        the write; its exception passes.

        Raises:
            VenueRejected: the venue refused; nothing rests.
            VenueUnavailable: nothing was written.
            OutcomeUnknown: written, and no answer in time.
        """
        ...


class ExecutionClient(Protocol):
    """One account at one venue. ``VenueUnavailable`` from a query means 'unknown', never 'none'."""

    venue: Venue
    account_id: AccountId
    visibility_delay_s: float
    """For so long after an order's send the venue's queries may not show it."""

    async def connect(self) -> None:
        """Open sessions, check the key and the clock. Raises VenueError with what to do about it."""
        ...

    async def instruments(self) -> Sequence[Instrument]:
        """All instruments of the venue that are configured here."""
        ...

    def prepare_order(self, order: NewOrder) -> PreparedOrder:
        """Build and sign a request. Makes no I/O; a prepared order may be thrown away."""
        ...

    async def cancel_order(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        """Ask the venue to cancel. Safe to repeat. ``on_first_byte``: see ``PreparedOrder.send``.

        With ``venue_order_id`` the order is named by that alone.

        Raises:
            VenueRejected: OrderNotFound among others.
            OutcomeUnknown: no answer in time; ask for the order's status.
        """
        ...

    async def order_status(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        venue_order_id: VenueOrderId | None = None,
    ) -> OrderStatusReport:
        """Where an order stands; with ``venue_order_id`` it is named by that alone.

        Raises:
            OrderNotFound, VenueUnavailable: see there.
        """
        ...

    async def orders_from(self, instrument_id: InstrumentId, first: VenueOrderId) -> Sequence[OrderStatusReport]:
        """All orders of an instrument from the venue's id ``first`` on, open and ended; all pages."""
        ...

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """All orders that are open at the venue, ours or not."""
        ...

    async def fills(
        self, instrument_id: InstrumentId, *, since_ns: int | None = None, venue_order_id: VenueOrderId | None = None
    ) -> Sequence[FillReport]:
        """Executions since a time, or of one order; all pages."""
        ...

    async def balances(self) -> BalanceReport:
        """A snapshot of all balances."""
        ...

    async def mass_status(self, since_ns: int) -> MassStatus:
        """Open orders, fills since, balances: complete or an error."""
        ...

    def stream(self) -> AsyncIterator[StreamEvent]:
        """The private stream, reconnecting for ever; interruptions are part of it."""
        ...

    async def close(self) -> None:
        """Close all sessions."""
        ...


class FeedHandler(Protocol):
    """Who a market data client reports to, from the event loop."""

    def on_records(self, records: RecordArray) -> None:
        """A read-only batch: all that one read of the socket brought, in order. Must not block."""
        ...

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        """CONNECTING, SYNCING, LIVE, GAP, STALE, ENDED or DISCONNECTED."""
        ...


class MarketDataClient(Protocol):
    """Market data of one venue."""

    venue: Venue

    async def instruments(self) -> Sequence[Instrument]:
        """All instruments of the venue that are configured here."""
        ...

    async def run(self, instruments: Sequence[Instrument], handler: FeedHandler) -> None:
        """Connect, subscribe, keep every book in sync, reconnect with back-off; until cancelled."""
        ...
