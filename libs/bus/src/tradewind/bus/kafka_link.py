"""What all parts of one Kafka bus share: its settings, its tasks, its topics, and questions to the cluster.

Every request is timed by the client. Questions are asked again, with longer and longer pauses, until ``PATIENCE_S`` has
passed; what must not give up (publishing on the order plane, reading) asks through ``for_ever``.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.errors import CommitFailedError, KafkaError, UnknownMemberIdError, for_code  # type: ignore[import-untyped]

from tradewind.bus.envelopes import MAX_BROKER_BYTES
from tradewind.bus.interface import BusClosed
from tradewind.bus.kafka_settings import KafkaSettings
from tradewind.bus.kafka_stopping import stop_consumer
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.wire.topics import DAY_S, Topic

T = TypeVar("T")
PATIENCE_S: Final = 60.0
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
TRANSIENT: Final = (KafkaError, OSError, TimeoutError)
"""What a cluster that is away, restarting or rebalancing makes of a request."""

_REPLICAS: Final = 3
_LEAST_IN_SYNC: Final = 2
_SEGMENT_BYTES: Final = 64 * 1024 * 1024
_TOPIC_EXISTS: Final = 36
_REFUSALS: Final = {17: ValueError, 29: PermissionError, 37: ValueError, 38: ValueError, 40: ValueError, 44: ValueError}
"""Kafka's error codes that no retry mends: bad name, not authorized, bad partitions, replicas, settings, policy."""

_CLOSED: Final = "the bus is closed; connect again"

_log = logging.getLogger(__name__)


class KafkaLink:
    """See the module."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.tasks = OwnedTasks("bus.kafka")
        self.closing = False
        """Nothing new is taken; what is on its way still goes."""
        self._closed = False
        self._admin: Any = None
        self._lookup: Any = None
        self._partitions: dict[str, int] = {}
        self._creating = asyncio.Lock()

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionError: no broker answered within ``connect_s``, or it refuses us.
        """
        await self.ask("connecting", self._connect, self.settings.connect_s)

    async def close(self) -> None:
        """End the tasks and the connections."""
        self.closing = self._closed = True
        await self.tasks.close()
        if self._lookup is not None:
            await stop_consumer(self._lookup)
        if self._admin is not None:
            await self._admin.close()

    def name_of(self, topic: Topic) -> str:
        """The topic's name at the broker."""
        return f"{self.settings.prefix}{topic.name}"

    def group_of(self, topic: Topic, group: str) -> str:
        """The name at the broker of a group of one topic. Groups of two topics must not rebalance each other."""
        return f"{self._groups_of(topic)}{group}"

    async def partitions(self, topic: Topic) -> int:
        """How many partitions the topic has at the broker, where it is created if it must be.

        Raises:
            ConnectionError: the cluster does not answer.
            ValueError: it has fewer than declared, or a name or settings that the broker refuses.
        """
        if (known := self._partitions.get(topic.name)) is None:
            async with self._creating:
                if (known := self._partitions.get(topic.name)) is None:
                    known = await self.ask(f"topic {topic.name}", lambda: self._found_or_created(topic))
                    self._partitions[topic.name] = known
        if known < topic.partitions:
            raise ValueError(
                f"topic {self.name_of(topic)} has {known} partitions at the broker, {topic.partitions} are declared; "
                f"when nothing is in flight, add some with kafka-topics.sh --alter --partitions {topic.partitions}"
            )
        return known

    def forget(self, topic: Topic) -> None:
        """The broker says that the topic is not there: look, and create it, when it is used next."""
        self._partitions.pop(topic.name, None)

    async def ranges(self, topic: Topic) -> tuple[dict[int, int], dict[int, int]]:
        """The first offset kept of each partition, and the next one to be written."""
        places = await self._places(topic)

        async def attempt() -> tuple[dict[int, int], dict[int, int]]:
            first = await self._lookup.beginning_offsets(places)
            end = await self._lookup.end_offsets(places)
            return _by_partition(first), _by_partition(end)

        return await self.ask(f"offsets of {topic.name}", attempt)

    async def offsets_at(self, topic: Topic, time_ns: int) -> dict[int, int]:
        """The first offset of each partition that was written at a time or later; absent where there is none."""
        places = await self._places(topic)

        async def attempt() -> dict[int, int]:
            found = await self._lookup.offsets_for_times(dict.fromkeys(places, max(time_ns, 0) // 1_000_000))
            return {place.partition: at.offset for place, at in found.items() if at is not None}

        return await self.ask(f"offsets of {topic.name}", attempt)

    async def committed(self, topic: Topic, group: str) -> dict[int, int]:
        """What a group has committed, by partition."""

        async def attempt() -> dict[int, int]:
            places = await self._places(topic)
            found = await self._admin.list_consumer_group_offsets(self.group_of(topic, group), partitions=places)
            return {place.partition: at.offset for place, at in found.items() if at.offset >= 0}

        return await self.ask(f"offsets of group {group}", attempt)

    async def commit_as_nobody(self, topic: Topic, group: str, offsets: Mapping[int, int]) -> None:
        """Commit for a group that has no member yet; when it has some, they have done it."""
        consumer = AIOKafkaConsumer(
            group_id=self.group_of(topic, group), enable_auto_commit=False, **self.settings.client
        )
        try:
            await consumer.start()
            named = {TopicPartition(self.name_of(topic), number): offset for number, offset in offsets.items()}
            consumer.assign(list(named))
            with contextlib.suppress(CommitFailedError, UnknownMemberIdError):
                await consumer.commit(named)
        finally:
            await stop_consumer(consumer)

    async def groups(self, topic: Topic) -> list[str]:
        """The groups that read a topic, without what stands before their names at the broker."""
        beginning = self._groups_of(topic)

        async def attempt() -> list[str]:
            found = await self._admin.list_consumer_groups()
            return sorted(name.removeprefix(beginning) for name, _ in found if name.startswith(beginning))

        return await self.ask("groups", attempt)

    async def ask(self, what: str, attempt: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
        """The answer to a question that may have to be asked again.

        Raises:
            BusClosed: the bus was closed meanwhile.
            ConnectionError: no answer within ``patience_s``.
        """
        deadline = time.monotonic() + patience_s
        pause_s = FIRST_PAUSE_S
        while True:
            if self._closed:
                raise BusClosed(_CLOSED)
            try:
                async with asyncio.timeout(patience_s):
                    return await attempt()
            except (PermissionError, BusClosed):
                raise
            except TRANSIENT as error:
                if time.monotonic() + pause_s > deadline:
                    raise ConnectionError(
                        f"Kafka at {', '.join(self.settings.servers)}: {what} failed for {patience_s:.0f} s, "
                        f"at last with {error!r}; check that it runs and that the URL is right"
                    ) from error
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def for_ever(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """As ``ask``, without an end: for work that waits until the cluster is back.

        Raises:
            BusClosed: the bus was closed meanwhile.
        """
        while True:
            try:
                return await self.ask(what, attempt)
            except BusClosed:
                raise
            except ConnectionError as error:
                _log.warning("%s; trying on", error)

    def check_open(self) -> None:
        """Raises BusClosed when the bus is closed."""
        if self.closing:
            raise BusClosed(_CLOSED)

    def _groups_of(self, topic: Topic) -> str:
        # No topic's name has a colon.
        return f"{self.name_of(topic)}:"

    async def _connect(self) -> None:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self.settings.client)
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        lookup = AIOKafkaConsumer(**self.settings.client)
        try:
            await lookup.start()
        except BaseException:
            await stop_consumer(lookup)
            raise
        self._lookup = lookup

    async def _places(self, topic: Topic) -> list[Any]:
        name = self.name_of(topic)
        return [TopicPartition(name, number) for number in range(await self.partitions(topic))]

    async def _found_or_created(self, topic: Topic) -> int:
        name = self.name_of(topic)
        # All topics first: a broker that creates topics by itself would do so when it is asked for one.
        if name not in await self._admin.list_topics():
            await self._create(topic, name)
        [found] = await self._admin.describe_topics([name])
        for error_code in (found["error_code"], *(each["error_code"] for each in found["partitions"])):
            if error_code:
                raise for_code(error_code)(f"topic {name}")
        return len(found["partitions"])

    async def _create(self, topic: Topic, name: str) -> None:
        brokers = len((await self._admin.describe_cluster())["brokers"])
        replicas = min(_REPLICAS, brokers)
        wanted = NewTopic(name, topic.partitions, replicas, topic_configs=topic_settings(topic, replicas))
        response = await self._admin.create_topics([wanted])
        for _, error_code, *said in response.topic_errors:
            if error_code in (0, _TOPIC_EXISTS):
                continue
            text = f"topic {name} cannot be created: {for_code(error_code).__name__} {said[0] if said else ''}"
            raise _REFUSALS.get(error_code, ConnectionError)(text)


def topic_settings(topic: Topic, replicas: int) -> dict[str, str]:
    """The settings at the broker of a topic with so many replicas."""
    result = {"max.message.bytes": str(MAX_BROKER_BYTES), "segment.bytes": str(_SEGMENT_BYTES)}
    if topic.compacted:
        # The newest segment is never compacted: a new one every day, or the topic would only grow.
        result |= {"cleanup.policy": "compact", "segment.ms": str(DAY_S * 1_000)}
    else:
        result |= {"cleanup.policy": "delete", "retention.ms": str(topic.retention_s * 1_000)}
    if replicas >= _REPLICAS:
        result["min.insync.replicas"] = str(_LEAST_IN_SYNC)
    return result


def _by_partition(offsets: Mapping[Any, int]) -> dict[int, int]:
    return {place.partition: offset for place, offset in offsets.items()}
