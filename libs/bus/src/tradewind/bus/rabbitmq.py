"""The RabbitMQ transport: ``amqp://host:port/vhost`` and ``amqps://``; ``rabbitmq_settings`` has the URL's options.

Order plane: persistent messages, each confirmed by the broker before ``publish`` returns. A group has a quorum queue
per partition and pushes back when one of them is full. Readers without a group read a stream, which keeps what they
have not read; they never push back. Market-data plane: the same streams, fed by an outbox that never makes anybody
wait; it has no groups. ``rabbitmq_topology`` says what a topic is at the broker.

There are two connections: a broker that is short of memory stops reading from those who publish, and then those who
read must still be able to say what they have done.
"""

import asyncio
import contextlib
import datetime
import heapq
import itertools
import operator
import secrets
from collections.abc import Sequence
from typing import Final

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
from tradewind.bus.market_queue import MarketOutbox
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.partitions import partition_of
from tradewind.bus.rabbitmq_groups import GroupSubscription
from tradewind.bus.rabbitmq_lanes import Lane
from tradewind.bus.rabbitmq_link import RabbitMQLink
from tradewind.bus.rabbitmq_market import MarketSender
from tradewind.bus.rabbitmq_members import ask_held
from tradewind.bus.rabbitmq_registry import GroupRegistry
from tradewind.bus.rabbitmq_settings import RabbitMQSettings, settings_from
from tradewind.bus.rabbitmq_streams import StreamStart, read_stream, stream_end, stream_range
from tradewind.bus.rabbitmq_subscriptions import MarketReader, OrderReader, RabbitMQSubscription
from tradewind.bus.rabbitmq_topology import RabbitMQTopology, queue_state
from tradewind.bus.subscribing import check_replay, check_subscription
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.topics import Plane, Topic

_CLOCKS_APART_S: Final = 5.0
"""How far a publisher's clock may be ahead of the broker's for a replay from a time to find all of its messages."""
_NS: Final = 1_000_000_000
_CLOSED: Final = "the bus is closed; connect again"


async def connect_rabbitmq(url: str) -> "RabbitMQBus":
    """A bus on the broker at ``url``.

    Raises:
        ConnectionError: the broker does not answer, refuses the password or does not have the vhost.
        UnsupportedTransport: the URL has what ``rabbitmq_settings`` does not know.
    """
    bus = RabbitMQBus(settings_from(url))
    try:
        await bus.open()
    except BaseException:
        await bus.close()
        raise
    return bus


class RabbitMQBus:
    """A ``Bus`` on a RabbitMQ."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._tasks = OwnedTasks("rabbitmq")
        self._publishing = RabbitMQLink(settings, "publishing", self._tasks)
        self._reading = RabbitMQLink(settings, "reading", self._tasks)
        self._topology = RabbitMQTopology(settings)
        self._registry = GroupRegistry(self._reading, self._topology)
        self._publisher = secrets.token_hex(8)
        self._outbox = MarketOutbox()
        self._sender = MarketSender(self._publishing, self._topology, self._tasks, self._outbox, self._publisher)
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._subscriptions: list[RabbitMQSubscription] = []
        self._market_published = 0
        self._closed = False

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: the broker does not answer, refuses the password or does not have the vhost.
        """
        for link in (self._publishing, self._reading):
            await link.open()
            self._tasks.spawn(link.keep(), "connection")

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        """See ``Bus.publish``. On the order plane it waits while the broker is away or a group's queue is full; one
        that is cancelled then may be published or not.

        Raises:
            BusClosed: the bus is closed, before or while waiting.
            PermissionError: the broker does not let us.
            ValueError: larger than a message may be.
        """
        if topic.plane is Plane.MARKET_DATA:
            self.publish_now(topic, key, payload)
            return
        self._check_open()
        partition = partition_of(key, topic.partitions)
        if (lane := self._lanes.get((topic.name, partition))) is None:
            lane = self._lanes[topic.name, partition] = Lane(
                self._publishing, self._topology, self._registry, topic, partition, self._publisher
            )
        await lane.publish(key, payload)

    def publish_now(self, topic: Topic, key: str, payload: Payload) -> None:
        """See ``Bus.publish_now``.

        Raises:
            BusClosed: the bus is closed.
            ValueError: a topic of the order plane, or larger than a message may be.
        """
        self._check_open()
        if topic.plane is not Plane.MARKET_DATA:
            raise ValueError(f"topic {topic.name} is of the order plane; await publish() instead")
        self._outbox.put(topic, key, payload)
        self._market_published += 1
        self._sender.start()

    async def subscribe(
        self,
        topic: Topic,
        *,
        group: str | None = None,
        start: Start | Offsets = Start.LATEST,
        capacity: int = 4096,
        lossless: bool = False,
    ) -> Subscription:
        """See ``Bus.subscribe``. It waits while the broker is away.

        Raises:
            BusClosed: the bus is closed, before or while waiting.
            PermissionError: the broker does not let us.
            ValueError: see ``Bus.subscribe``, or more is kept than a new group that begins at the earliest may leave.
        """
        check_subscription(topic, group, start, capacity, lossless)
        self._check_open()
        subscription = self._subscription(topic, group, start, capacity, lossless)
        self._subscriptions.append(subscription)
        subscription.on_close = self._subscriptions.remove
        try:
            await subscription.open()
        except BaseException:
            await subscription.close()
            raise
        return subscription

    async def replay(
        self, topic: Topic, *, from_offset: int | None = None, from_time_ns: int | None = None, limit: int = 10_000
    ) -> Sequence[Delivery]:
        """See ``Bus.replay``: merged by publish time; bytes that are no message of ours are left out.

        Raises:
            BusClosed: the bus is closed.
            ValueError: both an offset and a time, or a limit below 1.
        """
        check_replay(from_offset, from_time_ns, limit)
        self._check_open()

        await self._sender.drained()  # Who publishes and then replays wants to see it.

        async def replayed() -> list[list[Delivery]]:
            await self._topology.declare_topic(self._reading, topic)
            parts = (self._replayed(topic, p, from_offset, from_time_ns, limit) for p in range(topic.partitions))
            return await asyncio.gather(*parts)

        merged = heapq.merge(*await self._reading.retrying(replayed), key=operator.attrgetter("ts_publish"))
        return list(itertools.islice(merged, limit))

    async def describe(self, topic: Topic) -> TopicDescription:
        """See ``Bus.describe``. A member that does not answer within a second counts as one that holds nothing.

        Raises:
            BusClosed: the bus is closed.
        """
        self._check_open()
        await self._sender.drained()
        return await self._reading.retrying(lambda: self._described(topic))

    def statistics(self) -> BusStatistics:
        """Counters now, of the subscriptions that are open. ``published`` counts market data handed over."""
        return BusStatistics(
            published=self._market_published + sum(lane.confirmed for lane in self._lanes.values()),
            publish_waits=sum(lane.waits for lane in self._lanes.values()),
            dropped_records=self._outbox.dropped_records,
            subscriptions=[subscription.statistics() for subscription in self._subscriptions],
        )

    async def close(self) -> None:
        """See ``Bus.close``. Everyone who waits gets BusClosed, after a moment for market data that is on its way."""
        first, self._closed = not self._closed, True
        if first:
            await self._sender.drained()
        for lane in self._lanes.values():
            lane.close()
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        # The tasks first: one of them would connect again.
        await self._tasks.close()
        await asyncio.gather(self._publishing.close(), self._reading.close())

    def _check_open(self) -> None:
        if self._closed:
            raise BusClosed(_CLOSED)

    def _subscription(
        self, topic: Topic, group: str | None, start: Start | Offsets, capacity: int, lossless: bool
    ) -> RabbitMQSubscription:
        common = (self._reading, self._topology, self._tasks, topic, self.publish)
        if group is not None and isinstance(start, Start):
            return GroupSubscription(*common, group, start, self._registry)
        if topic.plane is Plane.MARKET_DATA:
            return MarketReader(*common, start, capacity, lossless=lossless)
        return OrderReader(*common, start, capacity)

    async def _replayed(
        self, topic: Topic, partition: int, from_offset: int | None, from_time_ns: int | None, limit: int
    ) -> list[Delivery]:
        """At most ``limit`` deliveries of a partition that are kept now, in order."""
        queue = self._topology.stream(topic.name, partition)
        start: StreamStart = "first" if from_offset is None else from_offset
        if from_time_ns is not None:
            seconds = max(from_time_ns / _NS - _CLOCKS_APART_S, 0.0)
            start = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        result: list[Delivery] = []
        end = await stream_end(self._reading, queue)
        pieces = read_stream(self._reading, queue, start, end, topic=topic.name, partition=partition)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                for one in piece:
                    if one.offset < (from_offset or 0):
                        continue
                    with contextlib.suppress(UndecodableMessage):  # A reader has put it aside, or will.
                        delivery = one.delivery()
                        if delivery.ts_publish >= (from_time_ns or 0):
                            result.append(delivery)
                    if len(result) == limit:
                        return result
        return result

    async def _described(self, topic: Topic) -> TopicDescription:
        await self._topology.declare_topic(self._reading, topic)
        queues = [self._topology.stream(topic.name, partition) for partition in range(topic.partitions)]
        ranges = await asyncio.gather(*(stream_range(self._reading, queue) for queue in queues))
        lag = {group: await self._lag(topic, group) for group in await self._registry.groups(topic.name)}
        return TopicDescription(topic.name, tuple(ranges), lag)

    async def _lag(self, topic: Topic, group: str) -> dict[int, int]:
        waiting, read = {}, set()
        for partition in range(topic.partitions):
            queue = self._topology.group_queue(topic.name, partition, group)
            messages, consumers = await queue_state(self._reading, queue) or (0, 0)
            waiting[partition] = messages
            if consumers:
                read.add(partition)
        held = await ask_held(self._reading, self._topology, topic.name, group, read) if read else {}
        return {partition: messages + held.get(partition, 0) for partition, messages in waiting.items()}
