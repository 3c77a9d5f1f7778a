"""A member of a group on Kafka: its position is what it has committed, and the group's members share the partitions.

A rebalance takes all partitions from all members and hands them out anew, from what is committed. So before a member
gives them up it waits for its reader to commit what it has received, at most ``commit_grace_s``; what is not committed
then is delivered again to the new owner, and a commit of it that comes later commits nothing. A member that was frozen
past its session finds its partitions given away: its commits are refused by the broker, and it joins again.
"""

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.abc import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
)

from tradewind.bus.interface import BusClosed, Delivery, Start
from tradewind.bus.kafka_link import KafkaLink
from tradewind.bus.kafka_stopping import stop_consumer
from tradewind.bus.kafka_subscriptions import FETCH_BYTES, Backlog, KafkaSubscription, Publish
from tradewind.bus.waking import WakeUp
from tradewind.model.identifiers import Venue
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import empty_records
from tradewind.wire.topics import Topic

BACKLOG_MESSAGES: Final = 2_000

_POISON: Final = "\0poison"
"""Stands in the queue as the topic of what went to the dead letters."""


_NOTHING: Final = MarketBatch(Venue(""), empty_records(0))


class GroupSubscription(KafkaSubscription):
    """See the module."""

    def __init__(self, link: KafkaLink, topic: Topic, group: str, start: Start, publish: Publish) -> None:
        self._backlog = Backlog(BACKLOG_MESSAGES)
        super().__init__(link, topic, group, self._backlog, publish)
        self._group_name = group
        self._start = start
        self._received: dict[int, int] = {}  # partition -> the offset after the last one received, this generation
        self._committed: dict[int, int] = {}
        self._committed_now = WakeUp()
        self._fetch_generation = 0
        self._generation = 0
        self._skips = 0

    async def commit(self) -> None:
        """See ``Subscription.commit``; of a partition that was lost since it commits nothing."""
        self._check_open()
        offsets = {p: offset for p, offset in self._received.items() if offset != self._committed.get(p)}
        if not offsets:
            return
        name, generation = self._link.name_of(self.topic), self._generation
        named = {TopicPartition(name, partition): offset for partition, offset in offsets.items()}
        consumer = self._consumer
        try:
            if consumer is not None:
                await consumer.commit(named)
        except (CommitFailedError, ConsumerStoppedError, IllegalStateError):
            self._check_open()
            if generation == self._generation:
                self._lost()
        except GroupAuthorizationFailedError as error:
            raise PermissionError(f"group {self.group} may not commit: {error}") from error
        except KafkaError as error:
            raise ConnectionError(f"group {self.group} could not commit to {self.topic.name}: {error!r}") from error
        else:
            if generation == self._generation:
                self._committed.update(offsets)
                self._committed_now.wake()

    async def close(self) -> None:
        """See ``Subscription.close``."""
        self._lost()
        await super().close()

    async def give_up(self) -> None:
        """A rebalance begins: what is queued comes again, what was received may still be committed for a while."""
        self._fetch_generation += 1
        self._skips = 0
        self._fetched.clear()
        self._backlog.clear()
        deadline = time.monotonic() + self._link.settings.commit_grace_s
        while self._received != self._committed and (left_s := deadline - time.monotonic()) > 0:
            await self._committed_now.sleep(left_s)
        self._lost()

    async def _opened(self) -> Any:
        await self._begin_group()
        self._lost()
        settings = self._link.settings
        consumer = AIOKafkaConsumer(
            group_id=self._link.group_of(self.topic, self._group_name),
            enable_auto_commit=False,
            # Where the group has no offset: a partition that was added, or one that the broker has cut off.
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=settings.session_ms,
            heartbeat_interval_ms=settings.heartbeat_ms,
            rebalance_timeout_ms=settings.rebalance_ms,
            **settings.client,
        )
        try:
            consumer.subscribe([self._link.name_of(self.topic)], listener=_Listener(self))
            await consumer.start()
        except BaseException:
            await stop_consumer(consumer)
            raise
        return consumer

    async def _begin_group(self) -> None:
        # Before it joins, so that what is published from now on is the group's, whoever is to read it.
        known = await self._link.committed(self.topic, self._group_name)
        missing = [p for p in range(await self._link.partitions(self.topic)) if p not in known]
        if missing:
            first, end = await self._link.ranges(self.topic)
            begin = first if self._start is Start.EARLIEST or known else end
            offsets = {partition: begin[partition] for partition in missing}
            await self._link.commit_as_nobody(self.topic, self._group_name, offsets)

    async def _take_in(self, records: Mapping[Any, list[Any]]) -> None:
        generation = self._fetch_generation
        for place, fetched in records.items():
            deliveries = await self._decoded(fetched)
            if generation != self._fetch_generation:
                return  # They were taken away while poison was set aside.
            self._fetched[place.partition] = fetched[-1].offset + 1
            self._backlog.put(deliveries)

    async def _missing(self, offsets: Mapping[Any, int]) -> None:
        raise KafkaError(f"offsets {offsets} are out of range")  # The client goes on at the earliest by itself.

    def _skipped(self, record: Any) -> Delivery | None:
        # It takes its place in line, so that the commit of what comes before does not cover it, nor forget it.
        self._skips += 1
        return Delivery(_POISON, record.partition, record.offset, "", _NOTHING, 0)

    def _take(self, limit: int) -> list[Delivery]:
        taken = self._backlog.take(limit)
        received = self._received
        if self._skips and taken:
            return self._without_poison(taken, limit)
        for delivery in taken:
            received[delivery.partition] = delivery.offset + 1
        return taken

    def _without_poison(self, taken: list[Delivery], limit: int) -> list[Delivery]:
        settled = self._received == self._committed
        kept: list[Delivery] = []
        while taken and not kept:
            self._received.update((delivery.partition, delivery.offset + 1) for delivery in taken)
            kept = [delivery for delivery in taken if delivery.topic is not _POISON]
            self._skips -= len(taken) - len(kept)
            taken = kept or self._backlog.take(limit)
        if settled and not kept:
            # The reader is not told of it, so it may not commit for long.
            with contextlib.suppress(BusClosed):
                self._link.tasks.spawn(self._commit_poison(), f"commit.{self.topic.name}.{self.group}")
        return kept

    async def _commit_poison(self) -> None:
        with contextlib.suppress(ConnectionError, PermissionError):  # The reader's own commit will tell.
            await self.commit()

    def _lost(self) -> None:
        self._generation += 1
        self._received.clear()
        self._committed.clear()
        self._committed_now.wake()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, subscription: GroupSubscription) -> None:
        self._subscription = subscription

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        if revoked:
            await self._subscription.give_up()

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """Nothing: the client begins at what is committed."""
