"""The service ``recorder``: every trade and quote on the bus goes into the database.

Two tasks of one TaskGroup: one reads the bus into the buffer, in order and without waiting for the database; one writes
chunks. Bounds: SUBSCRIPTION_BATCHES on the bus (when full the bus drops the oldest and marks the gap), then that of the
buffer. On cancel: what waits on the bus and in the buffer is written, within FLUSH_BUDGET_S.
"""

import asyncio
from typing import Final

from tradewind.bus.interface import BusClosed, Delivery, Start, Subscription
from tradewind.model.identifiers import Venue
from tradewind.runtime.logging import RateLimitedLog
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.recorder.buffering import RecordBuffer
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.services.recorder.writing import Writer
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, RecordFlag
from tradewind.wire.topics import market_events

SUBSCRIPTION_BATCHES: Final = 16_384
READ_LIMIT: Final = 1_024
FLUSH_BUDGET_S: Final = 2.5
_FLAGS_OFFSET: Final = MARKET_RECORD.fields["flags"][1] if MARKET_RECORD.fields else 0
_GAP: Final = int(RecordFlag.GAP)
_STILL_S: Final = 0.01
_PAUSE_S: Final = 0.01


async def run(context: ServiceContext) -> None:
    """Record until cancelled, then write what is left."""
    settings: RecorderSettings = context.settings
    topic = market_events(Venue(context.platform.venue))
    subscription = await context.market_bus.subscribe(
        topic, start=Start.EARLIEST, capacity=SUBSCRIPTION_BATCHES, lossless=True
    )
    buffer = RecordBuffer(settings.capacity_records, settings.chunk_records)
    writer = Writer(context, buffer, settings.flush_interval_s)
    reader = _Reader(context, subscription, buffer, writer)
    context.health.set_ready()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.run(), name="recorder.reader")
            tasks.create_task(writer.run(), name="recorder.writer")
    finally:
        await _write_the_rest(context, reader, writer, buffer)
        await subscription.close()


class _Reader:
    """Moves batches from the bus into the buffer."""

    def __init__(
        self, context: ServiceContext, subscription: Subscription, buffer: RecordBuffer, writer: Writer
    ) -> None:
        self._subscription = subscription
        self._buffer = buffer
        self._writer = writer
        self._gap_log = RateLimitedLog(context.log)
        self._gaps = context.metrics.counter("recorder_gaps", "Gaps told by the bus or by the feed")

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            self.take(await self._subscription.receive(READ_LIMIT))
            # Strategies read the same bus on the same loop: nobody waits for the recorder, so it waits for them.
            await asyncio.sleep(_PAUSE_S)

    async def drain(self) -> None:
        """Take what still waits, when nobody publishes any more."""
        while deliveries := await self._subscription.receive(READ_LIMIT, timeout_s=_STILL_S):
            self.take(deliveries)

    def take(self, deliveries: list[Delivery]) -> None:
        """Put deliveries into the buffer."""
        add = self._buffer.add
        for delivery in deliveries:
            batch = delivery.payload
            if isinstance(batch, MarketBatch):
                payload = batch.to_bytes()
                if payload[_FLAGS_OFFSET] & _GAP:
                    self._gaps.inc()
                    self._gap_log.warning("gap", "market data has a gap: records were lost before the recorder")
                add(payload)
        self._writer.tell()

    def close(self) -> None:
        """Write the last summaries."""
        self._gap_log.flush()


async def _write_the_rest(context: ServiceContext, reader: _Reader, writer: Writer, buffer: RecordBuffer) -> None:
    try:
        async with asyncio.timeout(FLUSH_BUDGET_S):
            try:
                await reader.drain()
            except BusClosed as error:
                context.log.warning("the bus was closed before the recorder had read all of it", reason=str(error))
            await writer.flush()
    except TimeoutError:
        context.log.error(
            "stopped before everything was stored: the database did not take it", lost_records=len(buffer)
        )
    reader.close()


SERVICE = Service(
    name="recorder", kind=ServiceKind.BOOKS, run=run, settings=RecorderSettings, stop_budget_s=FLUSH_BUDGET_S + 0.5
)
