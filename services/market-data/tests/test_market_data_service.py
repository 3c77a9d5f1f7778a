"""The service over the memory bus, with a real exchange server on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio

from tradewind.bus.interface import Start, Subscription
from tradewind.bus.memory import MemoryBus
from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.runtime.health import ServiceState
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceContext
from tradewind.services.market_data.service import SERVICE
from tradewind.services.market_data.settings import MarketDataSettings
from tradewind.store.database import Database
from tradewind.store.instruments import InstrumentRepository
from tradewind.store.valkey_server import ValkeyServer
from tradewind.wire.events import FeedStatusChanged, InstrumentDefined
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordFlag,
    RecordKind,
    RecordSide,
    instrument_number,
)
from tradewind.wire.topics import MD_STATUS, REF_INSTRUMENTS, market_events
from tradewind_native.order_book import OrderBook

BTC = InstrumentId("BTCUSDT.BINANCE")
TOPIC = market_events(Venue("BINANCE"))
BUY, SELL = int(RecordSide.BUY), int(RecordSide.SELL)


@contextlib.asynccontextmanager
async def running(context: ServiceContext) -> AsyncIterator[asyncio.Task[None]]:
    async def run() -> None:
        try:
            await SERVICE.run(context)
        except Exception:
            context.log.exception("the service ended")
            raise

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await context.last_values.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Consumer:
    """A subscriber that builds the book as any consumer does: from the first CLEAR that it sees."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.book = OrderBook(instrument_number(BTC))
        self.synced = False
        self.kinds: list[int] = []
        self.flags: list[int] = []
        self.snapshots = 0

    async def read(self) -> None:
        for delivery in await self._subscription.receive(timeout_s=0.02):
            assert isinstance(delivery.payload, MarketBatch)
            records = delivery.payload.records
            self.kinds += records["kind"].tolist()
            self.flags += records["flags"].tolist()
            snapshot = records["kind"][0] == RecordKind.CLEAR
            self.snapshots += int(snapshot)
            self.synced = self.synced or bool(snapshot)
            if self.synced:
                self.book.apply(records)

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self.read()


async def consumer(context: ServiceContext, start: Start = Start.LATEST) -> Consumer:
    return Consumer(await context.market_bus.subscribe(TOPIC, start=start))


async def test_a_late_joiner_gets_a_snapshot_and_then_the_same_book(exchange: Any, make_context: Any) -> None:
    context = make_context(snapshot_interval_s=0.3)
    early = await consumer(context)
    async with running(context):
        await exchange.depth(101, 101, [["10.50", "3"]])
        await until(lambda: context.health.ready)
        await early.until(lambda: early.book.best_bid() == (1050, 300_000_000))
        late = await consumer(context)
        await exchange.depth(102, 102, [], [["10.90", "1"]])
        await early.until(lambda: early.book.best_ask() == (1090, 100_000_000))
        assert not late.synced
        await late.until(lambda: late.synced)
        await exchange.depth(103, 103, [["10.50", "0"]])
        for each in (late, early):
            book = each.book
            while book.best_bid() != (1000, 100_000_000):
                await each.read()
            assert each.book.levels(SELL, 9) == [(1090, 100_000_000), (1100, 200_000_000)]
        await early.until(lambda: early.snapshots >= 2)
        assert early.book.levels(BUY, 9) == late.book.levels(BUY, 9) == [(1000, 100_000_000)]


async def test_snapshots_follow_the_time_of_the_events_when_it_runs_faster(exchange: Any, make_context: Any) -> None:
    context = make_context(snapshot_interval_s=1_000)
    seen = await consumer(context)
    async with running(context):
        await exchange.depth(101, 101, at_ms=1_000)
        await until(lambda: context.health.ready)
        await asyncio.sleep(0.1)
        await exchange.depth(102, 102, at_ms=900_000)
        await asyncio.sleep(0.1)
        await exchange.depth(103, 103, at_ms=1_100_000)
        await seen.until(lambda: seen.snapshots == 2)


async def test_it_says_what_can_be_traded_and_how_the_feed_stands(exchange: Any, make_context: Any) -> None:
    context = make_context()
    bus: MemoryBus = context.market_bus
    reference = await bus.subscribe(REF_INSTRUMENTS, start=Start.EARLIEST)
    status = await bus.subscribe(MD_STATUS, start=Start.EARLIEST)
    async with running(context):
        await exchange.depth(101, 101)
        (defined,) = await reference.receive()
        assert isinstance(defined.payload, InstrumentDefined)
        assert defined.key == defined.payload.instrument.instrument_id == BTC
        await until(lambda: context.health.ready)
        states = [delivery.payload for delivery in await status.receive()]
        assert all(isinstance(each, FeedStatusChanged) for each in states)
        told = [(each.instrument_id, each.state) for each in states if isinstance(each, FeedStatusChanged)]
        assert told == [(None, "CONNECTING"), (BTC, "SYNCING"), (BTC, "LIVE")]


async def test_it_is_not_ready_without_a_right_book(exchange: Any, make_context: Any) -> None:
    context = make_context()
    seen = await consumer(context)
    async with running(context):
        await exchange.depth(101, 101)
        await until(lambda: context.health.ready)
        exchange.snapshot = {"lastUpdateId": 50, "bids": [], "asks": []}  # too old for what comes
        await exchange.depth(200, 200)
        await until(lambda: not context.health.ready)
        assert "BTCUSDT.BINANCE is" in context.health.reason
        await seen.until(lambda: seen.book.best_bid() is None)
        exchange.snapshot = {"lastUpdateId": 200, "bids": [["9.00", "1"]], "asks": []}
        await until(lambda: context.health.ready)
        await seen.until(lambda: seen.book.best_bid() == (900, 100_000_000))


async def test_books_are_void_when_it_stops(exchange: Any, make_context: Any) -> None:
    context = make_context()
    seen = await consumer(context)
    async with running(context):
        await exchange.depth(101, 101)
        await seen.until(lambda: seen.book.best_bid() == (1000, 100_000_000))
    await seen.until(lambda: seen.book.best_bid() is None)
    assert seen.book.best_ask() is None
    assert seen.kinds[-1] == RecordKind.CLEAR
    assert not any(flags & RecordFlag.GAP for flags in seen.flags)


async def test_it_waits_for_the_venue(exchange: Any, make_context: Any) -> None:
    await exchange.stop()
    context = make_context()
    async with running(context):
        await until(lambda: context.health.state is ServiceState.NOT_READY)
        assert "waiting for the venue" in context.health.reason
        await exchange.start()
        await exchange.depth(101, 101)
        await until(lambda: context.health.ready)


async def test_an_unknown_symbol_ends_the_start(exchange: Any, make_context: Any) -> None:
    exchange.symbols = []
    context = make_context()
    async with running(context) as task:
        with pytest.raises(StartRefused, match="TRADEWIND_SYMBOLS"):
            await asyncio.wait_for(asyncio.shield(task), 10)


async def test_metrics_are_the_adapters_own_counts(exchange: Any, make_context: Any) -> None:
    context = make_context()
    process = context.metrics._process
    seen = await consumer(context)
    async with running(context):
        await exchange.depth(101, 101)
        await until(lambda: context.health.ready)
        await exchange.ticker(102, "10.00", "11.00")
        await exchange.depth(102, 102)
        await exchange.ticker(103, "10.00", "12.00")  # not what the book will say
        await exchange.depth(103, 103)
        await exchange.send("trade", e="nonsense")
        await until(lambda: process.total("input_frames") == 6)
        assert (process.total("book_compared"), process.total("book_equal")) == (2, 1)
        assert process.total("book_gaps") == 0
        assert process.total("input_unknown") == 1
        assert process.total("books_in_sync") == 1
        # A snapshot of 3, three updates of 1 without a level, two tickers of 2.
        await seen.until(lambda: len(seen.kinds) == 10)
        assert process.total("market_records") == 10
        assert process.latency("receive_to_publish").n == 6


async def test_the_last_values_are_kept_for_late_joiners(exchange: Any, make_context: Any, redis_url: str) -> None:
    context = make_context(redis_url=redis_url)
    async with running(context):
        await exchange.depth(101, 101)
        await exchange.ticker(101, "10.00", "11.00")
        await exchange.trade(7, "10.40", buyer_is_maker=True)
        key = f"market:{BTC}"
        values: dict[str, Any] = {}
        async with asyncio.timeout(10):
            while len(values) < 8:
                values = await context.last_values.get(key) or {}
                await asyncio.sleep(0.02)
        assert values == {
            "bid_price": 1000,
            "bid_size": 100_000_000,
            "ask_price": 1100,
            "ask_size": 200_000_000,
            "trade_price": 1040,
            "trade_size": 50_000_000,
            "trade_side": "SELL",
            "ts_event": values["ts_event"],
        }
        # The market is quiet from now on, and Redis forgets: the values are back all the same.
        async with redis.asyncio.from_url(redis_url) as client, asyncio.timeout(20):
            for _ in range(2):
                await client.flushall()
                while await context.last_values.get(key) != values:
                    await asyncio.sleep(0.02)


async def test_last_values_that_redis_did_not_take_come_when_it_is_back(
    exchange: Any, make_context: Any, own_redis: ValkeyServer
) -> None:
    context = make_context(redis_url=own_redis.url)
    async with running(context):
        await asyncio.to_thread(own_redis.stop)
        await exchange.depth(101, 101)
        await exchange.trade(7, "10.40", buyer_is_maker=True)
        async with asyncio.timeout(20):
            while context.last_values.available:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(own_redis.start)
            while (await context.last_values.get(f"market:{BTC}") or {}).get("trade_price") != 1040:
                await asyncio.sleep(0.02)


async def test_instruments_are_registered_in_the_database(exchange: Any, make_context: Any, database: Database) -> None:
    context = make_context(database=database)
    async with running(context):
        repository = InstrumentRepository(database)
        stored: list[Any] = []
        async with asyncio.timeout(10):
            while not stored:
                await asyncio.sleep(0.02)
                stored = await repository.load_all()
        assert [each.instrument_id for each in stored] == [BTC]


@pytest.mark.parametrize("wrong", [{"stale_after_s": 0}, {"snapshot_interval_s": -1}, {"snapshot_depth": 0}])
def test_settings_that_could_not_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MarketDataSettings(**wrong)
