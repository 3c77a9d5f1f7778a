"""Nothing that was published is missing in the database: in calm, in an outage, at the end. What is lost is counted."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np
import pytest

from tradewind.model.identifiers import Venue
from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.buffering import RecordBuffer
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.store.database import Database
from tradewind.store.market_data import MarketDataRepository
from tradewind.store.postgres_server import PostgresServer
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    read_only,
)
from tradewind.wire.topics import market_events

WAIT_S = 20.0
VENUE = Venue("BINANCE")
T0 = 1_700_000_000_000_000_000
Run = Callable[[], AbstractAsyncContextManager[None]]


def trades(first: int, count: int) -> RecordArray:
    records = empty_records(count)
    numbers = np.arange(first, first + count)
    records["kind"], records["side"] = RecordKind.TRADE, RecordSide.BUY
    records["order_id"] = numbers
    records["ts_event"] = records["ts_recv"] = T0 + numbers * 1_000
    records["price"], records["size"], records["instrument"] = 100, 5, 7
    return records


def quotes(first: int, count: int) -> RecordArray:
    records = empty_records(2 * count)
    numbers = np.repeat(np.arange(first, first + count), 2)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["side"] = np.tile([RecordSide.BUY, RecordSide.SELL], count)
    records["sequence"] = numbers
    records["ts_event"] = records["ts_recv"] = T0 + numbers * 1_000
    records["price"], records["size"], records["instrument"] = 100, 5, 7
    return records


def levels(count: int) -> RecordArray:
    records = empty_records(count)
    records["kind"], records["instrument"] = RecordKind.LEVEL, 7
    return records


async def publish(context: ServiceContext, *parts: RecordArray) -> None:
    for part in parts:
        await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(part)))


def metric(context: ServiceContext, name: str) -> float:
    process: Any = context.metrics._process
    return float(process.total(name))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def stored(context: ServiceContext) -> tuple[int, int]:
    repository = MarketDataRepository(context.database)
    return await repository.count_trades(), await repository.count_quotes()


async def test_trades_and_quotes_are_stored_and_levels_pass_by(context: ServiceContext, running: Run) -> None:
    async with running():
        await publish(context, trades(1, 3), levels(50), np.concatenate([quotes(1, 2), trades(4, 1)]), levels(1))
        await until(lambda: metric(context, "recorder_written_records") == 8)
        await until(lambda: metric(context, "recorder_backlog") == 0)
        assert await stored(context) == (4, 2)
        assert context.health.ready
    assert (metric(context, "recorder_received_trades"), metric(context, "recorded_trades")) == (4, 4)
    assert (metric(context, "recorder_received_quotes"), metric(context, "recorded_quotes")) == (2, 2)
    assert metric(context, "recorder_last_write_ns") > T0


async def test_what_was_published_before_it_ran_is_stored_too(context: ServiceContext, running: Run) -> None:
    await publish(context, trades(1, 5))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 5)


async def test_a_stop_writes_what_waits(context: ServiceContext, running: Run) -> None:
    context.settings = RecorderSettings(flush_interval_s=60.0)
    async with running():
        await until(lambda: context.health.ready)
        await publish(context, trades(1, 10), quotes(1, 10))
    assert await stored(context) == (10, 10)


async def test_the_same_records_twice_are_stored_once_and_counted(context: ServiceContext, running: Run) -> None:
    async with running():
        await publish(context, trades(1, 4))
        await until(lambda: metric(context, "recorded_trades") == 4)
        await publish(context, trades(1, 4), trades(5, 1))
        await until(lambda: metric(context, "recorded_trades") == 5)
    assert metric(context, "recorder_duplicate_rows") == 4


async def test_an_outage_of_the_database_loses_nothing(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    context.settings = RecorderSettings(chunk_records=100, flush_interval_s=0.05)
    async with Database(own_server.dsn) as context.database, running():
        await publish(context, trades(1, 50))
        await until(lambda: metric(context, "recorded_trades") == 50)
        await asyncio.to_thread(own_server.stop)
        for number in range(20):
            await publish(context, trades(51 + 50 * number, 50), quotes(1 + 10 * number, 10))
        await until(lambda: "records wait" in context.health.reason)
        assert metric(context, "recorder_backlog") == 20 * 70
        await asyncio.to_thread(own_server.start)
        await until(lambda: metric(context, "recorder_backlog") == 0)
        assert context.health.ready
        assert await stored(context) == (1_050, 200)
    assert metric(context, "recorder_dropped_records") == 0


async def test_a_full_buffer_drops_the_oldest_counts_them_and_goes_on(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    context.settings = RecorderSettings(capacity_records=500, chunk_records=100, flush_interval_s=0.05)
    async with Database(own_server.dsn) as context.database:
        await asyncio.to_thread(own_server.stop)
        async with running():
            await publish(context, trades(1, 100))
            await until(lambda: "records wait" in context.health.reason)
            for number in range(1, 12):
                await publish(context, trades(1 + 100 * number, 100))
            await until(lambda: metric(context, "recorder_dropped_records") > 0)
            await asyncio.to_thread(own_server.start)
            await until(lambda: metric(context, "recorder_backlog") == 0)
            dropped = int(metric(context, "recorder_dropped_records"))
            assert await stored(context) == (1_200 - dropped, 0)
            newest = await MarketDataRepository(context.database).trades(7, limit=1)
            assert newest[0].trade_id == 1_200
    assert dropped == 600


async def test_a_stop_during_an_outage_ends_in_time_and_says_what_is_lost(
    context: ServiceContext, running: Run, own_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    context.settings = RecorderSettings(flush_interval_s=0.05)
    async with Database(own_server.dsn) as context.database:
        await asyncio.to_thread(own_server.stop)
        async with asyncio.timeout(WAIT_S):
            async with running():
                await publish(context, trades(1, 42))
                await until(lambda: "records wait" in context.health.reason)
    assert "lost_records=42" in "".join(capsys.readouterr())


async def test_records_that_the_database_cannot_hold_do_not_stop_the_others(
    context: ServiceContext, running: Run
) -> None:
    broken = trades(1, 3)
    broken["ts_event"] = 2**63 - 1
    context.settings = RecorderSettings(chunk_records=3)
    async with running():
        await publish(context, broken)
        await until(
            lambda: metric(context, "recorder_written_records") + metric(context, "recorder_refused_records") == 3
        )
        await publish(context, trades(10, 3))
        await until(lambda: metric(context, "recorded_trades") >= 3)
        assert (await stored(context))[0] >= 3


async def test_a_gap_is_counted(context: ServiceContext, running: Run) -> None:
    gapped = trades(1, 2)
    gapped["flags"][0] = RecordFlag.GAP
    async with running():
        await publish(context, gapped)
        await until(lambda: metric(context, "recorder_gaps") == 1)
        await until(lambda: metric(context, "recorded_trades") == 2)


def test_the_buffer_keeps_order_and_counts() -> None:
    buffer = RecordBuffer(capacity=1_000, chunk_records=10)
    for number in range(6):
        buffer.add(trades(1 + 4 * number, 4).tobytes())
        buffer.add(levels(1).tobytes())
    ids: list[int] = []
    while (chunk := buffer.take()) is not None:
        ids += chunk.records["order_id"].tolist()
        assert len(chunk) == chunk.trades
    assert ids == list(range(1, 25))
    assert len(buffer) == 0
    assert buffer.received_trades == 24


def test_a_chunk_put_back_comes_first_again() -> None:
    buffer = RecordBuffer(capacity=1_000, chunk_records=2)
    buffer.add(trades(1, 2).tobytes())
    buffer.add(trades(3, 2).tobytes())
    first = buffer.take()
    assert first is not None
    buffer.put_back(first)
    again = buffer.take()
    assert again is first


def test_only_levels_make_no_chunk_and_no_backlog() -> None:
    buffer = RecordBuffer(capacity=10, chunk_records=5)
    for _ in range(100):
        buffer.add(levels(7).tobytes())
    assert len(buffer) < 5
    assert buffer.take() is None
    assert len(buffer) == 0
    assert buffer.dropped_records == 0
