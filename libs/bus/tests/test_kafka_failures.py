"""Kafka when things break: members that die or freeze, a broker that is killed, restarted or frozen in mid-stream."""

import asyncio
import contextlib
import itertools
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from bus_contract import (
    WAIT_S,
    assert_quiet,
    batch,
    batch_of,
    collect,
    command,
    has_gap,
    market_topic,
    numbered,
    of_publisher,
    order_topic,
    publish_all,
    statistics_of,
    text_of,
    texts,
)

from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus, BusClosed, Delivery, Start, Subscription
from tradewind.bus.kafka import KafkaBus
from tradewind.bus.kafka_settings import kafka_settings
from tradewind.bus.market_queue import MarketOutbox
from tradewind.wire.market_records import RecordFlag
from tradewind.wire.topics import Topic

MEMBER: Final = Path(__file__).with_name("kafka_member.py")
OPTIONS: Final = "session_ms=2000&request_ms=2500"
LONG_S: Final = 45.0


@pytest.fixture
async def bus(own_kafka: KafkaBroker) -> AsyncIterator[Bus]:
    """A bus on the test's own broker, quick to notice what is dead."""
    bus = await connect(f"{own_kafka.url}?{OPTIONS}")
    yield bus
    await bus.close()


class Effects:
    """A store that records an effect once, shared by processes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "effects.sqlite"
        self._database = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        self._database.execute("CREATE TABLE effects (message TEXT PRIMARY KEY, member TEXT)")

    def record(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._database.execute("INSERT OR IGNORE INTO effects VALUES (?, 'test')", (text_of(delivery),))

    def of(self, member: str) -> list[str]:
        rows = self._database.execute("SELECT message FROM effects WHERE member = ? ORDER BY rowid", (member,))
        return [message for (message,) in rows]


class Member:
    """A real process that is a member of group ``reader``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self, wanted: str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(LONG_S):
            while line := (await self.process.stdout.readline()).decode().strip():
                if line == wanted:
                    return
        raise AssertionError(f"the member ended before it said {wanted}")

    def goes_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")


@contextlib.asynccontextmanager
async def member(broker: KafkaBroker, topic: Topic, effects: Effects, mode: str) -> AsyncIterator[Member]:
    url = f"{broker.url}?{OPTIONS}"
    arguments = [url, topic.name, str(topic.partitions), "reader", str(effects.path), mode]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(MEMBER), *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        started = Member(process)
        await started.says("ready")
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def take_all(subscription: Subscription, effects: Effects, wanted: int) -> None:
    """Record and commit until so many effects are there, whoever made them."""
    async with asyncio.timeout(LONG_S):
        while len(effects.of("test")) + len(effects.of("process")) < wanted:
            effects.record(await subscription.receive(timeout_s=0.1))
            await subscription.commit()


# Members


async def test_what_a_killed_process_had_not_committed_comes_to_another(
    bus: Bus, own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    topic, effects = order_topic(partitions=2), Effects(tmp_path)
    async with member(own_kafka, topic, effects, "hold") as first:
        await publish_all(bus, topic, "a", numbered("a", 10))
        await first.says("recorded")
        first.process.kill()
        await first.process.wait()
    assert effects.of("process")
    second = await bus.subscribe(topic, group="reader")
    again = texts(await collect(second, 10))
    assert again == numbered("a", 10), "nothing was committed, so all comes again, in order"
    await second.commit()
    await assert_quiet(second)


async def test_a_member_frozen_past_its_session_neither_loses_nor_doubles_an_effect(
    bus: Bus, own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    topic, effects = order_topic(partitions=2), Effects(tmp_path)
    async with member(own_kafka, topic, effects, "hold") as first:
        for key in "abcd":
            await publish_all(bus, topic, key, numbered(key, 5))
        await first.says("recorded")
        first.process.send_signal(signal.SIGSTOP)
        second = await bus.subscribe(topic, group="reader")
        await take_all(second, effects, 20)
        for key in "abcd":
            await publish_all(bus, topic, key, numbered(key, 5, first=5))
        await take_all(second, effects, 40)
        first.process.send_signal(signal.SIGCONT)
        first.goes_on()
        await first.says("committed")
        for key in "abcd":
            await publish_all(bus, topic, key, numbered(key, 5, first=10))
        first.goes_on()
        await take_all(second, effects, 60)
    everything = effects.of("process") + effects.of("test")
    assert sorted(everything) == sorted(itertools.chain(*(numbered(key, 15) for key in "abcd")))


async def test_a_rebalance_waits_for_the_commit_of_what_was_received(bus: Bus) -> None:
    topic = order_topic()
    first = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", numbered("a", 5))
    await collect(first, 5)
    joining = asyncio.ensure_future(bus.subscribe(topic, group="reader"))
    await asyncio.sleep(0.5)
    await first.commit()
    second = await joining
    await assert_quiet(first)
    await assert_quiet(second)
    described = await bus.describe(topic)
    assert described.lag["reader"] == {0: 0}


async def test_a_commit_after_the_partition_was_lost_commits_nothing(bus: Bus) -> None:
    topic = order_topic(partitions=2)
    first = await bus.subscribe(topic, group="reader")
    for key in "abcd":
        await publish_all(bus, topic, key, numbered(key, 2))
    await collect(first, 8)
    second = await bus.subscribe(topic, group="reader")  # After waiting in vain for a commit of the first.
    await first.commit()
    received: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while len(received) < 8:
            for each in (first, second):
                received += texts(await each.receive(timeout_s=0.05))
    for key in "abcd":
        assert of_publisher(key, received) == numbered(key, 2)
    assert sum((await bus.describe(topic)).lag["reader"].values()) == 8


# The broker


async def test_orders_pass_through_a_broker_that_is_killed_in_mid_stream(bus: Bus, own_kafka: KafkaBroker) -> None:
    topic = order_topic(partitions=2)
    member, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)

    async def publish(key: str) -> None:
        for number in range(150):
            await bus.publish(topic, key, command(f"{key}-{number}"))
            await asyncio.sleep(0.01)

    async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as tasks:
        publishers = [tasks.create_task(publish(key)) for key in "abcd"]
        received = [tasks.create_task(until_complete(each)) for each in (member, alone)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_kafka.kill)
        assert not any(publisher.done() for publisher in publishers)
        await asyncio.to_thread(own_kafka.start)
    for each in received:
        for key in "abcd":
            assert list(dict.fromkeys(of_publisher(key, each.result()))) == numbered(key, 150)


async def until_complete(subscription: Subscription) -> list[str]:
    """Everything received until the last message of each publisher is there."""
    received: list[str] = []
    while not {f"{key}-149" for key in "abcd"} <= set(received):
        received += texts(await subscription.receive())
        await subscription.commit()
    return received


async def test_orders_pass_through_a_broker_that_is_frozen_for_a_while(bus: Bus, own_kafka: KafkaBroker) -> None:
    topic = order_topic()
    member, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)
    await publish_all(bus, topic, "a", numbered("a", 5))
    assert texts(await collect(member, 5, commit=True)) == numbered("a", 5)
    own_kafka.freeze()
    late = asyncio.ensure_future(publish_all(bus, topic, "a", numbered("a", 5, first=5)))
    await asyncio.sleep(4.0)  # Longer than a request and a session may take.
    assert not late.done()
    own_kafka.thaw()
    async with asyncio.timeout(LONG_S):
        await late
        received: list[str] = []
        while "a-9" not in received:
            received += texts(await member.receive())
            await member.commit()
    assert list(dict.fromkeys(received)) == numbered("a", 5, first=5)
    assert texts(await collect(alone, 10)) == numbered("a", 10)


async def test_market_data_goes_on_after_the_broker_was_killed(bus: Bus, own_kafka: KafkaBroker) -> None:
    topic = market_topic()
    subscription = await bus.subscribe(topic)
    sent = 0
    received: list[Delivery] = []
    async with asyncio.timeout(LONG_S):
        while len(received) < 5:
            bus.publish_now(topic, "SIM", batch(sent))
            sent += 2
            received += await subscription.receive(timeout_s=0.05)
        await asyncio.to_thread(own_kafka.kill)
        for _ in range(20):
            bus.publish_now(topic, "SIM", batch(sent))
            sent += 2
        await asyncio.to_thread(own_kafka.start)
        while int(batch_of(received[-1]).records["sequence"][-1]) != sent - 1:
            received += await subscription.receive()
    firsts = [int(batch_of(each).records["sequence"][0]) for each in received]
    assert firsts == list(range(0, sent, 2)), "what waits for the broker fits the outbox, so nothing is lost or doubled"
    assert not any(has_gap(each) for each in received)
    assert bus.statistics().dropped_records == 0


@pytest.fixture
async def small(own_kafka: KafkaBroker) -> AsyncIterator[Bus]:
    """A bus that keeps little market data for a broker that is away."""
    bus = KafkaBus(kafka_settings(f"{own_kafka.url}?{OPTIONS}"), outbox=MarketOutbox(messages=3))
    await bus.open()
    yield bus
    await bus.close()


async def test_market_data_that_the_broker_does_not_take_is_a_counted_gap(small: Bus, own_kafka: KafkaBroker) -> None:
    bus, topic = small, market_topic()
    subscription = await bus.subscribe(topic)
    bus.publish_now(topic, "SIM", batch(0))
    await collect(subscription, 1)
    await asyncio.to_thread(own_kafka.kill)
    for number in range(1, 12):
        bus.publish_now(topic, "SIM", batch(number * 2))
        await asyncio.sleep(0.01)
    dropped = bus.statistics().dropped_records
    assert 14 <= dropped <= 16, "three wait, and at most one is in the sender's hands"
    await asyncio.to_thread(own_kafka.start)
    received: list[Delivery] = []
    async with asyncio.timeout(LONG_S):
        while not received or int(batch_of(received[-1]).records["sequence"][0]) != 22:
            received += await subscription.receive()
    records = sum(len(batch_of(each).records) for each in received)
    assert records + dropped == 22
    firsts = [int(batch_of(each).records["sequence"][0]) for each in received]
    assert [has_gap(each) for each in received] == [first == 18 for first in firsts]
    assert not batch_of(received[-1]).records["flags"][1] & RecordFlag.GAP


async def test_a_publish_waits_for_the_broker_and_a_cancelled_one_is_withdrawn(
    bus: Bus, own_kafka: KafkaBroker
) -> None:
    topic = order_topic()
    subscription = await bus.subscribe(topic)
    await publish_all(bus, topic, "a", ["before"])
    await asyncio.to_thread(own_kafka.kill)
    waiting = [asyncio.ensure_future(publish_all(bus, topic, "a", [text])) for text in ("one", "given up", "two")]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in waiting)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    await asyncio.to_thread(own_kafka.start)
    async with asyncio.timeout(LONG_S):
        await asyncio.gather(waiting[0], waiting[2])
    received: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while "two" not in received:
            received += texts(await subscription.receive())
    # It may have left before it was given up, but nobody was told that it had arrived.
    assert [text for text in received if text != "given up"] == ["before", "one", "two"]


async def test_closing_while_the_broker_is_away_fails_who_waits(own_kafka: KafkaBroker) -> None:
    bus = await connect(f"{own_kafka.url}?{OPTIONS}")
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["before"])
    await collect(subscription, 1)
    await asyncio.to_thread(own_kafka.kill)
    waiting = [
        asyncio.ensure_future(publish_all(bus, topic, "a", ["late"])),
        asyncio.ensure_future(subscription.receive()),
        asyncio.ensure_future(subscription.commit()),
    ]
    await asyncio.sleep(0.5)
    assert not any(task.done() for task in waiting)
    async with asyncio.timeout(LONG_S):
        await bus.close()
        errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in errors] == [BusClosed] * 3


async def test_closing_while_the_broker_is_frozen_ends(own_kafka: KafkaBroker) -> None:
    bus = await connect(f"{own_kafka.url}?{OPTIONS}")
    topic = order_topic()
    await bus.subscribe(topic, group="reader")
    await bus.subscribe(topic, start=Start.EARLIEST)
    await publish_all(bus, topic, "a", ["before"])
    own_kafka.freeze()
    late = asyncio.ensure_future(publish_all(bus, topic, "a", ["late"]))
    await asyncio.sleep(0.2)
    async with asyncio.timeout(LONG_S):
        await bus.close()
    assert isinstance((await asyncio.gather(late, return_exceptions=True))[0], BusClosed)
    own_kafka.thaw()


async def test_connecting_to_nobody_fails_in_time_and_says_to_whom() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1\b") as caught:
        await connect("kafka://user:secret@127.0.0.1:1?connect_s=1")
    assert "secret" not in str(caught.value)


async def test_poison_comes_once_even_if_nothing_follows(bus: Bus, own_kafka: KafkaBroker) -> None:
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["good"])
    assert texts(await collect(subscription, 1, commit=True)) == ["good"]
    await raw_publish(own_kafka, topic, b"\xff")
    async with asyncio.timeout(WAIT_S):
        while not statistics_of(bus, topic, "reader").dead_lettered:
            await assert_quiet(subscription)
        while sum((await bus.describe(topic)).lag["reader"].values()):
            await assert_quiet(subscription)


async def raw_publish(broker: KafkaBroker, topic: Topic, body: bytes) -> None:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=broker.address) as producer:
        await producer.send_and_wait(topic.name, body, b"a")
