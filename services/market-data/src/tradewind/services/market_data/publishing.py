"""From the socket's callback to the bus, without waking a task where the transport allows it.

A transport that can take a message at once has ``publish_now`` (the memory transport). For the others messages wait in
a queue of ``capacity`` that one task of the service empties, in order. When it is full the oldest batch is dropped, and
the next batch that goes out has the GAP flag on its first record; both are counted.
"""

import asyncio
import collections
from collections.abc import Callable
from typing import Final

from tradewind.bus.interface import Bus, Payload
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, read_only
from tradewind.wire.topics import Topic

_GAP: Final = int(RecordFlag.GAP)

PublishNow = Callable[[Topic, str, Payload], None]


class MarketPublisher:
    """Publishes on the market-data plane from callbacks. Not for threads."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self.dropped_records = 0
        self._bus = bus
        self._capacity = capacity
        self._waiting: collections.deque[tuple[Topic, str, Payload]] = collections.deque()
        self._wake = asyncio.Event()
        self._gap = False
        now: PublishNow | None = getattr(bus, "publish_now", None)
        self.publish: PublishNow = now or self._enqueue
        """Hand one message over; never waits. Raises BusClosed from a transport that takes it at once."""

    @property
    def waiting(self) -> int:
        """How many messages the bus has not taken yet."""
        return len(self._waiting)

    async def run(self) -> None:
        """Give the bus what waits, until cancelled.

        Raises:
            BusClosed: the bus is closed.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                topic, key, payload = self._waiting.popleft()
                if self._gap and isinstance(payload, MarketBatch):
                    self._gap = False
                    payload = _with_gap(payload)
                await self._bus.publish(topic, key, payload)

    def _enqueue(self, topic: Topic, key: str, payload: Payload) -> None:
        if len(self._waiting) >= self._capacity:
            dropped = self._waiting.popleft()[2]
            if isinstance(dropped, MarketBatch):
                self.dropped_records += len(dropped.records)
                self._gap = True
        self._waiting.append((topic, key, payload))
        self._wake.set()


def _with_gap(batch: MarketBatch) -> MarketBatch:
    records = batch.records.copy()
    records["flags"][0] |= _GAP
    return MarketBatch(batch.venue, read_only(records))
