"""Market records between the bus and the database: bounded, oldest first, without any work per record.

Batches are kept as raw bytes until a chunk is wanted; then they are joined and what is not stored (price levels) is
filtered out, all in one numpy step. When full the oldest chunk is dropped and counted; the one being written is not
part of that, so that it can be written again.
"""

import dataclasses
from collections import deque
from typing import Final

import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordKind, RecordSide

_TRADE: Final = int(RecordKind.TRADE)
_TOP: Final = int(RecordKind.TOP_OF_BOOK)
_SELL: Final = int(RecordSide.SELL)


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are stored, in order, and how many trades and quotes they are."""

    records: RecordArray
    trades: int
    quotes: int

    def __len__(self) -> int:
        return len(self.records)


class RecordBuffer:
    """At most ``capacity`` records, price levels of the newest batches included; chunks of about ``chunk_records``."""

    def __init__(self, capacity: int, chunk_records: int) -> None:
        self.chunk_records = chunk_records
        self.received_trades = 0
        self.received_quotes = 0
        self.dropped_records = 0
        self._capacity = capacity
        self._raw: list[bytes] = []
        self._raw_records = 0
        self._chunks: deque[Chunk] = deque()
        self._chunk_total = 0

    def __len__(self) -> int:
        """Records that wait, those of the newest batches not yet filtered."""
        return self._chunk_total + self._raw_records

    @property
    def has_chunk(self) -> bool:
        """A whole chunk waits: writing need not wait for the interval."""
        return bool(self._chunks)

    def add(self, payload: bytes) -> None:
        """Take one batch as raw bytes, whole records."""
        self._raw.append(payload)
        self._raw_records += len(payload) // MARKET_RECORD.itemsize
        if self._raw_records >= self.chunk_records:
            self._make_chunk()

    def take(self) -> Chunk | None:
        """The oldest chunk, made of whatever waits if there is no whole one; None when nothing to store waits."""
        if not self._chunks:
            self._make_chunk()
        if not self._chunks:
            return None
        chunk = self._chunks.popleft()
        self._chunk_total -= len(chunk)
        return chunk

    def put_back(self, chunk: Chunk) -> None:
        """Return the chunk that was taken last: it was not written."""
        self._chunks.appendleft(chunk)
        self._chunk_total += len(chunk)
        self._drop_over_capacity()

    def _make_chunk(self) -> None:
        if not self._raw:
            return
        records: RecordArray = np.frombuffer(b"".join(self._raw), dtype=MARKET_RECORD)
        self._raw.clear()
        self._raw_records = 0
        kinds = records["kind"]
        is_trade, is_top = kinds == _TRADE, kinds == _TOP
        stored = records[is_trade | is_top]
        if not len(stored):
            return
        trades = int(np.count_nonzero(is_trade))
        quotes = int(np.count_nonzero(is_top & (records["side"] == _SELL)))
        self.received_trades += trades
        self.received_quotes += quotes
        self._chunks.append(Chunk(stored, trades, quotes))
        self._chunk_total += len(stored)
        self._drop_over_capacity()

    def _drop_over_capacity(self) -> None:
        # The newest chunk stays whatever its size: it is bounded by the size of a chunk and of one batch.
        while self._chunk_total > self._capacity and len(self._chunks) > 1:
            dropped = self._chunks.popleft()
            self._chunk_total -= len(dropped)
            self.dropped_records += len(dropped)
