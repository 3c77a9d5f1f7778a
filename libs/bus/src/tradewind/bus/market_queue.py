"""The queues of market data at both ends of a broker. Neither ever makes anybody wait; both drop the oldest and say so.

Order: as put, per queue. Bounds: ``MarketQueue`` a number of deliveries, ``MarketOutbox`` a number of messages and of
bytes. When full: the oldest is dropped and counted, and the next batch (outbox: of the same topic) carries the GAP flag
on its first record. A message that is not a batch has no place for the flag; then the next batch carries it. On cancel:
a cancelled wait takes nothing out.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Iterable
from typing import Final

from tradewind.bus.envelopes import sealed
from tradewind.bus.interface import Delivery, Payload
from tradewind.bus.waking import WakeUp
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, RecordFlag, read_only
from tradewind.wire.topics import Topic

OUTBOX_MESSAGES: Final = 16_384
OUTBOX_BYTES: Final = 64 * 1024 * 1024
"""About a million records: some seconds of a busy venue while the broker is away."""

_GAP: Final = int(RecordFlag.GAP)
_FLAGS_AT: Final = MARKET_RECORD.fields["flags"][1] if MARKET_RECORD.fields else 0


def with_gap(delivery: Delivery) -> Delivery:
    """The delivery with the GAP flag on its first record; itself, when it is not a batch.

    A copy, because others may share the delivery and have lost nothing.
    """
    payload = delivery.payload
    if not isinstance(payload, MarketBatch):
        return delivery
    records = payload.records.copy()
    records["flags"][0] |= _GAP
    marked = MarketBatch(payload.venue, read_only(records))
    return Delivery(delivery.topic, delivery.partition, delivery.offset, delivery.key, marked, delivery.ts_publish)


def record_count(payload: Payload) -> int:
    """What one payload counts for in ``dropped_records``."""
    return len(payload.records) if isinstance(payload, MarketBatch) else 1


class MarketQueue:
    """What waits for one subscriber of market data."""

    def __init__(self, capacity: int) -> None:
        self.gaps = 0
        self.dropped_records = 0
        self.wake_up = WakeUp()
        """What the subscriber sleeps on while the queue is empty."""
        self.room = WakeUp()
        """What a lossless reader of the broker sleeps on while the queue is full."""
        self.capacity = capacity
        self._queue: collections.deque[Delivery] = collections.deque()
        self._gap_uncounted = False
        self._gap_unmarked = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def free(self) -> int:
        """Deliveries that can be put without dropping one."""
        return max(self.capacity - len(self._queue), 0)

    def put(self, deliveries: Iterable[Delivery]) -> None:
        """Add deliveries, at the price of the oldest when full."""
        queue, capacity = self._queue, self.capacity
        for delivery in deliveries:
            if len(queue) >= capacity:
                self.dropped_records += record_count(queue.popleft().payload)
                self.missed()
            queue.append(delivery)
        if queue:
            self.wake_up.wake()

    def missed(self) -> None:
        """Something before the next delivery is lost; what is lost and not dropped here is not counted in records."""
        self._gap_uncounted = self._gap_unmarked = True

    def take(self, limit: int) -> list[Delivery]:
        """At most ``limit`` of the oldest; the first batch after a loss has the GAP flag."""
        queue = self._queue
        if len(queue) <= limit:
            taken = list(queue)
            queue.clear()
        else:
            taken = [queue.popleft() for _ in range(limit)]
        if self._gap_unmarked and taken:
            self._mark(taken)
        if taken:
            self.room.wake()
        return taken

    def clear(self) -> None:
        """Forget everything, and let both ends go on."""
        self._queue.clear()
        self.wake_up.wake()
        self.room.wake()

    def _mark(self, taken: list[Delivery]) -> None:
        if self._gap_uncounted:
            self._gap_uncounted = False
            self.gaps += 1
        for place, delivery in enumerate(taken):
            if isinstance(delivery.payload, MarketBatch):
                taken[place] = with_gap(delivery)
                self._gap_unmarked = False
                return


@dataclasses.dataclass(slots=True)
class Outgoing:
    """One message of market data on its way to the broker."""

    topic: Topic
    key: str
    headers: dict[str, bytes]
    body: bytes
    records: int
    is_batch: bool


class MarketOutbox:
    """What waits for the one task that hands market data to the broker."""

    def __init__(self, *, messages: int = OUTBOX_MESSAGES, max_bytes: int = OUTBOX_BYTES) -> None:
        self.dropped_records = 0
        self._max_messages = messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._queue: collections.deque[Outgoing] = collections.deque()
        self._gaps: set[str] = set()
        self._wake_up = WakeUp()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, topic: Topic, key: str, payload: Payload) -> None:
        """Seal and queue one payload, at the price of the oldest when full.

        Raises:
            ValueError: larger than a message may be.
        """
        headers, body = sealed(payload, time.time_ns())
        is_batch = isinstance(payload, MarketBatch)
        self._queue.append(Outgoing(topic, key, headers, body, record_count(payload), is_batch))
        self._bytes += len(body)
        while len(self._queue) > self._max_messages or (self._bytes > self._max_bytes and len(self._queue) > 1):
            self._drop_oldest()
        if self._wake_up.future is not None:
            self._wake_up.wake()

    async def take(self, limit: int = 256) -> list[Outgoing]:
        """Wait for the next messages: at least one, at most ``limit``. One task at a time."""
        while not self._queue:
            await self._wake_up.sleep(None)
        taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))]
        for outgoing in taken:
            self._bytes -= len(outgoing.body)
            if outgoing.is_batch and outgoing.topic.name in self._gaps:
                self._gaps.discard(outgoing.topic.name)
                outgoing.body = _body_with_gap(outgoing.body)
        return taken

    def lost(self, outgoing: Outgoing) -> None:
        """A message that was taken and that the broker did not take: counted, and the next batch says so."""
        self.dropped_records += outgoing.records
        self._gaps.add(outgoing.topic.name)

    async def drained(self, timeout_s: float) -> bool:
        """Whether everything was taken within ``timeout_s``; for closing, when nothing is put any more."""
        deadline = time.monotonic() + timeout_s
        while self._queue and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        return not self._queue

    def _drop_oldest(self) -> None:
        oldest = self._queue.popleft()
        self._bytes -= len(oldest.body)
        self.lost(oldest)


def _body_with_gap(body: bytes) -> bytes:
    marked = bytearray(body)
    marked[_FLAGS_AT] |= _GAP
    return bytes(marked)
