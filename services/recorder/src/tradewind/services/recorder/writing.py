"""Writes the buffer's chunks to the database, one after another, each until it is stored.

Owner: the TaskGroup of the service. Order: oldest first. Bound: the buffer's. While the database is away the chunk at
hand is kept and written again: what had been stored of it is recognized by its keys. A chunk that the database refuses
for its content is counted and left out, so that it cannot stop all that follow. On cancel: the chunk at hand goes back
into the buffer; ``flush`` writes what is left.
"""

import asyncio
import time

from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.buffering import Chunk, RecordBuffer
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.market_data import MarketDataRepository


class Writer:
    """The only one that takes chunks from the buffer."""

    def __init__(self, context: ServiceContext, buffer: RecordBuffer, flush_interval_s: float) -> None:
        self._context = context
        self._buffer = buffer
        self._flush_interval_s = flush_interval_s
        self._repository = MarketDataRepository(context.database)
        self._in_hand = 0
        self._dropped = self._trades_counted = self._quotes_counted = 0
        self._gap_is_told = False
        self._wake_up = asyncio.Event()
        metrics = context.metrics
        self._backlog = metrics.gauge("recorder_backlog", "Records that wait for the database", "records")
        self._last_write = metrics.gauge("recorder_last_write_ns", "When the last chunk was stored, ns UTC")
        self._written = metrics.counter("recorder_written_records", "Records stored, or found stored already")
        self._received_trades = metrics.counter("recorder_received_trades", "Trades taken from the bus")
        self._received_quotes = metrics.counter("recorder_received_quotes", "Quotes taken from the bus")
        self._trades = metrics.counter("recorded_trades", "New rows of trades")
        self._quotes = metrics.counter("recorded_quotes", "New rows of quotes")
        self._duplicates = metrics.counter("recorder_duplicate_rows", "Trades and quotes that were stored already")
        self._refused = metrics.counter("recorder_refused_records", "Records left out, refused for their content")
        self._lost = metrics.counter("recorder_dropped_records", "Records dropped because the buffer was full")

    def tell(self) -> None:
        """Something was added: show it, and wake up when it is a whole chunk."""
        self._backlog.set(len(self._buffer) + self._in_hand)
        if self._buffer.has_chunk:
            self._wake_up.set()
        if (dropped := self._buffer.dropped_records) != self._dropped:
            self._lost.inc(dropped - self._dropped)
            self._dropped = dropped
            self._tell_gap()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._flush_interval_s):
                    await self._wake_up.wait()
            except TimeoutError:
                pass
            self._wake_up.clear()
            while await self._write_one():
                pass

    async def flush(self) -> None:
        """Write all that waits; for the end, when nothing is added any more."""
        while await self._write_one():
            pass

    async def _write_one(self) -> bool:
        chunk = self._buffer.take()
        self._count_received()
        if chunk is None:
            self._backlog.set(0)
            return False
        self._in_hand = len(chunk)
        try:
            await self._store(chunk)
        except BaseException:
            self._buffer.put_back(chunk)
            raise
        finally:
            self._in_hand = 0
            self.tell()
        return True

    def _tell_gap(self) -> None:
        if self._gap_is_told:
            return
        self._gap_is_told = True
        self._context.log.error(
            "buffer is full: the oldest records are lost; bring the database back or raise "
            "TRADEWIND_RECORDER_CAPACITY_RECORDS",
            waiting=len(self._buffer),
        )

    def _count_received(self) -> None:
        trades, quotes = self._buffer.received_trades, self._buffer.received_quotes
        self._received_trades.inc(trades - self._trades_counted)
        self._received_quotes.inc(quotes - self._quotes_counted)
        self._trades_counted, self._quotes_counted = trades, quotes

    async def _store(self, chunk: Chunk) -> None:
        while True:
            try:
                counts = await self._repository.write(chunk.records)
                break
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(f"{error}; {len(self._buffer) + len(chunk)} records wait")
                await self._context.database.wait_until_available()
            except Exception:
                self._refused.inc(len(chunk))
                self._context.log.exception("records are refused by the database and left out", records=len(chunk))
                return
        self._context.health.set_ready()
        if self._gap_is_told:
            self._gap_is_told = False
            self._context.log.warning("records are stored again after a gap", lost=self._dropped)
        self._trades.inc(counts.trades)
        self._quotes.inc(counts.quotes)
        self._duplicates.inc(counts.duplicate_trades + counts.duplicate_quotes)
        self._written.inc(len(chunk))
        self._last_write.set(time.time_ns())
