"""Writing to Kafka: batches that we fill ourselves, one on its way per partition at a time.

Order: as published, per partition, because the next batch of a partition leaves when the one before is acknowledged;
what comes meanwhile makes the next batch larger. Bounds: a line of the order plane has one message of each publisher
that waits there, and the outbox of the market-data plane has its own. When the cluster is away: the order plane waits
for it; market data is dropped from the outbox, oldest first, and the next batch says so. On cancel: a publish that is
cancelled is withdrawn if it has not left yet.

Filling batches ourselves costs one future per batch instead of one task switch per message.
"""

import asyncio
import collections
import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from tradewind.bus.interface import BusClosed
from tradewind.bus.kafka_link import FIRST_PAUSE_S, LONGEST_PAUSE_S, TRANSIENT, KafkaLink
from tradewind.bus.kafka_stopping import stop_producer
from tradewind.bus.market_queue import MarketOutbox, Outgoing
from tradewind.bus.partitions import partition_of
from tradewind.bus.waking import WakeUp
from tradewind.wire.topics import Topic

BATCH_MESSAGES: Final = 10_000
BATCH_BYTES: Final = 512 * 1024
ORDER_PRODUCER: Final = {"enable_idempotence": True, "acks": "all", "max_batch_size": BATCH_BYTES}
MARKET_PRODUCER: Final = {**ORDER_PRODUCER, "compression_type": "lz4"}
"""Idempotent as well: a retry would double trades, and a leader that dies alone would lose records without a gap."""

_MARKET_MESSAGES: Final = 2_048
_DRAIN_S: Final = 2.0
_FORBIDDEN: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, InvalidTopicError)
_CLOSED: Final = "the bus was closed before the broker confirmed; the message may not be published"

_log = logging.getLogger(__name__)

Row = tuple[bytes, bytes, list[tuple[str, bytes]]]
"""Key, body and headers."""


class KafkaWriter:
    """One producer, made when it is first needed, and made anew after an error that it may not get over."""

    def __init__(self, link: KafkaLink, **options: Any) -> None:
        self._link = link
        self._options = options
        self._producer: Any = None
        self._making = asyncio.Lock()
        self._worn = False

    async def write(self, name: str, partition: int, rows: Iterable[Row], most: int) -> tuple[int, int]:
        """Send one batch of at most ``most`` of the first ``rows``; how many went, and the offset of the first.

        Raises:
            KafkaError: not acknowledged; it may be written or not.
        """
        producer = await self.ready()
        batch = producer.create_batch()
        count = 0
        for key, body, headers in rows:
            if count == most or batch.append(timestamp=None, key=key, value=body, headers=headers) is None:
                break
            count += 1
        batch.close()
        try:
            sent = await producer.send_batch(batch, name, partition=partition)
            # Failed at the latest when the producer is stopped, because another batch failed.
            return count, (await sent).offset
        except AssertionError as error:  # The client's way to say that its metadata has no such partition.
            self._retire(producer)
            raise KafkaError(f"{name} has no partition {partition}") from error
        except TRANSIENT:
            # A batch that failed leaves a hole in the numbers that make the producer idempotent.
            self._retire(producer)
            raise

    async def close(self) -> None:
        """Fail what waits, and disconnect."""
        if self._producer is not None:
            producer = self._producer
            self._retire(producer)
            await stop_producer(producer, 0.0)

    async def ready(self) -> Any:
        """The producer, connected."""
        if self._producer is None or self._worn:
            async with self._making:
                if self._producer is None or self._worn:
                    await self._make()
        return self._producer

    async def _make(self) -> None:
        if self._producer is not None:
            # Before the next one begins: what it holds must not be written after what comes now.
            old, self._producer = self._producer, None
            await stop_producer(old, 0.0)
        producer = AIOKafkaProducer(**self._options, **self._link.settings.client)
        try:
            await producer.start()
        except BaseException:
            await stop_producer(producer, 0.0)
            raise
        self._producer, self._worn = producer, False

    def _retire(self, producer: Any) -> None:
        if self._producer is producer:
            self._worn = True


_Pending = tuple[Row, asyncio.Future[int]]
"""One message, and who waits for its offset."""


class OrderLane:
    """The publishers of one partition of the order plane, in line. Each waits for its own message."""

    def __init__(self, link: KafkaLink, writer: KafkaWriter, topic: Topic, partition: int) -> None:
        self._link = link
        self._writer = writer
        self._topic = topic
        self._partition = partition
        self._waiting: collections.deque[_Pending] = collections.deque()
        self._cancelled = 0
        self._wake_up = WakeUp()
        self._create_future = asyncio.get_running_loop().create_future
        link.tasks.spawn(self._send(), f"orders.{topic.name}.{partition}")

    async def publish(self, row: Row) -> int:
        """Returns the message's offset when the broker has it.

        Raises:
            BusClosed: closed meanwhile.
            PermissionError, ValueError: the broker will never take it.
        """
        self._link.check_open()
        acknowledged: asyncio.Future[int] = self._create_future()
        self._waiting.append((row, acknowledged))
        if self._wake_up.future is not None:
            self._wake_up.wake()
        try:
            return await acknowledged
        except asyncio.CancelledError:
            self._cancelled += 1
            raise

    def refuse_waiting(self, error: Exception | None = None) -> None:
        """Fail everyone who waits, because the bus is closed or with ``error``."""
        for _, acknowledged in self._waiting:
            if not acknowledged.done():
                acknowledged.set_exception(error or BusClosed(_CLOSED))
        self._waiting.clear()

    @property
    def idle(self) -> bool:
        """Nobody waits."""
        return not self._waiting

    async def _send(self) -> None:
        pause_s, most = FIRST_PAUSE_S, BATCH_MESSAGES
        while True:
            self._forget_cancelled()
            if not self._waiting:
                await self._wake_up.sleep(None)
                continue
            try:
                await self._send_batch(most)
                pause_s, most = FIRST_PAUSE_S, BATCH_MESSAGES
            except MessageSizeTooLargeError as error:
                self._refuse_first(ValueError(f"the broker's limit on {self._topic.name} is too small: {error}"), most)
                most = 1
            except (PermissionError, ValueError, *_FORBIDDEN) as error:
                refusal = error if isinstance(error, ValueError) else PermissionError(f"{self._topic.name}: {error}")
                self._refuse_first(refusal, 1)
            except TRANSIENT as error:
                if isinstance(error, UnknownTopicOrPartitionError):
                    self._link.forget(self._topic)
                _log.warning("%s: waiting for the cluster: %r", self._topic.name, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            except Exception as error:
                _log.exception("%s: publishing failed", self._topic.name)
                self.refuse_waiting(error)

    async def _send_batch(self, most: int) -> None:
        await self._link.partitions(self._topic)
        name = self._link.name_of(self._topic)
        count, offset = await self._writer.write(name, self._partition, self._rows(), most)
        for number in range(min(count, len(self._waiting))):  # Closing the bus empties the line.
            _, acknowledged = self._waiting.popleft()
            if not acknowledged.done():
                acknowledged.set_result(offset + number)

    def _rows(self) -> Iterator[Row]:
        # A function, because a generator expression would take hold of the line before the writer is ready.
        for row, _ in self._waiting:
            yield row

    def _forget_cancelled(self) -> None:
        if self._cancelled:
            self._cancelled = 0
            self._waiting = collections.deque(pending for pending in self._waiting if not pending[1].done())

    def _refuse_first(self, error: Exception, most: int) -> None:
        # With more than one message in the batch it is not known which was refused: they are tried one by one.
        if most == 1 and self._waiting:
            _, acknowledged = self._waiting.popleft()
            if not acknowledged.done():
                acknowledged.set_exception(error)


class MarketSender:
    """The one task that empties the outbox of market data."""

    def __init__(self, link: KafkaLink, writer: KafkaWriter, outbox: MarketOutbox) -> None:
        self._link = link
        self._writer = writer
        self._outbox = outbox
        self._busy = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, if it has not."""
        if self._task is None:
            self._task = self._link.tasks.spawn(self._run(), "market")

    @property
    def idle(self) -> bool:
        """Everything was handed to the broker or given up."""
        return not self._busy and not len(self._outbox)

    async def _run(self) -> None:
        while True:
            self._busy = False
            taken = await self._outbox.take(_MARKET_MESSAGES)
            self._busy = True
            places: dict[tuple[str, int], list[Outgoing]] = {}
            for outgoing in taken:
                topic = outgoing.topic
                places.setdefault((topic.name, partition_of(outgoing.key, topic.partitions)), []).append(outgoing)
            async with asyncio.TaskGroup() as tasks:
                for (_, partition), messages in places.items():
                    tasks.create_task(self._send(messages[0].topic, partition, messages))

    async def _send(self, topic: Topic, partition: int, messages: list[Outgoing]) -> None:
        rows: list[Row] = [(each.key.encode(), each.body, list(each.headers.items())) for each in messages]
        sent = 0
        try:
            while sent < len(rows):
                # Nothing has left yet: that can wait for the cluster, while the outbox drops what is too much.
                await self._link.for_ever(f"publishing {topic.name}", lambda: self._ready_for(topic))
                left = rows[sent:] if sent else rows
                count, _ = await self._writer.write(self._link.name_of(topic), partition, left, len(left))
                sent += count
        except Exception as error:
            _log.warning("%s: %d messages not taken by the broker: %r", topic.name, len(messages) - sent, error)
            for outgoing in messages[sent:]:
                self._outbox.lost(outgoing)
            if isinstance(error, UnknownTopicOrPartitionError):
                self._link.forget(topic)

    async def _ready_for(self, topic: Topic) -> None:
        await self._link.partitions(topic)
        await self._writer.ready()


async def drained(senders: Iterable[OrderLane | MarketSender]) -> None:
    """Wait a moment for what is on its way, when the bus closes."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while not all(sender.idle for sender in senders):
                await asyncio.sleep(0.001)
    except TimeoutError:
        _log.warning("the bus is closed while messages wait for the broker")
