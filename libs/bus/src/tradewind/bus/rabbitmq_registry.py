"""Which groups a topic has: a stream queue of [topic, group] records, because AMQP cannot list queues.

A group exists from the moment that its record stands there. So a group whose beginning was interrupted begins anew.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelLockedResource, DeliveryError
from pamqp import commands as spec

from tradewind.bus.interface import Start
from tradewind.bus.rabbitmq_link import RPC_TIMEOUT_S, LinkLost, RabbitMQLink, close_channel, losses
from tradewind.bus.rabbitmq_messages import PERSISTENT, STREAM_OFFSET
from tradewind.bus.rabbitmq_streams import read_stream, stream_end
from tradewind.bus.rabbitmq_topology import RabbitMQTopology, bind, delete_queue, queue_state
from tradewind.wire.topics import Topic

_TRIES: Final = 50
_LOCK_POLL_S: Final = 0.05

_log: Final = logging.getLogger(__name__)
_records: Final = msgspec.msgpack.Decoder(tuple[str, str])


class GroupBeginsTooLate(ValueError):
    """A group cannot begin at the earliest message; the message says what to do."""


class GroupRegistry:
    """The groups of one broker, read and written over one connection."""

    def __init__(self, link: RabbitMQLink, topology: RabbitMQTopology) -> None:
        self._link = link
        self._topology = topology
        self._beginning = asyncio.Lock()

    async def groups(self, topic: str) -> list[str]:
        """The groups that a topic has had.

        Raises:
            LinkLost: the connection broke.
        """
        await self._topology.declare_registry(self._link)
        registry = self._topology.registry
        found: dict[str, None] = {}
        pieces = read_stream(self._link, registry, "first", await stream_end(self._link, registry))
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                for one in piece:
                    with contextlib.suppress(msgspec.DecodeError):
                        name, group = _records.decode(one.message.body)
                        if name == topic:
                            found[group] = None
        return list(found)

    async def begin(self, topic: Topic, group: str, start: Start) -> None:
        """Make the queues of a group, with what it begins with, unless it exists.

        Raises:
            GroupBeginsTooLate: more messages are kept than a group may leave.
            LinkLost: the connection broke.
        """
        if group in await self.groups(topic.name):
            await self._restore(topic, group)
            return
        async with self._beginning, self._lock(f"{self._topology.group_queue(topic.name, 0, group)}.begin"):
            if group in await self.groups(topic.name):
                return
            for partition in range(topic.partitions):
                await self._begin_partition(topic, partition, group, start)
            async with self._link.short_channel(confirms=True) as channel:
                record = msgspec.msgpack.encode((topic.name, group))
                await channel.basic_publish(record, routing_key=self._topology.registry, timeout=RPC_TIMEOUT_S)

    async def _restore(self, topic: Topic, group: str) -> None:
        for partition in range(topic.partitions):
            queue = self._topology.group_queue(topic.name, partition, group)
            if await queue_state(self._link, queue) is None:
                _log.error(
                    "queue %s was deleted, and with it what group %s had not read; it is made again", queue, group
                )
                await self._topology.declare_group_queue(self._link, topic.name, partition, group)
                await bind(self._link, queue, self._topology.exchange(topic.name), str(partition))

    @contextlib.asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[None]:
        """Nobody else is inside, in any process: an exclusive queue, which goes with its connection."""
        while True:
            channel = await self._link.channel()
            try:
                with losses():
                    await channel.queue_declare(name, exclusive=True, timeout=RPC_TIMEOUT_S)
            except LinkLost as error:
                if not isinstance(error.__cause__, ChannelLockedResource):
                    raise
                await asyncio.sleep(_LOCK_POLL_S)
            else:
                await close_channel(channel)
                break
        try:
            yield
        finally:
            with contextlib.suppress(LinkLost):
                await delete_queue(self._link, name)

    async def _begin_partition(self, topic: Topic, partition: int, group: str, start: Start) -> None:
        queue = self._topology.group_queue(topic.name, partition, group)
        stream = self._topology.stream(topic.name, partition)
        exchange = self._topology.exchange(topic.name)
        for _ in range(_TRIES):
            await delete_queue(self._link, queue)
            await self._topology.declare_group_queue(self._link, topic.name, partition, group)
            if start is Start.LATEST:
                return await bind(self._link, queue, exchange, str(partition))
            copied = await self._copy(stream, queue)
            await bind(self._link, queue, exchange, str(partition))
            # What came between the last copy and the binding is in the stream alone: then begin again.
            if await stream_end(self._link, stream) == copied:
                return None
        raise LinkLost(f"{topic.name} is published to without a pause; group {group} could not begin")

    async def _copy(self, stream: str, queue: str) -> int:
        copied = 0
        async with self._link.short_channel(confirms=True) as channel:
            while (end := await stream_end(self._link, stream)) > copied:
                pieces = read_stream(self._link, stream, copied or "first", end)
                async with contextlib.aclosing(pieces):
                    async for piece in pieces:
                        await _send_on(channel, queue, [one.message for one in piece if one.offset >= copied])
                copied = end
        return copied


async def _send_on(channel: Channel, queue: str, messages: list[DeliveredMessage]) -> None:
    """Put messages of a stream, as they are, into a queue."""
    results = await asyncio.gather(*(_send_one(channel, queue, one) for one in messages), return_exceptions=True)
    for result in results:
        if isinstance(result, DeliveryError):
            raise GroupBeginsTooLate(
                f"{queue} cannot begin at the earliest: more messages are kept than its limit; begin at the latest, "
                "or raise queue_limit in the URL of the bus"
            ) from result
        if isinstance(result, BaseException):
            raise result


async def _send_one(channel: Channel, queue: str, message: DeliveredMessage) -> None:
    told = message.header.properties
    table = {name: value for name, value in (told.headers or {}).items() if name != STREAM_OFFSET}
    same = spec.Basic.Properties(delivery_mode=PERSISTENT, headers=table, message_id=told.message_id)
    await channel.basic_publish(message.body, routing_key=queue, properties=same, timeout=RPC_TIMEOUT_S)
