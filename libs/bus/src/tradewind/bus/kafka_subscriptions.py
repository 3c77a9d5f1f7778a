"""Reading from Kafka: a task per subscription fetches into a bounded queue, and ``receive`` takes from it.

Order: as published, per partition. Bounds: the queue, and what the client fetches ahead (a megabyte per partition);
when they are full the broker keeps the rest, except for a reader of market data that may lose: its queue drops the
oldest. On cancel: ``receive`` takes only what it returns. When the cluster is away, the task tries until it is back,
and goes on where it was. Bytes that are no message of ours go to the dead letters, and the next one is read.
"""

import abc
import asyncio
import collections
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.errors import OffsetOutOfRangeError  # type: ignore[import-untyped]

from tradewind.bus.dead_letters import dead_lettered
from tradewind.bus.envelopes import key_text, opened, undecodable
from tradewind.bus.interface import BusClosed, Delivery, Offsets, Payload, Start, SubscriptionStatistics
from tradewind.bus.kafka_link import FIRST_PAUSE_S, LONGEST_PAUSE_S, KafkaLink
from tradewind.bus.kafka_stopping import stop_consumer
from tradewind.bus.market_queue import MarketQueue
from tradewind.bus.waking import WakeUp
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.topics import Topic, dead_letters_of

Publish = Callable[[Topic, str, Payload], Awaitable[None]]

FETCH_BYTES: Final = 1024 * 1024
_RECORDS: Final = 1_000
_POLL_MS: Final = 1_000

_log = logging.getLogger(__name__)


class Backlog:
    """What was fetched for one subscriber of the order plane: at most ``capacity`` messages, and only while it waits.

    The client holds the next fetch and the broker the rest. Fetching further ahead would put one more queue before
    each message, and ask the broker for it in smaller pieces.
    """

    def __init__(self, capacity: int) -> None:
        self.wake_up = WakeUp()
        self.room = WakeUp()
        self._capacity = capacity
        self._queue: collections.deque[Delivery] = collections.deque()

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def free(self) -> int:
        """Messages that may be put now."""
        return 0 if self._queue or self.wake_up.future is None else self._capacity

    def put(self, deliveries: list[Delivery]) -> None:
        """Add what one fetch gave."""
        self._queue.extend(deliveries)
        self.wake_up.wake()

    def take(self, limit: int) -> list[Delivery]:
        """At most ``limit`` of the oldest."""
        queue = self._queue
        if len(queue) <= limit:
            taken = list(queue)
            queue.clear()
        else:
            taken = [queue.popleft() for _ in range(limit)]
        return taken

    def clear(self) -> None:
        """Forget everything, and let both ends look again."""
        self._queue.clear()
        self.wake_up.wake()
        self.room.wake()


class KafkaSubscription(abc.ABC):
    """What all subscriptions share. The reading task runs from ``open`` to ``close``."""

    def __init__(
        self, link: KafkaLink, topic: Topic, group: str | None, queue: "Backlog | MarketQueue", publish: Publish
    ) -> None:
        self.topic = topic
        self.group = group
        self.closed = False
        self._link = link
        self._queue = queue
        self._publish = publish
        self._consumer: Any = None
        self._task: asyncio.Task[None] | None = None
        self._fetched: dict[int, int] = {}  # partition -> the offset after the last one fetched
        self._delivered = 0
        self._dead_lettered = 0
        self.on_close: Callable[[KafkaSubscription], None] | None = None

    async def open(self) -> None:
        """Find the place to begin, and begin."""
        self._consumer = await self._link.ask(f"reading {self.topic.name}", self._opened)
        if self.closed:  # By the bus, meanwhile.
            await stop_consumer(self._consumer)
        self._check_open()
        self._task = self._link.tasks.spawn(self._read(), f"read.{self.topic.name}.{self.group or ''}")

    async def receive(self, limit: int = 256, timeout_s: float | None = None) -> list[Delivery]:
        """See ``Subscription.receive``. One task at a time."""
        if limit < 1:
            raise ValueError(f"receive limit must be at least 1, not {limit}")
        self._check_open()
        if not (taken := self._take(limit)):
            taken = await self._wait_and_take(limit, timeout_s)
        self._delivered += len(taken)
        return taken

    async def commit(self) -> None:
        """See ``Subscription.commit``."""
        self._check_open()

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """See ``Subscription.dead_letter``. The message still counts as received: the next ``commit`` covers it."""
        self._check_open()
        await self._publish(dead_letters_of(self.topic.name), delivery.key, dead_lettered(delivery, reason))
        self._dead_lettered += 1

    async def close(self) -> None:
        """See ``Subscription.close``. Closing twice is fine."""
        if self.closed:
            return
        self.closed = True
        self._queue.clear()
        if self.on_close is not None:
            self.on_close(self)
        if self._task is not None:
            await self._link.tasks.cancel(self._task)
        if self._consumer is not None:
            await stop_consumer(self._consumer)

    def statistics(self) -> SubscriptionStatistics:
        """Counters of this subscription now."""
        queue = self._queue
        return SubscriptionStatistics(
            topic=self.topic.name,
            group=self.group,
            delivered=self._delivered,
            lag=len(queue) + self._not_fetched(),
            dropped_records=queue.dropped_records if isinstance(queue, MarketQueue) else 0,
            gaps=queue.gaps if isinstance(queue, MarketQueue) else 0,
            dead_lettered=self._dead_lettered,
            capacity=queue.capacity if isinstance(queue, MarketQueue) else 0,
        )

    @abc.abstractmethod
    async def _opened(self) -> Any:
        """A consumer that stands at the right place."""

    @abc.abstractmethod
    async def _take_in(self, records: Mapping[Any, list[Any]]) -> None:
        """Put what was fetched into the queue."""

    def _room(self) -> int:
        """How many records may be fetched now."""
        return min(self._queue.free, _RECORDS)

    def _take(self, limit: int) -> list[Delivery]:
        return self._queue.take(limit)

    @abc.abstractmethod
    async def _missing(self, offsets: Mapping[Any, int]) -> None:
        """The broker no longer has what comes next: go on where it can."""

    async def _wait_and_take(self, limit: int, timeout_s: float | None) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while True:
            self._queue.room.wake()
            await self._queue.wake_up.sleep(None if deadline is None else deadline - loop.time())
            self._check_open()
            if taken := self._take(limit):
                return taken
            if deadline is not None and loop.time() >= deadline:
                return []

    async def _read(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._read_some()
                pause_s = FIRST_PAUSE_S
            except OffsetOutOfRangeError as error:
                begin = functools.partial(self._missing, error.args[0])
                await self._link.for_ever(f"reading {self.topic.name}", begin)
            except Exception as error:
                # Whatever it is, a new consumer at the same place is the cure.
                _log.warning("reading %s: beginning again after %r", self.topic.name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                old, self._consumer = self._consumer, None
                if old is not None:
                    await stop_consumer(old)
                self._consumer = await self._link.for_ever(f"reading {self.topic.name}", self._opened)

    async def _read_some(self) -> None:
        if not (room := self._room()):
            await self._queue.room.sleep(_POLL_MS / 1_000)
            return
        records = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=room)
        if records:
            await self._take_in(records)
        elif self._consumer._fetcher.error_future.done():
            # It would go on to answer with nothing.
            raise ConnectionError("the client no longer fetches")

    async def _decoded(self, records: list[Any]) -> list[Delivery]:
        """The deliveries of one partition's records; poison goes aside."""
        deliveries = []
        topic = self.topic.name
        for record in records:
            try:
                payload, ts_publish = opened(dict(record.headers), record.value)
            except UndecodableMessage as error:
                await self._set_aside(record, str(error))
                if (skipped := self._skipped(record)) is not None:
                    deliveries.append(skipped)
                continue
            key = key_text(record.key)
            deliveries.append(Delivery(topic, record.partition, record.offset, key, payload, ts_publish))
        return deliveries

    def _skipped(self, record: Any) -> Delivery | None:
        """What stands for poison in the queue."""
        return None

    async def _set_aside(self, record: Any, reason: str) -> None:
        key = key_text(record.key)
        letter = undecodable(
            self.topic.name, record.partition, record.offset, key, dict(record.headers), record.value, reason
        )
        _log.warning("%s, partition %d, offset %d: %s", self.topic.name, record.partition, record.offset, reason)
        await self._publish(dead_letters_of(self.topic.name), key, letter)
        self._dead_lettered += 1

    def _not_fetched(self) -> int:
        consumer, result = self._consumer, 0
        if consumer is None:
            return 0
        assigned = consumer.assignment()
        for partition, offset in self._fetched.items():
            place = TopicPartition(self._link.name_of(self.topic), partition)
            if place in assigned and (end := consumer.highwater(place)) is not None:
                result += max(end - offset, 0)
        return result

    def _check_open(self) -> None:
        if self.closed:
            raise BusClosed(f"subscription to {self.topic.name} is closed; subscribe again")


class LoneSubscription(KafkaSubscription):
    """A reader without a group: all partitions, from a place that it keeps itself."""

    def __init__(
        self,
        link: KafkaLink,
        topic: Topic,
        start: Start | Offsets,
        queue: "Backlog | MarketQueue",
        publish: Publish,
        *,
        may_lose: bool,
    ) -> None:
        super().__init__(link, topic, None, queue, publish)
        self._start = start
        self._may_lose = may_lose

    def _room(self) -> int:
        return _RECORDS if self._may_lose else super()._room()

    async def _opened(self) -> Any:
        if not self._fetched:
            self._fetched = await self._beginning()
        consumer = AIOKafkaConsumer(
            auto_offset_reset="none", max_partition_fetch_bytes=FETCH_BYTES, **self._link.settings.client
        )
        try:
            await consumer.start()
            name = self._link.name_of(self.topic)
            consumer.assign([TopicPartition(name, partition) for partition in self._fetched])
            for partition, offset in self._fetched.items():
                consumer.seek(TopicPartition(name, partition), offset)
        except BaseException:
            await stop_consumer(consumer)
            raise
        return consumer

    async def _beginning(self) -> dict[int, int]:
        first, end = await self._link.ranges(self.topic)
        if isinstance(self._start, Start):
            return first if self._start is Start.EARLIEST else end
        wanted = {partition: self._start.get(partition, kept) for partition, kept in first.items()}
        if any(wanted[partition] < kept for partition, kept in first.items()):
            self._missed()
        return {partition: min(max(offset, first[partition]), end[partition]) for partition, offset in wanted.items()}

    async def _missing(self, offsets: Mapping[Any, int]) -> None:
        first, end = await self._link.ranges(self.topic)
        for place, wanted in offsets.items():
            # Beyond the end, the cluster has lost what it had: orders are read again, market data goes on.
            beyond = wanted > end[place.partition] and isinstance(self._queue, MarketQueue)
            offset = end[place.partition] if beyond else first[place.partition]
            _log.warning("%s: the broker no longer has offset %d; going on at %d", place, wanted, offset)
            self._missed()
            self._fetched[place.partition] = offset
            self._consumer.seek(place, offset)

    def _missed(self) -> None:
        if isinstance(self._queue, MarketQueue):
            self._queue.missed()

    async def _take_in(self, records: Mapping[Any, list[Any]]) -> None:
        for place, fetched in records.items():
            deliveries = await self._decoded(fetched)
            self._fetched[place.partition] = fetched[-1].offset + 1
            self._queue.put(deliveries)
