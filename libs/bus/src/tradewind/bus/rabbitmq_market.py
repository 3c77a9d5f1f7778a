"""Publishing market data: one task takes from the bounded outbox and keeps up to ``WINDOW`` messages under way.

Order: as put. When the broker is away or slow, the outbox drops its oldest. What was under way when a connection broke
may have arrived or not: it counts as lost, and the next batch of its topic says so.
"""

import asyncio
import logging
import time
from typing import Final

from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError

from tradewind.bus.interface import BusClosed
from tradewind.bus.market_queue import MarketOutbox, Outgoing
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.partitions import partition_of
from tradewind.bus.rabbitmq_link import (
    PAUSE_S,
    LinkLost,
    RabbitMQLink,
    RefusedByBroker,
    close_channel,
    losses,
    stop_if_cancelled,
)
from tradewind.bus.rabbitmq_messages import properties
from tradewind.bus.rabbitmq_topology import RabbitMQTopology
from tradewind.bus.waking import WakeUp

WINDOW: Final = 256

_DRAIN_S: Final = 2.0
_DRAIN_POLL_S: Final = 0.005

_log: Final = logging.getLogger(__name__)


class MarketSender:
    """The task between an outbox and the broker."""

    def __init__(
        self,
        link: RabbitMQLink,
        topology: RabbitMQTopology,
        tasks: OwnedTasks,
        outbox: MarketOutbox,
        publisher: str,
    ) -> None:
        self._link = link
        self._topology = topology
        self._tasks = tasks
        self._outbox = outbox
        self._publisher = publisher
        self._next = 0
        self._under_way: dict[int, Outgoing] = {}
        self._room = WakeUp()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, once."""
        if self._task is None:
            self._task = self._tasks.spawn(self._run(), "market")

    async def drained(self) -> None:
        """Until everything is sent, or for a moment."""
        deadline = time.monotonic() + _DRAIN_S
        while (len(self._outbox) or self._under_way) and time.monotonic() < deadline:
            await asyncio.sleep(_DRAIN_POLL_S)

    async def _run(self) -> None:
        while True:
            try:
                await self._send_over_one_channel()
            except LinkLost as error:
                _log.info("market data: beginning again after %s", error)
            except BusClosed:
                return
            except RefusedByBroker as error:
                _log.error("market data cannot be published: %s", error)
            stop_if_cancelled()
            await asyncio.sleep(PAUSE_S)

    async def _send_over_one_channel(self) -> None:
        channel = await self._link.channel(confirms=True)
        try:
            async with asyncio.TaskGroup() as sending:
                sending.create_task(_until_lost(channel))
                while True:
                    await self._send_some(channel, sending)
        except BaseExceptionGroup as errors:
            for kind in (RefusedByBroker, BusClosed, LinkLost):
                if (found := errors.subgroup(kind)) is not None:
                    raise kind(f"publishing market data: {found.exceptions[0]}") from found
            raise
        finally:
            for outgoing in self._under_way.values():
                self._outbox.lost(outgoing)
                self._link.declared.discard(outgoing.topic.name)  # Perhaps somebody deleted its exchange.
            self._under_way.clear()
            await close_channel(channel)

    async def _send_some(self, channel: Channel, sending: asyncio.TaskGroup) -> None:
        while len(self._under_way) >= WINDOW:
            await self._room.sleep(None)
        taken = await self._outbox.take(WINDOW - len(self._under_way))
        first, self._next = self._next, self._next + len(taken)
        self._under_way.update(enumerate(taken, first))
        for number, outgoing in enumerate(taken, first):
            if outgoing.topic.name not in self._link.declared:
                await self._topology.declare_topic(self._link, outgoing.topic)
            sending.create_task(self._send(channel, number, outgoing))

    async def _send(self, channel: Channel, number: int, outgoing: Outgoing) -> None:
        topic = outgoing.topic
        try:
            with losses():
                await channel.basic_publish(
                    outgoing.body,
                    exchange=self._topology.exchange(topic.name),
                    routing_key=str(partition_of(outgoing.key, topic.partitions)),
                    properties=properties(outgoing.headers, outgoing.key, f"{self._publisher}.{number}"),
                    wait=False,
                )
        except DeliveryError as error:
            raise LinkLost("the broker did not take market data") from error
        del self._under_way[number]
        if self._room.future is not None:
            self._room.wake()


async def _until_lost(channel: Channel) -> None:
    await asyncio.wait([channel.closing])
    raise LinkLost("the channel was closed")
