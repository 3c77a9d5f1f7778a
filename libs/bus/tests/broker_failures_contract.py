"""What every broker transport must stand: members that die or freeze, a broker that is killed or frozen in mid-stream.

Subclass ``BrokerFailuresContract`` and give it a fixture ``broker`` (start, kill, freeze, thaw) and a fixture ``url``
with options that make it quick to notice what is dead.
"""

import asyncio
import contextlib
import itertools
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest
from bus_contract import (
    WAIT_S,
    assert_quiet,
    collect,
    command,
    numbered,
    of_publisher,
    order_topic,
    publish_all,
    text_of,
    texts,
)

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus, BusClosed, Delivery, Start, Subscription
from tradewind.wire.topics import Topic

MEMBER: Final = Path(__file__).with_name("kafka_member.py")
LONG_S: Final = 45.0


class Broker(Protocol):
    """A broker of this test alone. All calls block."""

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


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
async def member(url: str, topic: Topic, effects: Effects, mode: str) -> AsyncIterator[Member]:
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


async def until_complete(subscription: Subscription) -> list[str]:
    """Everything received until the last message of each publisher is there."""
    received: list[str] = []
    while not {f"{key}-149" for key in "abcd"} <= set(received):
        received += texts(await subscription.receive())
        await subscription.commit()
    return received


class BrokerFailuresContract:
    """Every promise that is kept through a failure."""

    @pytest.fixture
    async def bus(self, url: str) -> AsyncIterator[Bus]:
        bus = await connect(url)
        yield bus
        await bus.close()

    async def settled(self) -> None:
        """Until the broker has written down what was just declared."""

    # Members

    async def test_what_a_killed_process_had_not_committed_comes_to_another(
        self, bus: Bus, url: str, tmp_path: Path
    ) -> None:
        topic, effects = order_topic(partitions=2), Effects(tmp_path)
        async with member(url, topic, effects, "hold") as first:
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
        self, bus: Bus, url: str, tmp_path: Path
    ) -> None:
        topic, effects = order_topic(partitions=2), Effects(tmp_path)
        async with member(url, topic, effects, "hold") as first:
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

    async def test_a_rebalance_waits_for_the_commit_of_what_was_received(self, bus: Bus) -> None:
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

    # The broker

    async def test_orders_pass_through_a_broker_that_is_killed_in_mid_stream(self, bus: Bus, broker: Broker) -> None:
        topic = order_topic(partitions=2)
        member, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)
        await self.settled()

        async def publish(key: str) -> None:
            for number in range(150):
                await bus.publish(topic, key, command(f"{key}-{number}"))
                await asyncio.sleep(0.01)

        async with asyncio.timeout(LONG_S), asyncio.TaskGroup() as tasks:
            publishers = [tasks.create_task(publish(key)) for key in "abcd"]
            received = [tasks.create_task(until_complete(each)) for each in (member, alone)]
            await asyncio.sleep(0.5)
            await asyncio.to_thread(broker.kill)
            assert not any(publisher.done() for publisher in publishers)
            await asyncio.to_thread(broker.start)
        for each in received:
            for key in "abcd":
                assert list(dict.fromkeys(of_publisher(key, each.result()))) == numbered(key, 150)

    async def test_orders_pass_through_a_broker_that_is_frozen_for_a_while(self, bus: Bus, broker: Broker) -> None:
        topic = order_topic()
        member, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)
        await publish_all(bus, topic, "a", numbered("a", 5))
        assert texts(await collect(member, 5, commit=True)) == numbered("a", 5)
        broker.freeze()
        late = asyncio.ensure_future(publish_all(bus, topic, "a", numbered("a", 5, first=5)))
        await asyncio.sleep(4.0)  # Longer than a request and a session may take.
        assert not late.done()
        broker.thaw()
        async with asyncio.timeout(LONG_S):
            await late
            received: list[str] = []
            while "a-9" not in received:
                received += texts(await member.receive())
                await member.commit()
        assert list(dict.fromkeys(received)) == numbered("a", 5, first=5)
        assert texts(await collect(alone, 10)) == numbered("a", 10)

    async def test_a_publish_waits_for_the_broker_and_a_cancelled_one_is_withdrawn(
        self, bus: Bus, broker: Broker
    ) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic)
        await publish_all(bus, topic, "a", ["before"])
        await self.settled()
        await asyncio.to_thread(broker.kill)
        waiting = [asyncio.ensure_future(publish_all(bus, topic, "a", [text])) for text in ("one", "given up", "two")]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        waiting[1].cancel()
        await asyncio.gather(waiting[1], return_exceptions=True)
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(LONG_S):
            await asyncio.gather(waiting[0], waiting[2])
        received: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while "two" not in received:
                received += texts(await subscription.receive())
        # It may have left before it was given up, but nobody was told that it had arrived.
        assert [text for text in received if text != "given up"] == ["before", "one", "two"]

    async def test_closing_while_the_broker_is_away_fails_who_waits(self, broker: Broker, url: str) -> None:
        bus = await connect(url)
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", ["before"])
        await collect(subscription, 1)
        await self.settled()
        await asyncio.to_thread(broker.kill)
        waiting = [
            asyncio.ensure_future(publish_all(bus, topic, "a", ["late"])),
            asyncio.ensure_future(subscription.receive()),
        ]
        await asyncio.sleep(0.5)
        assert not any(task.done() for task in waiting)
        async with asyncio.timeout(LONG_S):
            await bus.close()
            errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in errors] == [BusClosed] * 2

    async def test_closing_while_the_broker_is_frozen_ends(self, broker: Broker, url: str) -> None:
        bus = await connect(url)
        topic = order_topic()
        await bus.subscribe(topic, group="reader")
        await bus.subscribe(topic, start=Start.EARLIEST)
        await publish_all(bus, topic, "a", ["before"])
        broker.freeze()
        late = asyncio.ensure_future(publish_all(bus, topic, "a", ["late"]))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(LONG_S):
            await bus.close()
        assert isinstance((await asyncio.gather(late, return_exceptions=True))[0], BusClosed)
        broker.thaw()
