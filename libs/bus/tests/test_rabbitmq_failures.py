"""RabbitMQ when things break: what every broker must stand, and what is RabbitMQ's own."""

import asyncio
import secrets
from typing import Final

import pytest
from broker_failures_contract import LONG_S, BrokerFailuresContract
from bus_contract import (
    assert_quiet,
    batch,
    batch_of,
    collect,
    has_gap,
    market_topic,
    numbered,
    order_topic,
    publish_all,
    texts,
)

from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker
from tradewind.bus.interface import Bus, Delivery

pytestmark = pytest.mark.brokers

SETTLE_S: Final = 2.5
"""RabbitMQ writes its list of queues about a second late."""


class TestRabbitMQFailures(BrokerFailuresContract):
    @pytest.fixture
    def broker(self, own_rabbitmq: RabbitMQBroker) -> RabbitMQBroker:
        return own_rabbitmq

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        """Of the test's own broker where it breaks one, else of the session's."""
        if "broker" in request.fixturenames:
            return f"{request.getfixturevalue('broker').url}?heartbeat=1"
        return f"{request.getfixturevalue('rabbitmq_url')}?heartbeat=1&prefix=f{secrets.token_hex(4)}."

    async def settled(self) -> None:
        await asyncio.sleep(SETTLE_S)

    @staticmethod
    def last_sequence(received: list[Delivery]) -> int:
        return int(batch_of(received[-1]).records["sequence"][-1])

    async def test_a_commit_after_a_partition_was_lost_commits_nothing_of_it(self, bus: Bus) -> None:
        topic = order_topic(partitions=2)
        first = await bus.subscribe(topic, group="reader")
        for key in "abcd":
            await publish_all(bus, topic, key, numbered(key, 2))
        before = await collect(first, 8)
        second = await bus.subscribe(topic, group="reader")  # After waiting in vain for a commit of the first.
        await first.commit()
        [moved] = {delivery.partition for delivery in await collect(second, 1)}
        wanted = texts([delivery for delivery in before if delivery.partition == moved])
        assert texts(await collect(second, len(wanted) - 1)) == wanted[1:]
        await assert_quiet(first)
        assert (await bus.describe(topic)).lag["reader"] == {moved: len(wanted), 1 - moved: 0}

    async def test_a_commit_while_the_broker_is_away_does_not_wait_and_commits_nothing(
        self, bus: Bus, broker: RabbitMQBroker
    ) -> None:
        topic = order_topic()
        subscription = await bus.subscribe(topic, group="reader")
        await publish_all(bus, topic, "a", numbered("a", 3))
        await collect(subscription, 3)
        await self.settled()
        await asyncio.to_thread(broker.kill)
        async with asyncio.timeout(LONG_S):
            await subscription.commit()
            await asyncio.to_thread(broker.start)
            again = texts(await collect(subscription, 3, commit=True))
        assert again in (numbered("a", 3), []), "the commit may just have left before the broker died"

    async def test_market_data_goes_on_after_the_broker_was_killed(self, bus: Bus, broker: RabbitMQBroker) -> None:
        topic = market_topic()
        subscription = await bus.subscribe(topic)
        sent = 0
        received: list[Delivery] = []
        async with asyncio.timeout(LONG_S):
            while len(received) < 5:
                bus.publish_now(topic, "SIM", batch(sent))
                sent += 2
                received += await subscription.receive(timeout_s=0.05)
            await self.settled()
            await asyncio.to_thread(broker.kill)
            for _ in range(20):
                bus.publish_now(topic, "SIM", batch(sent))
                sent += 2
                await asyncio.sleep(0)
            await asyncio.to_thread(broker.start)
            # What was on its way when the connection broke may be lost, the last as well: it goes on with what is sent
            # after that.
            first_after = sent
            while self.last_sequence(received) < first_after:
                bus.publish_now(topic, "SIM", batch(sent))
                sent += 2
                received += await subscription.receive(timeout_s=0.05)
            while self.last_sequence(received) != sent - 1:
                received += await subscription.receive()
        firsts = [int(batch_of(each).records["sequence"][0]) for each in received]
        assert firsts == sorted(set(firsts)), "in order, nothing twice"
        missing = sent - 2 * len(firsts)
        assert missing <= bus.statistics().dropped_records
        assert not missing or any(has_gap(each) for each in received)

    async def test_the_broker_closes_a_channel_and_nothing_is_lost(self, bus: Bus) -> None:
        topic = order_topic()
        member, alone = await bus.subscribe(topic, group="reader"), await bus.subscribe(topic)
        await publish_all(bus, topic, "a", numbered("a", 3))
        assert texts(await collect(member, 3, commit=True)) == texts(await collect(alone, 3))
        await publish_all(bus, topic, "a", numbered("a", 3, first=3))
        await collect(member, 3)
        # An acknowledgement of what was never delivered is an error for which the broker closes the channel.
        [owned] = member._owned.values()  # type: ignore[attr-defined]
        await owned.channel.basic_ack(9_999, wait=False)
        assert texts(await collect(member, 3, commit=True)) == numbered("a", 3, first=3)
        await publish_all(bus, topic, "a", ["last"])
        assert texts(await collect(member, 1)) == ["last"]
        assert texts(await collect(alone, 4)) == [*numbered("a", 3, first=3), "last"]
