"""New orders and cancels on our own connections: prepared as bytes, written once, never repeated.

Source: Binance spot API, "New order (TRADE)" and "Cancel order (TRADE)". The answer to a new order is asked for in
FULL, so that what it took from the book at once comes with it.

What is known afterwards is exact: before ``transport.write`` every failure is VenueUnavailable (nothing left); after it
only the venue's own refusal is a refusal, and everything else is OutcomeUnknown.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from tradewind.model.enums import OrderType
from tradewind.model.fixed_point import FixedPointError
from tradewind.model.identifiers import AccountId, ClientOrderId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import (
    NewOrder,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueRejected,
    VenueUnavailable,
    nothing_to_ask,
)
from tradewind.venue.binance.connection_pool import ConnectionPool
from tradewind.venue.binance.errors import CLOCK_CODE, UNSUPPORTED_ORDER_TYPE, error_of
from tradewind.venue.binance.http_connection import AnswerLost, ConnectionUnusable, HttpAnswer, HttpConnection
from tradewind.venue.binance.messages import OrderState
from tradewind.venue.binance.namesakes import Namesakes
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import API_KEY_HEADER
from tradewind.venue.binance.signing import RequestSigner, encode_query
from tradewind.venue.binance.translation import answer_fills, order_status_report, wire_order_type, wire_time_in_force
from tradewind.venue.reports import FillReport, OrderStatusReport
from tradewind.venue.request_budget import PATIENCE_S, RequestClass

ANSWER_TIMEOUT_S: Final = 5.0
CONNECTION_WAIT_S: Final = 1.0
SIGN_AGAIN_NS: Final = 500_000_000
"""An order that waited longer than this for its commit is signed anew: its timestamp would be too old."""
WARM_AFTER_S: Final = 10.0
"""A connection that was idle for so long carries a ping, so that neither side drops it."""
_DUPLICATE: Final = "duplicate order"
ORDER_PATH: Final = "/api/v3/order"
_decoder: Final = msgspec.json.Decoder(OrderState)


class OrderEntry:
    """The order requests of one account."""

    def __init__(
        self,
        account_id: AccountId,
        pool: ConnectionPool,
        signer: RequestSigner,
        limits: RateLimits,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        connection_wait_s: float = CONNECTION_WAIT_S,
        names: Namesakes | None = None,
        learn_time: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``learn_time`` sets the signer's clock by the venue's; without it a refused timestamp waits for others."""
        self.account_id = account_id
        self._names = names or Namesakes()
        self._learn_time = learn_time
        self.pool = pool
        self.limits = limits
        self.clock_is_off = False
        """The venue refused a timestamp: learn its time, then set this back."""
        self._signer = signer
        self.answer_timeout_s = answer_timeout_s
        self._connection_wait_s = connection_wait_s
        address = pool.address
        self._path_prefix = address.path_prefix
        self._tail = (
            f" HTTP/1.1\r\nHost: {address.host_header}\r\n{API_KEY_HEADER}: {signer.api_key}\r\n"
            "Accept: application/json\r\nContent-Length: 0\r\n\r\n"
        )

    def prepare(self, order: NewOrder, instrument: Instrument) -> "BinancePreparedOrder":
        """The whole request of a new order, signed. Makes no I/O.

        Raises:
            VenueRejected: the venue has no such order; nothing was sent.
        """
        what = RequestClass.REDUCE if order.reduce_only or order.reduces else RequestClass.NEW
        query = encode_query(_order_parameters(order, instrument))
        return BinancePreparedOrder(self, instrument, order.client_order_id, query, what)

    async def cancel(
        self,
        instrument: Instrument,
        client_order_id: ClientOrderId,
        on_first_byte: Callable[[], None] = nothing_to_ask,
        venue_order_id: VenueOrderId | None = None,
    ) -> OrderStatusReport:
        """Cancel by our id. A cancel that is refused for its timestamp is sent again, once.

        Raises:
            VenueRejected: OrderNotFound among others.
            VenueUnavailable: nothing was sent; RateLimited when it must wait.
            OutcomeUnknown: no answer in time.
        """
        by_name = {"origClientOrderId": client_order_id}
        named = by_name if venue_order_id is None else {"orderId": venue_order_id}
        try:
            return await self._cancel(instrument, named, on_first_byte)
        except VenueRejected as error:
            if error.code != CLOCK_CODE or not await self._set_clock():
                raise
        return await self._cancel(instrument, named, on_first_byte)

    async def _cancel(
        self, instrument: Instrument, named: Mapping[str, str], on_first_byte: Callable[[], None]
    ) -> OrderStatusReport:
        if not self.limits.take_now(RequestClass.CANCEL):
            await self.limits.take(RequestClass.CANCEL)
        query = encode_query({"symbol": instrument.symbol, **named})
        connection = self.pool.take_now(urgent=True)
        if connection is None:
            connection = await self.pool.take(urgent=True, timeout_s=self._connection_wait_s)
        request = self.request("DELETE", ORDER_PATH, query, signed=True)
        _ask_before(on_first_byte, connection)
        future = _start(connection, request)
        state = self._read(await self._answer(connection, future, "cancel"), "cancel", RequestClass.CANCEL)
        said = {"orderId": str(state.orderId), "origClientOrderId": state.origClientOrderId}
        if state.symbol != instrument.symbol or not named.items() <= said.items():
            raise _answer_of_another(connection, state)
        return self._status_report(instrument, state)

    def request(self, method: str, path: str, query: str, *, signed: bool) -> bytes:
        """A request without a body as bytes."""
        query = self._signer.sign(query) if signed else query
        separator = "?" if query else ""
        return f"{method} {self._path_prefix}{path}{separator}{query}{self._tail}".encode("ascii")

    async def send(
        self, prepared: "BinancePreparedOrder", on_first_byte: Callable[[], None]
    ) -> list[OrderStatusReport | FillReport]:
        """Write a prepared order and await its answer; see ``PreparedOrder.send``."""
        # All waiting before the first byte has one bound: the sender's lease was looked at before it.
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._connection_wait_s
        if not self.limits.take_now(prepared.what):
            await self.limits.take(prepared.what, patience_s=min(PATIENCE_S[prepared.what], self._connection_wait_s))
        connection = self.pool.take_now(urgent=False)
        if connection is None:
            connection = await self.pool.take(urgent=False, timeout_s=until_s - loop.time())
        instrument = prepared.instrument
        self._names.sending(instrument.symbol, prepared.client_order_id, self._signer.clock.now_ms())
        request = prepared.fresh_request()
        _ask_before(on_first_byte, connection)
        future = _start(connection, request)
        answer = await self._answer(connection, future, "order")
        try:
            state = self._read(answer, "order", prepared.what)
        except VenueRejected as error:
            if error.code == CLOCK_CODE:
                await self._set_clock()
            elif _DUPLICATE in error.reason.lower():
                self._names.taken(instrument.symbol, prepared.client_order_id)
            raise
        if (state.symbol, state.clientOrderId) != (instrument.symbol, prepared.client_order_id):
            raise _answer_of_another(connection, state)
        self._names.is_older(instrument.symbol, state.clientOrderId, state.orderId)
        status = self._status_report(instrument, state)
        try:
            return [status, *answer_fills(self.account_id, instrument, state)]
        except (KeyError, ValueError, ArithmeticError) as error:
            raise OutcomeUnknown(f"the fills in the answer cannot be read ({error}); ask for them") from error

    async def keep_warm(self, now_s: float) -> None:
        """Ping the connection that was idle for longest, if that is too long. ``now_s`` is the event loop's clock."""
        if not self.pool.longest_idle(now_s - WARM_AFTER_S):
            return
        try:
            await self.limits.take(RequestClass.QUERY, patience_s=0.0)
        except RateLimited:
            return
        self.pool.fire(self.request("GET", "/api/v3/ping", "", signed=False), self.answer_timeout_s, self._warmed)

    def _warmed(self, answer: HttpAnswer | None) -> None:
        if answer is not None:
            self._observe(answer, RequestClass.QUERY)

    async def _answer(self, connection: HttpConnection, future: "asyncio.Future[HttpAnswer]", what: str) -> HttpAnswer:
        try:
            async with asyncio.timeout(self.answer_timeout_s):
                return await future
        except TimeoutError:
            connection.abort()
            raise OutcomeUnknown(
                f"no answer to the {what} within {self.answer_timeout_s} s; ask for the order's status"
            ) from None
        except asyncio.CancelledError:
            connection.abort()
            raise
        except AnswerLost as error:
            raise OutcomeUnknown(f"the answer to the {what} is lost: {error}; ask for the order's status") from error

    def _read(self, answer: HttpAnswer, what: str, request: RequestClass) -> OrderState:
        if (blocked_s := self._observe(answer, request)) is not None:
            raise RateLimited(blocked_s)
        if answer.status != 200:
            raise self._refusal(answer)
        try:
            return _decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OutcomeUnknown(f"the answer to the {what} cannot be read: {error}") from error

    def _observe(self, answer: HttpAnswer, request: RequestClass) -> float | None:
        self.limits.observe(answer.headers, answer.elapsed_s)
        if answer.status in (429, 418):
            everyone = answer.status == 418 or request is RequestClass.CANCEL
            return self.limits.block(answer.headers.get("retry-after"), everyone=everyone)
        return None

    async def _set_clock(self) -> bool:
        """After a refused timestamp, so that the next request is right; False if the venue did not tell its time."""
        if self._learn_time is None:
            return False
        try:
            async with asyncio.timeout(self._connection_wait_s):
                await self._learn_time()
        except (VenueUnavailable, VenueRejected, TimeoutError):
            return False
        self.clock_is_off = False
        return True

    def _refusal(self, answer: HttpAnswer) -> VenueError:
        error = error_of(answer.status, answer.body, changes_orders=True)
        if isinstance(error, VenueRejected) and error.code == CLOCK_CODE:
            self.clock_is_off = True
            self._signer.clock.doubt()
        return error

    def _status_report(self, instrument: Instrument, state: OrderState) -> OrderStatusReport:
        try:
            return order_status_report(self.account_id, instrument, state)
        except (KeyError, ValueError, ArithmeticError) as error:
            raise OutcomeUnknown(f"the order in the answer cannot be read ({error}); ask for its status") from error


class BinancePreparedOrder:
    """See ``PreparedOrder``. It can be sent once."""

    __slots__ = ("_entry", "_query", "_request", "_sent", "_signed_ns", "client_order_id", "instrument", "what")

    def __init__(
        self,
        entry: OrderEntry,
        instrument: Instrument,
        client_order_id: ClientOrderId,
        query: str,
        what: RequestClass,
    ) -> None:
        self.client_order_id = client_order_id
        self.instrument = instrument
        self.what = what
        self._entry = entry
        self._query = query
        self._sent = False
        self._signed_ns = time.monotonic_ns()
        self._request = entry.request("POST", ORDER_PATH, query, signed=True)

    async def send(self, on_first_byte: Callable[[], None]) -> Sequence[OrderStatusReport | FillReport]:
        """See ``PreparedOrder.send``; RateLimited is a VenueUnavailable.

        Raises:
            RuntimeError: it was sent before.
        """
        if self._sent:
            raise RuntimeError("a prepared order is sent once; ask for the order's status instead")
        self._sent = True
        return await self._entry.send(self, on_first_byte)

    def fresh_request(self) -> bytes:
        """The request, with a timestamp that the venue will take."""
        if time.monotonic_ns() - self._signed_ns > SIGN_AGAIN_NS:
            self._request = self._entry.request("POST", ORDER_PATH, self._query, signed=True)
        return self._request


def _ask_before(on_first_byte: Callable[[], None], connection: HttpConnection) -> None:
    """Nothing is awaited between this and the write."""
    try:
        on_first_byte()
    except BaseException:
        connection.abort()
        raise


def _start(connection: HttpConnection, request: bytes) -> "asyncio.Future[HttpAnswer]":
    try:
        return connection.start(request)
    except ConnectionUnusable as error:
        raise VenueUnavailable("the connection closed before anything was written; try again") from error


def _answer_of_another(connection: HttpConnection, state: OrderState) -> OutcomeUnknown:
    """The venue's answers and our requests are out of step on a connection: it is closed, and nothing is known."""
    connection.abort()
    name = state.origClientOrderId or state.clientOrderId
    return OutcomeUnknown(f"the answer is about another order, {name}; ask for the order's status")


def _order_parameters(order: NewOrder, instrument: Instrument) -> Mapping[str, str]:
    kind = wire_order_type(order.order_type, post_only=order.post_only)
    parameters = {"symbol": instrument.symbol, "side": order.side.value, "type": kind}
    if kind in ("LIMIT", "STOP_LOSS_LIMIT"):
        parameters["timeInForce"] = wire_time_in_force(order.time_in_force)
    parameters["quantity"] = instrument.format_size(order.size)
    if order.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        parameters["price"] = _price(order.price, instrument, "a price")
    if order.order_type in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT):
        parameters["stopPrice"] = _price(order.trigger_price, instrument, "a trigger price")
    parameters["newClientOrderId"] = order.client_order_id
    parameters["newOrderRespType"] = "FULL"
    return parameters


def _price(mantissa: int | None, instrument: Instrument, what: str) -> str:
    if mantissa is None:
        raise VenueRejected(UNSUPPORTED_ORDER_TYPE, f"this order type needs {what}; nothing was sent")
    try:
        instrument.check_price(mantissa)
    except FixedPointError as error:
        raise VenueRejected(UNSUPPORTED_ORDER_TYPE, f"{error}; nothing was sent") from error
    return instrument.format_price(mantissa)
