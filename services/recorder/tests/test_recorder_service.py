"""Nothing that was published is missing in the database: in calm, in an outage, at the end."""

import asyncio

import numpy as np
import pytest
from recorder_kit import T0, VENUE, WAIT_S, Run, levels, metric, publish, quotes, stored, trades, until

from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.buffering import RecordBuffer
from tradewind.services.recorder.reading import READ_LIMIT
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.recorder_positions import RecorderPosition
from tradewind.wire.market_records import RecordFlag
from tradewind.wire.topics import market_events


async def test_trades_quotes_and_levels_are_stored(context: ServiceContext, running: Run) -> None:
    async with running():
        await publish(context, trades(1, 3), levels(1, 50), np.concatenate([quotes(1, 2), trades(4, 1)]), levels(51, 1))
        await until(lambda: metric(context, "recorder_written_records") == 3 + 100 + 5 + 2)
        await until(lambda: metric(context, "recorder_backlog") == 0)
        assert await stored(context) == (4, 2, 51)
        assert context.health.ready
    assert (metric(context, "recorder_received_trades"), metric(context, "recorded_trades")) == (4, 4)
    assert (metric(context, "recorder_received_quotes"), metric(context, "recorded_quotes")) == (2, 2)
    assert metric(context, "recorded_book_events") == 51
    assert metric(context, "recorder_last_write") > T0 / 1e9


async def test_levels_pass_by_where_they_are_not_wanted(context: ServiceContext, running: Run) -> None:
    context.settings = RecorderSettings(book="no")
    async with running():
        await publish(context, levels(1, 50), trades(1, 2), levels(51, 3))
        await until(lambda: metric(context, "recorder_written_records") == 2)
        await until(lambda: metric(context, "recorder_backlog") == 0)
    assert await stored(context) == (2, 0, 0)


async def test_what_was_published_before_it_ran_is_stored_too(context: ServiceContext, running: Run) -> None:
    await publish(context, trades(1, 5))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 5)


async def test_a_stop_writes_what_waits(context: ServiceContext, running: Run) -> None:
    context.settings = RecorderSettings(flush_interval_s=60.0)
    async with running():
        await until(lambda: context.health.ready)
        await publish(context, trades(1, 10), quotes(1, 10))
    assert await stored(context) == (10, 10, 0)


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
        assert await stored(context) == (1_050, 200, 0)
    assert metric(context, "recorder_gaps") == 0


async def test_a_full_buffer_leaves_the_rest_on_the_bus(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    context.settings = RecorderSettings(capacity_records=500, chunk_records=100, flush_interval_s=0.05)
    async with Database(own_server.dsn) as context.database, running():
        await until(lambda: context.health.ready)
        await asyncio.to_thread(own_server.stop)
        await publish(context, trades(1, 100))
        await until(lambda: "records wait" in context.health.reason)
        for number in range(1, 600):
            await publish(context, trades(1 + 100 * number, 100))
        await until(lambda: metric(context, "recorder_backlog") >= 500)
        most = metric(context, "recorder_backlog")
        await asyncio.to_thread(own_server.start)
        await until(lambda: metric(context, "recorded_trades") == 60_000)
        assert await stored(context) == (60_000, 0, 0)
    assert most <= 500 + 100 * READ_LIMIT
    assert metric(context, "recorder_gaps") == 0


async def test_a_stop_during_an_outage_ends_in_time_and_says_what_is_not_written(
    context: ServiceContext, running: Run, own_server: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    context.settings = RecorderSettings(flush_interval_s=0.05)
    async with Database(own_server.dsn) as context.database:
        async with asyncio.timeout(WAIT_S):
            async with running():
                await until(lambda: context.health.ready)
                await asyncio.to_thread(own_server.stop)
                await publish(context, trades(1, 42))
                await until(lambda: "records wait" in context.health.reason)
    assert "unwritten_records=42" in "".join(capsys.readouterr())


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


def position(number: int) -> RecorderPosition:
    return RecorderPosition(market_events(VENUE).name, 0, number, T0 + number)


def test_the_buffer_keeps_order_and_counts() -> None:
    buffer = RecordBuffer(capacity=1_000, chunk_records=10, with_book=False)
    for number in range(6):
        buffer.add(trades(1 + 4 * number, 4).tobytes(), position(2 * number + 1))
        buffer.add(levels(1, 1).tobytes(), position(2 * number + 2))
    ids: list[int] = []
    while (chunk := buffer.take()) is not None:
        ids += chunk.records["order_id"].tolist()
        assert len(chunk) == chunk.trades
        # A chunk reaches as far as what is in it: of two messages the first has four trades, the second none.
        assert len(ids) == 4 * ((chunk.positions[0].next_offset + 1) // 2)
    assert ids == list(range(1, 25))
    assert len(buffer) == 0
    assert buffer.received_trades == 24


def test_a_chunk_put_back_comes_first_again() -> None:
    buffer = RecordBuffer(capacity=1_000, chunk_records=2, with_book=False)
    buffer.add(trades(1, 2).tobytes(), position(1))
    buffer.add(trades(3, 2).tobytes(), position(2))
    first = buffer.take()
    assert first is not None
    buffer.put_back(first)
    again = buffer.take()
    assert again is first


def test_only_levels_make_no_chunk_and_no_backlog_where_they_are_not_wanted() -> None:
    buffer = RecordBuffer(capacity=10, chunk_records=5, with_book=False)
    for number in range(100):
        buffer.add(levels(7, 1).tobytes(), position(number))
    assert len(buffer) < 5
    assert buffer.take() is None
    assert len(buffer) == 0


async def test_the_buffer_says_when_there_is_room() -> None:
    buffer = RecordBuffer(capacity=4, chunk_records=2, with_book=True)
    await buffer.wait_for_room()
    buffer.add(trades(1, 4).tobytes(), position(1))
    assert not buffer.has_room
    waiting = asyncio.ensure_future(buffer.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert buffer.take() is not None
    await waiting
