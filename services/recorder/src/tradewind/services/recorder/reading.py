"""Moves market data from the bus into the buffer.

Owner: the TaskGroup of the service. Order: as on the bus. Bound: the buffer's; while it is full nothing is read, and
what is published waits at the broker. A memory bus keeps only so many batches: what it lost comes as a counted gap.
"""

import asyncio
import time
from typing import Final

from tradewind.bus.interface import Delivery
from tradewind.model.identifiers import Venue
from tradewind.runtime.logging import RateLimitedLog
from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.buffering import RecordBuffer
from tradewind.services.recorder.following import TopicFollower, position_after
from tradewind.services.recorder.writing import Writer
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, RecordFlag
from tradewind.wire.topics import market_events

SUBSCRIPTION_BATCHES: Final = 1_024
READ_LIMIT: Final = 256
_FLAGS_OFFSET: Final = MARKET_RECORD.fields["flags"][1] if MARKET_RECORD.fields else 0
_GAP: Final = int(RecordFlag.GAP)
_STILL_S: Final = 0.01
_PAUSE_S: Final = 0.01


class MarketReader:
    """The one reader of ``md.events.<venue>``."""

    def __init__(self, context: ServiceContext, buffer: RecordBuffer, writer: Writer) -> None:
        topic = market_events(Venue(context.platform.venue))
        self._follower = TopicFollower(context, topic, capacity=SUBSCRIPTION_BATCHES)
        self._buffer = buffer
        self._writer = writer
        self._gap_log = RateLimitedLog(context.log)
        self._gaps = context.metrics.counter("recorder_gaps", "Gaps told by the bus or by the feed")

    async def open(self) -> None:
        """Begin to read; waits for the database."""
        await self._follower.open()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._buffer.wait_for_room()
            deliveries = await self._follower.receive(READ_LIMIT)
            self._take(deliveries)
            # Strategies read the same bus on the same loop: nobody waits for the recorder, so it waits for them.
            await asyncio.sleep(_PAUSE_S if len(deliveries) < READ_LIMIT else 0)

    async def drain(self) -> None:
        """Take what has been published up to now."""
        now = time.time_ns()
        while deliveries := await self._follower.receive(READ_LIMIT, _STILL_S):
            self._take(deliveries)
            if deliveries[-1].ts_publish > now:
                return
            while not self._buffer.has_room:
                await self._writer.write_one()

    async def close(self) -> None:
        """Stop reading and write the last summaries."""
        self._gap_log.flush()
        await self._follower.close()

    def _take(self, deliveries: list[Delivery]) -> None:
        add = self._buffer.add
        for delivery in deliveries:
            batch, payload = delivery.payload, b""
            if isinstance(batch, MarketBatch):
                payload = batch.to_bytes()
                if payload[_FLAGS_OFFSET] & _GAP:
                    self._gaps.inc()
                    self._gap_log.warning("gap", "market data has a gap: records were lost before the recorder")
            add(payload, position_after(delivery))
        self._writer.tell()
