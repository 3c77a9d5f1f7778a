"""Market-data plane of the memory transport: a bounded queue of batches per subscriber; ``publish`` never waits.

Order: as published, per partition. Bound: ``capacity`` batches per subscriber and ``retention`` batches per topic for
replay; a lossless subscriber may leave up to ``retention`` batches, which is all that this broker keeps. When a
subscriber's queue is full its oldest batch is dropped; the next one it receives is a copy with the GAP flag on its
first record, and that flag speaks for every instrument of the topic. A message that is not a batch has no place for
the flag: its gap is only counted. Nothing is redelivered and ``commit`` does nothing.
"""

import collections
import itertools
import time
from collections.abc import Iterator

from tradewind.bus.interface import (
    BusClosed,
    Delivery,
    Offsets,
    PartitionRange,
    Payload,
    Start,
    SubscriptionStatistics,
    TopicDescription,
)
from tradewind.bus.market_queue import record_count, with_gap
from tradewind.bus.memory_subscriptions import DeadLetterPublish, MemorySubscription
from tradewind.bus.partitions import partition_of
from tradewind.wire.topics import Topic


class MarketChannel:
    """One topic of the market-data plane."""

    def __init__(self, topic: Topic, retention: int, publish_dead_letter: DeadLetterPublish) -> None:
        self.topic = topic
        self.subscriptions: list[MarketSubscription] = []
        self._publish_dead_letter = publish_dead_letter
        self._ends = [0] * topic.partitions
        self._retention = retention
        self._kept: collections.deque[Delivery] = collections.deque(maxlen=retention)

    def publish(self, key: str, payload: Payload) -> None:
        """Put the payload itself, no copy, into every subscriber's queue."""
        partition = partition_of(key, len(self._ends))
        offset = self._ends[partition]
        self._ends[partition] = offset + 1
        delivery = Delivery(self.topic.name, partition, offset, key, payload, time.time_ns())
        self._kept.append(delivery)
        for subscription in self.subscriptions:
            subscription.offer(delivery)

    def subscribe(self, start: Start | Offsets, capacity: int, lossless: bool) -> "MarketSubscription":
        """A new queue of ``capacity`` batches, or of all that this broker keeps."""
        bound = max(capacity, self._retention) if lossless else capacity
        subscription = MarketSubscription(self, bound, self._publish_dead_letter)
        self.subscriptions.append(subscription)
        if start is Start.EARLIEST:
            start = {}
        if not isinstance(start, Start):
            for delivery in self._from(start):
                subscription.offer(delivery)
            if any(start.get(place, kept.first) < kept.first for place, kept in enumerate(self._ranges())):
                subscription.missed()
        return subscription

    def leave(self, subscription: "MarketSubscription") -> None:
        """Take a subscriber out."""
        self.subscriptions.remove(subscription)

    def replay(self, from_offset: int | None, from_time_ns: int | None, limit: int) -> list[Delivery]:
        """What is still kept, in publish order."""
        first, oldest = from_offset or 0, from_time_ns or 0
        matching = (d for d in self._kept if d.offset >= first and d.ts_publish >= oldest)
        return list(itertools.islice(matching, limit))

    def describe(self) -> TopicDescription:
        """What is kept now; this plane has no groups."""
        return TopicDescription(self.topic.name, self._ranges(), {})

    def published(self) -> int:
        """Messages taken in so far."""
        return sum(self._ends)

    def refuse_waiting(self, error: BusClosed) -> None:
        """Nobody waits to publish on this plane."""

    def _from(self, offsets: Offsets) -> Iterator[Delivery]:
        return (d for d in self._kept if d.offset >= offsets.get(d.partition, 0))

    def _ranges(self) -> tuple[PartitionRange, ...]:
        kept = collections.Counter(delivery.partition for delivery in self._kept)
        return tuple(PartitionRange(end - kept[partition], end) for partition, end in enumerate(self._ends))


class MarketSubscription(MemorySubscription):
    """One bounded queue of batches."""

    def __init__(self, channel: MarketChannel, capacity: int, publish_dead_letter: DeadLetterPublish) -> None:
        super().__init__(channel.topic.name, None, publish_dead_letter)
        self._channel = channel
        self.capacity = capacity
        self._queue: collections.deque[Delivery] = collections.deque()
        self._gap = False
        self._gaps = 0
        self._dropped_records = 0

    def offer(self, delivery: Delivery) -> None:
        """Queue one delivery, at the price of the oldest when full."""
        if len(self._queue) >= self.capacity:
            self._drop_oldest()
        self._queue.append(delivery)
        if self.wake_up.future is not None:
            self.wake_up.wake()

    def missed(self) -> None:
        """Something before the first delivery is no longer kept."""
        self._gap = True

    def statistics(self) -> SubscriptionStatistics:
        """Counters of this subscription now."""
        result = super().statistics()
        result.gaps = self._gaps
        result.dropped_records = self._dropped_records
        return result

    def _take(self, limit: int) -> list[Delivery]:
        queue = self._queue
        if len(queue) <= limit:
            taken = list(queue)
            queue.clear()
        else:
            taken = [queue.popleft() for _ in range(limit)]
        if self._gap and taken:
            self._gap = False
            self._gaps += 1
            taken[0] = with_gap(taken[0])
        return taken

    def _drop_oldest(self) -> None:
        self._dropped_records += record_count(self._queue.popleft().payload)
        self._gap = True

    def _commit(self) -> None:
        return

    def _leave(self) -> None:
        self._channel.leave(self)
        self._queue.clear()

    def _lag(self) -> int:
        return len(self._queue)
