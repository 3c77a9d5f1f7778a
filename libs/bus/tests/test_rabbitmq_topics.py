"""What is at a RabbitMQ: full queues, groups that begin, poison, old and future versions, what is no longer kept."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import aio_pika
import pytest
from bus_contract import (
    QUIET_S,
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

from tradewind.bus.connecting import connect
from tradewind.bus.envelopes import sealed
from tradewind.bus.interface import Bus, BusClosed, Delivery, Start, Subscription
from tradewind.bus.rabbitmq_members import shares
from tradewind.wire import encoding
from tradewind.wire.events import DeadLettered
from tradewind.wire.topics import Plane, Topic, dead_letters_of

PREFIX: Final = f"topics{secrets.token_hex(4)}."
LIMIT: Final = 50
LONG_S: Final = 45.0


@pytest.fixture
async def bus(rabbitmq_url: str) -> AsyncIterator[Bus]:
    bus = await connect(f"{rabbitmq_url}?prefix={PREFIX}")
    yield bus
    await bus.close()


@pytest.fixture
async def small(rabbitmq_url: str) -> AsyncIterator[Bus]:
    """A bus whose groups may leave little."""
    bus = await connect(f"{rabbitmq_url}?prefix={PREFIX}&queue_limit={LIMIT}")
    yield bus
    await bus.close()


async def raw_publish(url: str, topic: Topic, body: bytes, headers: dict[str, Any]) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{PREFIX}{topic.name}")
        await exchange.publish(aio_pika.Message(body, headers=headers), "0")


async def wait_for_publishers_to_stop(bus: Bus, published: int) -> int:
    """How many were taken when a while nothing more is."""
    async with asyncio.timeout(WAIT_S):
        while True:
            await asyncio.sleep(0.3)
            if bus.statistics().published == published:
                return published
            published = bus.statistics().published


async def until(subscription: Subscription, last: str) -> list[str]:
    """Everything received and committed until ``last`` is there."""
    received: list[str] = []
    while last not in received:
        received += texts(await subscription.receive())
        await subscription.commit()
    return received


# A full queue


async def test_a_full_queue_makes_publish_wait_in_order_until_there_is_room(small: Bus) -> None:
    topic = order_topic()
    away, member = await small.subscribe(topic, group="away"), await small.subscribe(topic, group="reader")
    await away.close()
    tasks = [asyncio.ensure_future(small.publish(topic, "a", command(f"a-{number}"))) for number in range(400)]
    taken = await wait_for_publishers_to_stop(small, 0)
    assert LIMIT <= taken < 400, "the broker takes a little more than its limit before it says no"
    assert not all(task.done() for task in tasks)
    back = await small.subscribe(topic, group="away")
    async with asyncio.timeout(WAIT_S):
        stories = await asyncio.gather(until(member, "a-399"), until(back, "a-399"))
        await asyncio.gather(*tasks)
    for story in stories:
        assert list(dict.fromkeys(story)) == numbered("a", 400)
    assert small.statistics().publish_waits >= 400 - taken
    [kept] = (await small.describe(topic)).partitions
    assert kept.end < 1_000, "who waits looks for room, and does not try again and again"


async def test_a_full_queue_does_not_hold_other_topics_and_closing_ends_the_wait(small: Bus) -> None:
    full, free = order_topic(), order_topic()
    await (await small.subscribe(full, group="away")).close()
    waiting = [asyncio.ensure_future(publish_all(small, full, "a", [f"a-{number}"])) for number in range(200)]
    await wait_for_publishers_to_stop(small, 0)
    async with asyncio.timeout(WAIT_S):
        await publish_all(small, free, "a", numbered("b", 100))
    await small.close()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in errors} == {BusClosed, type(None)}


async def test_a_publisher_that_gives_up_leaves_the_others_in_order(small: Bus) -> None:
    topic = order_topic()
    await (await small.subscribe(topic, group="reader")).close()
    waiting = [asyncio.ensure_future(small.publish(topic, "a", command(f"a-{number}"))) for number in range(200)]
    taken = await wait_for_publishers_to_stop(small, 0)
    gone = range(taken + 1, 200, 2)
    for number in gone:
        waiting[number].cancel()
    member = await small.subscribe(topic, group="reader")
    received: list[str] = []
    async with asyncio.timeout(WAIT_S):
        await asyncio.sleep(QUIET_S)
        wanted = [f"a-{number}" for number in range(200) if number not in gone]
        while not set(wanted) <= set(received):
            received += texts(await member.receive())
            await member.commit()
    assert [text for text in dict.fromkeys(received) if text in set(wanted)] == wanted
    assert all(waiting[number].cancelled() for number in gone)


# Groups


async def test_a_new_group_can_begin_at_the_earliest(bus: Bus) -> None:
    topic = order_topic(partitions=2)
    for key in "abcd":
        await publish_all(bus, topic, key, numbered(key, 10))
    late = await bus.subscribe(topic, group="late", start=Start.EARLIEST)
    for key in "abcd":
        await publish_all(bus, topic, key, numbered(key, 5, first=10))
    received = texts(await collect(late, 60, commit=True))
    for key in "abcd":
        assert of_publisher(key, received) == numbered(key, 15)
    await late.close()
    again = await bus.subscribe(topic, group="late", start=Start.EARLIEST)
    await assert_quiet(again)


async def test_two_members_begin_a_group_once(bus: Bus, rabbitmq_url: str) -> None:
    topic = order_topic(partitions=2)
    for key in "abcd":
        await publish_all(bus, topic, key, numbered(key, 10))
    other = await connect(f"{rabbitmq_url}?prefix={PREFIX}")
    members = await asyncio.gather(
        *(each.subscribe(topic, group="reader", start=Start.EARLIEST) for each in (bus, other, bus))
    )
    received: list[str] = []
    async with asyncio.timeout(WAIT_S):
        while len(received) < 40:
            for member in members:
                received += texts(await member.receive(timeout_s=0.02))
                await member.commit()
    for key in "abcd":
        assert of_publisher(key, received) == numbered(key, 10)
    for member in members:
        await assert_quiet(member)
    await other.close()


async def test_a_group_cannot_begin_with_more_than_it_may_leave(small: Bus) -> None:
    topic = order_topic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(400):
            tasks.create_task(publish_all(small, topic, "a", [f"a-{number}"]))
    with pytest.raises(ValueError, match="queue_limit"):
        await small.subscribe(topic, group="late", start=Start.EARLIEST)
    assert "late" not in (await small.describe(topic)).lag
    begun = await small.subscribe(topic, group="late")
    await publish_all(small, topic, "a", ["new"])
    assert texts(await collect(begun, 1)) == ["new"]


async def test_a_member_on_another_connection_takes_over_in_order_when_the_first_goes(
    bus: Bus, rabbitmq_url: str
) -> None:
    topic = order_topic(partitions=4)
    other = await connect(f"{rabbitmq_url}?prefix={PREFIX}")
    first = await bus.subscribe(topic, group="reader")
    await other.subscribe(topic, group="reader")
    keys = [f"account{number}" for number in range(8)]
    for key in keys:
        await publish_all(bus, topic, key, numbered(key, 5))
    held = await first.receive(timeout_s=WAIT_S)
    assert held
    await other.close()
    received = texts(held)
    async with asyncio.timeout(WAIT_S):
        while not {f"{key}-4" for key in keys} <= set(received):
            received += texts(await first.receive())
            await first.commit()
    for key in keys:
        assert list(dict.fromkeys(of_publisher(key, received))) == numbered(key, 5)


@pytest.mark.parametrize("group", ["reader", None])
async def test_a_reader_whose_queue_was_deleted_goes_on(bus: Bus, rabbitmq_url: str, group: str | None) -> None:
    """An operator's doing: the queue is made again; what it held, or was published meanwhile, is gone."""
    topic = order_topic()
    reader = await bus.subscribe(topic, group=group)
    await publish_all(bus, topic, "a", ["one"])
    assert texts(await collect(reader, 1, commit=True)) == ["one"]
    await delete(rabbitmq_url, queue=f"{PREFIX}{topic.name}.0{'.reader' if group else ''}")
    async with asyncio.timeout(WAIT_S):
        received: list[str] = []
        while not received:
            await publish_all(bus, topic, "a", ["again"])
            received = texts(await reader.receive(timeout_s=0.2))
    assert set(received) == {"again"}


@pytest.mark.parametrize("plane", list(Plane))
async def test_a_publisher_whose_exchange_was_deleted_goes_on(bus: Bus, rabbitmq_url: str, plane: Plane) -> None:
    topic = order_topic() if plane is Plane.ORDERS else market_topic()
    reader = await bus.subscribe(topic)
    await bus.publish(topic, "a", batch(0))
    await collect(reader, 1)
    await delete(rabbitmq_url, exchange=f"{PREFIX}{topic.name}")
    async with asyncio.timeout(WAIT_S):
        received: list[Delivery] = []
        while not received:
            await bus.publish(topic, "a", batch(2))
            received = await reader.receive(timeout_s=0.2)
    assert {int(batch_of(each).records["sequence"][0]) for each in received} == {2}


async def delete(url: str, *, queue: str = "", exchange: str = "") -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        if queue:
            await channel.queue_delete(queue)
        if exchange:
            await channel.exchange_delete(exchange)


def test_shares_are_even_equal_for_all_and_move_little() -> None:
    for count in range(1, 9):
        members = [f"member{number}" for number in range(count)]
        for partitions in (1, 4, 16):
            whose = shares(members, partitions)
            assert sorted(whose) == list(range(partitions))
            owned = [list(whose.values()).count(member) for member in members]
            assert max(owned) - min(owned) <= 1
            assert shares(members, partitions) == whose
    before, after = shares(["one", "two", "three"], 12), shares(["one", "two"], 12)
    assert sum(before[partition] != after[partition] for partition in range(12)) <= 8
    assert shares([], 4) == {}


# Poison, versions


@pytest.mark.parametrize("group", ["reader", None])
@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"type": "CancelAllOrders", "version": "1", "ts": "7"}, "CancelAllOrders version 1"),
        ({"type": "Nonsense", "version": "1", "ts": "7"}, "unknown message type"),
        ({"type": "CancelAllOrders", "version": "99", "ts": "7"}, "version 99 is unknown here"),
        ({"type": 5, "version": ["x"]}, "without a"),
        ({}, "without a 'type' header"),
    ],
)
async def test_poison_goes_aside_with_its_bytes_and_the_next_is_read(
    bus: Bus, rabbitmq_url: str, group: str | None, headers: dict[str, Any], reason: str
) -> None:
    topic = order_topic()
    aside = await bus.subscribe(dead_letters_of(topic.name))
    subscription = await bus.subscribe(topic, group=group)
    await publish_all(bus, topic, "a", ["good"])
    await raw_publish(rabbitmq_url, topic, b"\xc1 poison", {**headers, "key": "a"})
    await publish_all(bus, topic, "a", ["better"])
    assert texts(await collect(subscription, 2, commit=True)) == ["good", "better"]
    [letter] = await collect(aside, 1)
    assert isinstance(letter.payload, DeadLettered)
    assert reason in letter.payload.reason
    assert letter.payload.payload == b"\xc1 poison"
    assert (letter.payload.key, letter.payload.topic) == ("a", topic.name)
    assert statistics_of(bus, topic, group).dead_lettered == 1
    assert sum(sum(lag.values()) for lag in (await bus.describe(topic)).lag.values()) == 0
    assert texts(await bus.replay(topic)) == ["good", "better"]


async def test_poisoned_market_data_goes_aside_and_is_a_gap(bus: Bus, rabbitmq_url: str) -> None:
    topic = market_topic()
    aside = await bus.subscribe(dead_letters_of(topic.name))
    subscription, lossless = await bus.subscribe(topic), await bus.subscribe(topic, capacity=2, lossless=True)
    await bus.publish(topic, "SIM", batch(0))
    await collect(subscription, 1)
    headers = {"type": "MarketBatch", "version": "1", "ts": "7", "venue": "SIM"}
    for _ in range(5):
        await raw_publish(rabbitmq_url, topic, b"not 64 bytes", headers)
    await bus.publish(topic, "SIM", batch(2))
    [after] = await collect(subscription, 1)
    assert has_gap(after)
    received = await collect(lossless, 2)
    assert [has_gap(each) for each in received] == [False, True], "the gap is where it was"
    letters = await collect(aside, 10)
    assert all(isinstance(letter.payload, DeadLettered) for letter in letters)


async def test_an_old_version_is_brought_up_to_date(
    bus: Bus, rabbitmq_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    headers, body = sealed(command("old"), 7)
    monkeypatch.setitem(encoding.VERSIONS, "CancelAllOrders", 2)
    monkeypatch.setitem(
        encoding.UPGRADES, ("CancelAllOrders", 1), lambda fields: {**fields, "reason": f"{fields['reason']}, upgraded"}
    )
    await raw_publish(rabbitmq_url, topic, body, {name: value.decode() for name, value in headers.items()})
    [delivery] = await collect(subscription, 1)
    assert text_of(delivery) == "old, upgraded"
    assert delivery.ts_publish == 7


# What is no longer kept


async def test_what_is_no_longer_kept_is_a_gap_for_market_data(rabbitmq_url: str) -> None:
    bus = await connect(f"{rabbitmq_url}?prefix={PREFIX}&stream_limit=2000000")
    topic = market_topic()
    async with asyncio.timeout(LONG_S):
        number = 0
        while (await bus.describe(topic)).partitions[0].first == 0:
            for _ in range(20):
                await bus.publish(topic, "SIM", batch(number, records=1_000))
                number += 1_000
            await asyncio.sleep(0.05)
    [kept] = (await bus.describe(topic)).partitions
    late, in_time = await bus.subscribe(topic, start={0: 0}), await bus.subscribe(topic, start={0: kept.end - 1})
    [first] = await collect(late, 1)
    assert first.offset >= kept.first > 0
    assert has_gap(first)
    [last] = await collect(in_time, 1)
    assert (last.offset, has_gap(last)) == (kept.end - 1, False)
    earliest = await bus.subscribe(topic, start=Start.EARLIEST)
    [oldest] = await collect(earliest, 1)
    assert not has_gap(oldest)
    assert oldest.offset >= first.offset > 0
    await bus.close()


async def test_what_exists_with_other_limits_is_used_as_it_is(bus: Bus, small: Bus) -> None:
    topic = order_topic()
    await (await bus.subscribe(topic, group="reader")).close()
    member = await small.subscribe(topic, group="reader")
    await publish_all(small, topic, "a", ["one"])
    assert texts(await collect(member, 1)) == ["one"]
    other = Topic(topic.name, topic.plane, topic.key, retention_s=60)
    await publish_all(bus, other, "a", ["two"])
    assert texts(await collect(member, 1)) == ["two"]


async def test_poison_is_committed_even_if_nothing_follows(bus: Bus, rabbitmq_url: str) -> None:
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["good"])
    assert texts(await collect(subscription, 1, commit=True)) == ["good"]
    await raw_publish(rabbitmq_url, topic, b"\xff", {"key": "a"})
    async with asyncio.timeout(WAIT_S):
        while not statistics_of(bus, topic, "reader").dead_lettered:
            await assert_quiet(subscription)
        while sum((await bus.describe(topic)).lag["reader"].values()):
            await assert_quiet(subscription)
