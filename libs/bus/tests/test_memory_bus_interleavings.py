"""Random interleavings of publish, receive, commit, join and close: nothing is lost, nothing overtakes."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tradewind.bus.interface import Delivery, Start, Subscription
from tradewind.bus.memory import MemoryBus
from tradewind.model.identifiers import AccountId
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.topics import Plane, Topic

T = TypeVar("T")
TOPIC: Final = Topic("contract.interleavings", Plane.ORDERS, "account", partitions=3)
KEYS: Final = ("a", "b", "c", "d")
CAPACITY: Final = 5
RETENTION: Final = 3


def _message(key: str, number: int) -> CancelAllOrders:
    return CancelAllOrders(
        event_id=f"{key}-{number}",
        correlation_id="",
        causation_id="",
        ts_event=number,
        ts_init=0,
        account_id=AccountId(key),
    )


class GroupStory:
    """What one group has seen and committed of each key, and the rules that this must keep."""

    def __init__(self) -> None:
        self.seen = dict.fromkeys(KEYS, -1)
        self.committed = dict.fromkeys(KEYS, -1)

    def take(self, deliveries: list[Delivery]) -> None:
        last: dict[str, int] = {}
        for delivery in deliveries:
            key, number = delivery.key, delivery.payload.ts_event  # type: ignore[union-attr]
            assert number <= self.seen[key] + 1, f"{key}-{number} came before {key}-{self.seen[key] + 1}"
            assert number > self.committed[key], f"{key}-{number} came again after its commit"
            assert key not in last or number == last[key] + 1, "a hole within one receive"
            last[key] = number
            self.seen[key] = max(self.seen[key], number)


class Interleavings(RuleBasedStateMachine):
    """A group of changing members and a reader without a group, against publishers that may have to wait."""

    members: Bundle[Subscription] = Bundle("members")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bus = MemoryBus(order_capacity=CAPACITY, order_retention=RETENTION)
        self.published = dict.fromkeys(KEYS, 0)
        self.waiting: list[asyncio.Task[None]] = []
        self.group = GroupStory()
        self.received: dict[int, dict[str, int]] = {}
        self.alone = GroupStory()
        self.reader = self._run(self.bus.subscribe(TOPIC, capacity=CAPACITY))
        self._run(self._join_and_leave())

    @rule(key=st.sampled_from(KEYS), count=st.integers(1, 7))
    def publish(self, key: str, count: int) -> None:
        async def start() -> None:
            for _ in range(count):
                message = _message(key, self.published[key])
                self.waiting.append(asyncio.ensure_future(self.bus.publish(TOPIC, key, message)))
                self.published[key] += 1
            await asyncio.sleep(0)

        self._run(start())

    @rule(target=members)
    def join(self) -> Subscription:
        self._forget_uncommitted()
        return self._run(self.bus.subscribe(TOPIC, group="group", start=Start.EARLIEST))

    @rule(member=members, limit=st.integers(1, 10))
    def receive(self, member: Subscription, limit: int) -> None:
        deliveries = self._run(member.receive(limit, timeout_s=0))
        self.group.take(deliveries)
        mine = self.received.setdefault(id(member), {})
        for delivery in deliveries:
            mine[delivery.key] = delivery.payload.ts_event  # type: ignore[union-attr]

    @rule(member=members)
    def commit(self, member: Subscription) -> None:
        self._run(member.commit())
        for key, number in self.received.get(id(member), {}).items():
            self.group.committed[key] = max(self.group.committed[key], number)

    @rule(member=consumes(members))
    def close(self, member: Subscription) -> None:
        self._run(member.close())
        self._forget_uncommitted()

    @rule(limit=st.integers(1, 10))
    def receive_alone(self, limit: int) -> None:
        deliveries = self._run(self.reader.receive(limit, timeout_s=0))
        self.alone.take(deliveries)
        self.alone.committed = dict(self.alone.seen)

    @invariant()
    def the_backlog_stays_within_its_bound(self) -> None:
        kept = len(self._run(self.bus.replay(TOPIC)))
        assert kept <= TOPIC.partitions * (CAPACITY + RETENTION + 1)

    def teardown(self) -> None:
        self._run(self._drain())
        expected = {key: count - 1 for key, count in self.published.items()}
        assert self.group.seen == expected
        assert self.alone.seen == expected
        self._run(self.bus.close())
        self.runner.close()

    async def _drain(self) -> None:
        last = await self.bus.subscribe(TOPIC, group="group")
        for subscription in list(self.bus._channels[TOPIC.name].subscriptions):
            if subscription.group == "group" and subscription is not last:
                await subscription.close()
        quiet = False
        while not quiet:
            deliveries, alone = await last.receive(timeout_s=0), await self.reader.receive(timeout_s=0)
            self.group.take(deliveries)
            self.alone.take(alone)
            await last.commit()
            quiet = not deliveries and not alone
        async with asyncio.timeout(20):
            await asyncio.gather(*self.waiting)

    def _forget_uncommitted(self) -> None:
        # Partitions may have changed hands: what a member received before may be somebody else's now.
        self.received.clear()

    async def _join_and_leave(self) -> None:
        await (await self.bus.subscribe(TOPIC, group="group")).close()

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coro)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
