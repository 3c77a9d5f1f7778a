"""One account's client: connecting, questions, the private stream and its breaks."""

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from tradewind.model.accounts import Balance
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import NewOrder, OrderNotFound, RateLimited, VenueRejected, VenueUnavailable
from tradewind.venue.binance import account_queries, execution
from tradewind.venue.binance.connecting import execution_client, symbols_of
from tradewind.venue.binance.execution import BinanceExecutionClient
from tradewind.venue.binance.user_stream import UserStream
from tradewind.venue.reports import (
    BalanceReport,
    FillReport,
    OrderStatusReport,
    StreamEvent,
    StreamInterrupted,
    StreamResumed,
)

BTC = InstrumentId("BTCUSDT.BINANCE")
DAY_MS = 86_400_000


def client_for(exchange: Any, api_keys: dict[str, str], **changes: Any) -> BinanceExecutionClient:
    return execution_client(
        venue="BINANCE",
        account="main",
        symbols=["BTCUSDT"],
        rest_url=exchange.rest_url,
        stream_url=exchange.stream_url,
        **{**api_keys, "answer_timeout_s": 1.0, **changes},
    )


@pytest.fixture
async def client(exchange: Any, api_keys: dict[str, str]) -> AsyncIterator[BinanceExecutionClient]:
    made = client_for(exchange, api_keys)
    await made.connect()
    yield made
    await made.close()


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "orderId": 7,
        "clientOrderId": "mm-1-1",
        "price": "60000.00000000",
        "origQty": "0.00002000",
        "executedQty": "0.00001000",
        "status": "PARTIALLY_FILLED",
        "timeInForce": "GTC",
        "type": "LIMIT_MAKER",
        "side": "SELL",
        "time": 1_000,
        "updateTime": 2_000,
        **changes,
    }


def trade_row(number: int, time_ms: int = 5_000) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "id": number,
        "orderId": 7,
        "price": "60000.00000000",
        "qty": "0.00001000",
        "commission": "0.00060000",
        "commissionAsset": "USDT",
        "time": time_ms,
        "isBuyer": False,
        "isMaker": True,
    }


def answering(body: Any, status: int = 200) -> Callable[[web.Request], Any]:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


# -- connecting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "secret"), [("wrong", "test-secret"), ("test-key", "wrong")])
async def test_a_wrong_key_says_what_to_change(exchange: Any, key: str, secret: str) -> None:
    made = client_for(exchange, {"api_key": key, "api_secret": secret})
    with pytest.raises(VenueRejected, match="TRADEWIND_VENUE_API_KEY") as caught:
        await made.connect()
    assert secret not in str(caught.value)
    await made.close()


async def test_a_venue_that_is_away_is_unavailable_and_its_address_shows_no_signature(
    exchange: Any, api_keys: dict[str, str]
) -> None:
    made = client_for(exchange, api_keys)
    await exchange.stop()
    with pytest.raises(VenueUnavailable):
        await made.connect()
    with pytest.raises(VenueUnavailable) as caught:
        await made.balances()
    assert "signature" not in str(caught.value)
    await made.close()


async def test_a_clock_that_is_off_is_learned(exchange: Any, api_keys: dict[str, str]) -> None:
    made = client_for(exchange, api_keys)
    await made.connect()
    made._queries._rest.signer.clock.offset_ms = -3_600_000  # type: ignore[union-attr]
    assert (await made.balances()).snapshot
    assert exchange.count("GET", "/api/v3/time") == 2
    await made.close()


@pytest.mark.parametrize("key", ["", "two\r\nlines", "kéy"])
def test_a_key_that_would_break_the_header_is_refused(exchange: Any, key: str) -> None:
    with pytest.raises(ValueError, match="TRADEWIND_VENUE_API_KEY"):
        client_for(exchange, {"api_key": key, "api_secret": "x"})


def test_symbols() -> None:
    assert symbols_of("btcusdt, ETHUSDT,BTCUSDT,") == ("BTCUSDT", "ETHUSDT")
    for wrong in ("", " , ", "BTC/USDT"):
        with pytest.raises(ValueError, match="TRADEWIND_SYMBOLS"):
            symbols_of(wrong)


# -- questions ---------------------------------------------------------------------------------------------------------


async def test_an_orders_status(exchange: Any, client: BinanceExecutionClient) -> None:
    exchange.answers["GET", "/api/v3/order"] = answering(order_row())
    report = await client.order_status(BTC, ClientOrderId("mm-1-1"))
    assert report == OrderStatusReport(
        account_id=client.account_id,
        instrument_id=BTC,
        client_order_id=ClientOrderId("mm-1-1"),
        venue_order_id=VenueOrderId("7"),
        side=OrderSide.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        status=OrderStatus.PARTIALLY_FILLED,
        size=2_000,
        filled_size=1_000,
        price=6_000_000,
        post_only=True,
        ts_event=2_000_000_000,
    )


async def test_an_order_that_the_venue_does_not_know(exchange: Any, client: BinanceExecutionClient) -> None:
    exchange.answers["GET", "/api/v3/order"] = answering({"code": -2013, "msg": "Order does not exist."}, 400)
    with pytest.raises(OrderNotFound):
        await client.order_status(BTC, ClientOrderId("mm-1-1"))


@pytest.mark.parametrize(
    ("body", "status", "wanted"),
    [
        ({"code": -1003, "msg": "Too many requests"}, 429, RateLimited),
        ({"code": -1003, "msg": "banned"}, 418, RateLimited),
        ({"code": -1000, "msg": "unknown"}, 500, VenueUnavailable),
        ("gateway", 502, VenueUnavailable),
        ({"orders": []}, 200, VenueUnavailable),
        ([order_row(status="NEW_WORD")], 200, VenueUnavailable),
        ([order_row(origQty="0.000000001")], 200, VenueUnavailable),
    ],
)
async def test_a_question_without_an_answer_is_never_none(
    exchange: Any, client: BinanceExecutionClient, body: Any, status: int, wanted: type[Exception]
) -> None:
    exchange.answers["GET", "/api/v3/openOrders"] = answering(body, status)
    with pytest.raises(wanted):
        await client.open_orders()


async def test_an_answer_over_the_bound_is_unavailable(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._queries._rest, "_max_answer_bytes", 1_000)
    exchange.answers["GET", "/api/v3/openOrders"] = answering([order_row()] * 100)
    with pytest.raises(VenueUnavailable, match="larger"):
        await client.open_orders()


async def test_open_orders_of_others_and_of_other_symbols_are_there(
    exchange: Any, client: BinanceExecutionClient
) -> None:
    rows = [order_row(clientOrderId="web_1f3"), order_row(symbol="ETHUSDT", orderId=8, clientOrderId="and_x")]
    exchange.answers["GET", "/api/v3/openOrders"] = answering(rows)
    reports = await client.open_orders()
    assert [(r.instrument_id, r.client_order_id) for r in reports] == [(BTC, "web_1f3"), ("ETHUSDT.BINANCE", "and_x")]


async def test_fills_come_in_pages(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_queries, "TRADES_PER_PAGE", 3)
    rows = [trade_row(number, 5_000 + number) for number in range(10, 18)]

    async def answer(request: web.Request) -> web.Response:
        first = int(request.query["fromId"])
        return web.json_response([row for row in rows if row["id"] >= first][: int(request.query["limit"])])

    exchange.answers["GET", "/api/v3/myTrades"] = answer
    fills = await client.fills(BTC)
    assert [fill.trade_id for fill in fills] == [f"BTCUSDT-{number}" for number in range(10, 18)]
    assert fills[0] == FillReport(
        account_id=client.account_id,
        instrument_id=BTC,
        client_order_id=None,
        venue_order_id=VenueOrderId("7"),
        trade_id=fills[0].trade_id,
        side=OrderSide.SELL,
        price=6_000_000,
        size=1_000,
        fee=Decimal("0.0006"),
        fee_currency="USDT",
        liquidity_side=LiquiditySide.MAKER,
        ts_event=5_010_000_000,
    )
    exchange.requests.clear()
    await client.fills(BTC, venue_order_id=VenueOrderId("7"))
    assert all(query["orderId"] == "7" for _, _, query in exchange.requests)


async def test_fills_since_a_time_are_looked_for_day_by_day(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ms = 1_700_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now_ms * 1_000_000)
    rows = [trade_row(number, now_ms - 2 * DAY_MS + number) for number in range(1, 4)]
    rows += [trade_row(9, now_ms - 5)]

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        if "fromId" in query:
            return web.json_response([row for row in rows if row["id"] >= int(query["fromId"])])
        start, end = int(query["startTime"]), int(query["endTime"])
        assert end - start < DAY_MS
        return web.json_response([row for row in rows if start <= row["time"] <= end])

    exchange.answers["GET", "/api/v3/myTrades"] = answer
    fills = await client.fills(BTC, since_ns=(now_ms - 5 * DAY_MS) * 1_000_000)
    assert [fill.trade_id for fill in fills] == ["BTCUSDT-1", "BTCUSDT-2", "BTCUSDT-3", "BTCUSDT-9"]
    later = await client.fills(BTC, since_ns=(now_ms - 2 * DAY_MS + 3) * 1_000_000)
    assert [fill.trade_id for fill in later] == ["BTCUSDT-3", "BTCUSDT-9"]


async def test_a_mass_status_is_whole_or_an_error(exchange: Any, client: BinanceExecutionClient) -> None:
    exchange.answers["GET", "/api/v3/openOrders"] = answering([order_row()])
    status = await client.mass_status(0)
    assert len(status.open_orders) == 1
    assert status.balances.balances == (Balance(currency="BTC", free=Decimal("1.5"), locked=Decimal("0.25")),)
    exchange.answers["GET", "/api/v3/myTrades"] = answering({"code": -1000, "msg": "?"}, 500)
    with pytest.raises(VenueUnavailable):
        await client.mass_status(0)


async def test_an_instrument_that_is_not_configured_is_refused(client: BinanceExecutionClient) -> None:
    order = NewOrder(
        client_order_id=ClientOrderId("a-1-1"),
        instrument_id=InstrumentId("DOGEUSDT.BINANCE"),
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=1,
        price=1,
    )
    with pytest.raises(VenueRejected, match="DOGEUSDT"):
        client.prepare_order(order)


# -- the private stream ------------------------------------------------------------------------------------------------


def execution_report(**changes: Any) -> str:
    fields = {
        "e": "executionReport", "E": 3_000, "s": "BTCUSDT", "c": "mm-1-1", "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "0.00002000", "p": "60000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW",
        "X": "NEW", "r": "NONE", "i": 7, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None,
        "T": 2_999, "t": -1, "I": 1, "w": True, "m": False, "M": False, "O": 2_999, "Z": "0", "Y": "0", "Q": "0",
    }  # fmt: skip
    return json.dumps({**fields, **changes})


class Reader:
    """Reads a client's stream in the background."""

    def __init__(self, client: BinanceExecutionClient) -> None:
        self.events: list[StreamEvent] = []
        self._client = client
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Reader":
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        async for event in self._client.stream():
            self.events.append(event)

    async def until(self, count: int) -> list[StreamEvent]:
        async with asyncio.timeout(15):
            while True:
                if len(self.events) >= count:
                    return self.events
                await asyncio.sleep(0.01)


async def test_reports_of_the_private_stream(exchange: Any, client: BinanceExecutionClient) -> None:
    async with Reader(client) as reader:
        socket = await exchange.next_user_socket()
        await socket.send_str(execution_report())
        trade = {"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.00001000", "z": "0.00001000", "L": "59999.50000000"}
        await socket.send_str(execution_report(**trade, t=55, n="0.00000001", N="BTC", m=True))
        await socket.send_str(json.dumps({"e": "balanceUpdate", "E": 1, "a": "BTC", "d": "1", "T": 1}))
        await socket.send_str(execution_report(x="CANCELED", X="CANCELED", c="cancel-3", C="mm-1-1", z="0.00001000"))
        balances = [{"a": "BTC", "f": "1.10000000", "l": "0.00000000"}]
        await socket.send_str(json.dumps({"e": "outboundAccountPosition", "E": 4, "u": 3, "B": balances}))
        resumed, new, fill, partly, cancelled, balance = await reader.until(6)
    assert resumed == StreamResumed(account_id=client.account_id)
    assert isinstance(new, OrderStatusReport)
    assert (new.status, new.client_order_id, new.ts_event) == (OrderStatus.ACCEPTED, "mm-1-1", 2_999_000_000)
    assert isinstance(fill, FillReport)
    assert (fill.trade_id, fill.price, fill.size, fill.fee, fill.fee_currency) == (
        "BTCUSDT-55", 5_999_950, 1_000, Decimal("0.00000001"), "BTC",
    )  # fmt: skip
    assert fill.liquidity_side is LiquiditySide.MAKER
    assert isinstance(partly, OrderStatusReport)
    assert (partly.status, partly.filled_size) == (OrderStatus.PARTIALLY_FILLED, 1_000)
    assert isinstance(cancelled, OrderStatusReport)
    assert (cancelled.status, cancelled.client_order_id) == (OrderStatus.CANCELED, "mm-1-1")
    assert isinstance(balance, BalanceReport)
    assert not balance.snapshot
    assert balance.balances == (Balance(currency="BTC", free=Decimal("1.1"), locked=Decimal(0)),)


async def test_orders_of_others_are_reported_too(exchange: Any, client: BinanceExecutionClient) -> None:
    async with Reader(client) as reader:
        socket = await exchange.next_user_socket()
        await socket.send_str(execution_report(c="web_6f00", o="MARKET", f="GTC", p="0.00000000"))
        _, report = await reader.until(2)
    assert isinstance(report, OrderStatusReport)
    assert (report.client_order_id, report.order_type, report.price) == ("web_6f00", OrderType.MARKET, None)


@pytest.mark.parametrize(
    "message",
    [
        "{oops",
        "[]",
        execution_report(X="NEW_WORD"),
        execution_report(q="0.000000001"),
        execution_report(s="ETHUSDT"),
        '{"e":"executionReport"}',
        '{"e":"listenKeyExpired","E":1,"listenKey":"listen-1"}',
        b"\x00binary",
    ],
)
async def test_an_event_that_is_lost_interrupts_the_stream(
    exchange: Any, client: BinanceExecutionClient, message: str | bytes
) -> None:
    async with Reader(client) as reader:
        socket = await exchange.next_user_socket()
        await socket.send_str(execution_report())
        await reader.until(2)
        await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
        again = await exchange.next_user_socket()
        await again.send_str(execution_report())
        events = await reader.until(5)
    kinds = [type(event) for event in events]
    assert kinds == [StreamResumed, OrderStatusReport, StreamInterrupted, StreamResumed, OrderStatusReport]


async def test_a_break_is_told_once_while_the_venue_is_away(exchange: Any, client: BinanceExecutionClient) -> None:
    async with Reader(client) as reader:
        socket = await exchange.next_user_socket()
        await socket.close()
        await exchange.stop()
        await reader.until(2)
        await asyncio.sleep(1.0)
        assert [type(event) for event in reader.events] == [StreamResumed, StreamInterrupted]
        await exchange.start()
        await exchange.next_user_socket()
        await reader.until(3)
        assert isinstance(reader.events[2], StreamResumed)


async def test_a_full_queue_interrupts_the_stream(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = functools.partial(UserStream, max_waiting=5)
    monkeypatch.setattr(execution, "UserStream", small)
    stream = client.stream()
    async with contextlib.aclosing(stream):  # type: ignore[type-var]
        assert isinstance(await anext(stream), StreamResumed)
        socket = await exchange.next_user_socket()
        for _ in range(20):
            await socket.send_str(execution_report())
        await asyncio.sleep(0.3)
        events = [await anext(stream) for _ in range(6)]
    assert [type(event) for event in events] == [OrderStatusReport] * 5 + [StreamInterrupted]


async def test_the_listen_key_is_kept_alive_and_renewed_when_lost(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "KEEP_ALIVE_EVERY_S", 0.05)
    monkeypatch.setattr(execution, "UPKEEP_EVERY_S", 0.05)
    async with Reader(client) as reader:
        await exchange.next_user_socket()
        async with asyncio.timeout(10):
            while True:
                if exchange.count("PUT", "/api/v3/userDataStream") >= 2:
                    break
                await asyncio.sleep(0.02)
        assert len(reader.events) == 1
        lost = {"code": -1125, "msg": "This listenKey does not exist."}
        exchange.answers["PUT", "/api/v3/userDataStream"] = answering(lost, 400)
        await exchange.next_user_socket()
        events = await reader.until(3)
    assert [type(event) for event in events[:3]] == [StreamResumed, StreamInterrupted, StreamResumed]


async def test_missing_order_connections_are_opened_by_the_streams_reader(
    exchange: Any, client: BinanceExecutionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "UPKEEP_EVERY_S", 0.05)
    pool = client._entry.pool
    for connection in list(pool._open):
        connection.abort()
    await asyncio.sleep(0.05)
    assert pool.missing == 4
    async with Reader(client):
        await exchange.next_user_socket()
        async with asyncio.timeout(10):
            while True:
                if pool.idle == 4:
                    break
                await asyncio.sleep(0.02)
