"""``tradewind topics tail``: show what is on topics, and what comes.

Who owns the tasks: ``tail``, one per topic in one task group; it ends when the first of them does. Order: per
partition, as published. Bound: ``CAPACITY`` deliveries per partition wait here; when the reader of our output is slow,
market data from the latest on loses the oldest batches, which is counted and shown by the GAP flag, and all else waits
at the broker. On cancel the subscriptions are closed.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from tradewind.bus.interface import Bus, Delivery, Start
from tradewind.runtime.topics.brokers import CLOSE_TIMEOUT_S, Buses
from tradewind.runtime.topics.instruments import KnownInstruments
from tradewind.runtime.topics.places import Place, beginning
from tradewind.runtime.topics.writing import LimitReached, LineWriter
from tradewind.wire.events import InstrumentDefined
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import Plane, Topic

CAPACITY: Final = 64
"""Deliveries of one partition that wait here; each may be a megabyte."""
RECEIVE_LIMIT: Final = 64


class Format(Protocol):
    """How a delivery becomes lines."""

    def of(self, delivery: Delivery) -> Iterator[str]:
        """Its lines; none when it is not wanted."""
        ...


async def tail(
    buses: Buses,
    topics: Sequence[Topic],
    place: Place,
    shape: Format,
    instruments: KnownInstruments,
    writer: LineWriter,
    say: Callable[[str], None],
) -> None:
    """Write the lines of the topics until the writer's limit, or until cancelled.

    Raises:
        OutputClosed: nobody reads the lines any more.
        BusClosed, OSError: the broker went away for good.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for topic in topics:
                follower = _Follower(buses[topic.plane], topic, shape, instruments, writer)
                tasks.create_task(follower.follow(place, say), name=f"tail.{topic.name}")
    except* LimitReached:
        pass  # As many lines as were asked for are written: that is the end, and the other topics were cancelled.


class _Follower:
    def __init__(
        self, bus: Bus, topic: Topic, shape: Format, instruments: KnownInstruments, writer: LineWriter
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._shape = shape
        self._instruments = instruments
        self._writer = writer

    async def follow(self, place: Place, say: Callable[[str], None]) -> None:
        begin = await beginning(self._bus, self._topic, place)
        lossless = self._topic.plane is Plane.MARKET_DATA and place is not Start.LATEST
        subscription = await self._bus.subscribe(self._topic, start=begin.start, capacity=CAPACITY, lossless=lossless)
        try:
            while True:
                for delivery in await subscription.receive(RECEIVE_LIMIT):
                    if delivery.ts_publish >= begin.oldest_ns:
                        await self._show(delivery)
        finally:
            if dropped := self._dropped():
                say(f"{self._topic.name}: {dropped:,} market records came faster than they could be shown")
            with contextlib.suppress(OSError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await subscription.close()

    async def _show(self, delivery: Delivery) -> None:
        payload = delivery.payload
        if isinstance(payload, InstrumentDefined):
            self._instruments.define(payload.instrument)
        elif isinstance(payload, MarketBatch) and not self._all_known(payload):
            await self._instruments.read_again()
        await self._writer.write(self._shape.of(delivery))

    def _all_known(self, batch: MarketBatch) -> bool:
        return set(batch.records["instrument"].tolist()) <= self._instruments.by_number.keys()

    def _dropped(self) -> int:
        read = self._bus.statistics().subscriptions
        return sum(one.dropped_records for one in read if one.topic == self._topic.name)
