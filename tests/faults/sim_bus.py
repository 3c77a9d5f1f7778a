"""The simulated broker: at least once, in every way. Topics are logs; groups keep committed positions.

Order: per partition as published. A redelivery goes back to the group's committed position; a member that comes or goes
moves the partitions; what was received and not committed is then delivered again. A commit of a member that has lost
its partitions is ignored. A publish reaches the log between its way there and its way back.
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tradewind.bus.interface import (
    BusClosed,
    BusStatistics,
    Delivery,
    Offsets,
    PartitionRange,
    Payload,
    Start,
    TopicDescription,
)
from tradewind.bus.partitions import partition_of
from tradewind.wire.topics import Plane, Topic, dead_letters_of

if TYPE_CHECKING:
    from faults.processes import Process
    from faults.world import World

SESSION_TIMEOUT_S = 3.0
"""A member that is frozen for so long loses its partitions to the others."""


@dataclasses.dataclass(slots=True)
class Group:
    """A position per partition, and who reads: the member that joined last reads all."""

    committed: list[int]
    position: list[int]
    members: list["SimulatedSubscription"] = dataclasses.field(default_factory=list)

    def rebalance(self) -> None:
        """Everything that was not committed is delivered again."""
        self.position = list(self.committed)


class Broker:
    """All topics."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.logs: dict[str, list[list[Delivery]]] = {}
        self.groups: dict[tuple[str, str], Group] = {}
        self.readers: dict[str, list[SimulatedSubscription]] = {}

    def log(self, topic: Topic) -> list[list[Delivery]]:
        """The partitions of a topic."""
        return self.logs.setdefault(topic.name, [[] for _ in range(topic.partitions)])

    def append(self, topic: Topic, key: str, payload: Payload) -> None:
        """A message is in; readers are told after the way to them."""
        log = self.log(topic)
        partition = partition_of(key, len(log))
        entries = log[partition]
        now = self.world.scheduler.now_ns
        entries.append(Delivery(topic.name, partition, len(entries), key, payload, now))
        for reader in self.readers.get(topic.name, ()):
            self.world.scheduler.after(self.world.delay_s(0.0002, 0.003), reader.wake)

    def messages(self, topic: Topic) -> list[Payload]:
        """All that was ever published, by partition."""
        return [delivery.payload for entries in self.log(topic) for delivery in entries]

    def group(self, topic: Topic, name: str, start: Start) -> Group:
        """A group, made when it first appears."""
        known = self.groups.get((topic.name, name))
        if known is None:
            log = self.log(topic)
            begin = [0 if start is Start.EARLIEST else len(entries) for entries in log]
            known = self.groups[topic.name, name] = Group(begin, list(begin))
        return known


class SimulatedSubscription:
    """One reader. ``group`` None: it reads everything from where it began."""

    def __init__(
        self, bus: "SimulatedBus", topic: Topic, group: Group | None, begin: list[int], *, conflates: bool
    ) -> None:
        self._bus = bus
        self._broker = bus.broker
        self._topic = topic
        self._group = group
        self._position = begin
        self._conflates = conflates
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        self._broker.readers.setdefault(topic.name, []).append(self)
        if group is not None:
            group.members.append(self)
            group.rebalance()

    @property
    def process(self) -> "Process":
        """Whose it is."""
        return self._bus.process

    def wake(self) -> None:
        """Something may be there."""
        if self._waiter is not None:
            self.process.settle(self._waiter, None)

    async def receive(self, limit: int = 256, timeout_s: float | None = None) -> list[Delivery]:
        world = self._broker.world
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        while True:
            if self._closed:
                raise BusClosed("the subscription is closed")
            if found := self._take(limit):
                break
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._waiter
            except TimeoutError:
                return []
        if self._topic.plane is Plane.ORDERS:
            fault = world.fault("bus.receive", self.process)
            if fault is not None:
                await self._disturb(fault)
        return found

    async def _disturb(self, fault: Any) -> None:
        world = self._broker.world
        if fault.fault == "crash_after":
            self.process.crash()
            await asyncio.get_running_loop().create_future()
        elif fault.fault == "slow":
            await asyncio.sleep(world.magnitude(fault, 0.1, 2.0))
        elif self._group is not None:
            world.scheduler.after(world.magnitude(fault, 0.0, 0.5), self._rebalance)

    def _rebalance(self) -> None:
        if self._group is not None:
            self._group.rebalance()
            for member in self._group.members:
                member.wake()

    def _take(self, limit: int) -> list[Delivery]:
        if self._group is not None and self._group.members[-1] is not self:
            return []
        position = self._group.position if self._group is not None else self._position
        found: list[Delivery] = []
        log = self._broker.log(self._topic)
        if self._conflates:
            position[:] = [max(at, len(entries) - 1) for at, entries in zip(position, log, strict=True)]
        # The partitions come in an order of their own each time: only the order within one is promised.
        first = self._broker.world.dice("partitions", len(log))
        for index in [*range(first, len(log)), *range(first)]:
            entries = log[index]
            taken = entries[position[index] : position[index] + limit - len(found)]
            position[index] += len(taken)
            found += taken
        return found

    async def commit(self) -> None:
        if self._closed:
            raise BusClosed("the subscription is closed")
        if self._group is None:
            return
        process, world = self.process, self._broker.world
        fault = world.fault("bus.commit", process)
        kind = fault.fault if fault else ""
        position = list(self._group.position)
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            group = self._group
            if kind != "lost" and group is not None and group.members and group.members[-1] is self:
                group.committed = [max(was, now) for was, now in zip(group.committed, position, strict=True)]
            if kind == "crash_after":
                process.crash()
            world.scheduler.after(world.delay_s(0.0002, 0.002), process.settle, answer, None)

        if kind == "crash_before":
            process.crash()
        else:
            world.scheduler.after(world.delay_s(0.0002, 0.002), arrive)
        await answer

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        await self._bus.publish(dead_letters_of(self._topic.name), delivery.key, delivery.payload)

    async def close(self) -> None:
        self.leave()

    def stand_back(self) -> None:
        """Others of the group come first from now on; alone it keeps everything."""
        if not self._closed and self._group is not None and len(self._group.members) > 1:
            self._group.members.remove(self)
            self._group.members.insert(0, self)
            self._rebalance()

    def leave(self) -> None:
        """It reads no more; the group's other members get what it has not committed."""
        if self._closed:
            return
        self._closed = True
        self._broker.readers[self._topic.name].remove(self)
        if self._group is not None:
            self._group.members.remove(self)
            self._rebalance()
        if self._waiter is not None:
            self.process.settle(self._waiter, None)


class SimulatedBus:
    """One process's connection to the broker."""

    def __init__(self, broker: Broker, process: "Process") -> None:
        self.broker = broker
        self.process = process
        self.subscriptions: list[SimulatedSubscription] = []

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        world, process = self.broker.world, self.process
        fault = world.fault("bus.publish", process)
        kind = fault.fault if fault else ""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            for _ in range(2 if kind == "doubled" else 1):
                self.broker.append(topic, key, payload)
            if kind == "crash_after":
                process.crash()
            world.scheduler.after(world.delay_s(0.0001, 0.001), process.settle, answer, None)

        if kind == "crash_before":
            process.crash()
        else:
            slow_s = world.magnitude(fault, 0.1, 3.0) if kind == "slow" else 0.0
            world.scheduler.after(slow_s + world.delay_s(0.0001, 0.001), arrive)
        await answer

    def publish_now(self, topic: Topic, key: str, payload: Payload) -> None:
        self.broker.append(topic, key, payload)

    async def subscribe(
        self,
        topic: Topic,
        *,
        group: str | None = None,
        start: Start | Offsets = Start.LATEST,
        capacity: int = 4096,
        lossless: bool = False,
    ) -> SimulatedSubscription:
        await asyncio.sleep(self.broker.world.delay_s(0.001, 0.01))
        log = self.broker.log(topic)
        if not isinstance(start, Start):
            begin = [start.get(index, 0) for index in range(len(log))]
        else:
            begin = [0 if start is Start.EARLIEST else len(entries) for entries in log]
        of_group = (
            None
            if group is None
            else self.broker.group(topic, group, start if isinstance(start, Start) else Start.EARLIEST)
        )
        subscription = SimulatedSubscription(
            self, topic, of_group, begin, conflates=topic.plane is Plane.MARKET_DATA and not lossless
        )
        self.subscriptions.append(subscription)
        return subscription

    async def replay(
        self, topic: Topic, *, from_offset: int | None = None, from_time_ns: int | None = None, limit: int = 10_000
    ) -> Sequence[Delivery]:
        found = [d for entries in self.broker.log(topic) for d in entries[from_offset or 0 :]]
        return [d for d in found if from_time_ns is None or d.ts_publish >= from_time_ns][:limit]

    async def describe(self, topic: Topic) -> TopicDescription:
        ranges = tuple(PartitionRange(0, len(entries)) for entries in self.broker.log(topic))
        return TopicDescription(topic.name, ranges, {})

    def statistics(self) -> BusStatistics:
        return BusStatistics()

    async def close(self) -> None:
        self.cut()

    def lose_partitions(self) -> None:
        """The broker has not heard of the process for too long: the other members of its groups read instead."""
        for subscription in self.subscriptions:
            subscription.stand_back()

    def cut(self) -> None:
        """The process is gone: its members leave."""
        for subscription in self.subscriptions:
            subscription.leave()
        self.subscriptions.clear()
