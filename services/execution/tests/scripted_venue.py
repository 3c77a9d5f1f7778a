"""A venue in memory that does what a test tells it to: the ExecutionClient contract without a socket.

It keeps its own record of orders and fills, so that a test can compare the platform's truth with the venue's.
"""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from typing import Any

from order_path_kit import ACCOUNT, BTCUSDT

from tradewind.model.accounts import Balance
from tradewind.model.enums import LiquiditySide
from tradewind.model.identifiers import ClientOrderId, InstrumentId, TradeId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    VenueRejected,
    VenueUnavailable,
    nothing_to_ask,
)
from tradewind.venue.reports import BalanceReport, FillReport, MassStatus, OrderStatusReport, StreamEvent, StreamResumed

S = OrderStatus


@dataclasses.dataclass
class VenueOrder:
    """The venue's own row."""

    order: NewOrder
    venue_order_id: VenueOrderId
    status: OrderStatus = S.ACCEPTED
    filled: int = 0


@dataclasses.dataclass
class ScriptedVenue:
    """``on_submit`` decides what a submit does: rest (default), fill, reject, unavailable, lost_before, lost_after.

    ``on_cancel``: done (default), lost_before, lost_after.

    While ``may_send`` is clear a submit waits before its first byte, as it does for its turn in a rate limit. While
    ``may_answer`` is clear the answer waits, and the private stream has told of the order before it.
    """

    on_submit: str = "rest"
    on_cancel: str = "done"
    queries_fail: bool = False
    views_lag: bool = False
    """No query shows any order."""
    stream_is_up: bool = True
    visibility_delay_s: float = 0.2
    venue: Venue = BTCUSDT.venue
    account_id: str = ACCOUNT
    orders: dict[str, VenueOrder] = dataclasses.field(default_factory=dict)
    fills_made: list[FillReport] = dataclasses.field(default_factory=list)
    submits: list[str] = dataclasses.field(default_factory=list)
    cancels: list[str] = dataclasses.field(default_factory=list)
    asked_ns: dict[str, int] = dataclasses.field(default_factory=dict)
    passes: list[int] = dataclasses.field(default_factory=list)
    deposits: dict[str, Decimal] = dataclasses.field(default_factory=dict)
    may_send: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    events: "asyncio.Queue[StreamEvent]" = dataclasses.field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.may_send.set()
        self.may_answer.set()

    async def connect(self) -> None:
        self._check()

    async def instruments(self) -> Sequence[Instrument]:
        return [BTCUSDT]

    def prepare_order(self, order: NewOrder) -> "Prepared":
        return Prepared(self, order)

    async def cancel_order(
        self,
        _: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        self._check()
        on_first_byte()
        if venue_order_id is not None:
            client_order_id = self._name_of(venue_order_id)
        self.cancels.append(client_order_id)
        if self.on_cancel == "lost_before":
            raise OutcomeUnknown("no answer in 0.1 s")
        order = self.orders.get(client_order_id)
        if order is None or order.status.is_closed:
            raise OrderNotFound(-2011, "Unknown order sent.")
        order.status = S.CANCELED
        if self.on_cancel == "lost_after":
            raise OutcomeUnknown("no answer in 0.1 s")
        return [self.report(order)]

    def _name_of(self, venue_order_id: VenueOrderId) -> ClientOrderId:
        names = [name for name, row in self.orders.items() if row.venue_order_id == venue_order_id]
        return ClientOrderId(names[0]) if names else ClientOrderId("")

    async def order_status(
        self, _: InstrumentId, client_order_id: ClientOrderId, venue_order_id: VenueOrderId | None = None
    ) -> OrderStatusReport:
        self._check()
        if venue_order_id is not None:
            client_order_id = self._name_of(venue_order_id)
        self.asked_ns[client_order_id] = time.time_ns()
        if client_order_id not in self.orders or self.views_lag:
            raise OrderNotFound(-2013, "Order does not exist.")
        return self.report(self.orders[client_order_id])

    async def orders_from(self, _: InstrumentId, first: VenueOrderId) -> Sequence[OrderStatusReport]:
        self._check()
        return [self.report(order) for order in self.orders.values() if int(order.venue_order_id[1:]) >= int(first[1:])]

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        self._check()
        return [self.report(order) for order in self.orders.values() if order.status.is_open and not self.views_lag]

    async def fills(self, _: InstrumentId, *, since_ns: int | None = None, venue_order_id: str | None = None) -> Any:
        self._check()
        return [f for f in self.fills_made if venue_order_id in (None, f.venue_order_id)]

    async def balances(self) -> BalanceReport:
        self._check()
        rows = tuple(Balance(currency=c, free=a, locked=Decimal(0)) for c, a in self.totals().items())
        return BalanceReport(account_id=ACCOUNT, balances=rows, snapshot=True, ts_event=time.time_ns())

    async def mass_status(self, since_ns: int) -> MassStatus:
        self.passes.append(since_ns)
        return MassStatus(
            account_id=ACCOUNT,
            open_orders=tuple(await self.open_orders()),
            fills=tuple(self.fills_made),
            positions=(),
            balances=await self.balances(),
            ts_event=time.time_ns(),
        )

    async def stream(self) -> AsyncIterator[StreamEvent]:
        while not self.stream_is_up:
            await asyncio.sleep(0.01)
        yield StreamResumed(account_id=ACCOUNT)
        while True:
            yield await self.events.get()

    async def close(self) -> None:
        """Nothing is open."""

    def totals(self) -> dict[str, Decimal]:
        """The account after all fills."""
        totals = {"BTC": Decimal(10), "USDT": Decimal(1_000_000)}
        for fill in self.fills_made:
            totals["BTC"] += fill.side.sign * BTCUSDT.decimal_size(fill.size)
            totals["USDT"] -= fill.side.sign * BTCUSDT.notional(fill.price, fill.size)
            totals[fill.fee_currency] -= fill.fee
        for currency, amount in self.deposits.items():
            totals[currency] += amount
        return totals

    def fill(self, client_order_id: str, size: int) -> FillReport:
        """Execute a part of a resting order."""
        order = self.orders[client_order_id]
        order.filled += size
        order.status = S.FILLED if order.filled >= order.order.size else S.PARTIALLY_FILLED
        made = FillReport(
            account_id=ACCOUNT,
            instrument_id=BTCUSDT.instrument_id,
            client_order_id=order.order.client_order_id,
            venue_order_id=order.venue_order_id,
            trade_id=TradeId(f"t{len(self.fills_made) + 1}"),
            side=order.order.side,
            price=order.order.price or 0,
            size=size,
            fee=Decimal("0.01"),
            fee_currency="USDT",
            liquidity_side=LiquiditySide.MAKER,
            ts_event=time.time_ns(),
        )
        self.fills_made.append(made)
        return made

    def take(self, order: NewOrder) -> VenueOrder:
        """Accept an order; the same client id while one is open is refused, as on Binance."""
        known = self.orders.get(order.client_order_id)
        if known is not None:
            raise VenueRejected(-2010, "Duplicate order sent.")
        row = self.orders[order.client_order_id] = VenueOrder(order, VenueOrderId(f"v{len(self.orders) + 1}"))
        return row

    def report(self, row: VenueOrder) -> OrderStatusReport:
        """What the venue says of an order now."""
        order = row.order
        return OrderStatusReport(
            account_id=ACCOUNT,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            venue_order_id=row.venue_order_id,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            status=row.status,
            size=order.size,
            filled_size=row.filled,
            price=order.price,
            ts_event=time.time_ns(),
        )

    def _check(self) -> None:
        if self.queries_fail:
            raise VenueUnavailable("the venue is away")


@dataclasses.dataclass
class Prepared:
    """A request of the scripted venue."""

    venue: ScriptedVenue
    order: NewOrder

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        script = self.venue.on_submit
        await self.venue.may_send.wait()
        if script == "unavailable":
            raise VenueUnavailable("no connection")
        on_first_byte()
        self.venue.submits.append(self.order.client_order_id)
        if script == "reject":
            raise VenueRejected(-2010, "Account has insufficient balance for requested action.")
        if script == "lost_before":
            raise OutcomeUnknown("no answer in 0.1 s")
        row = self.venue.take(self.order)
        fills = [self.venue.fill(self.order.client_order_id, self.order.size)] if script == "fill" else []
        if script == "lost_after":
            raise OutcomeUnknown("no answer in 0.1 s")
        if not self.venue.may_answer.is_set():
            await self.venue.events.put(self.venue.report(row))
            await self.venue.may_answer.wait()
        return [self.venue.report(row), *fills]
