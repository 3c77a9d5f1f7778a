"""The memory transport: the whole bus in one process, on one event loop. It starts no task.

Payloads pass by reference, and one ``Delivery`` is shared by all who receive it: messages are frozen structs, batches
are read-only arrays, and nobody changes a delivery. Nothing is encoded, so the broker's limit on message size is not
checked here. What is published lives as long as the process; what must outlive it is in the store.
"""

from collections.abc import Sequence
from typing import Final

from tradewind.bus.dead_letters import dead_lettered
from tradewind.bus.interface import (
    BusClosed,
    BusStatistics,
    Delivery,
    Offsets,
    Payload,
    Start,
    Subscription,
    TopicDescription,
)
from tradewind.bus.memory_market import MarketChannel
from tradewind.bus.memory_orders import OrderChannel
from tradewind.bus.subscribing import check_replay, check_subscription
from tradewind.wire.topics import Plane, Topic, dead_letters_of

ORDER_CAPACITY: Final = 10_000
"""Messages of one partition that a group may leave uncommitted before ``publish`` waits."""
ORDER_RETENTION: Final = 2_000
"""Messages of one partition that stay for replay after every reader has committed them."""
MARKET_RETENTION: Final = 1_024
"""Batches of one market-data topic that stay for replay."""

_CLOSED: Final = "the bus is closed; connect again"


class MemoryBus:
    """A ``Bus`` without a broker. Every subscriber must be opened on this same object."""

    def __init__(
        self,
        *,
        order_capacity: int = ORDER_CAPACITY,
        order_retention: int = ORDER_RETENTION,
        market_retention: int = MARKET_RETENTION,
    ) -> None:
        if min(order_capacity, order_retention, market_retention) < 1:
            raise ValueError("capacities and retentions of the memory bus must be at least 1")
        self._order_capacity = order_capacity
        self._order_retention = order_retention
        self._market_retention = market_retention
        self._channels: dict[str, OrderChannel | MarketChannel] = {}
        self._publish_waits = 0
        self._closed = False

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        """See ``Bus.publish``. A publish that is cancelled while it waits has published nothing, unless the topic took
        it in the same turn of the loop.

        Raises:
            BusClosed: the bus is closed, before or while waiting.
            ValueError: the topic was used with another plane or number of partitions.
        """
        channel = self._channels.get(topic.name)
        if channel is None or channel.topic is not topic:
            channel = self._channel(topic)
        elif self._closed:
            raise BusClosed(_CLOSED)
        if (admission := channel.publish(key, payload)) is not None:
            self._publish_waits += 1
            await admission.wait()

    def publish_now(self, topic: Topic, key: str, payload: Payload) -> None:
        """Publish on the market-data plane from a callback: this transport has no reason to wait there.

        Raises:
            BusClosed, ValueError: see ``publish``; ValueError too for a topic of the order plane, which may wait.
        """
        if topic.plane is not Plane.MARKET_DATA:
            raise ValueError(f"topic {topic.name} is of the order plane; await publish() instead")
        channel = self._channels.get(topic.name)
        if channel is None or channel.topic is not topic:
            channel = self._channel(topic)
        elif self._closed:
            raise BusClosed(_CLOSED)
        channel.publish(key, payload)

    async def subscribe(
        self,
        topic: Topic,
        *,
        group: str | None = None,
        start: Start | Offsets = Start.LATEST,
        capacity: int = 4096,
        lossless: bool = False,
    ) -> Subscription:
        """See ``Bus.subscribe``. On the order plane ``capacity`` bounds the backlog of a subscriber without a group.

        Raises:
            BusClosed: the bus is closed.
            ValueError: see ``Bus.subscribe``, or the topic was used with another plane or number of partitions.
        """
        check_subscription(topic, group, start, capacity, lossless)
        channel = self._channel(topic)
        if isinstance(channel, MarketChannel):
            return channel.subscribe(start, capacity, lossless)
        return channel.subscribe(group, start, capacity)

    async def replay(
        self, topic: Topic, *, from_offset: int | None = None, from_time_ns: int | None = None, limit: int = 10_000
    ) -> Sequence[Delivery]:
        """See ``Bus.replay``; without a start, from the oldest message kept.

        Raises:
            BusClosed: the bus is closed.
            ValueError: both an offset and a time, or a limit below 1.
        """
        check_replay(from_offset, from_time_ns, limit)
        return self._channel(topic).replay(from_offset, from_time_ns, limit)

    async def describe(self, topic: Topic) -> TopicDescription:
        """See ``Bus.describe``.

        Raises:
            BusClosed: the bus is closed.
        """
        return self._channel(topic).describe()

    def statistics(self) -> BusStatistics:
        """Counters now, of the subscriptions that are open."""
        channels = self._channels.values()
        return BusStatistics(
            published=sum(channel.published() for channel in channels),
            publish_waits=self._publish_waits,
            subscriptions=[subscription.statistics() for channel in channels for subscription in channel.subscriptions],
        )

    async def close(self) -> None:
        """See ``Bus.close``. Everyone who waits gets BusClosed. Closing twice is fine."""
        self._closed = True
        # First, so that a reader that leaves below does not make room for a message that nobody will get.
        for channel in self._channels.values():
            channel.refuse_waiting(BusClosed(f"{_CLOSED}; the message is not published"))
        for channel in self._channels.values():
            for subscription in list(channel.subscriptions):
                await subscription.close()

    def _channel(self, topic: Topic) -> OrderChannel | MarketChannel:
        if self._closed:
            raise BusClosed(_CLOSED)
        if (channel := self._channels.get(topic.name)) is None:
            channel = self._channels[topic.name] = self._new_channel(topic)
        known = channel.topic
        if (known.plane, known.partitions) != (topic.plane, topic.partitions):
            raise ValueError(f"topic {topic.name} is in use as {known}; it cannot also be {topic}")
        return channel

    def _new_channel(self, topic: Topic) -> OrderChannel | MarketChannel:
        if topic.plane is Plane.MARKET_DATA:
            return MarketChannel(topic, self._market_retention, self._dead_letter)
        return OrderChannel(topic, self._order_capacity, self._order_retention, self._dead_letter)

    async def _dead_letter(self, delivery: Delivery, reason: str) -> None:
        await self.publish(dead_letters_of(delivery.topic), delivery.key, dead_lettered(delivery, reason))
