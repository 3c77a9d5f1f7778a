"""What is at the broker: topics as declared, groups, poison, old and future versions, what is no longer kept."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
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
    order_topic,
    publish_all,
    statistics_of,
    text_of,
    texts,
)

from tradewind.bus.connecting import connect
from tradewind.bus.envelopes import MAX_BROKER_BYTES, sealed
from tradewind.bus.interface import Bus, Start
from tradewind.bus.kafka_link import topic_settings
from tradewind.bus.kafka_settings import kafka_settings
from tradewind.wire import encoding
from tradewind.wire.events import DeadLettered
from tradewind.wire.topics import Plane, Topic, dead_letters_of

PREFIX: Final = f"topics{secrets.token_hex(4)}."


@pytest.fixture
async def bus(kafka_url: str) -> AsyncIterator[Bus]:
    bus = await connect(f"{kafka_url}?prefix={PREFIX}")
    yield bus
    await bus.close()


@pytest.fixture
async def producer(kafka_url: str) -> AsyncIterator[Any]:
    async with AIOKafkaProducer(**kafka_settings(kafka_url).client, max_request_size=2_000_000) as producer:
        yield producer


@pytest.fixture
async def admin(kafka_url: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**kafka_settings(kafka_url).client)
    await admin.start()
    yield admin
    await admin.close()


async def settings_of(admin: Any, topic: Topic) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, f"{PREFIX}{topic.name}")
    [response] = await admin.describe_configs([resource])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}


# Topics


async def test_a_topic_is_made_as_declared(bus: Bus, admin: Any) -> None:
    kept = Topic(f"kept.{secrets.token_hex(4)}", Plane.ORDERS, "account", partitions=3, retention_s=3_600)
    compacted = Topic(f"compacted.{secrets.token_hex(4)}", Plane.ORDERS, "scope", compacted=True)
    for topic in (kept, compacted):
        await bus.publish(topic, "a", command("x"))
    assert len((await bus.describe(kept)).partitions) == 3
    settings = await settings_of(admin, kept)
    assert settings["retention.ms"] == "3600000"
    assert settings["cleanup.policy"] == "delete"
    assert settings["max.message.bytes"] == str(MAX_BROKER_BYTES)
    assert (await settings_of(admin, compacted))["cleanup.policy"] == "compact"


async def test_a_topic_with_too_few_partitions_is_refused_with_what_to_do(bus: Bus, kafka_url: str) -> None:
    name = f"grown.{secrets.token_hex(4)}"
    await bus.publish(Topic(name, Plane.ORDERS, "account"), "a", command("x"))
    newer = await connect(f"{kafka_url}?prefix={PREFIX}")
    grown = Topic(name, Plane.ORDERS, "account", partitions=4)
    for attempt in (newer.subscribe(grown), newer.publish(grown, "a", command("y")), newer.describe(grown)):
        with pytest.raises(ValueError, match=r"1 partitions at the broker, 4 are declared.*--partitions 4"):
            await attempt
    await newer.close()


async def test_a_name_that_kafka_does_not_take_is_refused(bus: Bus) -> None:
    with pytest.raises(ValueError, match="cannot be created"):
        await bus.subscribe(Topic("no spaces please", Plane.ORDERS, "account"))


async def test_many_who_need_a_new_topic_at_once_all_get_it(kafka_url: str) -> None:
    topic = order_topic(partitions=4)
    buses = [await connect(f"{kafka_url}?prefix={PREFIX}") for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        for number, each in enumerate(buses * 3):
            tasks.create_task(each.publish(topic, f"a{number}", command(str(number))))
    assert len(await buses[0].replay(topic)) == 9
    for each in buses:
        await each.close()


async def test_prefixes_do_not_see_each_other(kafka_url: str) -> None:
    topic = order_topic()
    one, two = [await connect(f"{kafka_url}?prefix={PREFIX}{name}.") for name in ("one", "two")]
    first = await one.subscribe(topic, group="reader")
    await two.subscribe(topic, group="other")
    await publish_all(one, topic, "a", ["one"])
    [delivery] = await collect(first, 1)
    assert delivery.topic == topic.name
    assert set((await one.describe(topic)).lag) == {"reader"}
    assert list(await two.replay(topic)) == []
    await one.close()
    await two.close()


async def test_groups_of_two_topics_have_nothing_to_do_with_each_other(bus: Bus) -> None:
    topics = [order_topic(), order_topic()]
    members = [await bus.subscribe(topic, group="reader") for topic in topics]
    for topic, member in zip(topics, members, strict=True):
        await publish_all(bus, topic, "a", [topic.name])
        assert texts(await collect(member, 1, commit=True)) == [topic.name]
        assert (await bus.describe(topic)).lag == {"reader": {0: 0}}


# What comes from elsewhere


async def test_poison_goes_aside_with_its_bytes_and_the_next_goes_on(bus: Bus, producer: Any) -> None:
    topic = order_topic()
    aside = await bus.subscribe(dead_letters_of(topic.name), start=Start.EARLIEST)
    group, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)
    headers, body = sealed(command("future"), 5)
    future = {**headers, "version": b"99"}
    poison: list[tuple[Any, dict[str, bytes], str]] = [
        (b"\xff\x00garbage", {}, "without a 'type' header"),
        (b"\xff\x00garbage", headers, "CancelAllOrders version 1"),
        (body, future, "update this service"),
        (body, {**headers, "type": b"Nothing"}, "unknown message type 'Nothing'"),
        (None, headers, "without a body"),
        (b"x" * 1_030_000, headers, "over 1000000"),
    ]
    for value, said, _ in poison:
        await producer.send_and_wait(f"{PREFIX}{topic.name}", value, b"a", headers=list(said.items()))
    await publish_all(bus, topic, "a", ["good"])
    for reader in (group, alone):
        assert texts(await collect(reader, 1, commit=True)) == ["good"]
        assert statistics_of(bus, topic, reader.group).dead_lettered == len(poison)  # type: ignore[attr-defined]
    letters = [each.payload for each in await collect(aside, 2 * len(poison))]
    for value, _, reason in poison:
        fitting = [each for each in letters if isinstance(each, DeadLettered) and reason in each.reason]
        assert len(fitting) == 2, reason
        assert all((value or b"").startswith(each.payload) and each.topic == topic.name for each in fitting)
    assert sum((await bus.describe(topic)).lag["reader"].values()) == 0


async def test_old_versions_are_upgraded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["old"])
    monkeypatch.setitem(encoding.VERSIONS, "CancelAllOrders", 2)
    upgrade = ("CancelAllOrders", 1)
    monkeypatch.setitem(
        encoding.UPGRADES, upgrade, lambda fields: {**fields, "reason": f"{fields['reason']}, upgraded"}
    )
    await publish_all(bus, topic, "a", ["new"])
    assert sorted(texts(await collect(subscription, 2))) in (["new", "old, upgraded"], ["new", "old"])
    assert texts(await bus.replay(topic)) == ["old, upgraded", "new"]


async def test_replay_leaves_poison_out(bus: Bus, producer: Any) -> None:
    topic = order_topic()
    await publish_all(bus, topic, "a", ["one"])
    await producer.send_and_wait(f"{PREFIX}{topic.name}", b"\xff", b"a")
    await publish_all(bus, topic, "a", ["two"])
    assert texts(await bus.replay(topic)) == ["one", "two"]
    assert [d.offset for d in await bus.replay(topic, from_offset=1)] == [2]


# What is no longer kept


async def cut(admin: Any, topic: Topic, before: int) -> None:
    """The broker forgets the beginning of a topic, as its retention would."""
    place = TopicPartition(f"{PREFIX}{topic.name}", 0)
    await admin.delete_records({place: RecordsToDelete(before)})


async def test_a_start_that_is_no_longer_kept_begins_at_the_oldest_with_a_gap(bus: Bus, admin: Any) -> None:
    topic = market_topic()
    subscription = await bus.subscribe(topic)
    for number in range(10):
        await bus.publish(topic, "SIM", batch(number * 2))
        await collect(subscription, 1)
    await cut(admin, topic, 6)
    [kept] = (await bus.describe(topic)).partitions
    assert (kept.first, kept.end) == (6, 10)
    late, in_time = await bus.subscribe(topic, start={0: 5}), await bus.subscribe(topic, start={0: 6})
    received = await collect(late, 4)
    assert [delivery.offset for delivery in received] == [6, 7, 8, 9]
    assert [has_gap(delivery) for delivery in received] == [True, False, False, False]
    assert not has_gap((await collect(in_time, 1))[0])
    assert [d.offset for d in await bus.replay(topic, from_offset=0)] == [6, 7, 8, 9]


async def test_a_lossless_reader_that_the_broker_overtakes_is_told_by_a_gap(bus: Bus, admin: Any) -> None:
    topic = market_topic()
    slow = await bus.subscribe(topic, capacity=1, lossless=True)
    for number in range(12):
        await bus.publish(topic, "SIM", batch(number * 15_000, records=15_000))  # About one in a fetch.
    async with asyncio.timeout(WAIT_S):
        while (await bus.describe(topic)).partitions[0].end < 12:
            await asyncio.sleep(0.01)
    await cut(admin, topic, 11)
    received = [delivery for _ in range(1) for delivery in await collect(slow, 1)]
    async with asyncio.timeout(WAIT_S):
        while received[-1].offset < 11:
            received += await slow.receive()
    offsets = [delivery.offset for delivery in received]
    assert offsets == sorted(offsets)
    assert len(offsets) < 12
    after = next(place for place, offset in enumerate(offsets) if offset != place)
    assert [has_gap(delivery) for delivery in received] == [place == after for place in range(len(received))]
    assert statistics_of(bus, topic).gaps == 1


async def test_a_group_whose_place_is_gone_goes_on_at_the_oldest(bus: Bus, admin: Any) -> None:
    topic = order_topic()
    await (await bus.subscribe(topic, group="reader")).close()
    await publish_all(bus, topic, "a", numbered("a", 10))
    await cut(admin, topic, 4)
    again = await bus.subscribe(topic, group="reader")
    assert texts(await collect(again, 6, commit=True)) == numbered("a", 6, first=4)
    await assert_quiet(again)


async def test_a_group_that_appears_at_the_earliest_gets_what_is_kept(bus: Bus) -> None:
    topic = order_topic(partitions=2)
    for key in "abcd":
        await publish_all(bus, topic, key, numbered(key, 3))
    member = await bus.subscribe(topic, group="reader", start=Start.EARLIEST)
    assert sorted(map(text_of, await collect(member, 12))) == sorted(t for key in "abcd" for t in numbered(key, 3))


async def test_market_records_arrive_whole_in_large_numbers(bus: Bus) -> None:
    topic = market_topic()
    subscription = await bus.subscribe(topic, capacity=10_000)
    for number in range(2_000):
        bus.publish_now(topic, "SIM", batch(number * 50, records=50))
        if not number % 100:
            await asyncio.sleep(0)
    received = await collect(subscription, 2_000)
    assert [int(batch_of(d).records["sequence"][0]) for d in received] == [number * 50 for number in range(2_000)]
    assert bus.statistics().dropped_records == 0


async def test_what_was_handed_over_is_sent_before_the_bus_closes(bus: Bus, kafka_url: str) -> None:
    topic = market_topic()
    subscription = await bus.subscribe(topic)
    other = await connect(f"{kafka_url}?prefix={PREFIX}")
    for number in range(100):
        other.publish_now(topic, "SIM", batch(number * 2))
    await other.close()
    received = await collect(subscription, 100)
    assert [int(batch_of(d).records["sequence"][0]) for d in received] == [number * 2 for number in range(100)]


def test_three_brokers_keep_three_replicas_and_need_two() -> None:
    assert topic_settings(order_topic(), 3)["min.insync.replicas"] == "2"
    assert "min.insync.replicas" not in topic_settings(order_topic(), 1)
