"""What a topic is in RabbitMQ: names, exchanges, queues, and how they are declared.

A topic is one durable direct exchange; the routing key is the number of the partition. Each partition has

- one **stream queue**, which keeps what was published, for readers without a group and for replay: for the topic's
  retention, and at most ``stream_limit`` bytes. RabbitMQ compacts nothing, so a compacted topic has no time limit here,
  only the bytes: its last message of each key is kept as long as they suffice.
- one **quorum queue** per group, with one active consumer at a time. It holds what the group has not been handed yet,
  at most ``queue_limit`` messages: then the broker rejects, and ``publish`` waits.

What exists already with other limits is used as it is. RabbitMQ writes the list of such queues about a second late
(seen with 3.10): if the power fails within a second of a queue's first declaration, that queue stays unusable, and an
operator has to delete it.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from tradewind.bus.rabbitmq_link import RPC_TIMEOUT_S, LinkLost, RabbitMQLink
from tradewind.bus.rabbitmq_settings import RabbitMQSettings
from tradewind.wire.topics import Topic

_MAX_SEGMENT_BYTES: Final = 64 * 1024 * 1024
"""Streams forget by whole segments, so a segment must be small against what is kept."""
_SEGMENTS: Final = 16
_MAX_QUEUE_BYTES: Final = 1024**3
_NEWEST_DELIVERY_LIMITS: Final = 4
"""From this major version on queues drop what was redelivered often, unless they are told not to."""

Arguments = Mapping[str, Any]
_log: Final = logging.getLogger(__name__)


class RabbitMQTopology:
    """The names and declarations of one broker."""

    def __init__(self, settings: RabbitMQSettings) -> None:
        self._settings = settings

    def exchange(self, topic: str) -> str:
        """The exchange of a topic."""
        return f"{self._settings.prefix}{topic}"

    def stream(self, topic: str, partition: int) -> str:
        """The stream queue of a partition."""
        return f"{self._settings.prefix}{topic}.{partition}"

    def group_queue(self, topic: str, partition: int, group: str) -> str:
        """The quorum queue of a group for a partition."""
        return f"{self._settings.prefix}{topic}.{partition}.{group}"

    @property
    def registry(self) -> str:
        """The stream queue that names every group there ever was."""
        return f"{self._settings.prefix}groups"

    @property
    def members(self) -> str:
        """The exchange over which the members of groups talk to each other."""
        return f"{self._settings.prefix}members"

    async def declare_topic(self, link: RabbitMQLink, topic: Topic) -> None:
        """The exchange and the streams, once per connection.

        Raises:
            LinkLost: the connection broke.
        """
        if topic.name in link.declared:
            return
        exchange = self.exchange(topic.name)
        await self._declare_exchange(link, exchange)
        for partition in range(topic.partitions):
            queue = self.stream(topic.name, partition)
            await self._declare_queue(link, queue, self._stream_arguments(topic))
            await bind(link, queue, exchange, str(partition))
        link.declared.add(topic.name)

    async def declare_registry(self, link: RabbitMQLink) -> None:
        """The list of groups and the exchange of their members, once per connection."""
        if self.registry in link.declared:
            return
        await self._declare_exchange(link, self.members)
        arguments = {"x-queue-type": "stream", "x-max-length-bytes": self._settings.stream_limit}
        await self._declare_queue(link, self.registry, arguments)
        link.declared.add(self.registry)

    async def declare_group_queue(self, link: RabbitMQLink, topic: str, partition: int, group: str) -> None:
        """The quorum queue of a group, not bound yet."""
        arguments = {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-max-length": self._settings.queue_limit,
            "x-max-length-bytes": _MAX_QUEUE_BYTES,
            "x-overflow": "reject-publish",
        }
        if link.major_version >= _NEWEST_DELIVERY_LIMITS:
            arguments["x-delivery-limit"] = -1
        await self._declare_queue(link, self.group_queue(topic, partition, group), arguments)

    def _stream_arguments(self, topic: Topic) -> Arguments:
        limit = self._settings.stream_limit
        arguments: dict[str, Any] = {
            "x-queue-type": "stream",
            "x-max-length-bytes": limit,
            "x-stream-max-segment-size-bytes": max(min(_MAX_SEGMENT_BYTES, limit // _SEGMENTS), 1),
        }
        if not topic.compacted:
            arguments["x-max-age"] = f"{topic.retention_s}s"
        return arguments

    async def _declare_exchange(self, link: RabbitMQLink, name: str) -> None:
        async with link.short_channel() as channel:
            await channel.exchange_declare(name, exchange_type="direct", durable=True, timeout=RPC_TIMEOUT_S)

    async def _declare_queue(self, link: RabbitMQLink, name: str, arguments: Arguments) -> None:
        try:
            async with link.short_channel() as channel:
                await channel.queue_declare(name, durable=True, arguments=dict(arguments), timeout=RPC_TIMEOUT_S)
        except LinkLost as error:
            if not isinstance(error.__cause__, ChannelPreconditionFailed):
                raise
            _log.warning("queue %s exists with other limits; they stay as they are", name)


async def bind(link: RabbitMQLink, queue: str, exchange: str, routing_key: str) -> None:
    """Everything that is published with ``routing_key`` lands in ``queue`` from now on."""
    async with link.short_channel() as channel:
        await channel.queue_bind(queue, exchange, routing_key, timeout=RPC_TIMEOUT_S)


async def queue_state(link: RabbitMQLink, queue: str) -> tuple[int, int] | None:
    """Messages that wait in a queue, and its active consumers; None when there is no such queue."""
    try:
        async with link.short_channel() as channel:
            answer = await channel.queue_declare(queue, passive=True, timeout=RPC_TIMEOUT_S)
            return answer.message_count or 0, answer.consumer_count or 0
    except LinkLost as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return None
        raise


async def delete_queue(link: RabbitMQLink, queue: str) -> None:
    """Delete a queue, if it exists."""
    async with link.short_channel() as channel:
        await channel.queue_delete(queue, timeout=RPC_TIMEOUT_S)
