"""A handler that keeps what a market data client says, and the book that a consumer would have."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np

from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import MarketDataClient
from tradewind.venue.conformance.checking import require, until
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, empty_records
from tradewind_native.order_book import OrderBook


class FeedRecorder:
    """See ``FeedHandler``. ``fail_with`` is raised at the next batch; ``block_s`` is how long each batch takes."""

    def __init__(self) -> None:
        self.batches: list[RecordArray] = []
        self.statuses: list[tuple[InstrumentId | None, str]] = []
        self.details: list[str] = []
        self.fail_with: Exception | None = None
        self.block_s = 0.0

    def on_records(self, records: RecordArray) -> None:
        """Keep a batch."""
        require(not records.flags.writeable, "batches are handed on read-only")
        require(len(records), "no batch is empty")
        if self.fail_with is not None:
            raise self.fail_with
        if self.block_s:
            time.sleep(self.block_s)
        self.batches.append(records.copy())

    def on_feed_status(self, instrument_id: InstrumentId | None, state: str, detail: str) -> None:
        """Keep a status."""
        self.statuses.append((instrument_id, state))
        self.details.append(detail)

    @property
    def records(self) -> RecordArray:
        """All records so far."""
        return np.concatenate(self.batches) if self.batches else empty_records(0)

    def of_kind(self, kind: RecordKind) -> RecordArray:
        """The records of one kind."""
        records = self.records
        chosen: RecordArray = records[records["kind"] == kind]
        return chosen

    def gaps(self) -> int:
        """How many records carry the flag GAP."""
        return int(((self.records["flags"] & int(RecordFlag.GAP)) != 0).sum())

    def says(self, state: str) -> bool:
        """Whether a status was ever told, of any instrument or of the connection."""
        return any(known == state for _, known in self.statuses)

    def levels(self, number: int, side: RecordSide) -> list[tuple[int, int]]:
        """Price and size of one side as who applies every record has them."""
        book = OrderBook(number)
        book.apply(self.records)
        return list(book.levels(side, 1_000_000))

    async def until(self, condition: Callable[[], object], wanted: str = "what the test waits for") -> None:
        """Wait, bounded; what came so far is in the error."""
        await until(condition, wanted, lambda: f"statuses: {self.statuses[-8:]}; {self.details[-3:]}")


@contextlib.asynccontextmanager
async def running(
    client: MarketDataClient, recorder: FeedRecorder | None = None, instruments: Sequence[Instrument] | None = None
) -> AsyncIterator[FeedRecorder]:
    """A client that runs; it is cancelled and, where it has ``close``, closed. What ``run`` raised is raised."""
    recorder = recorder or FeedRecorder()
    try:
        task = asyncio.create_task(client.run(instruments or await client.instruments(), recorder), name="client.run")
        try:
            yield recorder
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        close = getattr(client, "close", None)
        if close is not None:
            await close()
