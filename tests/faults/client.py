"""The simulated adapter: what ``ExecutionClient`` promises, over a venue in memory, with the lies that venues tell.

Real: the reading of the venue's words (``binance.translation``, ``binance.messages``, ``UserStream``). Simulated: the
way there and back. A request takes effect when it arrives, whatever has become of its sender by then; the private
stream and the answer come when they come.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from faults.sim_venue import ACCOUNT, SYMBOLS
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue, VenueOrderId, symbol_of
from tradewind.model.instruments import Instrument
from tradewind.services.sim_venue.amounts import amount_text, parse_amount
from tradewind.services.sim_venue.exchange import OrderRequest
from tradewind.services.sim_venue.listings import KNOWN, symbol_info
from tradewind.services.sim_venue.order_views import cancel_view, order_view, placed_view, trade_view
from tradewind.services.sim_venue.orders import SIDES
from tradewind.services.sim_venue.refusals import Refused, no_such_order
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.binance.errors import NOT_FOUND_CODES
from tradewind.venue.binance.instruments import instrument_of
from tradewind.venue.binance.messages import AccountBalance, AccountTrade, OrderState, SymbolInfo
from tradewind.venue.binance.translation import (
    answer_fills,
    order_status_report,
    rest_balances,
    trade_fill,
    wire_order_type,
    wire_time_in_force,
)
from tradewind.venue.binance.user_stream import StreamBroken, UserStream
from tradewind.venue.reports import (
    BalanceReport,
    FillReport,
    MassStatus,
    OrderStatusReport,
    StreamEvent,
    StreamInterrupted,
    StreamResumed,
)

if TYPE_CHECKING:
    from faults.processes import Process
    from faults.schedule import Choice
    from faults.world import World

T = TypeVar("T")
VENUE: Final = Venue("BINANCE")
ACCOUNT_ID: Final = AccountId("BINANCE-main")
ANSWER_TIMEOUT_S: Final = 1.0
RECEIVE_WINDOW_S: Final = 1.5
"""The venue refuses a request that arrives later than this after it was signed."""
MOST_LAG_S: Final = 0.8
VISIBILITY_DELAY_S: Final = RECEIVE_WINDOW_S + MOST_LAG_S + 0.5
INSTRUMENTS: Final[dict[str, Instrument]] = {
    symbol: instrument_of(msgspec.convert(symbol_info(KNOWN[symbol], 200), SymbolInfo), VENUE) for symbol in SYMBOLS
}


class SimulatedClient:
    """See ``ExecutionClient``."""

    venue = VENUE
    account_id = ACCOUNT_ID

    def __init__(self, world: "World", process: "Process") -> None:
        self.visibility_delay_s = VISIBILITY_DELAY_S
        self._world = world
        self._venue = world.venue
        self.process = process
        self._stream: UserStream | None = None
        self._no_stream_before_ns = 0
        self._closed = False
        process.clients.append(self)

    async def connect(self) -> None:
        await self._query(lambda _: None)

    async def instruments(self) -> Sequence[Instrument]:
        return list(INSTRUMENTS.values())

    def prepare_order(self, order: NewOrder) -> "SimulatedPreparedOrder":
        return SimulatedPreparedOrder(self, order, wire_order_type(order.order_type, post_only=order.post_only))

    async def close(self) -> None:
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """The process is gone, or closes."""
        if self in self._venue.clients:
            self._venue.clients.remove(self)

    # -- requests that change orders -------------------------------------------------------------------------------

    async def send(self, request: OrderRequest, instrument: Instrument, on_first_byte: Callable[[], None]) -> Any:
        """One new order: see ``PreparedOrder.send``."""
        world, process = self._world, self.process
        fault = world.fault("venue.submit", process)
        kind = fault.fault if fault else ""
        if kind == "unavailable":
            raise VenueUnavailable("no connection is free; nothing was sent")
        if kind == "waits":
            # For its turn in a rate limit, or for a connection.
            await asyncio.sleep(world.magnitude(fault, 0.05, 4.0))
        elif kind == "freeze":
            process.freeze(world.magnitude(fault, 0.5, 9.0))
            await asyncio.sleep(0)
        elif kind == "crash_before":
            process.crash()
            await asyncio.get_running_loop().create_future()
        on_first_byte()
        world.invariants.first_byte(process, request.client_order_id)
        listing = KNOWN[instrument.symbol]

        def effect() -> Any:
            placed = self._venue.place(request)
            return placed_view(listing, placed.order, placed.trades, "FULL")

        answer = await self._ask("order", fault, effect)
        state = msgspec.convert(answer, OrderState)
        report = order_status_report(ACCOUNT_ID, instrument, state)
        return [report, *answer_fills(ACCOUNT_ID, instrument, state)]

    async def cancel_order(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = lambda: None,
        venue_order_id: VenueOrderId | None = None,
    ) -> Sequence[OrderStatusReport]:
        fault = self._world.fault("venue.cancel", self.process)
        kind = fault.fault if fault else ""
        if kind == "unavailable":
            raise RateLimited(1.0)
        if kind == "crash_before":
            self.process.crash()
            await asyncio.get_running_loop().create_future()
        elif kind == "freeze":
            self.process.freeze(self._world.magnitude(fault, 0.5, 9.0))
            await asyncio.sleep(0)
        on_first_byte()
        symbol = symbol_of(instrument_id)
        on_first_byte()

        def effect() -> Any:
            exchange = self._venue.exchange
            number = int(venue_order_id) if venue_order_id is not None else None
            order = exchange.find_open(ACCOUNT, symbol, number, client_order_id if number is None else None)
            canceled = exchange.cancel(order, f"c{order.order_id}")
            self._world.tell("venue", f"cancels {client_order_id}")
            return cancel_view(KNOWN[symbol], canceled.order, f"c{order.order_id}")

        answer = await self._ask("cancel", fault, effect)
        return [order_status_report(ACCOUNT_ID, INSTRUMENTS[symbol], msgspec.convert(answer, OrderState))]

    async def _ask(self, what: str, fault: "Choice | None", effect: Callable[[], Any]) -> Any:
        """Write a request that changes orders, and wait for its answer.

        Raises:
            OutcomeUnknown, VenueRejected, RateLimited: as the adapter's.
        """
        world, process = self._world, self.process
        kind = fault.fault if fault else ""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        signed_ns = world.scheduler.now_ns
        there_s, back_s = world.delay_s(0.001, 0.03), world.delay_s(0.001, 0.03)
        if kind == "executed_late":
            there_s = world.magnitude(fault, 1.15, RECEIVE_WINDOW_S + 0.02)
        elif kind == "answer_late":
            back_s = world.magnitude(fault, 0.3, 0.95)

        def arrive() -> None:
            if kind == "not_executed":
                return
            if kind == "error_not_executed":
                world.scheduler.after(back_s, process.settle, answer, OutcomeUnknown("HTTP 503; ask for its status"))
                return
            try:
                if kind == "refused":
                    raise Refused(-2010, "Account has insufficient balance for requested action.")
                if world.scheduler.now_ns - signed_ns > RECEIVE_WINDOW_S * 1e9:
                    raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
                result = effect()
            except Refused as refused:
                result = _error_of(refused)
            if kind == "error_executed":
                result = OutcomeUnknown("the venue answered HTTP 500; ask for the order's status")
            if kind != "answer_lost":
                world.scheduler.after(back_s, process.settle, answer, result)

        world.scheduler.after(there_s, arrive)
        if kind == "crash_after":
            process.crash()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await answer
        except TimeoutError:
            raise OutcomeUnknown(f"no answer to the {what} in time; ask for the order's status") from None

    # -- questions -------------------------------------------------------------------------------------------------

    async def order_status(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        venue_order_id: VenueOrderId | None = None,
    ) -> OrderStatusReport:
        symbol = symbol_of(instrument_id)
        state = await self._query(lambda lag: self._order(symbol, client_order_id, lag, venue_order_id))
        return order_status_report(ACCOUNT_ID, INSTRUMENTS[symbol], state)

    def _order(self, symbol: str, name: str, lag_ns: int, number: VenueOrderId | None) -> OrderState:
        order = self._venue.order_view(symbol, name, lag_ns, None if number is None else int(number))
        if order is None:
            raise no_such_order()
        return msgspec.convert(order_view(KNOWN[symbol], order), OrderState)

    async def orders_from(self, instrument_id: InstrumentId, first: VenueOrderId) -> Sequence[OrderStatusReport]:
        symbol = symbol_of(instrument_id)
        orders = await self._query(lambda lag: self._venue.orders_view(symbol, int(first), lag))
        views = [msgspec.convert(order_view(KNOWN[symbol], order), OrderState) for order in orders]
        return [order_status_report(ACCOUNT_ID, INSTRUMENTS[symbol], view) for view in views]

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        orders = await self._query(self._venue.open_view)
        return [
            order_status_report(
                ACCOUNT_ID,
                INSTRUMENTS[order.symbol],
                msgspec.convert(order_view(KNOWN[order.symbol], order), OrderState),
            )
            for order in orders
        ]

    async def fills(
        self, instrument_id: InstrumentId, *, since_ns: int | None = None, venue_order_id: VenueOrderId | None = None
    ) -> Sequence[FillReport]:
        symbol = symbol_of(instrument_id)
        trades = await self._query(lambda lag: self._venue.trades_view(symbol, lag))
        return [
            trade_fill(ACCOUNT_ID, INSTRUMENTS[symbol], msgspec.convert(trade_view(KNOWN[symbol], trade), AccountTrade))
            for trade in trades
            if (venue_order_id is None or str(trade.order_id) == venue_order_id)
            and (since_ns is None or trade.time_ms >= since_ns // 1_000_000)
        ]

    async def balances(self) -> BalanceReport:
        held = await self._query(self._venue.balances_view)
        rows = [
            AccountBalance(asset=asset, free=amount_text(holding.free), locked=amount_text(holding.locked))
            for asset, holding in sorted(held.items())
        ]
        ts_event = self._world.venue_ms() * 1_000_000
        return BalanceReport(account_id=ACCOUNT_ID, balances=rest_balances(rows), snapshot=True, ts_event=ts_event)

    async def mass_status(self, since_ns: int) -> MassStatus:
        ts_event = self._world.scheduler.now_ns
        open_orders = await self.open_orders()
        fills: list[FillReport] = []
        for instrument in INSTRUMENTS.values():
            fills += await self.fills(instrument.instrument_id, since_ns=since_ns)
        return MassStatus(
            account_id=ACCOUNT_ID,
            open_orders=tuple(open_orders),
            fills=tuple(fills),
            positions=(),
            balances=await self.balances(),
            ts_event=ts_event,
        )

    async def _query(self, look: Callable[[int], T]) -> T:
        world, process = self._world, self.process
        fault = world.fault("venue.query", process)
        kind = fault.fault if fault else ""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if kind == "unavailable" or world.scheduler.now_ns < self._venue.queries_away_until_ns:
            await asyncio.sleep(world.magnitude(fault, 0.0, 1.0))
            raise VenueUnavailable("the venue does not answer; try again later")
        lag_ns = int(world.magnitude(fault, 0.05, MOST_LAG_S) * 1e9) if kind == "lags" else 0
        there_s, back_s = world.delay_s(0.001, 0.02), world.delay_s(0.001, 0.02)
        if kind == "slow":
            back_s = world.magnitude(fault, 0.2, 0.9)

        def arrive() -> None:
            result: Any
            try:
                result = look(lag_ns)
            except Refused as refused:
                result = _error_of(refused)
            if kind == "crash_after":
                process.crash()
            world.scheduler.after(back_s, process.settle, answer, result)

        if kind == "crash_before":
            process.crash()
        world.scheduler.after(there_s, arrive)
        return await answer

    # -- the private stream ----------------------------------------------------------------------------------------

    async def stream(self) -> AsyncIterator[StreamEvent]:
        """As the adapter's: StreamResumed, reports, StreamInterrupted at each break."""
        told = False
        while True:
            user_stream = UserStream(ACCOUNT_ID, INSTRUMENTS.get)
            try:
                await self._open(user_stream)
                yield StreamResumed(account_id=ACCOUNT_ID)
                told = False
                while True:
                    for report in await user_stream.next_reports(5.0):
                        yield report
            except (VenueUnavailable, StreamBroken) as error:
                reason = str(error)
            finally:
                self.cut()
            if not told:
                yield StreamInterrupted(account_id=ACCOUNT_ID, reason=reason)
                told = True
            await asyncio.sleep(0.25)

    async def _open(self, user_stream: UserStream) -> None:
        await self._query(lambda _: None)
        if self._world.scheduler.now_ns < self._no_stream_before_ns:
            raise VenueUnavailable("the private stream cannot be opened")
        self._stream = user_stream
        self._venue.clients.append(self)

    def hear(self, message: bytes) -> None:
        """An event arrives."""
        if self.process.alive and self._stream is not None and self in self._venue.clients:
            self._stream._on_message(message)

    def lose_stream(self, seconds: float) -> None:
        """The connection of the private stream breaks."""
        self.cut()
        self._no_stream_before_ns = self._world.scheduler.now_ns + int(seconds * 1e9)
        if self.process.alive and self._stream is not None:
            self._stream._break("the connection was lost")


class SimulatedPreparedOrder:
    """See ``PreparedOrder``. It can be sent once."""

    def __init__(self, client: SimulatedClient, order: NewOrder, kind: str) -> None:
        self._client = client
        self._sent = False
        self._instrument = INSTRUMENTS[symbol_of(order.instrument_id)]
        price = self._instrument.format_price(order.price) if order.price is not None else "0"
        self._request = OrderRequest(
            symbol=self._instrument.symbol,
            side=SIDES[order.side.value],
            order_type=kind,
            time_in_force=wire_time_in_force(order.time_in_force) if kind == "LIMIT" else "GTC",
            price=parse_amount(price) if kind != "MARKET" else 0,
            size=parse_amount(self._instrument.format_size(order.size)),
            client_order_id=order.client_order_id,
        )

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        if self._sent:
            raise RuntimeError("a prepared order is sent once; ask for the order's status instead")
        self._sent = True
        answer: Sequence[OrderStatusReport | FillReport] = await self._client.send(
            self._request, self._instrument, on_first_byte
        )
        return answer


def _error_of(refused: Refused) -> Exception:
    if refused.code in NOT_FOUND_CODES:
        return OrderNotFound(refused.code, refused.message)
    return VenueRejected(refused.code, refused.message)
