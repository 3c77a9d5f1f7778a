"""The contract of a bus transport: subclass ``BusContract``, give it a ``transport`` fixture, and all of it runs.

Nothing here knows which transport it tests. Tests wait for what must come (with a time limit), never for a time to
pass, except where the contract is that nothing comes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import pytest
from bus_contract_kit import (
    QUIET_S,
    WAIT_S,
    Transport,
    assert_quiet,
    batch,
    batch_of,
    collect,
    command,
    dropped,
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

from tradewind.bus.interface import NO_OFFSET, Bus, BusClosed, Delivery, Start, Subscription
from tradewind.wire import encoding
from tradewind.wire.events import DeadLettered
from tradewind.wire.market_records import RecordFlag
from tradewind.wire.topics import Plane, dead_letters_of


class BusContract:
    """Every promise of ``tradewind.bus.interface``, as tests."""

    @pytest.fixture
    async def bus(self, transport: Transport) -> AsyncIterator[Bus]:
        bus = await transport.open()
        yield bus
        await bus.close()

    # Order plane: order and delivery

    async def test_messages_of_a_key_arrive_in_publish_order(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        subscription = await bus.subscribe(topic, group="reader")
        keys = [f"account-{number}" for number in range(8)]
        for number in range(50):
            for key in keys:
                await bus.publish(topic, key, command(f"{key}-{number}"))
        received = await collect(subscription, 400, commit=True)
        for key in keys:
            assert of_publisher(key, texts(received)) == numbered(key, 50)
        assert {d.key for d in received} == set(keys)
        assert len({d.partition for d in received}) > 1

    async def test_payload_key_and_times_arrive_as_published(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        message, before = command("whole"), time.time_ns()
        await bus.publish(topic, "SIM-main", message)
        [delivery] = await collect(subscription, 1)
        assert (delivery.topic, delivery.key) == (topic.name, "SIM-main")
        assert delivery.offset in (0, NO_OFFSET)
        assert delivery.payload == message
        assert before <= delivery.ts_publish <= time.time_ns()

    async def test_offsets_count_from_zero_per_partition(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        subscription = await bus.subscribe(topic)
        for number in range(40):
            await bus.publish(topic, f"account-{number % 10}", command(str(number)))
        received = await collect(subscription, 40)
        for partition in {d.partition for d in received}:
            offsets = [d.offset for d in received if d.partition == partition]
            assert offsets == list(range(len(offsets)))

    async def test_every_subscriber_without_a_group_gets_every_message(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        subscriptions = [await bus.subscribe(topic) for _ in range(3)]
        await publish_all(bus, topic, "a", numbered("a", 20))
        await publish_all(bus, topic, "b", numbered("b", 20))
        for subscription in subscriptions:
            received = texts(await collect(subscription, 40))
            assert of_publisher("a", received) == numbered("a", 20)
            assert of_publisher("b", received) == numbered("b", 20)

    async def test_a_subscriber_starts_at_the_latest_unless_it_asks_for_the_earliest(self, bus: Bus) -> None:
        topic = order_topic()
        await publish_all(bus, topic, "a", ["old"])
        latest = await bus.subscribe(topic)
        earliest = await bus.subscribe(topic, start=Start.EARLIEST)
        await publish_all(bus, topic, "a", ["new"])
        assert texts(await collect(latest, 1)) == ["new"]
        assert texts(await collect(earliest, 2)) == ["old", "new"]

    @pytest.mark.parametrize("plane", list(Plane))
    async def test_a_reader_can_begin_at_its_own_offsets(self, bus: Bus, plane: Plane) -> None:
        topic = order_topic(partitions=2) if plane is Plane.ORDERS else market_topic()
        for number in range(20):
            await bus.publish(topic, f"key-{number % 5}", batch(number))
        everything = await collect(await bus.subscribe(topic, start=Start.EARLIEST), 20)
        later = await bus.subscribe(topic, start={0: 3})
        wanted = [d for d in everything if d.partition or d.offset >= 3]
        received = await collect(later, len(wanted))
        assert sorted((d.partition, d.offset) for d in received) == sorted((d.partition, d.offset) for d in wanted)
        assert not any(has_gap(delivery) for delivery in received)
        await assert_quiet(later)

    async def test_what_a_topic_does_not_offer_is_refused(self, bus: Bus) -> None:
        with pytest.raises(ValueError, match="no groups"):
            await bus.subscribe(market_topic(), group="reader")
        with pytest.raises(ValueError, match="never drops"):
            await bus.subscribe(order_topic(), lossless=True)
        with pytest.raises(ValueError, match="its own position"):
            await bus.subscribe(order_topic(), group="reader", start={0: 1})
        with pytest.raises(ValueError, match="no offset"):
            await bus.subscribe(order_topic(), start={1: 0})
        with pytest.raises(ValueError, match="at least 1"):
            await bus.subscribe(order_topic(), capacity=0)

    async def test_receive_keeps_to_its_limit_and_its_timeout(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await assert_quiet(subscription)
        await publish_all(bus, topic, "a", numbered("a", 5))
        first = await subscription.receive(2, timeout_s=WAIT_S)
        assert 1 <= len(first) <= 2
        rest = await collect(subscription, 5 - len(first))
        assert texts(first + rest) == numbered("a", 5)
        await assert_quiet(subscription)

    # Order plane: groups

    async def test_members_of_a_group_share_the_messages(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        members = [await bus.subscribe(topic, group="reader") for _ in range(2)]
        for number in range(80):
            await bus.publish(topic, f"account-{number % 16}", command(str(number)))
        received = await self._drain(members, 80)
        assert sorted(texts(received[0] + received[1]), key=int) == [str(number) for number in range(80)]
        assert received[0]
        assert received[1]

    async def test_two_groups_each_get_everything(self, bus: Bus) -> None:
        topic = order_topic()
        one, two = await bus.subscribe(topic, group="one"), await bus.subscribe(topic, group="two")
        await publish_all(bus, topic, "a", numbered("a", 10))
        assert texts(await collect(one, 10, commit=True)) == numbered("a", 10)
        assert texts(await collect(two, 10)) == numbered("a", 10)

    async def test_uncommitted_messages_come_again_to_the_next_member(self, bus: Bus) -> None:
        topic = order_topic()
        first = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 10))
        await collect(first, 4)
        await first.commit()
        await collect(first, 3)
        await first.close()
        second = await bus.subscribe(topic, group="reader")
        assert texts(await collect(second, 6)) == numbered("a", 6, first=4)

    async def test_committed_messages_do_not_come_again(self, bus: Bus) -> None:
        topic = order_topic()
        first = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 10))
        await collect(first, 10, commit=True)
        await first.close()
        second = await bus.subscribe(topic, group="reader", start=Start.EARLIEST)
        await assert_quiet(second)

    async def test_a_group_keeps_what_comes_while_it_has_no_member(self, bus: Bus) -> None:
        topic = order_topic()
        await (await bus.subscribe(topic, group="reader")).close()
        await publish_all(bus, topic, "a", numbered("a", 3))
        again = await bus.subscribe(topic, group="reader")
        assert texts(await collect(again, 3)) == numbered("a", 3)

    async def test_a_waiting_member_takes_over_from_one_that_leaves(self, bus: Bus) -> None:
        topic = order_topic()
        first = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 3))
        await collect(first, 3)
        second = await bus.subscribe(topic, group="reader")
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(collect(second, 3))
            await asyncio.sleep(0)
            await first.close()
        assert texts(waiting.result()) == numbered("a", 3)

    async def test_a_member_that_joins_gets_a_share_and_nothing_is_lost(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        first = await bus.subscribe(topic, group="reader")
        keys = [f"account-{number}" for number in range(16)]
        for key in keys:
            await publish_all(bus, topic, key, numbered(key, 3))
        before = await collect(first, 48, commit=True)
        second = await bus.subscribe(topic, group="reader")
        for key in keys:
            await publish_all(bus, topic, key, numbered(key, 3, first=3))
        after = await self._drain([first, second], 48)
        assert after[1]
        for key in keys:
            story = [m for part in (before, *after) for m in of_publisher(key, texts(part))]
            assert list(dict.fromkeys(story)) == numbered(key, 6)

    # Replay and dead letters

    async def test_replay_from_an_offset(self, bus: Bus) -> None:
        topic = order_topic()
        await publish_all(bus, topic, "a", numbered("a", 10))
        assert texts(await bus.replay(topic, from_offset=7)) == numbered("a", 3, first=7)
        assert texts(await bus.replay(topic, from_offset=2, limit=2)) == numbered("a", 2, first=2)
        assert texts(await bus.replay(topic)) == numbered("a", 10)
        assert list(await bus.replay(topic, from_offset=10)) == []

    async def test_replay_from_a_time(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        for key in ("a", "b", "c"):
            await publish_all(bus, topic, key, numbered(key, 3))
        await asyncio.sleep(0.005)  # Brokers keep publish times in milliseconds.
        since = time.time_ns()
        await asyncio.sleep(0.005)
        for key in ("a", "b", "c"):
            await publish_all(bus, topic, key, numbered(key, 3, first=3))
        replayed = texts(await bus.replay(topic, from_time_ns=since))
        assert len(replayed) == 9
        for key in ("a", "b", "c"):
            assert of_publisher(key, replayed) == numbered(key, 3, first=3)

    async def test_a_topic_describes_what_it_keeps_and_who_is_behind(self, bus: Bus) -> None:
        topic = order_topic(partitions=2)
        fast, slow = await bus.subscribe(topic, group="fast"), await bus.subscribe(topic, group="slow")
        for number in range(20):
            await bus.publish(topic, f"key-{number % 5}", command(str(number)))
        await collect(fast, 20, commit=True)
        await collect(slow, 20)
        described = await bus.describe(topic)
        assert described.topic == topic.name
        assert [kept.first for kept in described.partitions] == [0, 0]
        assert sum(kept.end for kept in described.partitions) == 20
        assert set(described.lag) == {"fast", "slow"}
        assert sum(described.lag["fast"].values()) == 0
        assert sum(described.lag["slow"].values()) == 20

    async def test_replay_refuses_two_starts(self, bus: Bus) -> None:
        with pytest.raises(ValueError, match="not from both"):
            await bus.replay(order_topic(), from_offset=1, from_time_ns=1)

    async def test_replay_takes_nothing_from_a_group(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 3))
        await bus.replay(topic)
        assert texts(await collect(subscription, 3)) == numbered("a", 3)

    async def test_a_dead_letter_keeps_the_message_and_the_reason(self, bus: Bus) -> None:
        topic = order_topic()
        aside = await bus.subscribe(dead_letters_of(topic.name), start=Start.EARLIEST)
        subscription = await bus.subscribe(topic, group="reader")
        poison = command("poison")
        await bus.publish(topic, "a", poison)
        await publish_all(bus, topic, "a", ["good"])
        delivery, good = await collect(subscription, 2)
        await subscription.dead_letter(delivery, "instrument is not known")
        await subscription.commit()
        [letter] = await collect(aside, 1)
        wrapper = letter.payload
        assert isinstance(wrapper, DeadLettered)
        assert wrapper.reason == "instrument is not known"
        assert (wrapper.topic, wrapper.key, wrapper.partition) == (topic.name, "a", 0)
        assert wrapper.offset == delivery.offset
        assert (wrapper.causation_id, wrapper.correlation_id) == (poison.event_id, poison.correlation_id)
        assert encoding.decode(wrapper.message_type, wrapper.message_version, wrapper.payload) == poison
        assert text_of(good) == "good"
        assert statistics_of(bus, topic, "reader").dead_lettered == 1

    # Back-pressure

    async def test_a_full_partition_makes_publish_wait_for_a_commit(self, bus: Bus, transport: Transport) -> None:
        capacity = self._capacity(transport)
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", capacity))
        async with asyncio.TaskGroup() as tasks:
            late = [tasks.create_task(publish_all(bus, topic, "a", [f"late-{number}"])) for number in range(3)]
            await asyncio.sleep(QUIET_S)
            assert not any(task.done() for task in late)
            assert len(await collect(subscription, capacity)) == capacity
            await asyncio.sleep(QUIET_S)
            assert not any(task.done() for task in late), "received is not committed"
            await subscription.commit()
            assert texts(await collect(subscription, 3)) == numbered("late", 3)
        assert bus.statistics().publish_waits == 3

    async def test_the_slowest_group_decides_when_publish_waits(self, bus: Bus, transport: Transport) -> None:
        capacity = self._capacity(transport)
        topic = order_topic()
        fast = await bus.subscribe(topic, group="fast")
        slow = await bus.subscribe(topic, group="slow")
        await publish_all(bus, topic, "a", numbered("a", capacity))
        await collect(fast, capacity, commit=True)
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(publish_all(bus, topic, "a", ["late"]))
            await asyncio.sleep(QUIET_S)
            assert not late.done()
            await collect(slow, capacity, commit=True)
        assert texts(await collect(fast, 1)) == ["late"]

    async def test_a_subscriber_without_a_group_pushes_back_at_its_own_capacity(
        self, bus: Bus, transport: Transport
    ) -> None:
        self._capacity(transport)
        topic = order_topic()
        subscription = await bus.subscribe(topic, capacity=3)
        await publish_all(bus, topic, "a", numbered("a", 3))
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(publish_all(bus, topic, "a", numbered("a", 3, first=3)))
            await asyncio.sleep(QUIET_S)
            assert not late.done()
            assert texts(await collect(subscription, 6)) == numbered("a", 6)

    async def test_many_publishers_each_keep_their_order(self, bus: Bus) -> None:
        topic = order_topic(partitions=4)
        subscription = await bus.subscribe(topic, group="reader")
        publishers = [f"publisher{number}" for number in range(40)]
        async with asyncio.TaskGroup() as tasks:
            for publisher in publishers:
                tasks.create_task(publish_all(bus, topic, publisher, numbered(publisher, 25)))
            received = await collect(subscription, 1000, commit=True)
        for publisher in publishers:
            assert of_publisher(publisher, texts(received)) == numbered(publisher, 25)
        await assert_quiet(subscription)

    # Market-data plane

    async def test_batches_arrive_in_order_with_equal_records(self, bus: Bus) -> None:
        topic = market_topic()
        subscription = await bus.subscribe(topic)
        sent = [batch(number * 2) for number in range(50)]
        for each in sent:
            await bus.publish(topic, "SIM", each)
        received = [batch_of(d) for d in await collect(subscription, 50)]
        assert [b.to_bytes() for b in received] == [b.to_bytes() for b in sent]
        assert not any(b.records.flags.writeable for b in received)

    async def test_a_slow_subscriber_loses_the_oldest_and_is_told_by_a_gap(self, bus: Bus) -> None:
        topic = market_topic()
        slow = await bus.subscribe(topic, capacity=4)
        quick = await bus.subscribe(topic, capacity=1000)
        async with asyncio.timeout(WAIT_S):
            for number in range(10):
                await bus.publish(topic, "SIM", batch(number * 2))
        everything = await collect(quick, 10)
        await dropped(bus, topic, 12)
        received = await collect(slow, 4)
        assert [int(batch_of(d).records["sequence"][0]) for d in received] == [12, 14, 16, 18]
        assert [has_gap(d) for d in received] == [True, False, False, False]
        assert not batch_of(received[0]).records["flags"][1] & RecordFlag.GAP
        assert not any(has_gap(d) for d in everything)
        counted = next(s for s in bus.statistics().subscriptions if s.topic == topic.name and s.gaps)
        assert (counted.gaps, counted.dropped_records) == (1, 12)

    async def test_each_gap_is_told_once(self, bus: Bus) -> None:
        topic = market_topic()
        subscription = await bus.subscribe(topic, capacity=1)
        flags = []
        for number in range(4):
            for part in range(1 + number % 2):
                await bus.publish(topic, "SIM", batch(number * 4 + part * 2))
            await dropped(bus, topic, (number + 1) // 2 * 2)
            flags.append(has_gap((await collect(subscription, 1))[0]))
        assert flags == [False, True, False, True]
        assert statistics_of(bus, topic).gaps == 2

    async def test_a_lossless_reader_that_is_slow_loses_nothing(self, bus: Bus) -> None:
        topic = market_topic()
        slow = await bus.subscribe(topic, capacity=4, lossless=True)
        for number in range(200):
            await bus.publish(topic, "SIM", batch(number * 2))
        received = await collect(slow, 200)
        assert [int(batch_of(d).records["sequence"][0]) for d in received] == [number * 2 for number in range(200)]
        assert not any(has_gap(delivery) for delivery in received)
        assert statistics_of(bus, topic).gaps == 0

    async def test_market_data_can_be_published_from_a_callback(self, bus: Bus) -> None:
        topic = market_topic()
        subscription = await bus.subscribe(topic)
        for number in range(20):
            bus.publish_now(topic, "SIM", batch(number * 2))
        received = await collect(subscription, 20)
        assert [int(batch_of(d).records["sequence"][0]) for d in received] == [number * 2 for number in range(20)]
        with pytest.raises(ValueError, match="order plane"):
            bus.publish_now(order_topic(), "a", command("may wait"))
        await bus.close()
        with pytest.raises(BusClosed):
            bus.publish_now(topic, "SIM", batch(0))

    async def test_market_data_can_be_replayed(self, bus: Bus) -> None:
        topic = market_topic()
        for number in range(5):
            await bus.publish(topic, "SIM", batch(number * 2))
        replayed = await bus.replay(topic, from_offset=3)
        assert [int(batch_of(d).records["sequence"][0]) for d in replayed] == [6, 8]

    # Size, closing, cancelling, counting

    async def test_a_message_of_900_kilobytes_passes(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await bus.publish(topic, "a", command("x" * 900_000))
        [delivery] = await collect(subscription, 1)
        assert len(text_of(delivery)) == 900_000
        market = market_topic()
        batches = await bus.subscribe(market)
        await bus.publish(market, "SIM", batch(0, records=14_000))
        [delivery] = await collect(batches, 1)
        assert len(batch_of(delivery).records) == 14_000

    async def test_a_closed_bus_refuses_everything(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", ["one"])
        await bus.close()
        with pytest.raises(BusClosed):
            await publish_all(bus, topic, "a", ["two"])
        with pytest.raises(BusClosed):
            await bus.subscribe(topic)
        with pytest.raises(BusClosed):
            await bus.replay(topic)
        with pytest.raises(BusClosed):
            await subscription.receive()
        with pytest.raises(BusClosed):
            await subscription.commit()
        await bus.close()

    @pytest.mark.parametrize("plane", list(Plane))
    async def test_closing_the_bus_ends_a_waiting_receive(self, bus: Bus, plane: Plane) -> None:
        topic = order_topic() if plane is Plane.ORDERS else market_topic()
        subscription = await bus.subscribe(topic)
        assert await self._error_when_closed(subscription, bus) is BusClosed

    async def test_closing_a_subscription_ends_its_receive_only(self, bus: Bus) -> None:
        topic = order_topic()
        subscription, other = await bus.subscribe(topic), await bus.subscribe(topic)
        assert await self._error_when_closed(subscription, subscription) is BusClosed
        await publish_all(bus, topic, "a", ["one"])
        assert texts(await collect(other, 1)) == ["one"]

    async def test_closing_the_bus_ends_a_waiting_publish(self, bus: Bus, transport: Transport) -> None:
        capacity = self._capacity(transport)
        topic = order_topic()
        await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", capacity))
        waiting = asyncio.gather(*(publish_all(bus, topic, "a", ["late"]) for _ in range(3)), return_exceptions=True)
        await asyncio.sleep(QUIET_S)
        await bus.close()
        assert [type(error) for error in await waiting] == [BusClosed] * 3

    @pytest.mark.parametrize("group", ["reader", None])
    async def test_a_cancelled_receive_loses_nothing(self, bus: Bus, group: str | None) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group=group)
        received: list[Delivery] = []
        for number in range(60):
            waiting = asyncio.ensure_future(subscription.receive())
            await asyncio.sleep(0)
            await bus.publish(topic, "a", command(f"a-{number}"))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received += await waiting
        received += await collect(subscription, 60 - len(received))
        assert texts(received) == numbered("a", 60)

    async def test_statistics_count_what_happened(self, bus: Bus) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        before = bus.statistics().published
        await publish_all(bus, topic, "a", numbered("a", 5))
        await collect(subscription, 2)
        async with asyncio.timeout(WAIT_S):
            while (counted := statistics_of(bus, topic, "reader")).lag != 3:
                await asyncio.sleep(0.001)  # A broker tells how far it is with what it delivers.
        assert bus.statistics().published == before + 5
        assert counted.delivered == 2
        assert (counted.gaps, counted.dropped_records) == (0, 0)

    async def test_what_was_published_and_committed_survives_a_restart(self, bus: Bus, transport: Transport) -> None:
        if not transport.survives_restart:
            pytest.skip("this transport lives and dies with its process")
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 5))
        await collect(subscription, 2, commit=True)
        returned = await transport.restart()
        await bus.close()  # Else the first member comes back by itself and keeps its partition.
        again = await returned.subscribe(topic, group="reader")
        assert texts(await collect(again, 3)) == numbered("a", 3, first=2)

    # What the tests share

    @staticmethod
    def _capacity(transport: Transport) -> int:
        if transport.order_capacity is None:
            pytest.skip("the broker of this transport has no bound that publish could wait for")
        return transport.order_capacity

    @staticmethod
    async def _drain(members: Sequence[Subscription], count: int) -> list[list[Delivery]]:
        received: list[list[Delivery]] = [[] for _ in members]
        async with asyncio.timeout(WAIT_S):
            while sum(len(part) for part in received) < count:
                for part, member in zip(received, members, strict=True):
                    part += await member.receive(timeout_s=0.01)
                    await member.commit()
        return received

    @staticmethod
    async def _error_when_closed(subscription: Subscription, closable: Bus | Subscription) -> type[BaseException]:
        waiting = asyncio.gather(subscription.receive(), return_exceptions=True)
        await asyncio.sleep(QUIET_S)
        await closable.close()
        async with asyncio.timeout(WAIT_S):
            [error] = await waiting
        assert isinstance(error, BaseException)
        return type(error)
