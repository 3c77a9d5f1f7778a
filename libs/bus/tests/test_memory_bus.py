"""The memory transport: the contract, and what only a bus in the same process can promise."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest
from bus_contract import BusContract
from bus_contract_kit import (
    assert_quiet,
    batch,
    collect,
    command,
    has_gap,
    market_topic,
    numbered,
    order_topic,
    publish_all,
    statistics_of,
    texts,
)

from tradewind.bus.connecting import TRANSPORTS, UnsupportedTransport, connect
from tradewind.bus.dead_letters import MAX_REASON_CHARACTERS
from tradewind.bus.interface import Bus, BusClosed, Start
from tradewind.bus.memory import MemoryBus
from tradewind.bus.partitions import partition_of, rebalanced
from tradewind.model.identifiers import Venue
from tradewind.wire import encoding
from tradewind.wire.events import DeadLettered, FeedStatusChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import Plane, Topic, dead_letters_of

CAPACITY: Final = 2_000
RETENTION: Final = 64


class MemoryTransport:
    """One MemoryBus is the broker: every connection is the same object."""

    order_capacity: int | None = CAPACITY
    survives_restart = False

    def __init__(self) -> None:
        self._bus = MemoryBus(order_capacity=CAPACITY)

    async def open(self) -> Bus:
        return self._bus

    async def restart(self) -> Bus:
        raise NotImplementedError("a memory bus ends with its process")

    async def close(self) -> None:
        await self._bus.close()


class TestMemoryBusContract(BusContract):
    @pytest.fixture
    async def transport(self) -> AsyncIterator[MemoryTransport]:
        transport = MemoryTransport()
        yield transport
        await transport.close()


@pytest.fixture
async def small() -> AsyncIterator[MemoryBus]:
    """A bus that is soon full and soon forgets."""
    bus = MemoryBus(order_capacity=4, order_retention=RETENTION, market_retention=4)
    yield bus
    await bus.close()


# By reference, and one wake-up


async def test_payloads_pass_by_reference(small: MemoryBus) -> None:
    orders, market = order_topic(), market_topic()
    first, second = await small.subscribe(orders, group="g"), await small.subscribe(orders)
    batches = await small.subscribe(market)
    message, records = command("same"), batch(1)
    await small.publish(orders, "a", message)
    await small.publish(market, "SIM", records)
    assert (await collect(first, 1))[0].payload is message
    assert (await collect(second, 1))[0].payload is message
    assert (await collect(batches, 1))[0].payload is records


async def test_a_delivery_cannot_be_changed(small: MemoryBus) -> None:
    topic = order_topic()
    await publish_all(small, topic, "a", ["one"])
    [delivery] = await small.replay(topic)
    with pytest.raises(AttributeError):
        delivery.offset = 7  # type: ignore[misc]


@pytest.mark.parametrize("plane", list(Plane))
async def test_a_burst_wakes_the_reader_once(plane: Plane) -> None:
    bus = MemoryBus()
    topic = order_topic() if plane is Plane.ORDERS else market_topic()
    subscription = await bus.subscribe(topic)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(subscription.receive(1000))
        await asyncio.sleep(0)
        for number in range(100):
            await bus.publish(topic, "a", batch(number))
    assert len(waiting.result()) == 100
    await bus.close()


async def test_two_tasks_on_one_subscription_are_refused(small: MemoryBus) -> None:
    subscription = await small.subscribe(order_topic())
    first = asyncio.gather(subscription.receive(), return_exceptions=True)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="give each its own"):
        await subscription.receive()
    await subscription.close()
    assert isinstance((await first)[0], BusClosed)


# Bounds of the order plane


async def test_a_topic_without_readers_keeps_the_last_messages_and_never_waits(small: MemoryBus) -> None:
    topic = order_topic()
    async with asyncio.timeout(20):
        await publish_all(small, topic, "a", numbered("a", 1_000))
    kept = texts(await small.replay(topic))
    assert RETENTION <= len(kept) <= RETENTION + RETENTION // 8
    assert kept == numbered("a", len(kept), first=1_000 - len(kept))
    late = await small.subscribe(topic, start=Start.EARLIEST)
    assert texts(await collect(late, len(kept))) == kept


async def test_committed_messages_stay_for_replay_up_to_the_retention(small: MemoryBus) -> None:
    topic = order_topic()
    subscription = await small.subscribe(topic, group="reader")
    for number in range(500):
        await small.publish(topic, "a", command(f"a-{number}"))
        await collect(subscription, 1, commit=True)
    kept = texts(await small.replay(topic))
    assert RETENTION <= len(kept) <= RETENTION + RETENTION // 8 + 1
    assert kept[-1] == "a-499"
    assert (await small.replay(topic, from_offset=0))[0].offset == 500 - len(kept)


async def test_a_group_without_members_pushes_back(small: MemoryBus) -> None:
    topic = order_topic()
    await (await small.subscribe(topic, group="away")).close()
    await publish_all(small, topic, "a", numbered("a", 4))
    late = asyncio.ensure_future(publish_all(small, topic, "a", ["late"]))
    await asyncio.sleep(0.01)
    assert not late.done()
    back = await small.subscribe(topic, group="away")
    assert texts(await collect(back, 5, commit=True)) == [*numbered("a", 4), "late"]
    await late


async def test_partitions_push_back_one_by_one(small: MemoryBus) -> None:
    topic = order_topic(partitions=2)
    full, free = "a", next(key for key in "bcdefgh" if partition_of(key, 2) != partition_of("a", 2))
    await small.subscribe(topic, group="reader")
    await publish_all(small, topic, full, numbered("a", 4))
    async with asyncio.timeout(20):
        await publish_all(small, topic, free, ["passes"])
    assert small.statistics().publish_waits == 0


async def test_publishers_that_wait_are_served_in_turn(small: MemoryBus) -> None:
    topic = order_topic()
    subscription = await small.subscribe(topic, group="reader")
    await publish_all(small, topic, "a", numbered("a", 4))
    async with asyncio.TaskGroup() as tasks:
        for number in range(4, 30):
            tasks.create_task(publish_all(small, topic, "a", [f"a-{number}"]))
            await asyncio.sleep(0)
        assert texts(await collect(subscription, 30, commit=True)) == numbered("a", 30)


async def test_a_cancelled_publish_is_withdrawn_and_blocks_nobody(small: MemoryBus) -> None:
    topic = order_topic()
    subscription = await small.subscribe(topic, group="reader")
    await publish_all(small, topic, "a", numbered("a", 4))
    given_up = asyncio.ensure_future(publish_all(small, topic, "a", ["given up"]))
    kept = asyncio.ensure_future(publish_all(small, topic, "a", ["kept"]))
    await asyncio.sleep(0)
    given_up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await given_up
    assert texts(await collect(subscription, 5, commit=True)) == [*numbered("a", 4), "kept"]
    await kept
    await assert_quiet(subscription)


async def test_a_reader_without_a_group_stops_pushing_back_when_it_closes(small: MemoryBus) -> None:
    topic = order_topic()
    subscription = await small.subscribe(topic, capacity=1)
    await publish_all(small, topic, "a", ["one"])
    late = asyncio.ensure_future(publish_all(small, topic, "a", ["two"]))
    await asyncio.sleep(0)
    await subscription.close()
    async with asyncio.timeout(20):
        await late
    assert small.statistics().subscriptions == []


async def test_commit_after_losing_a_partition_commits_nothing_of_it(small: MemoryBus) -> None:
    topic = order_topic(partitions=2)
    first = await small.subscribe(topic, group="reader")
    keys = ["a", next(key for key in "bcdefgh" if partition_of(key, 2) != partition_of("a", 2))]
    for key in keys:
        await publish_all(small, topic, key, numbered(key, 2))
    await collect(first, 4)
    second = await small.subscribe(topic, group="reader")
    await first.commit()
    again = await collect(second, 2)
    assert texts(again) == numbered(again[0].key, 2)
    await assert_quiet(first)


async def test_a_busy_partition_does_not_starve_the_others() -> None:
    bus = MemoryBus()
    topic = order_topic(partitions=2)
    subscription = await bus.subscribe(topic, group="reader")
    other = next(key for key in "bcdefgh" if partition_of(key, 2) != partition_of("a", 2))
    await publish_all(bus, topic, "a", numbered("a", 20))
    await publish_all(bus, topic, other, numbered(other, 20))
    keys = [(await subscription.receive(5))[0].key for _ in range(4)]
    assert sorted(keys) == sorted(["a", "a", other, other])
    await bus.close()


# Market-data plane


async def test_md_messages_that_are_no_batches_are_dropped_and_counted(small: MemoryBus) -> None:
    topic = Topic("contract.md.status", Plane.MARKET_DATA, "instrument")
    subscription = await small.subscribe(topic, capacity=2)
    sent = [_status(str(number)) for number in range(5)]
    for message in sent:
        await small.publish(topic, "i", message)
    assert [d.payload for d in await collect(subscription, 2)] == sent[3:]
    counted = statistics_of(small, topic)
    assert (counted.gaps, counted.dropped_records) == (1, 3)


async def test_a_late_market_reader_gets_what_is_kept(small: MemoryBus) -> None:
    topic = market_topic()
    for number in range(10):
        await small.publish(topic, "SIM", batch(number))
    late = await small.subscribe(topic, start=Start.EARLIEST, capacity=3)
    received = await collect(late, 3)
    assert [d.offset for d in received] == [7, 8, 9]
    assert [has_gap(d) for d in received] == [True, False, False]
    assert [d.offset for d in await small.replay(topic)] == [6, 7, 8, 9]


async def test_a_start_that_is_no_longer_kept_begins_at_the_oldest_with_a_gap(small: MemoryBus) -> None:
    topic = market_topic()
    for number in range(10):
        await small.publish(topic, "SIM", batch(number))
    [kept] = (await small.describe(topic)).partitions
    assert (kept.first, kept.end) == (6, 10)
    late, in_time = await small.subscribe(topic, start={0: 5}), await small.subscribe(topic, start={0: 6})
    received = await collect(late, 4)
    assert [delivery.offset for delivery in received] == [6, 7, 8, 9]
    assert [has_gap(delivery) for delivery in received] == [True, False, False, False]
    assert not has_gap((await collect(in_time, 1))[0])


async def test_a_lossless_reader_loses_only_what_the_bus_no_longer_keeps(small: MemoryBus) -> None:
    topic = market_topic()
    subscription = await small.subscribe(topic, capacity=1, lossless=True)
    for number in range(5):
        await small.publish(topic, "SIM", batch(number))
    received = await collect(subscription, 4)
    assert [delivery.offset for delivery in received] == [1, 2, 3, 4]
    assert has_gap(received[0])


# Dead letters


async def test_a_batch_can_be_a_dead_letter(small: MemoryBus) -> None:
    topic = market_topic()
    aside = await small.subscribe(dead_letters_of(topic.name))
    subscription = await small.subscribe(topic)
    records = batch(5)
    await small.publish(topic, "SIM", records)
    await subscription.dead_letter((await collect(subscription, 1))[0], "?" * 5_000)
    [letter] = await collect(aside, 1)
    assert isinstance(letter.payload, DeadLettered)
    assert len(letter.payload.reason) == MAX_REASON_CHARACTERS
    assert letter.payload.message_type == "MarketBatch"
    assert MarketBatch.from_bytes(Venue("SIM"), letter.payload.payload).to_bytes() == records.to_bytes()


async def test_a_dead_letter_too_large_to_keep_still_goes_aside(small: MemoryBus) -> None:
    topic = order_topic()
    aside = await small.subscribe(dead_letters_of(topic.name))
    subscription = await small.subscribe(topic)
    await small.publish(topic, "a", command("x" * 1_000_001))
    await subscription.dead_letter((await collect(subscription, 1))[0], "odd")
    [letter] = await collect(aside, 1)
    assert isinstance(letter.payload, DeadLettered)
    assert letter.payload.payload == b""
    assert "not kept" in letter.payload.reason


async def test_the_largest_message_fits_its_dead_letter(small: MemoryBus) -> None:
    topic = order_topic()
    aside = await small.subscribe(dead_letters_of(topic.name))
    subscription = await small.subscribe(topic)
    message = command("")
    message = msgspec.structs.replace(
        message, reason="x" * (encoding.MAX_MESSAGE_BYTES - len(encoding.encode(message)) - 4)
    )
    assert len(encoding.encode(message)) == encoding.MAX_MESSAGE_BYTES
    await small.publish(topic, "a", message)
    await subscription.dead_letter((await collect(subscription, 1))[0], "é" * MAX_REASON_CHARACTERS)
    [letter] = await collect(aside, 1)
    assert isinstance(letter.payload, DeadLettered)
    wrapped = encoding.encode(letter.payload)
    assert encoding.decode("DeadLettered", 1, wrapped) == letter.payload


# Refusals, partitions, connecting


async def test_a_topic_has_one_plane_and_one_number_of_partitions(small: MemoryBus) -> None:
    await small.publish(Topic("t", Plane.ORDERS, "k", 2), "a", command("x"))
    with pytest.raises(ValueError, match="in use as"):
        await small.publish(Topic("t", Plane.ORDERS, "k", 4), "a", command("x"))
    with pytest.raises(ValueError, match="in use as"):
        await small.subscribe(Topic("t", Plane.MARKET_DATA, "k", 2))
    await small.publish(Topic("t", Plane.ORDERS, "k", 2), "a", command("x"))


async def test_impossible_bounds_are_refused(small: MemoryBus) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryBus(order_capacity=0)
    with pytest.raises(ValueError, match="at least 1"):
        await small.subscribe(order_topic(), capacity=0)
    with pytest.raises(ValueError, match="at least 1"):
        await (await small.subscribe(order_topic())).receive(0)
    with pytest.raises(ValueError, match="at least 1"):
        await small.replay(order_topic(), limit=0)


def test_the_partition_of_a_key_never_changes() -> None:
    # The published check value of CRC-32 is 0xCBF43926. A change here would reorder what is in flight in an update.
    assert partition_of("123456789", 256) == 0x26
    assert partition_of("123456789", 4) == 2
    assert partition_of("anything", 1) == 0


def test_rebalancing_moves_as_little_as_it_can() -> None:
    assert rebalanced([None] * 4, ["x"]) == ["x"] * 4
    assert sorted(str(o) for o in rebalanced(["x"] * 4, ["x", "y"])) == ["x", "x", "y", "y"]
    assert rebalanced(["x", "y", "x", "y"], ["x", "y"]) == ["x", "y", "x", "y"]
    assert rebalanced(["x", "y", "x", "y"], ["y"]) == ["y"] * 4
    assert rebalanced(["x", "y"], []) == [None, None]
    assert sorted(str(o) for o in rebalanced([None, None], ["x", "y", "z"])) == ["x", "y"]


async def test_connect_opens_a_memory_bus_of_its_own() -> None:
    first, second = await connect("memory://"), await connect("memory://")
    topic = order_topic()
    subscription = await second.subscribe(topic)
    await publish_all(first, topic, "a", ["one"])
    await assert_quiet(subscription)
    await first.close()
    await second.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nats://user:secret@broker:4222", "no bus transport for nats://; supported: "),
        ("http://broker", "no bus transport for http://"),
        ("memory", "a URL without a scheme"),
        ("", "a URL without a scheme"),
        ("memory://host/?size=3", "takes no host and no options"),
    ],
)
async def test_connect_says_what_it_can(url: str, said: str) -> None:
    with pytest.raises(UnsupportedTransport) as caught:
        await connect(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_new_transport_is_one_more_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    async def open_other(url: str) -> Bus:
        seen.append(url)
        return MemoryBus()

    monkeypatch.setitem(TRANSPORTS, "other", open_other)
    await (await connect("other://broker:1")).close()
    assert seen == ["other://broker:1"]


def _status(state: str) -> FeedStatusChanged:
    return FeedStatusChanged(
        event_id=state,
        correlation_id="",
        causation_id="",
        ts_event=1,
        ts_init=1,
        venue=Venue("SIM"),
        instrument_id=None,
        state=state,
    )
