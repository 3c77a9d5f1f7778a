"""Reading stream queues: where a stream begins and ends, and reading a part of it without waiting for more.

AMQP 0.9.1 says neither how long a stream is nor that its end is reached. But a channel answers in order: what a stream
can hand over now comes before the answer to the next request on the same channel. So a request is sent as a barrier;
when nothing came before its answer, there is nothing more.
"""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, Final

import aiormq.abc
from aiormq.channel import Channel

from tradewind.bus.interface import PartitionRange
from tradewind.bus.rabbitmq_link import RPC_TIMEOUT_S, RabbitMQLink, losses
from tradewind.bus.rabbitmq_messages import Arrival, arrival

StreamStart = int | str | datetime.datetime
"""``x-stream-offset``: a number, "first", "last" (the last chunk), or a time."""
OnMessage = Callable[[aiormq.abc.DeliveredMessage], Coroutine[Any, Any, None]]

_WHOLE_CHUNK: Final = 65_535
"""Messages handed over without an answer: more than a chunk has."""
_AT_A_TIME: Final = 512


async def attach(channel: Channel, queue: str, start: StreamStart, on_message: OnMessage, prefetch: int) -> None:
    """Begin to read a stream; it hands over at most ``prefetch`` messages that are not acknowledged."""
    with losses():
        await channel.basic_qos(prefetch_count=prefetch, timeout=RPC_TIMEOUT_S)
        await channel.basic_consume(queue, on_message, arguments={"x-stream-offset": start}, timeout=RPC_TIMEOUT_S)


class StreamPart:
    """A reader that stops at the end of what is there."""

    def __init__(self, channel: Channel, topic: str, partition: int) -> None:
        self.arrivals: list[Arrival] = []
        self._channel = channel
        self._topic = topic
        self._partition = partition

    async def attach(self, queue: str, start: StreamStart, prefetch: int) -> None:
        """Begin at ``start``."""
        self._prefetch = prefetch
        await attach(self._channel, queue, start, self._keep, prefetch)

    async def more(self) -> bool:
        """Whether anything is in ``arrivals``, which the caller empties, when all that can come has come."""
        with losses():
            await self._channel.basic_qos(prefetch_count=self._prefetch, timeout=RPC_TIMEOUT_S)
        # What came before the answer is handed to us in tasks that were made before the one that wakes us.
        await asyncio.sleep(0)
        return bool(self.arrivals)

    async def taken(self) -> list[Arrival]:
        """What came, out of ``arrivals``; the broker may hand over as much again."""
        taken, self.arrivals = self.arrivals, []
        with losses():
            await self._channel.basic_ack(taken[-1].tag, multiple=True, wait=False)
        return taken

    async def _keep(self, message: aiormq.abc.DeliveredMessage) -> None:
        self.arrivals.append(arrival(self._topic, self._partition, message))


async def stream_end(link: RabbitMQLink, queue: str) -> int:
    """The offset that the next message of a stream will get.

    Raises:
        LinkLost: the connection broke, or there is no such stream.
    """
    async with _part(link, queue, "last", _WHOLE_CHUNK) as part:
        await part.more()
        return part.arrivals[-1].offset + 1 if part.arrivals else 0


async def stream_range(link: RabbitMQLink, queue: str) -> PartitionRange:
    """What a stream keeps now."""
    end = await stream_end(link, queue)
    async with _part(link, queue, "first", 1) as part:
        await part.more()
        first = part.arrivals[0].offset if part.arrivals else end
        return PartitionRange(first, max(end, first))


async def read_stream(
    link: RabbitMQLink, queue: str, start: StreamStart, end: int, *, topic: str = "", partition: int = 0
) -> AsyncGenerator[list[Arrival], None]:
    """What a stream keeps from ``start`` up to, not including, offset ``end``, in pieces."""
    if end == 0:
        return
    async with _part(link, queue, start, _AT_A_TIME, topic, partition) as part:
        while await part.more():
            piece = await part.taken()
            yield [one for one in piece if one.offset < end]
            if piece[-1].offset >= end - 1:
                return


@contextlib.asynccontextmanager
async def _part(
    link: RabbitMQLink, queue: str, start: StreamStart, prefetch: int, topic: str = "", partition: int = 0
) -> AsyncIterator[StreamPart]:
    async with link.short_channel() as channel:
        part = StreamPart(channel, topic, partition)
        await part.attach(queue, start, prefetch)
        yield part
