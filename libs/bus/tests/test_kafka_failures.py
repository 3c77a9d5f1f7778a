"""Kafka when things break: what every broker must stand, and what is Kafka's own."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Final

import pytest
from broker_failures_contract import LONG_S, BrokerFailuresContract
from bus_contract import (
    WAIT_S,
    assert_quiet,
    batch,
    batch_of,
    collect,
    has_gap,
    market_topic,
    numbered,
    of_publisher,
    order_topic,
    publish_all,
    statistics_of,
    texts,
)

from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus, Delivery
from tradewind.bus.kafka import KafkaBus
from tradewind.bus.kafka_settings import kafka_settings
from tradewind.bus.market_queue import MarketOutbox
from tradewind.wire.market_records import RecordFlag
from tradewind.wire.topics import Topic

OPTIONS: Final = "session_ms=2000&request_ms=2500"


class TestKafkaFailures(BrokerFailuresContract):
    @pytest.fixture
    def broker(self, own_kafka: KafkaBroker) -> KafkaBroker:
        return own_kafka

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        """Of the test's own broker where it breaks one, else of the session's."""
        if "broker" in request.fixturenames:
            return f"{request.getfixturevalue('broker').url}?{OPTIONS}"
        return f"{request.getfixturevalue('kafka_url')}?{OPTIONS}&prefix=f{secrets.token_hex(4)}."


@pytest.fixture
async def bus(own_kafka: KafkaBroker) -> AsyncIterator[Bus]:
    """A bus on the test's own broker, quick to notice what is dead."""
    bus = await connect(f"{own_kafka.url}?{OPTIONS}")
    yield bus
    await bus.close()


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
