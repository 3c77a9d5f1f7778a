"""The Kafka transport: ``kafka://host:port`` and ``kafkas://``; ``kafka_settings`` has the URL's options.

Order plane: an idempotent producer, acknowledged by all replicas in sync; groups are consumer groups, one per topic.
Market-data plane: the same, compressed, from an outbox that never makes anybody wait; it has no groups. The broker
keeps what nobody has read, so ``publish`` waits for the cluster but never for a reader.
"""

import asyncio
import heapq
import itertools
import operator
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from tradewind.bus.envelopes import key_text, opened, sealed
from tradewind.bus.interface import (
    BusStatistics,
    Delivery,
    Offsets,
    PartitionRange,
    Payload,
    Start,
    Subscription,
    TopicDescription,
)
from tradewind.bus.kafka_groups import GroupSubscription
from tradewind.bus.kafka_link import KafkaLink
from tradewind.bus.kafka_logging import quieten_client
from tradewind.bus.kafka_producers import (
    MARKET_PRODUCER,
    ORDER_PRODUCER,
    KafkaWriter,
    MarketSender,
    OrderLane,
    drained,
)
from tradewind.bus.kafka_settings import KafkaSettings, kafka_settings
from tradewind.bus.kafka_stopping import stop_consumer
from tradewind.bus.kafka_subscriptions import FETCH_BYTES, Backlog, KafkaSubscription, LoneSubscription
from tradewind.bus.market_queue import MarketOutbox, MarketQueue
from tradewind.bus.partitions import partition_of
from tradewind.bus.subscribing import check_replay, check_subscription
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.topics import Plane, Topic

_POLL_MS = 1_000


async def connect_kafka(url: str) -> "KafkaBus":
    """A bus on the cluster at ``url``.

    Raises:
        ConnectionError: no broker answered within the URL's ``connect_s``.
        UnsupportedTransport: the URL has what ``kafka_settings`` does not know.
    """
    quieten_client()
    bus = KafkaBus(kafka_settings(url))
    try:
        await bus.open()
    except BaseException:
        await bus.close()
        raise
    return bus


class KafkaBus:
    """A ``Bus`` on a Kafka cluster."""

    def __init__(self, settings: KafkaSettings, *, outbox: MarketOutbox | None = None) -> None:
        self._link = KafkaLink(settings)
        self._orders = KafkaWriter(self._link, **ORDER_PRODUCER)
        self._market = KafkaWriter(self._link, **MARKET_PRODUCER)
        self._outbox = MarketOutbox() if outbox is None else outbox
        self._sender = MarketSender(self._link, self._market, self._outbox)
        self._lanes: dict[tuple[str, int], OrderLane] = {}
        self._subscriptions: list[KafkaSubscription] = []
        self._published = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: no broker answered in time.
        """
        await self._link.open()

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        """See ``Bus.publish``. On the order plane it waits while the cluster is away; one that is cancelled then may
        be published or not.

        Raises:
            BusClosed: the bus is closed, before or while waiting.
            PermissionError: the broker does not let us.
            ValueError: too large, or the topic has fewer partitions at the broker than declared.
        """
        self._link.check_open()
        if topic.plane is Plane.MARKET_DATA:
            self.publish_now(topic, key, payload)
            return
        headers, body = sealed(payload, time.time_ns())
        partition = partition_of(key, topic.partitions)
        if (lane := self._lanes.get((topic.name, partition))) is None:
            await self._link.partitions(topic)
            lane = self._lane(topic, partition)
        await lane.publish((key.encode(), body, list(headers.items())))
        self._published += 1

    def publish_now(self, topic: Topic, key: str, payload: Payload) -> None:
        """See ``Bus.publish_now``.

        Raises:
            BusClosed: the bus is closed.
            ValueError: a topic of the order plane, or too large.
        """
        self._link.check_open()
        if topic.plane is not Plane.MARKET_DATA:
            raise ValueError(f"topic {topic.name} is of the order plane; await publish() instead")
        self._outbox.put(topic, key, payload)
        self._published += 1
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
        """See ``Bus.subscribe``.

        Raises:
            BusClosed: the bus is closed.
            ConnectionError: the cluster does not answer.
            ValueError: see ``Bus.subscribe``, or the topic has fewer partitions at the broker than declared.
        """
        check_subscription(topic, group, start, capacity, lossless)
        self._link.check_open()
        await self._link.partitions(topic)
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
            ConnectionError: the cluster does not answer.
            ValueError: both an offset and a time, or a limit below 1.
        """
        check_replay(from_offset, from_time_ns, limit)
        self._link.check_open()
        first, end = await self._link.ranges(topic)
        begin = first
        if from_offset is not None:
            begin = {partition: max(from_offset, kept) for partition, kept in first.items()}
        elif from_time_ns is not None:
            begin = await self._link.offsets_at(topic, from_time_ns)
        wanted = {partition: (at, end[partition]) for partition, at in begin.items() if at < end[partition]}
        parts = await self._link.ask(
            f"replaying {topic.name}", lambda: self._replayed(topic, wanted, from_time_ns or 0, limit)
        )
        merged = heapq.merge(*parts, key=operator.attrgetter("ts_publish"))
        return list(itertools.islice(merged, limit))

    async def describe(self, topic: Topic) -> TopicDescription:
        """See ``Bus.describe``.

        Raises:
            BusClosed: the bus is closed.
            ConnectionError: the cluster does not answer.
        """
        self._link.check_open()
        first, end = await self._link.ranges(topic)
        lag = {}
        for group in await self._link.groups(topic):
            committed = await self._link.committed(topic, group)
            lag[group] = {
                partition: max(end[partition] - max(committed.get(partition, 0), kept), 0)
                for partition, kept in sorted(first.items())
            }
        ranges = tuple(PartitionRange(first[partition], end[partition]) for partition in sorted(first))
        return TopicDescription(topic.name, ranges, lag)

    def statistics(self) -> BusStatistics:
        """Counters now, of the subscriptions that are open. ``published`` counts market data handed over;
        ``publish_waits`` stays 0, because a topic at a broker is never full."""
        return BusStatistics(
            published=self._published,
            dropped_records=self._outbox.dropped_records,
            subscriptions=[subscription.statistics() for subscription in self._subscriptions],
        )

    async def close(self) -> None:
        """See ``Bus.close``. Everyone who waits gets BusClosed, after a moment for what is on its way."""
        if not self._link.closing:
            self._link.closing = True
            await drained([*self._lanes.values(), self._sender])
            for lane in self._lanes.values():
                lane.refuse_waiting()
        await asyncio.gather(*(subscription.close() for subscription in list(self._subscriptions)))
        await self._link.close()
        await asyncio.gather(self._orders.close(), self._market.close())

    def _lane(self, topic: Topic, partition: int) -> OrderLane:
        self._link.check_open()
        key = (topic.name, partition)
        if key not in self._lanes:
            self._lanes[key] = OrderLane(self._link, self._orders, topic, partition)
        return self._lanes[key]

    def _subscription(
        self, topic: Topic, group: str | None, start: Start | Offsets, capacity: int, lossless: bool
    ) -> KafkaSubscription:
        if group is not None and isinstance(start, Start):
            return GroupSubscription(self._link, topic, group, start, self.publish)
        market = topic.plane is Plane.MARKET_DATA
        queue = MarketQueue(capacity) if market else Backlog(capacity)
        return LoneSubscription(self._link, topic, start, queue, self.publish, may_lose=market and not lossless)

    async def _replayed(
        self, topic: Topic, wanted: Mapping[int, tuple[int, int]], oldest_ns: int, limit: int
    ) -> list[list[Delivery]]:
        """At most ``limit`` deliveries of each partition, from the first offset wanted of it to before the last."""
        name = self._link.name_of(topic)
        consumer = AIOKafkaConsumer(
            auto_offset_reset="earliest", max_partition_fetch_bytes=FETCH_BYTES, **self._link.settings.client
        )
        parts: dict[int, list[Delivery]] = {partition: [] for partition in wanted}
        left = {TopicPartition(name, partition): end for partition, (_, end) in wanted.items()}
        try:
            await consumer.start()
            consumer.assign(list(left))
            for partition, (begin, _) in wanted.items():
                consumer.seek(TopicPartition(name, partition), begin)
            while left:
                self._link.check_open()
                for place, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
                    part = parts[place.partition]
                    part += _deliveries(topic.name, records, left[place], oldest_ns)
                for place in [p for p, end in left.items() if len(parts[p.partition]) >= limit]:
                    consumer.pause(place)
                    del left[place]
                for place in [p for p, end in left.items() if await consumer.position(p) >= end]:
                    del left[place]
        finally:
            await stop_consumer(consumer)
        return list(parts.values())


def _deliveries(topic: str, records: Sequence[Any], end: int, oldest_ns: int) -> list[Delivery]:
    result = []
    for record in records:
        if record.offset >= end:
            break
        try:
            payload, ts_publish = opened(dict(record.headers), record.value)
        except UndecodableMessage:
            continue  # A reader of the topic has put it aside, or will.
        if ts_publish >= oldest_ns:
            key = key_text(record.key)
            result.append(Delivery(topic, record.partition, record.offset, key, payload, ts_publish))
    return result
