"""Orders and cancels over real sockets: what is known after each way in which a request can go wrong."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import (
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.binance import order_entry
from tradewind.venue.binance.connection_pool import ConnectionPool
from tradewind.venue.binance.http_connection import HttpAddress
from tradewind.venue.binance.order_entry import OrderEntry
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.signing import RequestSigner, VenueClock
from tradewind.venue.reports import FillReport, OrderStatusReport
from tradewind.venue.request_budget import RequestClass

BTC = Instrument(
    instrument_id=InstrumentId("BTCUSDT.BINANCE"),
    venue=Venue("BINANCE"),
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=8,
    price_increment=1,
    size_increment=1_000,
    min_size=1_000,
    max_size=10**12,
    max_price=10**8,
    min_notional=Decimal(5),
)


def new_order(**changes: Any) -> NewOrder:
    fields: dict[str, Any] = {
        "client_order_id": ClientOrderId("mm-1-1"),
        "instrument_id": BTC.instrument_id,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "size": 1_000,
        "price": 6_000_000,
    }
    return NewOrder(**{**fields, **changes})


def entry_to(base_url: str, api_keys: dict[str, str], **options: Any) -> OrderEntry:
    signer = RequestSigner(api_keys["api_key"], api_keys["api_secret"], VenueClock())
    pool = ConnectionPool(HttpAddress.of(base_url), connect_timeout_s=1.0, ssl_context=options.pop("ssl_context", None))
    account = AccountId("BINANCE-main")
    return OrderEntry(
        account, pool, signer, RateLimits(), **{"answer_timeout_s": 0.5, "connection_wait_s": 0.5, **options}
    )


@pytest.fixture
async def entry(exchange: Any, api_keys: dict[str, str]) -> AsyncIterator[OrderEntry]:
    made = entry_to(exchange.rest_url, api_keys)
    await made.pool.refill()
    yield made
    await made.pool.close()


def accepted(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 28,
        "orderListId": -1,
        "clientOrderId": "mm-1-1",
        "transactTime": 1_507_725_176_595,
        "price": "60000.00000000",
        "origQty": "0.00001000",
        "executedQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "fills": [],
        **changes,
    }


def answering(body: Any, status: int = 200, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return answer


class FirstByte:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def send(entry: OrderEntry, order: NewOrder | None = None) -> tuple[list[Any], int]:
    first_byte = FirstByte()
    return list(await entry.prepare(order or new_order(), BTC).send(first_byte)), first_byte.calls


async def test_an_order_rests(exchange: Any, entry: OrderEntry) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(accepted())
    reports, first_bytes = await send(entry)
    assert first_bytes == 1
    (report,) = reports
    assert isinstance(report, OrderStatusReport)
    assert (report.status, report.venue_order_id, report.client_order_id) == (OrderStatus.ACCEPTED, "28", "mm-1-1")
    assert (report.price, report.size, report.ts_event) == (6_000_000, 1_000, 1_507_725_176_595_000_000)
    (request,) = exchange.requests
    assert request[2] | {"timestamp": "", "signature": ""} == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.00001000",
        "price": "60000.00",
        "newClientOrderId": "mm-1-1",
        "newOrderRespType": "FULL",
        "recvWindow": "5000",
        "timestamp": "",
        "signature": "",
    }


async def test_fills_come_with_the_answer(exchange: Any, entry: OrderEntry) -> None:
    fill = {"price": "59999.99000000", "qty": "0.00001000", "commission": "0.00000001", "commissionAsset": "BTC"}
    body = accepted(status="FILLED", executedQty="0.00001000", fills=[{**fill, "tradeId": 56}])
    exchange.answers["POST", "/api/v3/order"] = answering(body)
    (status, filled), _ = await send(entry)
    assert status.status is OrderStatus.FILLED
    assert isinstance(filled, FillReport)
    assert (filled.trade_id, filled.price, filled.size) == ("BTCUSDT-56", 5_999_999, 1_000)
    assert (filled.fee, filled.fee_currency) == (Decimal("0.00000001"), "BTC")


@pytest.mark.parametrize(
    ("changes", "wanted", "absent"),
    [
        ({"post_only": True}, {"type": "LIMIT_MAKER", "price": "60000.00"}, {"timeInForce"}),
        ({"order_type": OrderType.MARKET, "price": None}, {"type": "MARKET"}, {"timeInForce", "price"}),
        ({"time_in_force": TimeInForce.IOC, "side": OrderSide.SELL}, {"timeInForce": "IOC", "side": "SELL"}, set()),
        (
            {"order_type": OrderType.STOP_LIMIT, "trigger_price": 5_900_000},
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "59000.00", "timeInForce": "GTC"},
            set(),
        ),
        (
            {"order_type": OrderType.STOP_MARKET, "trigger_price": 5_900_000},
            {"type": "STOP_LOSS", "stopPrice": "59000.00"},
            {"price", "timeInForce"},
        ),
    ],
)
def test_order_types_on_the_wire(
    api_keys: dict[str, str], changes: dict[str, Any], wanted: dict[str, str], absent: set[str]
) -> None:
    prepared = entry_to("http://127.0.0.1:1", api_keys).prepare(new_order(**changes), BTC)
    line = prepared.fresh_request().decode().split(" ")[1]
    query = {name: values[0] for name, values in parse_qs(line.partition("?")[2]).items()}
    assert query | wanted == query
    assert not absent & set(query)


@pytest.mark.parametrize(
    "changes",
    [
        {"time_in_force": TimeInForce.GTD},
        {"order_type": OrderType.MARKET, "post_only": True},
        {"price": None},
        {"price": 10**9},
        {"price": -1},
        {"order_type": OrderType.STOP_MARKET},
    ],
)
def test_what_the_venue_cannot_do_is_refused_before_sending(api_keys: dict[str, str], changes: dict[str, Any]) -> None:
    with pytest.raises(VenueRejected):
        entry_to("http://127.0.0.1:1", api_keys).prepare(new_order(**changes), BTC)


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, {"code": -2010, "msg": "Account has insufficient balance for requested action."}, VenueRejected),
        (400, {"code": -1013, "msg": "Filter failure: PRICE_FILTER"}, VenueRejected),
        (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, VenueRejected),
        (400, b"<html>bad request</html>", OutcomeUnknown),
        (408, b"<html>request timeout</html>", OutcomeUnknown),
        (403, b"<html>forbidden</html>", RateLimited),
        (400, {"code": -1015, "msg": "Too many new orders"}, RateLimited),
        (400, {"code": -1007, "msg": "Timeout waiting for response from backend server."}, OutcomeUnknown),
        (400, {"code": -1006, "msg": "An unexpected response was received"}, OutcomeUnknown),
        (500, {"code": -1000, "msg": "An unknown error occurred"}, OutcomeUnknown),
        (503, b"Service Unavailable", OutcomeUnknown),
        (504, b"", OutcomeUnknown),
        (302, b"", OutcomeUnknown),
        (200, b"", OutcomeUnknown),
        (200, b"{}", OutcomeUnknown),
        (200, b"\xff\xfe", OutcomeUnknown),
        (200, accepted(status="NEW_WORD"), OutcomeUnknown),
        (200, accepted(price="60000.001"), OutcomeUnknown),
    ],
)
async def test_what_each_answer_means(
    exchange: Any, entry: OrderEntry, status: int, body: Any, wanted: type[Exception]
) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(body, status)
    with pytest.raises(wanted) as caught:
        await send(entry)
    assert type(caught.value) is wanted
    assert exchange.count("POST", "/api/v3/order") == 1


@pytest.mark.parametrize("status", [429, 418])
async def test_a_throttled_order_holds_back_orders_and_a_ban_cancels_too(
    exchange: Any, entry: OrderEntry, status: int
) -> None:
    answer = answering({"code": -1003, "msg": "Too many requests"}, status, **{"Retry-After": "30"})
    exchange.answers["POST", "/api/v3/order"] = answer
    exchange.answers["DELETE", "/api/v3/order"] = answer
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await send(entry)
        assert caught.value.retry_after_s == pytest.approx(30, abs=10)
    assert len(exchange.requests) == 1
    for _ in range(2):  # of the venue's own no to a cancel there is one at most
        with pytest.raises(RateLimited):
            await entry.cancel(BTC, ClientOrderId("mm-1-1"))
    assert len(exchange.requests) == (2 if status == 429 else 1)


@pytest.mark.parametrize("marks", [{"reduce_only": True}, {"reduces": True}, {}])
async def test_an_order_that_only_reduces_may_use_what_a_new_one_may_not(
    exchange: Any, entry: OrderEntry, marks: dict[str, bool]
) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(accepted())
    entry.limits.configure([("REQUEST_WEIGHT", "DAY", 1, 100)])
    await entry.limits.take(RequestClass.QUERY, 75)
    for _ in range(15):
        await entry.limits.take(RequestClass.NEW)
    if marks:
        await send(entry, new_order(**marks))
    else:
        with pytest.raises(RateLimited):
            await send(entry, new_order())
    assert len(exchange.requests) == (1 if marks else 0)


async def test_a_wrong_timestamp_is_a_refusal_and_asks_for_the_time(exchange: Any, entry: OrderEntry) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering({"code": -1021, "msg": "Timestamp"}, 400)
    with pytest.raises(VenueRejected):
        await send(entry)
    assert entry.clock_is_off


async def test_an_order_that_waited_is_signed_again(
    exchange: Any, entry: OrderEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(accepted())
    prepared = entry.prepare(new_order(), BTC)
    before = prepared.fresh_request()
    monkeypatch.setattr(order_entry, "SIGN_AGAIN_NS", 0)
    await asyncio.sleep(0.005)
    await prepared.send(FirstByte())
    assert prepared.fresh_request() != before
    assert int(exchange.requests[0][2]["timestamp"]) >= int(parse_qs(before.decode())["timestamp"][0])


async def test_a_prepared_order_is_sent_once(exchange: Any, entry: OrderEntry) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(accepted())
    prepared = entry.prepare(new_order(), BTC)
    await prepared.send(FirstByte())
    with pytest.raises(RuntimeError, match="once"):
        await prepared.send(FirstByte())
    assert len(exchange.requests) == 1


async def test_a_cancel_names_the_order_and_not_itself(exchange: Any, entry: OrderEntry) -> None:
    body = accepted(status="CANCELED", origClientOrderId="mm-1-1", clientOrderId="cancel-9")
    exchange.answers["DELETE", "/api/v3/order"] = answering(body)
    report = await entry.cancel(BTC, ClientOrderId("mm-1-1"))
    assert (report.status, report.client_order_id) == (OrderStatus.CANCELED, "mm-1-1")
    assert exchange.requests[0][2]["origClientOrderId"] == "mm-1-1"


async def test_a_cancel_of_an_unknown_order_says_so(exchange: Any, entry: OrderEntry) -> None:
    exchange.answers["DELETE", "/api/v3/order"] = answering({"code": -2011, "msg": "Unknown order sent."}, 400)
    with pytest.raises(OrderNotFound):
        await entry.cancel(BTC, ClientOrderId("mm-1-1"))


async def test_orders_share_the_pool_and_a_cancel_never_waits_for_them(exchange: Any, entry: OrderEntry) -> None:
    release = asyncio.Event()
    at_once, most = 0, 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await release.wait()
        at_once -= 1
        return web.json_response(accepted(clientOrderId=request.query["newClientOrderId"]))

    exchange.answers["POST", "/api/v3/order"] = slow
    exchange.answers["DELETE", "/api/v3/order"] = answering(accepted(status="CANCELED", origClientOrderId="x"))
    names = [ClientOrderId(f"mm-1-{number}") for number in range(6)]
    async with asyncio.TaskGroup() as group:
        sends = [group.create_task(send(entry, new_order(client_order_id=name))) for name in names]
        await until(lambda: most == 3)
        await entry.cancel(BTC, ClientOrderId("x"))
        release.set()
    assert [task.result()[0][0].client_order_id for task in sends] == names
    assert most == 3


async def test_no_connection_means_nothing_was_sent(exchange: Any, api_keys: dict[str, str]) -> None:
    await exchange.stop()
    made = entry_to(exchange.rest_url, api_keys)
    first_byte = FirstByte()
    with pytest.raises(VenueUnavailable):
        await made.prepare(new_order(), BTC).send(first_byte)
    assert first_byte.calls == 0


async def test_connections_that_the_venue_closed_are_replaced(exchange: Any, entry: OrderEntry) -> None:
    exchange.answers["POST", "/api/v3/order"] = answering(accepted(), Connection="close")
    for _ in range(6):
        reports, _ = await send(entry)
        assert len(reports) == 1
    assert exchange.count("POST", "/api/v3/order") == 6


async def test_idle_connections_are_kept_warm(exchange: Any, entry: OrderEntry) -> None:
    now_s = asyncio.get_running_loop().time()
    await entry.keep_warm(now_s)
    assert exchange.requests == []
    for _ in range(4):
        await entry.keep_warm(now_s + 3600)
        await asyncio.sleep(0.05)
    assert exchange.count("GET", "/api/v3/ping") == 4
    assert entry.pool.idle == 4


# -- a server that is rude below HTTP ----------------------------------------------------------------------------------

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RudeServer:
    """Reads one request per connection, then does as its script says."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "RudeServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await self._script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def raw(*pieces: bytes, pause_s: float = 0.0, stay_s: float = 0.0) -> Script:
    async def script(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        await asyncio.sleep(stay_s)

    return script


def whole_answer() -> bytes:
    body = json.dumps(accepted()).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (raw(), "lost"),  # closes without a word
        (raw(stay_s=5), "no answer"),  # half open: never answers
        (raw(*[b"H", b"T"] * 20, pause_s=0.1), "cannot be read"),
        (raw(HEAD, b"X-Slow: 1\r\n" * 2, pause_s=0.4, stay_s=5), "no answer"),  # slow headers
        (raw(HEAD + b"Content-Length: 500\r\n\r\n{"), "lost"),  # cut in the body
        (raw(HEAD + b"Content-Length: 99999999\r\n\r\n", *[b"x" * 65_536] * 40), "larger"),
        (raw(HEAD, *[b"X-%d: " % n + b"y" * 60_000 + b"\r\n" for n in range(40)]), "larger"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "cannot be read"),
        (raw(HEAD + b"Content-Length: -5\r\n\r\n"), "cannot be read"),
        (raw(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), "."),
    ],
)
async def test_a_rude_server_leaves_the_outcome_unknown(api_keys: dict[str, str], script: Script, why: str) -> None:
    async with RudeServer(script) as server:
        made = entry_to(server.url, api_keys)
        first_byte = FirstByte()
        with pytest.raises(OutcomeUnknown, match=why):
            await made.prepare(new_order(), BTC).send(first_byte)
        assert first_byte.calls == 1
        assert sum(request.startswith(b"POST") for request in server.requests) == 1
        await made.pool.close()


async def test_an_answer_in_single_bytes_and_after_a_100_is_understood(api_keys: dict[str, str]) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + whole_answer()
    pieces = [answer[at : at + 1] for at in range(len(answer))]
    async with RudeServer(raw(*pieces, stay_s=0.2)) as server:
        made = entry_to(server.url, api_keys, answer_timeout_s=5.0)
        reports = await made.prepare(new_order(), BTC).send(FirstByte())
        assert len(reports) == 1
        await made.pool.close()


async def test_a_second_answer_that_nobody_asked_for_closes_the_connection(api_keys: dict[str, str]) -> None:
    async with RudeServer(raw(whole_answer(), whole_answer(), pause_s=0.05, stay_s=1)) as server:
        made = entry_to(server.url, api_keys)
        await made.prepare(new_order(), BTC).send(FirstByte())
        # Of the two that were opened, the order's one is closed and the one kept for cancels stays.
        await until(lambda: made.pool.missing == 3)
        assert made.pool.idle == 1
        await made.pool.close()


async def test_a_cancelled_send_closes_its_connection(api_keys: dict[str, str]) -> None:
    async with RudeServer(raw(stay_s=5)) as server:
        made = entry_to(server.url, api_keys, answer_timeout_s=30.0)
        first_byte = FirstByte()
        task = asyncio.create_task(made.prepare(new_order(), BTC).send(first_byte))
        await until(lambda: first_byte.calls == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: made.pool.missing == 3)
        await made.pool.close()


async def test_an_address_that_never_accepts_is_unavailable(api_keys: dict[str, str]) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = listener.getsockname()[1]
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    made = entry_to(f"http://127.0.0.1:{port}", api_keys)
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        await made.prepare(new_order(), BTC).send(FirstByte())
    await made.pool.close()
    for each in (listener, *fillers):
        each.close()


async def test_orders_go_over_tls(tls_exchange: Any, certificate: Any, api_keys: dict[str, str]) -> None:
    tls_exchange.answers["POST", "/api/v3/order"] = answering(accepted())
    made = entry_to(tls_exchange.rest_url, api_keys, ssl_context=certificate.client)
    for _ in range(3):
        reports, first_bytes = await send(made)
        assert (len(reports), first_bytes) == (1, 1)
    await made.pool.close()


async def test_a_certificate_that_is_not_trusted_gets_no_order(tls_exchange: Any, api_keys: dict[str, str]) -> None:
    made = entry_to(tls_exchange.rest_url, api_keys)
    first_byte = FirstByte()
    with pytest.raises(VenueUnavailable, match="nothing was sent"):
        await made.prepare(new_order(), BTC).send(first_byte)
    assert first_byte.calls == 0
    assert tls_exchange.requests == []


async def test_https_to_a_server_without_tls_sends_nothing(exchange: Any, api_keys: dict[str, str]) -> None:
    made = entry_to(exchange.rest_url.replace("http", "https"), api_keys, ssl_context=ssl.create_default_context())
    first_byte = FirstByte()
    with pytest.raises(VenueUnavailable):
        await made.prepare(new_order(), BTC).send(first_byte)
    assert first_byte.calls == 0
    assert exchange.requests == []
