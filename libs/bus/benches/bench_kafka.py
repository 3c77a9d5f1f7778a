"""What the bus costs on top of Kafka: ours beside a raw aiokafka with the same bytes and settings, in turns.

Run it with ``python libs/bus/benches/bench_kafka.py [kafka://host:port]``; without a URL it starts a broker, which
``python -m tradewind.bus.brokers install kafka`` must have fetched. Publishers and readers are tasks on one uvloop.

- ``throughput``: messages a second through a group of one member that commits what it received, from a few hundred
  publishers that each wait for the broker's acknowledgement before their next message.
- ``latency``: publish to receive at 1,000 messages a second, 99th percentile.
- ``market``: records a second in batches of 100, publish to the reader's callback, none lost.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final, TypeVar

import numpy as np
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]

from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.connecting import connect
from tradewind.bus.envelopes import sealed
from tradewind.bus.kafka_producers import ORDER_PRODUCER
from tradewind.bus.kafka_settings import kafka_settings
from tradewind.bus.kafka_subscriptions import FETCH_BYTES
from tradewind.model.enums import OrderSide, OrderType
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, Venue
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, empty_records, read_only
from tradewind.wire.topics import Plane, Topic

TITLE: Final = "Kafka"
MESSAGES: Final = 30_000
PUBLISHERS: Final = 500
PACED: Final = 500
PACED_TURNS: Final = 20
"""Short turns, so that what else the machine does falls on both alike."""
RATE: Final = 1_000
ROUNDS: Final = 3
BATCH_RECORDS: Final = 100
BATCHES: Final = 12_000
AHEAD: Final = 2_000
"""Batches that the publisher of market data may be ahead of the reader: the bench measures both, not the queue."""

ORDERS: Final = Topic("bench.orders", Plane.ORDERS, "account")
MARKET: Final = Topic("bench.market", Plane.MARKET_DATA, "venue")
KEY: Final = "SIM-main"
GROUP: Final = "bench"

ORDER: Final = SubmitOrder(
    event_id="00f1e2d3c4b5a697-42",
    correlation_id="00f1e2d3c4b5a697-40",
    causation_id="00f1e2d3c4b5a697-41",
    ts_event=1_763_000_000_000_000_000,
    ts_init=1_763_000_000_000_000_000,
    strategy_id=StrategyId("ema-cross"),
    account_id=AccountId("SIM-main"),
    client_order_id=ClientOrderId("ema-cross-3-17"),
    instrument_id=InstrumentId("BTCUSDT.SIM"),
    side=OrderSide.BUY,
    order_type=OrderType.LIMIT,
    size=150_000,
    price=6_183_763,
)

T = TypeVar("T")
Publish = Callable[[], Awaitable[object]]
Read = Callable[[], Awaitable[int]]
"""Waits for the next messages, commits them, and says how many they were."""


def noise() -> MarketBatch:
    """A batch whose prices, sizes and ids do not compress better than a venue's."""
    records = empty_records(BATCH_RECORDS)
    random = np.random.default_rng(7)
    records["ts_event"] = records["ts_recv"] = time.time_ns()
    for field, least, most in (("price", 6_000_000, 6_100_000), ("size", 1, 10**7), ("sequence", 1, 2**32)):
        records[field] = random.integers(least, most, BATCH_RECORDS)
    records["instrument"] = random.integers(1, 2**32, 8)[random.integers(0, 8, BATCH_RECORDS)]
    return MarketBatch(Venue("SIM"), read_only(records))


@contextlib.asynccontextmanager
async def ours(url: str) -> AsyncIterator[tuple[Publish, Read]]:
    """Publish and read through the bus."""
    bus = await connect(url)
    subscription = await bus.subscribe(ORDERS, group=GROUP)

    async def read() -> int:
        deliveries = await subscription.receive(1_000)
        await subscription.commit()
        return len(deliveries)

    try:
        yield lambda: bus.publish(ORDERS, KEY, ORDER), read
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[tuple[Publish, Read]]:
    """Publish and read the same bytes with aiokafka alone, on a topic with the same settings."""
    bus = await connect(url)
    await bus.describe(ORDERS)
    await bus.close()
    settings = kafka_settings(url)
    name = f"{settings.prefix}{ORDERS.name}"
    headers, body = sealed(ORDER, time.time_ns())
    producer = AIOKafkaProducer(**ORDER_PRODUCER, **settings.client)
    consumer = AIOKafkaConsumer(
        name,
        group_id=f"{settings.prefix}{GROUP}",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
        **settings.client,
    )
    await producer.start()
    await consumer.start()
    await consumer.seek_to_end()

    async def read() -> int:
        records = await consumer.getmany(timeout_ms=1_000, max_records=1_000)
        await consumer.commit()
        return sum(map(len, records.values()))

    try:
        yield lambda: producer.send_and_wait(name, body, KEY.encode(), headers=list(headers.items())), read
    finally:
        await producer.stop()
        await consumer.stop()


async def throughput(publish: Publish, read: Read) -> float:
    """Messages a second from many publishers to one reader."""

    async def publisher() -> None:
        for _ in range(MESSAGES // PUBLISHERS):
            await publish()

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(PUBLISHERS):
            tasks.create_task(publisher())
        left = MESSAGES
        while left > 0:
            left -= await read()
    return MESSAGES / (time.perf_counter() - start)


async def latency(publish: Publish, read: Read) -> tuple[float, float]:
    """Median and 99th percentile, in us, from publish to receive at ``RATE`` messages a second."""
    sent: list[int] = []
    taken: list[int] = []

    async def reader() -> None:
        while len(taken) < PACED:
            count = await read()
            taken.extend([time.perf_counter_ns()] * count)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader())
        begin = time.perf_counter_ns()
        for number in range(PACED):
            due = begin + number * 1_000_000_000 // RATE
            await asyncio.sleep(max(due - time.perf_counter_ns(), 0) / 1e9)
            sent.append(time.perf_counter_ns())
            tasks.create_task(_finished(publish()))
    waits = [(after - before) / 1e3 for before, after in zip(sent, taken, strict=True)]
    return median(waits), quantiles(waits, n=100)[98]


async def market(url: str) -> dict[str, float]:
    """Records a second from publisher to callback, and how many were lost."""
    bus = await connect(url)
    subscription = await bus.subscribe(MARKET)
    batch = noise()
    seen = 0

    def callback(records: RecordArray) -> None:
        nonlocal seen
        seen += len(records)

    async def reader() -> None:
        while seen < BATCHES * BATCH_RECORDS:
            for delivery in await subscription.receive(timeout_s=10.0):
                if isinstance(delivery.payload, MarketBatch):
                    callback(delivery.payload.records)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader())
        for number in range(BATCHES):
            bus.publish_now(MARKET, "SIM", batch)
            while number - seen // BATCH_RECORDS >= AHEAD:
                await asyncio.sleep(0.001)
            if not number % 16:
                await asyncio.sleep(0)
    wall = time.perf_counter() - start
    counted = bus.statistics()
    lost = counted.dropped_records + counted.subscriptions[0].dropped_records
    await bus.close()
    return {"records_per_s": seen / wall, "lost": lost}


async def compare(url: str, measure: Callable[[Publish, Read], Awaitable[T]], turns: int) -> tuple[list[T], list[T]]:
    """Ours and raw, in turns, each on a topic of its own; the first turn only warms up."""
    figures: tuple[list[T], list[T]] = ([], [])
    async with ours(_fresh(url)) as one, raw(_fresh(url)) as other:
        for turn in range(turns + 1):
            for way, into in zip((one, other), figures, strict=True):
                figure = await measure(*way)
                if turn:
                    into.append(figure)
    return figures


async def run(url: str | None = None) -> dict[str, float]:
    """All figures: the median of the turns, and ours as a ratio of raw. Without a URL, on a broker of its own."""
    with broker(url) as at:
        return await _measured(at)


async def _measured(url: str) -> dict[str, float]:
    bus_rate, raw_rate = map(median, await compare(url, throughput, ROUNDS))
    bus_waits, raw_waits = await compare(url, latency, PACED_TURNS)
    (bus_p50, bus_p99), (raw_p50, raw_p99) = (map(median, zip(*each, strict=True)) for each in (bus_waits, raw_waits))
    rounds = [await market(_fresh(url)) for _ in range(ROUNDS)]
    return {
        "throughput_per_s": round(bus_rate),
        "raw_throughput_per_s": round(raw_rate),
        "throughput_ratio": round(bus_rate / raw_rate, 3),
        "p50_us": round(bus_p50),
        "raw_p50_us": round(raw_p50),
        "p99_us": round(bus_p99),
        "raw_p99_us": round(raw_p99),
        "p99_ratio": round(bus_p99 / raw_p99, 3),
        "market_records_per_s": round(median(each["records_per_s"] for each in rounds)),
        "market_records_lost": sum(each["lost"] for each in rounds),
    }


@contextlib.contextmanager
def broker(url: str | None = None) -> Iterator[str]:
    """The broker at ``url``, or one of our own."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        started = KafkaBroker(Path(folder) / "kafka")
        started.start()
        try:
            yield started.url
        finally:
            started.stop()


def _fresh(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}prefix=bench-{secrets.token_hex(4)}."


async def _finished(publishing: Awaitable[object]) -> None:
    await publishing


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(*sys.argv[1:2])), indent=2))
