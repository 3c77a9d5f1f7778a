"""Reading from RabbitMQ: what all subscriptions share, and the readers without a group, who read streams.

A task per subscription keeps its consumers attached: when a channel or the connection breaks, it begins again behind
the last message that came, so nothing is lost and nothing comes twice. Order: as published, per partition. Bounds: an
order-plane reader has at most ``capacity`` messages of a partition that it has not received, and leaves the rest at the
broker; a market-data reader drops the oldest, unless it is lossless. On cancel: ``receive`` takes only what it returns.
"""

import abc
import asyncio
import collections
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiormq.abc
from aiormq.channel import Channel

from tradewind.bus.dead_letters import dead_lettered
from tradewind.bus.interface import BusClosed, Delivery, Offsets, Payload, Start, SubscriptionStatistics
from tradewind.bus.market_queue import MarketQueue, with_gap
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.rabbitmq_link import (
    LONGEST_PAUSE_S,
    PAUSE_S,
    LinkLost,
    RabbitMQLink,
    RefusedByBroker,
    close_channel,
    losses,
    stop_if_cancelled,
)
from tradewind.bus.rabbitmq_messages import Arrival, arrival
from tradewind.bus.rabbitmq_order import Once
from tradewind.bus.rabbitmq_streams import OnMessage, attach, stream_end, stream_range
from tradewind.bus.rabbitmq_topology import RabbitMQTopology
from tradewind.bus.waking import WakeUp
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import Topic, dead_letters_of

Publish = Callable[[Topic, str, Payload], Awaitable[None]]

PREFETCH: Final = 512
"""Messages that the broker hands over before it waits for acknowledgements: enough to be busy during a round trip."""
_ACKS_PER_PREFETCH: Final = 8
_POISON_WAITING: Final = 64
_BETWEEN_SEGMENTS: Final = 1
"""Offsets that no message has: the broker keeps notes of its own at the beginning of a segment."""

_log: Final = logging.getLogger(__name__)


class RabbitMQSubscription(abc.ABC):
    """A ``Subscription``. Its task runs from ``open`` to ``close``."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        topic: Topic,
        group: str | None,
        publish: Publish,
    ) -> None:
        self.topic = topic
        self.group = group
        self.closed = False
        self.wake_up = WakeUp()
        self.on_close: Callable[[RabbitMQSubscription], None] | None = None
        self._link = link
        self._topology = topology
        self._tasks = tasks
        self._publish = publish
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._refused: RefusedByBroker | None = None
        self._receiving = False
        self._delivered = 0
        self._dead_lettered = 0

    async def open(self) -> None:
        """Begin to read, and return when nothing that is published now can be missed.

        Raises:
            BusClosed: the bus was closed meanwhile.
            PermissionError: the broker does not let us.
        """
        self._task = self._tasks.spawn(self._run(), f"read.{self.topic.name}.{self.group or ''}")
        await self._ready.wait()
        if self._refused is not None:
            raise self._refused
        self._check_open()

    async def receive(self, limit: int = 256, timeout_s: float | None = None) -> list[Delivery]:
        """See ``Subscription.receive``. One task at a time."""
        if limit < 1:
            raise ValueError(f"receive limit must be at least 1, not {limit}")
        self._check_open()
        if self._receiving:
            raise RuntimeError("two tasks wait on one subscription; give each its own, or one task that hands on")
        self._receiving = True
        try:
            taken = await self._received(limit, timeout_s)
        finally:
            self._receiving = False
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
        self._ready.set()
        self.wake_up.wake()
        if self.on_close is not None:
            self.on_close(self)
        if self._task is not None:
            await self._tasks.cancel(self._task)

    def statistics(self) -> SubscriptionStatistics:
        """Counters of this subscription now."""
        return SubscriptionStatistics(
            topic=self.topic.name,
            group=self.group,
            delivered=self._delivered,
            lag=self._lag(),
            dead_lettered=self._dead_lettered,
        )

    @abc.abstractmethod
    async def _read(self) -> None:
        """Read until the connection breaks; set ``_ready`` when reading has begun."""

    @abc.abstractmethod
    def _take(self, limit: int) -> list[Delivery]:
        """What is here now, at most ``limit``. Nothing when what comes next cannot be read (``_poison``)."""

    @abc.abstractmethod
    def _poison(self) -> Arrival | None:
        """What comes next and cannot be read."""

    @abc.abstractmethod
    def _skip(self, poison: Arrival) -> None:
        """It was put aside; go on behind it."""

    @abc.abstractmethod
    def _lag(self) -> int: ...

    async def _run(self) -> None:
        pause_s = PAUSE_S
        while True:
            began = time.monotonic()
            try:
                await self._read()
            except LinkLost as error:
                _log.info("reading %s: beginning again after %s", self.topic.name, error)
                self._link.declared.discard(self.topic.name)  # Perhaps somebody deleted a queue.
            except BusClosed:
                return
            except RefusedByBroker as error:
                if not self._ready.is_set():
                    self._refused = error
                    self._ready.set()
                    return
                _log.error("reading %s: %s", self.topic.name, error)
            except Exception:
                # A bug, or an answer that nobody expected; a reader that silently stopped would be worse.
                _log.exception("reading %s failed; beginning again", self.topic.name)
            stop_if_cancelled()
            pause_s = PAUSE_S if time.monotonic() - began > LONGEST_PAUSE_S else min(pause_s * 2, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _received(self, limit: int, timeout_s: float | None) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        slept = False
        while True:
            if taken := self._take(limit):
                return taken
            if (poison := self._poison()) is not None:
                await self._set_aside(poison)
                self._skip(poison)
                continue
            if slept and deadline is not None and loop.time() >= deadline:
                return []
            await self.wake_up.sleep(None if deadline is None else deadline - loop.time())
            slept = True
            self._check_open()

    async def _set_aside(self, poison: Arrival) -> None:
        reason = poison.why_not()
        _log.warning("%s, partition %d, offset %d: %s", self.topic.name, poison.partition, poison.offset, reason)
        letter = poison.dead_letter(reason)
        await self._publish(dead_letters_of(self.topic.name), letter.key, letter)
        self._dead_lettered += 1

    def _check_open(self) -> None:
        if self.closed:
            raise BusClosed(f"subscription to {self.topic.name} is closed; subscribe again")


class StreamSubscription(RabbitMQSubscription):
    """A reader without a group: all partitions, from a place that it keeps itself."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        topic: Topic,
        publish: Publish,
        start: Start | Offsets,
        prefetch: int,
    ) -> None:
        super().__init__(link, topology, tasks, topic, None, publish)
        self._start = start
        self._prefetch = prefetch
        self._next: dict[int, int] = {}
        self._acknowledged = 0
        self._may_acknowledge = 0
        self._broken = False
        self._wanting_acknowledgement = WakeUp()

    async def _read(self) -> None:
        await self._topology.declare_topic(self._link, self.topic)
        await self._find_places()
        channel = await self._link.channel()
        # What was not received yet stays; only its tags mean nothing any more.
        self._new_channel()
        try:
            channel.closing.add_done_callback(self._broke)
            channel.on_consumer_cancel_callbacks.add(self._broke)
            with losses():
                for partition in range(self.topic.partitions):
                    queue = self._topology.stream(self.topic.name, partition)
                    await attach(channel, queue, self._next[partition], self._hand_over(partition), self._prefetch)
            self._ready.set()
            while not self._broken:
                await self._acknowledge(channel)
            raise LinkLost("the channel was closed, or the queue deleted")
        finally:
            await close_channel(channel)

    def _hand_over(self, partition: int) -> OnMessage:
        topic = self.topic.name

        async def take_in(message: aiormq.abc.DeliveredMessage) -> None:
            one = arrival(topic, partition, message)
            expected = self._next[partition]
            if one.offset < expected:
                return  # A chunk is handed over whole; its beginning is not what was asked for.
            if one.offset > expected + _BETWEEN_SEGMENTS:
                self._missed(partition, expected, one.offset)
            self._next[partition] = one.offset + 1
            self._arrived(one)

        return take_in

    async def _acknowledge(self, channel: Channel) -> None:
        if self._may_acknowledge > self._acknowledged:
            tag = self._may_acknowledge
            with losses():
                await channel.basic_ack(tag, multiple=True, wait=False)
            self._acknowledged = tag
        if self._may_acknowledge == self._acknowledged and not self._broken:
            await self._wanting_acknowledgement.sleep(None)

    def _done_with(self, tag: int) -> None:
        """Everything up to ``tag`` of this channel is taken."""
        self._may_acknowledge = tag
        if tag - self._acknowledged >= max(self._prefetch // _ACKS_PER_PREFETCH, 1):
            self._wanting_acknowledgement.wake()

    def _new_channel(self) -> None:
        self._acknowledged = self._may_acknowledge = 0
        self._broken = False

    def _broke(self, _reason: object) -> None:
        self._broken = True
        self._wanting_acknowledgement.wake()

    async def _find_places(self) -> None:
        for partition in range(self.topic.partitions):
            queue = self._topology.stream(self.topic.name, partition)
            if partition not in self._next:
                self._next[partition] = await self._beginning(queue, partition)
            elif self._next[partition] > (end := await stream_end(self._link, queue)):
                # The broker has lost what it had: what it gets now has the numbers of what we read.
                self._missed(partition, self._next[partition], end)
                self._next[partition] = end

    async def _beginning(self, queue: str, partition: int) -> int:
        if self._start is Start.LATEST:
            return await stream_end(self._link, queue)
        kept = await stream_range(self._link, queue)
        if isinstance(self._start, Start):
            return kept.first
        wanted = self._start.get(partition, kept.first)
        if wanted < kept.first:
            self._missed(partition, wanted, kept.first)
        return min(max(wanted, kept.first), kept.end)

    def _missed(self, partition: int, wanted: int, found: int) -> None:
        _log.warning(
            "%s, partition %d: the broker no longer has offset %d; going on at %d",
            *(self.topic.name, partition, wanted, found),
        )

    @abc.abstractmethod
    def _arrived(self, one: Arrival) -> None:
        """The next message of a partition."""


class OrderReader(StreamSubscription):
    """A reader of the order plane."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        topic: Topic,
        publish: Publish,
        start: Start | Offsets,
        capacity: int,
    ) -> None:
        super().__init__(link, topology, tasks, topic, publish, start, min(capacity, PREFETCH))
        self._waiting: collections.deque[Arrival] = collections.deque()
        self._once = [Once() for _ in range(topic.partitions)]

    def _arrived(self, one: Arrival) -> None:
        if self._once[one.partition].is_new(one):
            self._waiting.append(one)
            self.wake_up.wake()
        elif not self._waiting:
            self._done_with(one.tag)

    def _take(self, limit: int) -> list[Delivery]:
        waiting = self._waiting
        taken: list[Delivery] = []
        tag = 0
        while waiting and len(taken) < limit:
            try:
                taken.append(waiting[0].delivery())
            except UndecodableMessage:
                break
            tag = waiting.popleft().tag
        if tag:
            self._done_with(tag)
        return taken

    def _poison(self) -> Arrival | None:
        return self._waiting[0] if self._waiting else None

    def _skip(self, poison: Arrival) -> None:
        self._waiting.popleft()
        if poison.tag:
            self._done_with(poison.tag)

    def _new_channel(self) -> None:
        super()._new_channel()
        for one in self._waiting:
            one.tag = 0

    def _lag(self) -> int:
        return len(self._waiting)


class MarketReader(StreamSubscription):
    """A reader of market data."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        topic: Topic,
        publish: Publish,
        start: Start | Offsets,
        capacity: int,
        *,
        lossless: bool,
    ) -> None:
        prefetch = min(capacity, PREFETCH) if lossless else PREFETCH
        super().__init__(link, topology, tasks, topic, publish, start, prefetch)
        # A lossless reader is bounded by what it does not acknowledge, so its queue never drops. But the broker hands
        # over a little more than it is allowed to.
        self._queue = MarketQueue(capacity + 2 * prefetch if lossless else capacity)
        self.wake_up = self._queue.wake_up
        self._lossless = lossless
        self._tags: collections.deque[int] = collections.deque()
        self._poisoned: collections.deque[Arrival] = collections.deque(maxlen=_POISON_WAITING)
        self._gap_next = False

    def statistics(self) -> SubscriptionStatistics:
        result = super().statistics()
        result.capacity = self._queue.capacity
        result.gaps = self._queue.gaps
        result.dropped_records = self._queue.dropped_records
        return result

    def _arrived(self, one: Arrival) -> None:
        try:
            delivery = one.delivery()
        except UndecodableMessage:
            # What it said is lost, and it may be that nobody receives for a while: the next receive puts it aside.
            self._gap()
            self._poisoned.append(one)
            self.wake_up.wake()
            if not self._tags:  # Else what waits before it would be acknowledged too.
                self._done_with(one.tag)
            return
        if self._gap_next and isinstance(delivery.payload, MarketBatch):
            self._gap_next = False
            self._queue.gaps += 1
            delivery = with_gap(delivery)
        if self._lossless:
            self._tags.append(one.tag)
        self._queue.put((delivery,))
        if not self._lossless:
            self._done_with(one.tag)

    def _take(self, limit: int) -> list[Delivery]:
        if self._poisoned:
            return []
        taken = self._queue.take(limit)
        if self._lossless and taken:
            tags = [self._tags.popleft() for _ in taken]
            if tags[-1]:
                self._done_with(tags[-1])
        return taken

    def _poison(self) -> Arrival | None:
        return self._poisoned[0] if self._poisoned else None

    def _skip(self, poison: Arrival) -> None:
        if self._poisoned and self._poisoned[0] is poison:
            self._poisoned.popleft()

    def _new_channel(self) -> None:
        super()._new_channel()
        self._tags = collections.deque(0 for _ in self._tags)

    def _missed(self, partition: int, wanted: int, found: int) -> None:
        super()._missed(partition, wanted, found)
        self._gap()

    def _gap(self) -> None:
        # The queue would mark what it hands out next, and that came before the gap.
        if len(self._queue):
            self._gap_next = True
        else:
            self._queue.missed()

    def _lag(self) -> int:
        return len(self._queue)
