"""The stream over real sockets: snapshot and deltas, hostile clients, slow clients, a quick end."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import websockets
from api_platform import (
    BTCUSDT,
    WAIT_S,
    RunningApi,
    api_settings,
    away_database,
    bearer,
    record,
    running_api,
    snapshot,
    token_of,
)
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId
from tradewind.wire.market_records import RecordKind, RecordSide


@contextlib.asynccontextmanager
async def stream(api: RunningApi, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{api.port}/api/v1/stream{query}"
    headers = {**bearer("anna"), **options.pop("additional_headers", {})}
    async with websockets.connect(url, max_size=8_000_000, additional_headers=headers, **options) as connection:
        yield connection


async def message(connection: ClientConnection) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(await asyncio.wait_for(connection.recv(), WAIT_S))
    return decoded


async def change(connection: ClientConnection, part: str) -> Any:
    """The next value of one part of the view."""
    async with asyncio.timeout(WAIT_S):
        while True:
            data = (await message(connection))["data"]
            if part in data:
                return data[part]


async def closing(connection: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server ends the connection."""
    async with asyncio.timeout(WAIT_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


async def test_snapshot_first_then_only_what_changed(api: RunningApi) -> None:
    await api.publisher.instrument()
    await api.publisher.records(*snapshot([(6_000_000, 10**8)], [(6_000_100, 10**8)]))
    await api.eventually(f"/api/v1/book/{BTCUSDT}", lambda body: body.get("synced"))
    async with stream(api) as connection:
        first = await message(connection)
        assert (first["type"], first["seq"]) == ("snapshot", 1)
        assert first["data"]["book"]["bids"] == [["60000.00", "1.00000000"]]
        assert first["data"]["orders"] == []
        await api.publisher.order("market-maker-1-1", OrderSide.SELL, 6_000_100, 100_000)
        [order] = await change(connection, "orders")
        assert order["client_order_id"] == "market-maker-1-1"
        await api.publisher.filled("market-maker-1-1", OrderSide.SELL, 6_000_100, 100_000)
        data: dict[str, Any] = {}
        while "fills" not in data:
            data = (await message(connection))["data"]
        assert [fill["trade_id"] for fill in data["fills"]] == ["t-market-maker-1-1"]
        [(_, *mark)] = data["marks"]
        assert mark == ["60001.00", "0.00100000", "SELL", "market-maker"]
        assert "book" not in data
        assert "instruments" not in data


async def test_sequence_numbers_have_no_gap_and_changes_are_conflated(api: RunningApi) -> None:
    await api.publisher.instrument()
    await api.eventually("/api/v1/instruments", bool)
    async with stream(api) as connection:
        await message(connection)
        for step in range(400):
            await api.publisher.records(record(RecordKind.TOP_OF_BOOK, RecordSide.BUY, 6_000_000 + step, 10**8))
            await api.publisher.records(record(RecordKind.TOP_OF_BOOK, RecordSide.SELL, 6_000_100 + step, 10**8))
            if step % 20 == 0:
                await asyncio.sleep(0)
        sequence, bid = 1, ""
        while bid != "60003.99":
            one = await message(connection)
            assert one["seq"] == sequence + 1
            sequence = one["seq"]
            for price in one["data"].get("prices", []):
                bid = price["bid"]
        assert sequence < 200


async def test_every_order_reaches_a_client_that_comes_late_or_in_time(api: RunningApi) -> None:
    await api.publisher.instrument()
    seen: set[str] = set()
    async with stream(api) as connection:
        for number in range(300):
            await api.publisher.order(f"market-maker-1-{number}", OrderSide.BUY, 5_999_000, 100_000)
        while len(seen) < 300:
            seen.update(order["client_order_id"] for order in await change(connection, "orders"))
    async with stream(api) as connection:
        assert len((await message(connection))["data"]["orders"]) == 300


async def test_a_silent_platform_still_beats(api: RunningApi) -> None:
    async with stream(api) as connection:
        await message(connection)
        beat = await message(connection)
        assert beat["type"] == "delta"


async def test_a_client_chooses_its_instrument_and_depth(api: RunningApi) -> None:
    other = InstrumentId("ETHUSDT.BINANCE")
    for name in (BTCUSDT, other):
        await api.publisher.instrument(name)
        await api.publisher.records(*snapshot([(200_000, 10**8), (199_999, 10**8)], [(200_100, 10**8)], name))
    await api.eventually(f"/api/v1/book/{other}", lambda body: body.get("synced"))
    async with stream(api, f"?instrument_id={other}") as connection:
        assert (await message(connection))["data"]["book"]["instrument_id"] == other
        await connection.send(json.dumps({"type": "view", "instrument_id": BTCUSDT, "depth": 1}))
        answer = await message(connection)
        while answer["type"] != "snapshot":
            answer = await message(connection)
        assert answer["data"]["book"]["instrument_id"] == BTCUSDT
        assert len(answer["data"]["book"]["bids"]) == 1
        await connection.send('{"type":"resync"}')
        answer = await message(connection)
        while answer["type"] != "snapshot":
            answer = await message(connection)
        assert answer["data"]["book"]["instrument_id"] == BTCUSDT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[1]",
        '"view"',
        '{"type":"trade"}',
        '{"type":"view","parts":[]}',
        '{"type":"view","parts":"book"}',
        '{"type":"view","parts":["book","nothing-of-that-name"]}',
        '{"type":"view","interval":"7m"}',
        '{"type":"view","strategy_id":"a-name-that-is-longer-than-any"}',
        '{"type":"view","instrument_id":5}',
        '{"type":"view","instrument_id":""}',
        '{"type":"view","instrument_id":"x","depth":0}',
        '{"type":"view","instrument_id":"x","depth":101}',
        '{"type":"view","instrument_id":"x","depth":1e99}',
        '{"type":"view","instrument_id":"x","more":1}',
        '{"type":"resync"}x',
        "[" * 2_000,
        " " * 2_049,
    ],
)
async def test_a_message_that_is_none_of_ours_ends_the_connection(api: RunningApi, text: str) -> None:
    async with stream(api) as connection:
        await connection.send(text)
        code, reason = await closing(connection)
        assert code == 1008
        assert reason


async def test_binary_and_huge_messages_end_the_connection(api: RunningApi) -> None:
    async with stream(api) as connection:
        await connection.send(b"\x00\x01")
        assert (await closing(connection))[0] == 1003
    async with stream(api) as connection:
        await connection.send("x" * 100_000)
        assert (await closing(connection))[0] == 1009


async def test_too_many_messages_end_the_connection(api: RunningApi) -> None:
    async with stream(api) as connection:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                await connection.send('{"type":"resync"}')
        code, reason = await closing(connection)
        assert code == 1008
        assert "messages a second" in reason


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_foreign_page_cannot_listen(api: RunningApi, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with stream(api, origin=origin):
            pass
    assert refused.value.response.status_code == 403


async def test_its_own_page_can_listen(api: RunningApi) -> None:
    async with stream(api, origin=api.origin) as connection:
        assert (await message(connection))["type"] == "snapshot"


async def test_a_foreign_name_cannot_listen(api: RunningApi) -> None:
    with pytest.raises(InvalidStatus):
        async with stream(api, additional_headers={"Host": "evil.example"}):
            pass


async def test_more_clients_than_allowed_are_turned_away_with_a_reason() -> None:
    settings = api_settings(max_stream_clients=2)
    async with running_api(away_database(), settings) as api, stream(api) as one, stream(api) as two:
        await message(one)
        await message(two)
        async with stream(api) as three:
            code, reason = await closing(three)
            assert code == 1013
            assert "close one" in reason
        assert (await message(one))["type"] == "delta"


async def test_a_client_that_does_not_read_is_dropped_and_holds_nobody_up() -> None:
    settings = api_settings(slow_client_s=0.3, trades_kept=200)
    async with running_api(away_database(), settings) as api:
        await api.publisher.instrument()
        await api.eventually("/api/v1/instruments", bool)
        deaf = _deaf_client(api.port)
        try:
            prints = [record(RecordKind.TRADE, RecordSide.BUY, 6_000_000, 10**8, order_id=n) for n in range(200)]
            deadline = time.monotonic() + 30
            async with stream(api) as connection:
                while (await api.get("/api/v1/statistics"))[1]["stream"]["dropped_slow"] == 0:
                    assert time.monotonic() < deadline
                    await api.publisher.records(*prints)
                    assert await change(connection, "trades")
            statistics = await api.eventually("/api/v1/statistics", lambda body: body["stream"]["clients"] == 0)
            assert statistics["stream"]["dropped_slow"] == 1
        finally:
            deaf.close()


def _deaf_client(port: int) -> socket.socket:
    """A WebSocket that asks for the stream and never reads."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect(("127.0.0.1", port))
    deaf.sendall(
        f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token_of('anna')}\r\n\r\n".encode()
    )
    return deaf


async def test_the_service_stops_with_open_connections() -> None:
    deaf: socket.socket | None = None
    async with asyncio.timeout(WAIT_S):
        async with running_api(away_database(), api_settings()) as api:
            deaf = _deaf_client(api.port)
            url = f"ws://127.0.0.1:{api.port}/api/v1/stream"
            connection = await websockets.connect(url, additional_headers=bearer("anna"))
            await message(connection)
            await api.publisher.balances(USDT=Decimal(1))
            api.task.cancel()
            code, _ = await closing(connection)
            assert code in (1001, 1012)
            await connection.close()
            await asyncio.wait([api.task])
        deaf.close()
