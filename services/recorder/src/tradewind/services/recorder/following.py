"""Reads a topic on from where the database says that it has been stored up to.

A stored position tells one message: its offset and the publisher's time. Reading begins with that message again, and
if another one is there the broker is another one (or has lost its data), so what it has is read from the beginning.
What is then read twice is stored once, because rows have keys.
"""

from typing import Final

from tradewind.bus.interface import Delivery, PartitionRange, Start, Subscription
from tradewind.runtime.service import ServiceContext
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.recorder_positions import RecorderPosition, RecorderPositionRepository
from tradewind.wire.topics import Plane, Topic

_ANOTHER_BROKER: Final = "the broker does not have what was recorded last; recording what it has from the beginning"


def position_after(delivery: Delivery) -> RecorderPosition:
    """The position of who has stored everything up to and including this delivery."""
    return RecorderPosition(delivery.topic, delivery.partition, delivery.offset + 1, delivery.ts_publish)


class TopicFollower:
    """One reader of one topic. ``open`` first, then one task at a time."""

    def __init__(self, context: ServiceContext, topic: Topic, *, capacity: int) -> None:
        """``capacity`` as in ``Bus.subscribe``."""
        self._context = context
        self._topic = topic
        self._capacity = capacity
        self._bus = context.bus_for(topic)
        self._positions = RecorderPositionRepository(context.database)
        self._subscription: Subscription | None = None
        self._unproven: dict[int, RecorderPosition] = {}
        self._distrusted: set[int] = set()

    async def open(self) -> None:
        """Begin to read; waits for the database, which knows from where.

        Raises:
            BusClosed: the bus is closed.
        """
        stored = await self._load()
        ranges = (await self._bus.describe(self._topic)).partitions
        self._unproven.clear()
        offsets: dict[int, int] = {}
        for partition, kept in enumerate(ranges):
            if (position := stored.get(partition)) is not None and partition not in self._distrusted:
                self._begin(offsets, position, kept)
        self._subscription = await self._bus.subscribe(
            self._topic,
            start=offsets or Start.EARLIEST,
            capacity=self._capacity,
            lossless=self._topic.plane is Plane.MARKET_DATA,
        )

    async def receive(self, limit: int, timeout_s: float | None = None) -> list[Delivery]:
        """See ``Subscription.receive``; never what was stored before ``open``, of the same broker.

        Raises:
            BusClosed: closed, before or while waiting.
        """
        while True:
            deliveries = await self._open_subscription().receive(limit, timeout_s)
            if not self._unproven or not deliveries:
                return deliveries
            if self._is_another_broker(deliveries):
                self._context.log.info(_ANOTHER_BROKER, topic=self._topic.name)
                await self.close()
                await self.open()
            elif left := [each for each in deliveries if not self._is_stored(each)]:
                return left

    async def close(self) -> None:
        """Stop reading."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.close()

    async def _load(self) -> dict[int, RecorderPosition]:
        while True:
            try:
                return await self._positions.load(self._topic.name)
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(f"{error}; it knows where recording goes on")
                await self._context.database.wait_until_available()

    def _begin(self, offsets: dict[int, int], position: RecorderPosition, kept: PartitionRange) -> None:
        if position.next_offset > kept.end:
            self._context.log.info(_ANOTHER_BROKER, topic=self._topic.name)
            return
        first = position.next_offset
        if (last := first - 1) >= kept.first:
            self._unproven[position.partition] = position
            first = last
        offsets[position.partition] = first

    def _is_another_broker(self, deliveries: list[Delivery]) -> bool:
        """Compares the first delivery of each partition with what was stored last."""
        found = False
        seen: set[int] = set()
        for delivery in deliveries:
            position = self._unproven.get(delivery.partition)
            if position is None or delivery.partition in seen:
                continue
            seen.add(delivery.partition)
            if delivery.offset == position.next_offset - 1 and delivery.ts_publish != position.ts_publish:
                self._distrusted.add(delivery.partition)
                found = True
        return found

    def _is_stored(self, delivery: Delivery) -> bool:
        position = self._unproven.pop(delivery.partition, None)
        return position is not None and delivery.offset < position.next_offset

    def _open_subscription(self) -> Subscription:
        if self._subscription is None:
            raise RuntimeError("open the follower before reading")
        return self._subscription
