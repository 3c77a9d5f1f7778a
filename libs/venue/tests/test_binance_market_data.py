"""The market data client against a real server: sync, gaps, rude frames, reconnects, the recorded capture."""

import asyncio
import contextlib
import gzip
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.venue.binance.connecting import market_data_client
from tradewind.venue.binance.market_data import BinanceMarketDataClient, FeedOptions
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.conformance import FeedRecorder
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.order_book import OrderBook

BTC = InstrumentId("BTCUSDT.BINANCE")


class Recorder(FeedRecorder):
    """Counts records by kind."""

    def kinds(self, kind: RecordKind) -> int:
        return len(self.of_kind(kind))


def depth(first: int, final: int, bids: Any = (), asks: Any = ()) -> str:
    data = {"e": "depthUpdate", "E": 1_000, "s": "BTCUSDT", "U": first, "u": final, "b": list(bids), "a": list(asks)}
    return json.dumps({"stream": "btcusdt@depth@100ms", "data": data})


def ticker(update: int, bid: tuple[str, str], ask: tuple[str, str]) -> str:
    data = {"u": update, "s": "BTCUSDT", "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}
    return json.dumps({"stream": "btcusdt@bookTicker", "data": data})


def trade(number: int) -> str:
    data = {"e": "trade", "E": 1_000, "s": "BTCUSDT", "t": number, "p": "10.5", "q": "0.1", "T": 1_000, "m": True}
    return json.dumps({"stream": "btcusdt@trade", "data": data})


def websocket_frame(text: str) -> bytes:
    body = text.encode()
    assert 126 <= len(body) < 65_536
    return b"\x81\x7e" + len(body).to_bytes(2, "big") + body


class Running:
    def __init__(self, client: BinanceMarketDataClient, recorder: Recorder, task: asyncio.Task[None]) -> None:
        self.client, self.recorder, self.task = client, recorder, task


def client_for(exchange: Any, **options: Any) -> BinanceMarketDataClient:
    return market_data_client(
        venue="BINANCE",
        symbols=["BTCUSDT"],
        rest_url=exchange.rest_url,
        stream_url=exchange.stream_url,
        options=FeedOptions(first_update_wait_s=0.2, **options),
    )


@contextlib.asynccontextmanager
async def running(exchange: Any, **options: Any) -> AsyncIterator[Running]:
    client = client_for(exchange, **options)
    recorder = Recorder()
    instruments = await client.instruments()
    task = asyncio.create_task(client.run(instruments, recorder))
    try:
        yield Running(client, recorder, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def test_instruments_come_from_the_venues_filters(exchange: Any) -> None:
    client = client_for(exchange)
    (instrument,) = await client.instruments()
    await client.close()
    assert instrument.instrument_id == BTC
    assert (instrument.price_precision, instrument.price_increment) == (2, 1)
    assert (instrument.size_precision, instrument.size_increment) == (8, 1_000)
    assert instrument.price("61837.63000000") == 6_183_763
    assert instrument.size("0.00001000") == instrument.min_size == 1_000
    assert str(instrument.min_notional) == "5.00000000"


async def test_a_book_is_synced_and_followed(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        assert exchange.stream_names == ["btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade"]
        await socket.send_str(depth(99, 100, [["10.00", "9"]]))
        await socket.send_str(depth(101, 102, [["10.50", "3"]]))
        await socket.send_str(trade(1))
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        await socket.send_str(ticker(103, ("10.50", "3"), ("11.00", "5")))
        await socket.send_str(depth(103, 103, [], [["11.00", "5"]]))
        await socket.send_str(depth(104, 104))
        await socket.send_str(ticker(104, ("10.50", "3"), ("11.00", "5")))
        await run.recorder.until(lambda: run.client.compared == 2)
        assert run.client.equal == 2
        assert run.client.statistics.gaps == 0
        book = run.client.book(BTC)
        assert book.levels(RecordSide.BUY, 9) == [(1050, 300_000_000), (1000, 100_000_000)]
        consumer = OrderBook(book.instrument)
        consumer.apply(run.recorder.records)
        for side in (RecordSide.BUY, RecordSide.SELL):
            assert consumer.levels(side, 9) == book.levels(side, 9)
        assert run.recorder.kinds(RecordKind.TRADE) == 1
        states = [state for _, state in run.recorder.statuses]
        assert states == ["CONNECTING", "SYNCING", "LIVE"]


async def test_a_gap_clears_the_book_and_syncs_again(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str(depth(101, 101))
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        exchange.snapshot = {"lastUpdateId": 200, "bids": [["9.00", "7"]], "asks": [["12.00", "8"]]}
        await socket.send_str(trade(1))
        await socket.send_str(depth(150, 150, [["10.10", "1"]]))
        await run.recorder.until(lambda: (BTC, "GAP") in run.recorder.statuses)
        await run.recorder.until(lambda: run.recorder.statuses[-1] == (BTC, "LIVE"))
        await socket.send_str(depth(201, 201, [["9.10", "1"]]))
        await run.recorder.until(lambda: run.client.book(BTC).best_bid() == (910, 100_000_000))
        assert run.client.statistics.gaps == 1
        clears = run.recorder.records[run.recorder.records["kind"] == RecordKind.CLEAR]
        assert [int(flags) & RecordFlag.GAP for flags in clears["flags"]] == [0, RecordFlag.GAP, 0]
        consumer = OrderBook(run.client.book(BTC).instrument)
        consumer.apply(run.recorder.records)
        assert consumer.levels(RecordSide.BUY, 9) == [(910, 100_000_000), (900, 700_000_000)]


async def test_a_snapshot_that_is_too_old_is_taken_again(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str(depth(150, 160))
        await asyncio.wait_for(exchange.depth_asked.wait(), 10)
        exchange.snapshot = {"lastUpdateId": 155, "bids": [["9.00", "7"]], "asks": []}
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        assert exchange.count("GET", "/api/v3/depth") >= 2
        assert run.client.in_sync(BTC)


@pytest.mark.parametrize("bad", [b"not json", b'{"lastUpdateId": "x"}', b"[]"])
async def test_a_snapshot_that_cannot_be_read_is_taken_again(exchange: Any, bad: bytes) -> None:
    exchange.snapshot = bad
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str(depth(101, 101))
        await asyncio.wait_for(exchange.depth_asked.wait(), 10)
        exchange.snapshot = {"lastUpdateId": 100, "bids": [["9.00", "7"]], "asks": []}
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)


async def test_rude_frames_are_counted_and_the_session_goes_on(exchange: Any, caplog: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str(depth(101, 101))
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        for _ in range(3):
            await socket.send_str("{oops")
            await socket.send_str('{"stream":"x","data":{"e":"serverShutdown","E":1}}')
            await socket.send_str(depth(99, 101))
            await socket.send_bytes(b"\x00\x01")
        await socket.ping()
        await socket.send_str(depth(102, 102, [["10.70", "1"]]))
        await run.recorder.until(lambda: run.client.book(BTC).best_bid() == (1070, 100_000_000))
        statistics = run.client.statistics
        assert (statistics.malformed, statistics.unknown, statistics.out_of_order) == (6, 3, 3)
        assert statistics.frames == 14
        assert (statistics.gaps, statistics.connections) == (0, 1)
        first = [record.message for record in caplog.records if record.message.startswith("first ")]
        assert len(first) == 4  # malformed, unknown, out of order, not text


async def test_a_message_in_fragments_is_one_message(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        whole = trade(7).encode()
        transport = socket._req.transport
        assert transport is not None
        pieces = [(0x01, whole[:30]), (0x00, whole[30:60]), (0x80, whole[60:])]
        for head, piece in pieces:
            transport.write(bytes([head, len(piece)]) + piece)
            await asyncio.sleep(0.01)
        await run.recorder.until(lambda: run.recorder.kinds(RecordKind.TRADE) == 1)
        assert int(run.recorder.records["order_id"][0]) == 7


async def test_frames_cut_anywhere_by_the_network_arrive_whole(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        transport = socket._req.transport
        assert transport is not None
        stream = b"".join(
            b"\x81\x7e" + len(body).to_bytes(2, "big") + body for body in (trade(n).encode() for n in range(20))
        )
        for start in range(0, len(stream), 37):
            transport.write(stream[start : start + 37])
            await asyncio.sleep(0)
        await run.recorder.until(lambda: run.recorder.kinds(RecordKind.TRADE) == 20)
        assert run.recorder.records["order_id"].tolist() == list(range(20))


async def test_a_read_with_many_frames_makes_one_batch(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        transport = socket._req.transport
        assert transport is not None
        transport.write(websocket_frame(trade(1)) * 50)
        await run.recorder.until(lambda: run.recorder.kinds(RecordKind.TRADE) == 50)
        assert len(run.recorder.batches) == 1
        assert len(set(run.recorder.records["ts_recv"].tolist())) == 1


async def test_it_connects_again_when_the_venue_closes(exchange: Any) -> None:
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str(depth(101, 101))
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        await socket.close(code=1001, message=b"24 hours")
        await exchange.next_market_socket()
        await run.recorder.until(lambda: run.recorder.statuses[-1] == (BTC, "LIVE"))
        states = [state for _, state in run.recorder.statuses]
        once = ["CONNECTING", "SYNCING", "LIVE"]
        assert states == [*once, "DISCONNECTED", "DISCONNECTED", *once]
        flags = run.recorder.records["flags"][run.recorder.records["kind"] == RecordKind.CLEAR]
        assert [int(flag) & RecordFlag.GAP for flag in flags] == [0, RecordFlag.GAP, 0]


async def test_a_frame_over_the_bound_ends_the_connection_only(exchange: Any) -> None:
    async with running(exchange, max_message_bytes=10_000) as run:
        socket = await exchange.next_market_socket()
        await socket.send_str("x" * 20_000)
        again = await exchange.next_market_socket()
        await again.send_str(trade(1))
        await run.recorder.until(lambda: run.recorder.kinds(RecordKind.TRADE) == 1)


async def test_streams_over_tls(exchange: Any, tls_exchange: Any, certificate: Any) -> None:
    rest = BinanceRest(exchange.rest_url, RateLimits())
    url, trusted = tls_exchange.stream_url, certificate.client
    client = BinanceMarketDataClient(Venue("BINANCE"), ["BTCUSDT"], rest, url, FeedOptions(), trusted)
    recorder = Recorder()
    task = asyncio.create_task(client.run(await client.instruments(), recorder))
    socket = await tls_exchange.next_market_socket()
    for number in range(200):
        await socket.send_str(trade(number))
    await socket.send_str(depth(101, 101))
    await recorder.until(lambda: recorder.kinds(RecordKind.TRADE) == 200 and (BTC, "LIVE") in recorder.statuses)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.close()


def capture() -> list[bytes]:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("TRADEWIND_TEST_DATA", str(default)))
    path = folder / "binance-spot" / "btcusdt_20240808.gz"
    if not path.exists():
        pytest.skip(f"no capture at {path}; set TRADEWIND_TEST_DATA to the folder that holds binance-spot/")
    return [line.split(b" ", 1)[1] for line in gzip.decompress(path.read_bytes()).splitlines()]


def common_update_ids(frames: list[bytes], snapshot_id: int) -> int:
    """How many depth updates after the snapshot end at an id that a ticker has too, counted without our code."""
    events = [json.loads(frame)["data"] for frame in frames]
    tickers = {event["u"] for event in events if "B" in event}
    return sum(event["u"] in tickers for event in events if "U" in event and event["u"] > snapshot_id)


async def test_the_recorded_session_gives_the_exchanges_own_book(exchange: Any) -> None:
    frames = capture()
    (snapshot_at,) = [index for index, frame in enumerate(frames) if not frame.startswith(b'{"stream"')]
    exchange.snapshot = frames.pop(snapshot_at)
    snapshot_id = json.loads(exchange.snapshot)["lastUpdateId"]
    async with running(exchange) as run:
        socket = await exchange.next_market_socket()
        for frame in frames[:snapshot_at]:
            await socket.send_str(frame.decode())
        await run.recorder.until(lambda: (BTC, "LIVE") in run.recorder.statuses)
        for frame in frames[snapshot_at:]:
            await socket.send_str(frame.decode())
        await run.recorder.until(lambda: run.client.statistics.frames == len(frames))
        client = run.client
        assert client.statistics.malformed == client.statistics.unknown == client.statistics.out_of_order == 0
        assert client.statistics.gaps == 0
        assert client.first_difference is None
        assert client.equal == client.compared == common_update_ids(frames, snapshot_id) > 500
        assert run.recorder.kinds(RecordKind.TRADE) == sum(b"@trade" in frame[:40] for frame in frames)
        consumer = OrderBook(client.book(BTC).instrument)
        consumer.apply(run.recorder.records)
        for side in (RecordSide.BUY, RecordSide.SELL):
            assert consumer.levels(side, 10_000) == client.book(BTC).levels(side, 10_000)
