"""The service ``recorder``: market data and order events of the bus go into the database, each once.

Three tasks of one TaskGroup: one reads market data into the buffer, one writes the buffer's chunks, one records order
events. Bounds: the buffer, and a batch of order events; what exceeds them waits at the broker. On cancel: what waits in
the buffer and on the buses is written, within FLUSH_BUDGET_S; the rest is found by the next start where the broker
keeps it.
"""

import asyncio
import contextlib
from typing import Final

from tradewind.bus.interface import BusClosed
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.recorder.buffering import RecordBuffer
from tradewind.services.recorder.reading import MarketReader
from tradewind.services.recorder.recording_orders import OrderRecorder
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.services.recorder.writing import Writer

FLUSH_BUDGET_S: Final = 2.5


async def run(context: ServiceContext) -> None:
    """Record until cancelled, then write what is left."""
    settings: RecorderSettings = context.settings
    buffer = RecordBuffer(settings.capacity_records, settings.chunk_records, with_book=settings.book == "yes")
    writer = Writer(context, buffer)
    reader, orders = MarketReader(context, buffer, writer), OrderRecorder(context)
    try:
        await reader.open()
        await orders.open()
        context.health.set_ready()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(reader.run(), name="recorder.reader")
                tasks.create_task(writer.run(), name="recorder.writer")
                tasks.create_task(orders.run(), name="recorder.orders")
        finally:
            await _write_the_rest(context, reader, writer, orders, buffer)
    finally:
        await orders.close()
        await reader.close()


async def _write_the_rest(
    context: ServiceContext, reader: MarketReader, writer: Writer, orders: OrderRecorder, buffer: RecordBuffer
) -> None:
    try:
        async with asyncio.timeout(FLUSH_BUDGET_S):
            try:
                await reader.drain()
            except BusClosed as error:
                context.log.warning("the bus was closed before the recorder had read all of it", reason=str(error))
            await writer.flush()
            with contextlib.suppress(BusClosed):
                await orders.drain()
    except TimeoutError:
        context.log.error(
            "stopped before everything was stored: the database did not take it; the next start records what the "
            "broker still keeps, a memory bus keeps nothing",
            unwritten_records=len(buffer),
        )


SERVICE = Service(
    name="recorder", kind=ServiceKind.BOOKS, run=run, settings=RecorderSettings, stop_budget_s=FLUSH_BUDGET_S + 0.5
)
