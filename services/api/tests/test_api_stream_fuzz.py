"""Hostile clients of the stream: whatever they send, they are answered or sent away, and the others notice nothing."""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Callable
from typing import Any, Final

import psutil
import pytest
import websockets
from api_platform import BTCUSDT, RunningApi, bearer, record, snapshot
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tradewind.wire.market_records import RecordKind, RecordSide

ROUNDS: Final = 150
WAIT_S: Final = 20.0
POLITE: Final = {1000, 1001, 1003, 1007, 1008, 1009}
WORDS: Final = ("type", "view", "resync", "parts", "book", "instrument_id", "depth", "interval", BTCUSDT, "1m", "seq")
GROWTH_MB: Final = 40.0
"""Of the whole process, which holds the test, the client's own buffers and the databases' clients too."""


def noise(rng: random.Random) -> str | bytes:
    """A message of any kind: nearly right, deep, long, binary, not even text."""
    kinds: list[Callable[[], str | bytes]] = [
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x80, 0xD7FF)))) for _ in range(50)),
        lambda: "[" * rng.randrange(1, 1_500),
        lambda: '{"a":' * rng.randrange(1, 300),
        lambda: json.dumps({rng.choice(WORDS): value(rng, 3) for _ in range(rng.randrange(6))}),
        lambda: json.dumps({"type": rng.choice(("view", "resync")), rng.choice(WORDS): value(rng, 2)}),
        lambda: json.dumps({"type": "view", "depth": rng.choice((0, -1, 10**30, 1.5, None, "5", [5]))}),
        lambda: '{"type":"view","depth":1e999}',
        lambda: "x" * rng.choice((2_048, 2_049, 8_000)),
    ]
    return rng.choice(kinds)()


def value(rng: random.Random, depth: int) -> Any:
    """Any JSON value."""
    if depth and rng.random() < 0.4:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice((None, True, rng.randrange(-(10**20), 10**20), rng.random(), rng.choice(WORDS), "\x00", ""))


async def connected(api: RunningApi, **options: Any) -> ClientConnection:
    url = f"ws://127.0.0.1:{api.port}/api/v1/stream"
    return await websockets.connect(url, additional_headers=bearer("vera"), max_size=8_000_000, **options)


async def end_of(api: RunningApi, messages: list[str | bytes]) -> int | None:
    """The code with which a connection ends that sends these: ours if it was not sent away."""
    async with await connected(api) as hostile:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                await hostile.send(message)
            async with asyncio.timeout(WAIT_S):
                await hostile.recv()
    return hostile.close_code


async def next_price(connection: ClientConnection) -> None:
    """Wait until the connection is told a price."""
    async with asyncio.timeout(WAIT_S):
        while "prices" not in json.loads(await connection.recv())["data"]:
            pass


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_noise_is_answered_or_sent_away_and_the_others_notice_nothing(api: RunningApi, seed: int) -> None:
    rng = random.Random(seed)
    await api.publisher.instrument()
    await api.publisher.records(*snapshot([(6_000_000, 10**8)], [(6_000_100, 10**8)]))
    bystander = await connected(api)
    for step in range(ROUNDS):
        assert await end_of(api, [noise(rng) for _ in range(rng.randrange(1, 4))]) in POLITE
        if step % 30 == 0:
            await api.publisher.records(record(RecordKind.TOP_OF_BOOK, RecordSide.BUY, 6_000_000 + step, 10**8))
            await next_price(bystander)
    await bystander.close()
    status, page = await api.get("/api/v1/statistics")
    assert status == 200
    assert page["stream"]["clients"] <= 2


async def test_bytes_that_are_no_websocket_end_their_connection_alone(api: RunningApi) -> None:
    await api.publisher.instrument()
    bystander = await connected(api)
    rng = random.Random(7)
    for _ in range(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        head = (
            f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Authorization: {bearer('vera')['Authorization']}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(head.encode() + rng.randbytes(rng.randrange(1, 400)))
        writer.write_eof()
        async with asyncio.timeout(WAIT_S):
            await reader.read()
        writer.close()
    await api.publisher.records(record(RecordKind.TOP_OF_BOOK, RecordSide.BUY, 6_000_000, 10**8))
    await next_price(bystander)
    await bystander.close()


async def test_a_client_that_stops_reading_costs_no_memory(api: RunningApi) -> None:
    """Megabytes are told to one who reads; for who does not, nothing is kept meanwhile."""
    await api.publisher.instrument()
    levels = [(6_000_000 - step, 10**8 + step) for step in range(100)]
    await api.publisher.records(*snapshot(levels, [(price + 100 + 200, size) for price, size in levels]))
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect(("127.0.0.1", api.port))
    deaf = await connected(api, sock=raw)
    await deaf.send(json.dumps({"type": "view", "parts": ["book", "trades"], "depth": 100}))
    deaf.transport.pause_reading()
    hearing = await connected(api)
    await hearing.send(json.dumps({"type": "view", "parts": ["book", "trades"], "depth": 100}))
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    told, step = 0, 0
    async with asyncio.timeout(50):
        while told < 6_000_000:
            step += 1
            await api.publisher.records(
                *[record(RecordKind.LEVEL, RecordSide.BUY, price, size + step) for price, size in levels[:50]]
            )
            told += len(await hearing.recv())
    grown_mb = (process.memory_info().rss - before) / 1e6
    assert grown_mb < GROWTH_MB
    page = await api.eventually("/api/v1/statistics", lambda body: body["stream"]["clients"] <= 2)
    assert page["stream"]["messages_sent"] > 100
    await hearing.close()
    deaf.transport.abort()
    await deaf.wait_closed()
