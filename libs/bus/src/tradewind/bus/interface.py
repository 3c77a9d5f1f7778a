"""What every transport does. The contract suite in ``libs/bus/tests`` runs the same tests on all of them.

Order plane: messages of one key are delivered in publish order, at least once; nothing is dropped; ``publish`` waits
while the topic is full. Market-data plane: ordered per publisher; ``publish`` never waits; a subscriber that is slow
loses the oldest records, and the next batch it gets has the GAP flag on its first record and is counted in
``statistics()``. That flag speaks for the whole topic: every instrument read from it must be synchronised again.

Payloads may be shared between subscribers: nobody changes a delivery or what is in it.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.messages import Message
from tradewind.wire.topics import Topic

Payload = Message | MarketBatch


class Start(enum.Enum):
    """Where a subscription without a committed position begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


Offsets = Mapping[int, int]
"""Partition -> the first offset wanted of it. A partition that is not named begins at the earliest."""

NO_OFFSET: Final = -1
"""The ``offset`` of a delivery whose broker does not say it: RabbitMQ's queues of groups."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as it reached a subscriber. ``offset`` counts from 0 per partition, or is NO_OFFSET; ``ts_publish``
    is the publisher's clock in ns."""

    topic: str
    partition: int
    offset: int
    key: str
    payload: Payload
    ts_publish: int


@dataclasses.dataclass(slots=True)
class SubscriptionStatistics:
    """Counters of one subscription since it began."""

    topic: str
    group: str | None
    delivered: int = 0
    lag: int = 0  # messages published and not yet received
    dropped_records: int = 0  # market-data plane only
    gaps: int = 0
    dead_lettered: int = 0
    capacity: int = 0  # messages that may wait here before records are dropped or publishers wait; 0 is not told


@dataclasses.dataclass(slots=True)
class BusStatistics:
    """Counters of one bus since it was opened."""

    published: int = 0
    publish_waits: int = 0  # times that a full order topic made a publisher wait
    dropped_records: int = 0  # market data that the broker did not take in time
    subscriptions: list[SubscriptionStatistics] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class PartitionRange:
    """What a broker keeps of one partition: offsets from ``first`` up to, not including, ``end``."""

    first: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class TopicDescription:
    """One topic as the broker has it now. ``lag`` of a group: messages it has not committed, by partition."""

    topic: str
    partitions: tuple[PartitionRange, ...]
    lag: Mapping[str, Mapping[int, int]]


class BusClosed(ConnectionError):
    """The bus or the subscription was closed."""


class Subscription(Protocol):
    """One reader of a topic. With a group its position is durable and shared by the group's members."""

    async def receive(self, limit: int = 256, timeout_s: float | None = None) -> list[Delivery]:
        """Wait for the next deliveries, in order: at least one, at most ``limit``; empty when ``timeout_s`` passed.

        One task at a time. A cancelled ``receive`` loses nothing.

        Raises:
            BusClosed: closed, before or while waiting.
            RuntimeError: another task waits on this subscription.
        """
        ...

    async def commit(self) -> None:
        """Declare everything received so far done: it will not be delivered to this group again.

        Without a group it does nothing.
        """
        ...

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """Put a message that cannot be handled aside, with the reason, on ``<topic>.dead-letter``; then go on."""
        ...

    async def close(self) -> None:
        """Stop; uncommitted messages go to another member of the group, or to the next one that joins."""
        ...


class Bus(Protocol):
    """One connection to one broker."""

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        """Hand over one message; on the order plane it is durable at the broker when this returns."""
        ...

    def publish_now(self, topic: Topic, key: str, payload: Payload) -> None:
        """Hand over one message of the market-data plane from a callback; it never waits.

        Raises:
            BusClosed: the bus is closed.
            ValueError: a topic of the order plane, which may have to wait.
        """
        ...

    async def subscribe(
        self,
        topic: Topic,
        *,
        group: str | None = None,
        start: Start | Offsets = Start.LATEST,
        capacity: int = 4096,
        lossless: bool = False,
    ) -> Subscription:
        """Begin to read. Without a group every subscriber gets every message from ``start`` on.

        What is published after this returns is not missed. ``Offsets`` are for readers without a group that keep
        their own position; one that is no longer kept begins at the oldest kept (market data: with a gap).

        ``capacity`` bounds what may wait for a market-data subscriber, in batches, and for an order-plane subscriber
        without a group, in messages per partition. A group's ``start`` counts when the group first appears. A group
        is a reader for ever: while no member reads, its backlog is kept, and pushes back. So a reader that may stay
        away for good (a strategy, a page) reads without a group.

        The market-data plane has no groups. There ``lossless`` leaves what exceeds ``capacity`` at the broker instead
        of dropping the oldest: a gap comes only when the broker itself no longer keeps it.

        Raises:
            BusClosed: the bus is closed.
            ValueError: capacity below 1; a group on the market-data plane; a group with offsets; lossless orders.
        """
        ...

    async def replay(
        self, topic: Topic, *, from_offset: int | None = None, from_time_ns: int | None = None, limit: int = 10_000
    ) -> Sequence[Delivery]:
        """Messages that the topic still keeps, from an offset or a publish time on, in order per partition."""
        ...

    async def describe(self, topic: Topic) -> TopicDescription:
        """What the broker keeps of a topic, and how far each group is behind, without reading any of it."""
        ...

    def statistics(self) -> BusStatistics:
        """Counters now."""
        ...

    async def close(self) -> None:
        """Close every subscription and the connection."""
        ...
