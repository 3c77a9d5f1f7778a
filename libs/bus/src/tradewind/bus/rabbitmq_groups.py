"""Members of groups: a quorum queue per partition, read by the member whose share it is.

Order: a queue hands over in publish order, to one consumer at a time; a partition that changes hands begins again at
the first message that is not committed. Bound: ``PREFETCH`` messages of a partition that are not committed, received or
not; the broker keeps the rest. So a member must commit before it has received more than that of a partition. On cancel:
``receive`` takes only what it returns. When another member comes, a partition is handed over as soon as what was
received of it is committed, or after ``_HAND_OVER_S``. A commit whose partition was lost in between, with the
connection or to another member, commits nothing of it, and those messages come again.
"""

import asyncio
import collections
import contextlib
import logging
import time
from typing import Final

import aiormq.abc
from aiormq.channel import Channel

from tradewind.bus.interface import BusClosed, Delivery, Start
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.rabbitmq_link import RPC_TIMEOUT_S, LinkLost, RabbitMQLink, RefusedByBroker, close_channel, losses
from tradewind.bus.rabbitmq_members import PING_S, Membership
from tradewind.bus.rabbitmq_messages import Arrival, arrival
from tradewind.bus.rabbitmq_order import InOrder
from tradewind.bus.rabbitmq_registry import GroupRegistry
from tradewind.bus.rabbitmq_subscriptions import PREFETCH, Publish, RabbitMQSubscription
from tradewind.bus.rabbitmq_topology import RabbitMQTopology, queue_state
from tradewind.bus.waking import WakeUp
from tradewind.wire.encoding import UndecodableMessage
from tradewind.wire.topics import Topic

_HAND_OVER_S: Final = 2.0
"""How long a member that has to leave a partition to another may take to commit what it has received of it."""

_log: Final = logging.getLogger(__name__)


class OwnedPartition:
    """One partition that this member reads, over a channel of its own: closing it gives back what is not committed."""

    def __init__(self, topic: str, partition: int, channel: Channel) -> None:
        self.partition = partition
        self.channel = channel
        self.waiting: collections.deque[Arrival] = collections.deque()
        self.received = 0
        """Messages received since the last commit."""
        self.broken = False
        self.commits = WakeUp()
        self.backlog = 0
        """Messages at the broker when last asked."""
        self._topic = topic
        self._in_order = InOrder()
        self._mixed = False  # tags in ``waiting`` are not in order
        self._last_tag = 0
        self._committed_tag = 0

    @property
    def held(self) -> int:
        """Messages that the broker has handed over and that are not committed."""
        return self._last_tag - self._committed_tag

    def take_in(self, message: aiormq.abc.DeliveredMessage) -> None:
        """The next message."""
        one = arrival(self._topic, self.partition, message)
        self._last_tag = one.tag
        fitting = self._in_order.take(one, time.monotonic())
        self._mixed |= len(fitting) > 1
        self.waiting += fitting

    def take_overdue(self) -> bool:
        """Whether something waited for its predecessor in vain."""
        overdue = self._in_order.overdue(time.monotonic())
        if overdue:
            self._mixed = True
            _log.error(
                "%s, partition %d: messages are missing before %s", self._topic, self.partition, overdue[0].message_id
            )
        self.waiting += overdue
        return bool(overdue)

    async def commit(self) -> None:
        """Everything received is done.

        Raises:
            LinkLost: the connection broke; the broker does not know it, or will not keep it.
        """
        # What was handed over and neither received nor dropped stays; it need not be the newest.
        kept = [one.tag for one in self._in_order.held()]
        if self.waiting:
            kept.append(min(one.tag for one in self.waiting) if self._mixed else self.waiting[0].tag)
        else:
            self._mixed = False
        tag = min(kept) - 1 if kept else self._last_tag
        self.received = 0
        if tag > self._committed_tag:
            with losses():
                await self.channel.basic_ack(tag, multiple=True, wait=False)
            self._committed_tag = tag
        self.commits.wake()


class GroupSubscription(RabbitMQSubscription):
    """One member of a group."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        topic: Topic,
        publish: Publish,
        group: str,
        start: Start,
        registry: GroupRegistry,
    ) -> None:
        super().__init__(link, topology, tasks, topic, group, publish)
        self._group = group
        self._start = start
        self._registry = registry
        self._owned: dict[int, OwnedPartition] = {}
        self._turn: collections.deque[int] = collections.deque()

    async def open(self) -> None:
        """See ``RabbitMQSubscription.open``; the group begins here when it is new.

        Raises:
            ValueError: it cannot begin at the earliest, because more is kept than a group may leave.
        """
        await self._link.retrying(self._begin)
        await super().open()

    async def commit(self) -> None:
        """See ``Subscription.commit``. The broker has it when it has read it; if we or it end before, they come again.

        Raises:
            BusClosed: the subscription is closed.
        """
        self._check_open()
        for owned in list(self._owned.values()):
            with contextlib.suppress(LinkLost):
                await owned.commit()

    def held(self) -> dict[int, int]:
        """Messages that the broker has handed over and that are not committed, by partition."""
        return {owned.partition: owned.held for owned in self._owned.values()}

    async def _begin(self) -> None:
        await self._topology.declare_topic(self._link, self.topic)
        await self._registry.begin(self.topic, self._group, self._start)

    async def _read(self) -> None:
        await self._begin()
        membership = Membership(self._link, self._topology, self.topic.name, self._group, self.held)
        try:
            await membership.join(await self._somebody_is_there())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(membership.watch())
                tasks.create_task(self._look_after())
                await self._follow(membership)
        except BaseExceptionGroup as errors:
            for kind in (BusClosed, RefusedByBroker, LinkLost):
                if (found := errors.subgroup(kind)) is not None:
                    raise kind(f"reading {self.topic.name}: {found.exceptions[0]}") from found
            raise
        finally:
            await asyncio.gather(*(self._release(partition) for partition in list(self._owned)))
            await membership.leave()

    async def _follow(self, membership: Membership) -> None:
        while not membership.broken:
            membership.changed.clear()
            mine = set(membership.mine(self.topic.partitions))
            left = [p for p, owned in self._owned.items() if p not in mine or owned.broken]
            await asyncio.gather(*(self._hand_over(partition) for partition in left))
            await membership.greet()
            for partition in sorted(mine - self._owned.keys()):
                await self._acquire(partition, membership)
            self._ready.set()
            await membership.changed.wait()
        raise LinkLost("the channel of the group's members was closed")

    async def _acquire(self, partition: int, membership: Membership) -> None:
        channel = await self._link.channel()
        owned = OwnedPartition(self.topic.name, partition, channel)

        def broke(_reason: object) -> None:
            owned.broken = True
            owned.commits.wake()
            membership.changed.set()

        async def take_in(message: aiormq.abc.DeliveredMessage) -> None:
            owned.take_in(message)
            self.wake_up.wake()

        channel.closing.add_done_callback(broke)
        channel.on_consumer_cancel_callbacks.add(broke)
        self._owned[partition] = owned
        self._turn.append(partition)
        queue = self._topology.group_queue(self.topic.name, partition, self._group)
        with losses():
            await channel.basic_qos(prefetch_count=PREFETCH, timeout=RPC_TIMEOUT_S)
            await channel.basic_consume(queue, take_in, timeout=RPC_TIMEOUT_S)

    async def _hand_over(self, partition: int) -> None:
        # What was received is in somebody's hands, who should be done with it before the next member begins there.
        owned = self._owned[partition]
        self._turn.remove(partition)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HAND_OVER_S):
                while owned.received and not owned.broken:
                    await owned.commits.sleep(None)
        await self._release(partition)

    async def _release(self, partition: int) -> None:
        owned = self._owned.pop(partition)
        if partition in self._turn:
            self._turn.remove(partition)
        await close_channel(owned.channel)

    async def _somebody_is_there(self) -> bool:
        for partition in range(self.topic.partitions):
            queue = self._topology.group_queue(self.topic.name, partition, self._group)
            state = await queue_state(self._link, queue)
            if state is None:
                raise LinkLost(f"queue {queue} was deleted")
            if state[1]:
                return True
        return False

    async def _look_after(self) -> None:
        while True:
            for owned in list(self._owned.values()):
                queue = self._topology.group_queue(self.topic.name, owned.partition, self._group)
                if (state := await queue_state(self._link, queue)) is not None:
                    owned.backlog = state[0]
                if owned.take_overdue():
                    self.wake_up.wake()
                if not owned.received and not owned.waiting:
                    await owned.commit()  # Of what nobody receives: it was here already, or it was put aside.
            await asyncio.sleep(PING_S)

    def _take(self, limit: int) -> list[Delivery]:
        taken: list[Delivery] = []
        for _ in range(len(self._turn)):
            owned = self._owned[self._turn[0]]
            self._take_from(owned, taken, limit)
            if len(taken) == limit:
                self._turn.rotate(-1)  # So that a busy partition does not starve the others.
                break
            if owned.waiting:
                break  # Poison: it is put aside by the next call, before the turn goes on.
            self._turn.rotate(-1)
        return taken

    @staticmethod
    def _take_from(owned: OwnedPartition, taken: list[Delivery], limit: int) -> None:
        waiting = owned.waiting
        while waiting and len(taken) < limit:
            try:
                taken.append(waiting[0].delivery())
            except UndecodableMessage:
                return
            waiting.popleft()
            owned.received += 1

    def _poison(self) -> Arrival | None:
        if not self._turn:
            return None
        waiting = self._owned[self._turn[0]].waiting
        return waiting[0] if waiting else None

    def _skip(self, poison: Arrival) -> None:
        owned = self._owned.get(poison.partition)
        if owned is not None and owned.waiting and owned.waiting[0] is poison:
            owned.waiting.popleft()

    def _lag(self) -> int:
        return sum(len(owned.waiting) + owned.backlog for owned in self._owned.values())
