"""Order plane of the memory transport: partition logs, consumer groups with committed offsets, back-pressure.

Order: a partition is a list, appended in publish order; publishers that must wait stand in one queue per partition, so
that none overtakes another. Bound: a partition keeps at most ``capacity`` messages that some reader has not committed
plus ``retention`` that all have (and up to ``retention / 8`` more, because it is trimmed in strides). When full:
``publish`` waits. On cancel: a waiting publish that is cancelled is withdrawn; one already admitted stays published.

A topic without any reader keeps the last ``retention`` messages and drops the oldest. That breaks no promise: "never
dropped" is made to readers, an order is durable in the store before it is told here, and a publisher that waited for a
reader that may never come would stop the platform because of a topic nobody wants. A group, once it exists, is a
reader for ever, also while it has no member: what it has not committed is kept, and pushes back.
"""

import asyncio
import collections
import contextlib
import heapq
import itertools
import operator
import sys
import time
from collections.abc import Iterator
from typing import Final

from tradewind.bus.interface import BusClosed, Delivery, Offsets, PartitionRange, Payload, Start, TopicDescription
from tradewind.bus.memory_subscriptions import DeadLetterPublish, MemorySubscription
from tradewind.bus.partitions import partition_of, rebalanced
from tradewind.wire.topics import Topic

_UNBOUNDED: Final = sys.maxsize


class Admission:
    """The place in line of one message whose partition is full."""

    __slots__ = ("_future", "_log", "key", "payload", "topic")

    def __init__(self, log: "PartitionLog", topic: str, key: str, payload: Payload) -> None:
        self.topic = topic
        self.key = key
        self.payload = payload
        self._log = log
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        """Until the message is in.

        Raises:
            BusClosed: the bus was closed first.
        """
        try:
            await self._future
        except asyncio.CancelledError:
            self._log.withdraw(self)
            if not self._future.cancelled():
                self._future.exception()  # Else asyncio reports it as never retrieved.
            raise

    def settle(self, error: BusClosed | None = None) -> bool:
        """Let the publisher go on, or fail; False when it was cancelled and must not be served."""
        if self._future.done():
            return False
        if error is None:
            self._future.set_result(None)
        else:
            self._future.set_exception(error)
        return True


class PartitionLog:
    """The messages of one partition, from offset ``base`` up to but not including ``end``."""

    __slots__ = ("_retention", "_stride", "_trim_at", "_waiting", "base", "end", "entries", "index", "limit", "owners")

    def __init__(self, index: int, retention: int) -> None:
        self.index = index
        self.entries: list[Delivery] = []
        self.base = 0
        self.end = 0
        self.limit = _UNBOUNDED
        """``publish`` waits while ``end`` is here: the slowest reader's committed offset plus its capacity."""
        self.owners: list[OrderSubscription] = []
        """The subscriptions that read this partition now."""
        self._waiting: collections.deque[Admission] = collections.deque()
        self._retention = retention
        self._stride = max(retention // 8, 1)
        self._trim_at = retention + self._stride

    def append(self, topic: str, key: str, payload: Payload) -> None:
        """Add one message and wake who sleeps."""
        end = self.end
        self.entries.append(Delivery(topic, self.index, end, key, payload, time.time_ns()))
        self.end = end + 1
        for owner in self.owners:
            if owner.wake_up.future is not None:
                owner.wake_up.wake()
        if self.limit == _UNBOUNDED and len(self.entries) >= self._trim_at:
            self._trim(self.end)

    def queue(self, topic: str, key: str, payload: Payload) -> Admission:
        """Stand in line behind the publishers that wait already."""
        admission = Admission(self, topic, key, payload)
        self._waiting.append(admission)
        return admission

    def withdraw(self, admission: Admission) -> None:
        """Take a cancelled publisher out of the line, if it still stands there."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(admission)

    def readers_moved(self, readers: list["OrderReader"]) -> None:
        """A reader came, went or committed: admit who waits and trim what none needs any more."""
        index = self.index
        limit, needed_from = _UNBOUNDED, self.end
        for reader in readers:
            committed = reader.committed[index]
            limit = min(limit, committed + reader.capacity)
            needed_from = min(needed_from, committed)
        self.limit = limit
        while self._waiting and self.end < limit:
            admission = self._waiting.popleft()
            if admission.settle():
                self.append(admission.topic, admission.key, admission.payload)
        self._trim(needed_from)

    def refuse_waiting(self, error: BusClosed) -> None:
        """Fail every publisher that waits."""
        for admission in self._waiting:
            admission.settle(error)
        self._waiting.clear()

    def _trim(self, needed_from: int) -> None:
        surplus = needed_from - self._retention - self.base
        if surplus >= self._stride:
            del self.entries[:surplus]
            self.base += surplus


class OrderReader:
    """A position in every partition: a group, or one subscriber without a group that commits as it receives."""

    def __init__(self, name: str | None, committed: list[int], capacity: int) -> None:
        self.name = name
        self.committed = committed
        self.position = list(committed)
        self.capacity = capacity
        self.members: list[OrderSubscription] = []
        self.owners: list[OrderSubscription | None] = [None] * len(committed)

    def rebalance(self) -> None:
        """Share the partitions among the members; a partition that changes hands goes back to its committed offset."""
        before = self.owners
        self.owners = rebalanced(before, self.members)
        for partition, (old, new) in enumerate(zip(before, self.owners, strict=True)):
            if old is not new:
                self.position[partition] = self.committed[partition]


class OrderChannel:
    """One topic: its partitions and who reads them."""

    def __init__(self, topic: Topic, capacity: int, retention: int, publish_dead_letter: DeadLetterPublish) -> None:
        self.topic = topic
        self.logs = [PartitionLog(index, retention) for index in range(topic.partitions)]
        self.subscriptions: list[OrderSubscription] = []
        self._capacity = capacity
        self._publish_dead_letter = publish_dead_letter
        self._readers: list[OrderReader] = []

    def publish(self, key: str, payload: Payload) -> Admission | None:
        """Append, or stand in line: then the answer is what to wait for."""
        log = self.logs[partition_of(key, len(self.logs))]
        if log.end >= log.limit:
            return log.queue(self.topic.name, key, payload)
        log.append(self.topic.name, key, payload)
        return None

    def subscribe(self, group: str | None, start: Start | Offsets, capacity: int) -> "OrderSubscription":
        """A new member of a group, or a reader of its own whose backlog of at most ``capacity`` pushes back."""
        reader = next((r for r in self._readers if group is not None and r.name == group), None)
        if reader is None:
            begin = [_beginning(log, start) for log in self.logs]
            reader = OrderReader(group, begin, capacity if group is None else self._capacity)
            self._readers.append(reader)
        subscription = OrderSubscription(self, reader, self._publish_dead_letter)
        reader.members.append(subscription)
        self.subscriptions.append(subscription)
        self._share(reader)
        return subscription

    def leave(self, subscription: "OrderSubscription", reader: OrderReader) -> None:
        """Take a member out; its partitions go to the others from the committed offset on."""
        reader.members.remove(subscription)
        self.subscriptions.remove(subscription)
        if reader.name is None:
            self._readers.remove(reader)
        self._share(reader)

    def committed(self, log: PartitionLog) -> None:
        """A reader's committed offset of this partition moved."""
        log.readers_moved(self._readers)

    def replay(self, from_offset: int | None, from_time_ns: int | None, limit: int) -> list[Delivery]:
        """What the partitions still keep, merged by publish time."""
        streams = [_from(log, from_offset, from_time_ns) for log in self.logs]
        return list(itertools.islice(heapq.merge(*streams, key=operator.attrgetter("ts_publish")), limit))

    def describe(self) -> TopicDescription:
        """What is kept now, and what each group has not committed."""
        lag = {
            reader.name: {log.index: log.end - reader.committed[log.index] for log in self.logs}
            for reader in self._readers
            if reader.name is not None
        }
        return TopicDescription(self.topic.name, tuple(PartitionRange(log.base, log.end) for log in self.logs), lag)

    def published(self) -> int:
        """Messages taken in so far."""
        return sum(log.end for log in self.logs)

    def refuse_waiting(self, error: BusClosed) -> None:
        """Fail every publisher that waits."""
        for log in self.logs:
            log.refuse_waiting(error)

    def _share(self, reader: OrderReader) -> None:
        reader.rebalance()
        for log in self.logs:
            owners = (r.owners[log.index] for r in self._readers)
            log.owners = [owner for owner in owners if owner is not None]
            log.readers_moved(self._readers)
        for member in reader.members:
            member.assign([log for log in self.logs if reader.owners[log.index] is member])


class OrderSubscription(MemorySubscription):
    """One member of a group, or a reader of its own."""

    def __init__(self, channel: OrderChannel, reader: OrderReader, publish_dead_letter: DeadLetterPublish) -> None:
        super().__init__(channel.topic.name, reader.name, publish_dead_letter)
        self.capacity = reader.capacity
        self._channel = channel
        self._reader = reader
        self._logs: list[PartitionLog] = []

    def assign(self, logs: list[PartitionLog]) -> None:
        """These partitions are this member's from now on."""
        self._logs = logs
        self.wake_up.wake()

    def _take(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        position = self._reader.position
        for log in self._logs:
            begin = position[log.index]
            if begin < log.end:
                start = begin - log.base
                chunk = log.entries[start : start + limit - len(taken)]
                position[log.index] = begin + len(chunk)
                taken = taken + chunk if taken else chunk
                if len(taken) == limit:
                    self._give_others_a_turn(log)
                    break
        if taken and self._reader.name is None:
            self._commit_received()
        return taken

    def _give_others_a_turn(self, served: PartitionLog) -> None:
        # A new list: ``_take`` is iterating over the old one.
        self._logs = [log for log in self._logs if log is not served] + [served]

    def _commit(self) -> None:
        if self._reader.name is not None:
            self._commit_received()

    def _commit_received(self) -> None:
        reader = self._reader
        for log in self._logs:
            if reader.committed[log.index] != reader.position[log.index]:
                reader.committed[log.index] = reader.position[log.index]
                self._channel.committed(log)

    def _leave(self) -> None:
        self._channel.leave(self, self._reader)
        self._logs = []

    def _lag(self) -> int:
        return sum(log.end - self._reader.position[log.index] for log in self._logs)


def _beginning(log: PartitionLog, start: Start | Offsets) -> int:
    if isinstance(start, Start):
        return log.base if start is Start.EARLIEST else log.end
    return min(max(start.get(log.index, 0), log.base), log.end)


def _from(log: PartitionLog, from_offset: int | None, from_time_ns: int | None) -> Iterator[Delivery]:
    start = max((from_offset or 0) - log.base, 0)
    oldest = 0 if from_time_ns is None else from_time_ns
    return (delivery for delivery in log.entries[start:] if delivery.ts_publish >= oldest)
