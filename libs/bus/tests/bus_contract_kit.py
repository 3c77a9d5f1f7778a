"""What the tests of all transports share: topics of their own, messages with a number, and waits that end."""

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from typing import Final, Protocol

from tradewind.bus.interface import Bus, Delivery, Subscription, SubscriptionStatistics
from tradewind.model.identifiers import AccountId, Venue
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, empty_records, read_only
from tradewind.wire.topics import Plane, Topic

WAIT_S: Final = 20.0
"""How long something that must come may take; a broker that rebalances is slow."""
QUIET_S: Final = 0.05
"""How long nothing must come before we believe that nothing comes."""


class Transport(Protocol):
    """What the suite needs of a transport: one broker, empty or with topics that no test shares."""

    order_capacity: int | None
    """Uncommitted messages of one partition at which ``publish`` waits; None where the broker has no such bound."""
    survives_restart: bool
    """Whether ``restart`` exists: the broker comes back with what was durable."""

    async def open(self) -> Bus:
        """One more connection to the broker."""
        ...

    async def restart(self) -> Bus:
        """Stop the broker hard, start it on the same data, and connect."""
        ...

    async def close(self) -> None:
        """Close everything opened."""
        ...


_numbers = itertools.count(1)


def order_topic(partitions: int = 1) -> Topic:
    return Topic(f"contract.orders.{secrets.token_hex(6)}", Plane.ORDERS, "account", partitions)


def market_topic() -> Topic:
    return Topic(f"contract.market.{secrets.token_hex(6)}", Plane.MARKET_DATA, "venue")


def command(text: str) -> CancelAllOrders:
    number = next(_numbers)
    return CancelAllOrders(
        event_id=f"event-{number}",
        correlation_id=f"story-{number}",
        causation_id="",
        ts_event=number,
        ts_init=number,
        account_id=AccountId("SIM-main"),
        reason=text,
    )


def batch(first_sequence: int, records: int = 2) -> MarketBatch:
    array = empty_records(records)
    array["sequence"] = range(first_sequence, first_sequence + records)
    return MarketBatch(Venue("SIM"), read_only(array))


def text_of(delivery: Delivery) -> str:
    assert isinstance(delivery.payload, CancelAllOrders)
    return delivery.payload.reason


def batch_of(delivery: Delivery) -> MarketBatch:
    assert isinstance(delivery.payload, MarketBatch)
    return delivery.payload


def has_gap(delivery: Delivery) -> bool:
    return bool(batch_of(delivery).records["flags"][0] & RecordFlag.GAP)


def texts(deliveries: Sequence[Delivery]) -> list[str]:
    return [text_of(delivery) for delivery in deliveries]


def numbered(prefix: str, count: int, first: int = 0) -> list[str]:
    return [f"{prefix}-{number}" for number in range(first, first + count)]


def of_publisher(prefix: str, messages: Sequence[str]) -> list[str]:
    return [message for message in messages if message.startswith(f"{prefix}-")]


def statistics_of(bus: Bus, topic: Topic, group: str | None = None) -> SubscriptionStatistics:
    return next(s for s in bus.statistics().subscriptions if (s.topic, s.group) == (topic.name, group))


async def publish_all(bus: Bus, topic: Topic, key: str, messages: Sequence[str]) -> None:
    for message in messages:
        await bus.publish(topic, key, command(message))


async def collect(subscription: Subscription, count: int, *, commit: bool = False) -> list[Delivery]:
    """Exactly the next ``count`` deliveries."""
    result: list[Delivery] = []
    async with asyncio.timeout(WAIT_S):
        while len(result) < count:
            result += await subscription.receive(count - len(result))
            if commit:
                await subscription.commit()
    return result


async def dropped(bus: Bus, topic: Topic, records: int) -> None:
    """Until the subscribers of a topic have dropped so many records: a broker delivers in its own time."""
    async with asyncio.timeout(WAIT_S):
        while sum(s.dropped_records for s in bus.statistics().subscriptions if s.topic == topic.name) < records:
            await asyncio.sleep(0.001)


async def assert_quiet(subscription: Subscription) -> None:
    assert await subscription.receive(timeout_s=QUIET_S) == []
