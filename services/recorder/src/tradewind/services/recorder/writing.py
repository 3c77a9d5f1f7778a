"""Writes the buffer's chunks to the database, one after another, each until it is stored.

Owner: the TaskGroup of the service. Order: oldest first. Bound: the buffer's. While the database is away the chunk at
hand is kept and written again: what had been stored of it is recognized by its keys, and the positions in the topic are
stored with the rows. A chunk that the database refuses for its content is counted and left out, so that it cannot stop
all that follow. On cancel: the chunk at hand goes back into the buffer; ``flush`` writes what is left.
"""

import asyncio
import time

from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.buffering import Chunk, RecordBuffer
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.market_data import MarketDataRepository


class Writer:
    """The only one that takes chunks from the buffer."""

    def __init__(self, context: ServiceContext, buffer: RecordBuffer) -> None:
        settings: RecorderSettings = context.settings
        self._context = context
        self._buffer = buffer
        self._flush_interval_s = settings.flush_interval_s
        self._with_book = settings.book == "yes"
        self._repository = MarketDataRepository(context.database)
        self._in_hand = 0
        self._trades_counted = self._quotes_counted = 0
        self._wake_up = asyncio.Event()
        metrics = context.metrics
        self._backlog = metrics.gauge("recorder_backlog", "Records that wait for the database", "records")
        self._last_write = metrics.gauge("recorder_last_write", "When the last chunk was stored", "timestamp_seconds")
        self._written = metrics.counter("recorder_written_records", "Records stored, or found stored already")
        self._received_trades = metrics.counter("recorder_received_trades", "Trades taken from the bus")
        self._received_quotes = metrics.counter("recorder_received_quotes", "Quotes taken from the bus")
        self._trades = metrics.counter("recorded_trades", "New rows of trades")
        self._quotes = metrics.counter("recorded_quotes", "New rows of quotes")
        self._book = metrics.counter("recorded_book_events", "New rows of level events")
        self._duplicates = metrics.counter("recorder_duplicate_rows", "Rows that were stored already")
        self._refused = metrics.counter("recorder_refused_records", "Records left out, refused for their content")

    def tell(self) -> None:
        """Something was added: show it, and wake up when it is a whole chunk."""
        self._backlog.set(len(self._buffer) + self._in_hand)
        if self._buffer.has_chunk:
            self._wake_up.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._flush_interval_s):
                    await self._wake_up.wait()
            except TimeoutError:
                pass
            self._wake_up.clear()
            while await self.write_one():
                pass

    async def flush(self) -> None:
        """Write all that waits; for the end, when nothing is added any more."""
        while await self.write_one():
            pass

    async def write_one(self) -> bool:
        """Write the oldest chunk; False when nothing to store waits."""
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

    def _count_received(self) -> None:
        trades, quotes = self._buffer.received_trades, self._buffer.received_quotes
        self._received_trades.inc(trades - self._trades_counted)
        self._received_quotes.inc(quotes - self._quotes_counted)
        self._trades_counted, self._quotes_counted = trades, quotes

    async def _store(self, chunk: Chunk) -> None:
        while True:
            try:
                counts = await self._repository.write(chunk.records, chunk.positions, with_book=self._with_book)
                break
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(f"{error}; {len(self._buffer) + len(chunk)} records wait")
                await self._context.database.wait_until_available()
            except Exception:
                self._refused.inc(len(chunk))
                self._context.log.exception("records are refused by the database and left out", records=len(chunk))
                return
        self._context.health.set_ready()
        self._trades.inc(counts.trades)
        self._quotes.inc(counts.quotes)
        self._book.inc(counts.book)
        self._duplicates.inc(counts.duplicate_trades + counts.duplicate_quotes + counts.duplicate_book)
        self._written.inc(len(chunk))
        self._last_write.set(time.time())
