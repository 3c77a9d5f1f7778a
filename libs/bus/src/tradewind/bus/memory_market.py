"""Market-data plane of the memory transport: a bounded queue of batches per subscriber; ``publish`` never waits.

Order: as published, per partition. Bound: ``capacity`` batches per subscriber and ``retention`` batches per topic for
replay. When a subscriber's queue is full its oldest batch is dropped; the next one it receives is a copy with the GAP
flag on its first record, and that flag speaks for every instrument of the topic. A message that is not a batch has no
place for the flag: its gap is only counted. A group shares the partitions; nothing is redelivered and ``commit`` does
nothing, as positions on this plane are not durable.
"""

import collections
import itertools
import time
from typing import Final

from tradewind.bus.interface import BusClosed, Delivery, Payload, Start, SubscriptionStatistics
from tradewind.bus.memory_subscriptions import DeadLetterPublish, MemorySubscription
from tradewind.bus.partitions import partition_of, rebalanced
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, read_only
from tradewind.wire.topics import Topic

_GAP: Final = int(RecordFlag.GAP)


class MarketChannel:
    """One topic of the market-data plane."""

    def __init__(self, topic: Topic, retention: int, publish_dead_letter: DeadLetterPublish) -> None:
        self.topic = topic
        self.subscriptions: list[MarketSubscription] = []
        self._publish_dead_letter = publish_dead_letter
        self._ends = [0] * topic.partitions
        self._kept: collections.deque[Delivery] = collections.deque(maxlen=retention)
        self._routes: list[list[MarketSubscription]] = [[] for _ in self._ends]
        self._owners: dict[str, list[MarketSubscription | None]] = {}

    def publish(self, key: str, payload: Payload) -> None:
        """Put the payload itself, no copy, into every queue that is routed here."""
        partition = partition_of(key, len(self._ends))
        offset = self._ends[partition]
        self._ends[partition] = offset + 1
        delivery = Delivery(self.topic.name, partition, offset, key, payload, time.time_ns())
        self._kept.append(delivery)
        for subscription in self._routes[partition]:
            subscription.offer(delivery)

    def subscribe(self, group: str | None, start: Start, capacity: int) -> "MarketSubscription":
        """A new queue of ``capacity`` batches."""
        subscription = MarketSubscription(self, group, capacity, self._publish_dead_letter)
        first_of_group = group is not None and group not in self._owners
        self.subscriptions.append(subscription)
        self._route(group)
        if start is Start.EARLIEST and (group is None or first_of_group):
            skipped = max(len(self._kept) - capacity, 0)
            for delivery in itertools.islice(self._kept, skipped, None):
                subscription.offer(delivery)
        return subscription

    def leave(self, subscription: "MarketSubscription") -> None:
        """Take a subscriber out; what it had not received goes to the rest of its group."""
        self.subscriptions.remove(subscription)
        self._route(subscription.group)
        if subscription.group is not None and (owners := self._owners.get(subscription.group)):
            subscription.hand_over([owner for owner in owners if owner is not None])
            for delivery in subscription.drain():
                if (owner := owners[delivery.partition]) is not None:
                    owner.offer(delivery)

    def replay(self, from_offset: int | None, from_time_ns: int | None, limit: int) -> list[Delivery]:
        """What is still kept, in publish order."""
        first, oldest = from_offset or 0, from_time_ns or 0
        matching = (d for d in self._kept if d.offset >= first and d.ts_publish >= oldest)
        return list(itertools.islice(matching, limit))

    def published(self) -> int:
        """Messages taken in so far."""
        return sum(self._ends)

    def refuse_waiting(self, error: BusClosed) -> None:
        """Nobody waits to publish on this plane."""

    def _route(self, group: str | None) -> None:
        if group is not None:
            members = [s for s in self.subscriptions if s.group == group]
            before = self._owners.pop(group, [None] * len(self._ends))
            if members:
                self._owners[group] = rebalanced(before, members)
        broadcast = [s for s in self.subscriptions if s.group is None]
        for partition in range(len(self._ends)):
            owners = (owners[partition] for owners in self._owners.values())
            self._routes[partition] = broadcast + [owner for owner in owners if owner is not None]


class MarketSubscription(MemorySubscription):
    """One bounded queue of batches."""

    def __init__(
        self, channel: MarketChannel, group: str | None, capacity: int, publish_dead_letter: DeadLetterPublish
    ) -> None:
        super().__init__(channel.topic.name, group, publish_dead_letter)
        self._channel = channel
        self._capacity = capacity
        self._queue: collections.deque[Delivery] = collections.deque()
        self._gap = False
        self._gaps = 0
        self._dropped_records = 0

    def offer(self, delivery: Delivery) -> None:
        """Queue one delivery, at the price of the oldest when full."""
        if len(self._queue) >= self._capacity:
            self._drop_oldest()
        self._queue.append(delivery)
        if self.wake_up.future is not None:
            self.wake_up.wake()

    def drain(self) -> list[Delivery]:
        """Everything that waits, for somebody else to deliver."""
        waiting = list(self._queue)
        self._queue.clear()
        return waiting

    def hand_over(self, heirs: list["MarketSubscription"]) -> None:
        """Pass on a gap that was not told yet."""
        for heir in heirs:
            heir._gap = heir._gap or self._gap

    def statistics(self) -> SubscriptionStatistics:
        """Counters of this subscription now."""
        result = super().statistics()
        result.gaps = self._gaps
        result.dropped_records = self._dropped_records
        return result

    def _take(self, limit: int) -> list[Delivery]:
        queue = self._queue
        taken = self.drain() if len(queue) <= limit else [queue.popleft() for _ in range(limit)]
        if self._gap and taken:
            self._gap = False
            self._gaps += 1
            taken[0] = _with_gap(taken[0])
        return taken

    def _drop_oldest(self) -> None:
        payload = self._queue.popleft().payload
        self._dropped_records += len(payload.records) if isinstance(payload, MarketBatch) else 1
        self._gap = True

    def _commit(self) -> None:
        return

    def _leave(self) -> None:
        self._channel.leave(self)
        self._queue.clear()

    def _lag(self) -> int:
        return len(self._queue)


def _with_gap(delivery: Delivery) -> Delivery:
    # A copy, because the other subscribers share this delivery and have lost nothing.
    payload = delivery.payload
    if not isinstance(payload, MarketBatch):
        return delivery
    records = payload.records.copy()
    records["flags"][0] |= _GAP
    marked = MarketBatch(payload.venue, read_only(records))
    return Delivery(delivery.topic, delivery.partition, delivery.offset, delivery.key, marked, delivery.ts_publish)
