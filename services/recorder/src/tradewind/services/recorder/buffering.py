"""Market records between the bus and the database: bounded, oldest first, without any work per record.

Batches are kept as raw bytes until a chunk is wanted; then they are joined and what is not stored is filtered out, all
in one numpy step. Each chunk knows how far in the topic it reaches. When full, whoever adds waits for room first:
nothing is dropped here.
"""

import asyncio
import dataclasses
from collections import deque
from typing import Final

import numpy as np

from tradewind.store.recorder_positions import RecorderPosition
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordKind, RecordSide

_TRADE: Final = int(RecordKind.TRADE)
_TOP: Final = int(RecordKind.TOP_OF_BOOK)
_LEVEL: Final = int(RecordKind.LEVEL)
_CLEAR: Final = int(RecordKind.CLEAR)
_SELL: Final = int(RecordSide.SELL)


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Records that are stored, in order, how many trades and quotes they are, and the positions after them."""

    records: RecordArray
    trades: int
    quotes: int
    positions: tuple[RecorderPosition, ...]

    def __len__(self) -> int:
        return len(self.records)


class RecordBuffer:
    """About ``capacity`` records, those of the newest batches not yet filtered; chunks of about ``chunk_records``."""

    def __init__(self, capacity: int, chunk_records: int, *, with_book: bool) -> None:
        self.chunk_records = chunk_records
        self.received_trades = 0
        self.received_quotes = 0
        self._capacity = capacity
        self._with_book = with_book
        self._raw: list[bytes] = []
        self._raw_records = 0
        self._positions: dict[int, RecorderPosition] = {}
        self._chunks: deque[Chunk] = deque()
        self._chunk_total = 0
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        """Records that wait, those of the newest batches not yet filtered."""
        return self._chunk_total + self._raw_records

    @property
    def has_chunk(self) -> bool:
        """A whole chunk waits: writing need not wait for the interval."""
        return bool(self._chunks)

    @property
    def has_room(self) -> bool:
        """Fewer than ``capacity`` records wait."""
        return self._room.is_set()

    async def wait_for_room(self) -> None:
        """Return when fewer than ``capacity`` records wait."""
        await self._room.wait()

    def add(self, payload: bytes, position: RecorderPosition) -> None:
        """Take one message as the raw bytes of its records (none for a message of another kind), and its position."""
        self._positions[position.partition] = position
        if payload:
            self._raw.append(payload)
            self._raw_records += len(payload) // MARKET_RECORD.itemsize
            if self._raw_records >= self.chunk_records:
                self._make_chunk()
            self._tell_room()

    def take(self) -> Chunk | None:
        """The oldest chunk, made of whatever waits if there is no whole one; None when nothing to store waits."""
        if not self._chunks:
            self._make_chunk()
        if not self._chunks:
            self._tell_room()
            return None
        chunk = self._chunks.popleft()
        self._chunk_total -= len(chunk)
        self._tell_room()
        return chunk

    def put_back(self, chunk: Chunk) -> None:
        """Return the chunk that was taken last: it was not written."""
        self._chunks.appendleft(chunk)
        self._chunk_total += len(chunk)
        self._tell_room()

    def _make_chunk(self) -> None:
        if not self._raw:
            return
        records: RecordArray = np.frombuffer(b"".join(self._raw), dtype=MARKET_RECORD)
        self._raw.clear()
        self._raw_records = 0
        kinds = records["kind"]
        is_trade, is_top = kinds == _TRADE, kinds == _TOP
        wanted = is_trade | is_top
        if self._with_book:
            wanted |= (kinds == _LEVEL) | (kinds == _CLEAR)
        stored = records if wanted.all() else records[wanted]
        if not len(stored):
            return  # The positions go with the next chunk: until then these batches are read again after a restart.
        trades = int(np.count_nonzero(is_trade))
        quotes = int(np.count_nonzero(is_top & (records["side"] == _SELL)))
        self.received_trades += trades
        self.received_quotes += quotes
        self._chunks.append(Chunk(stored, trades, quotes, tuple(self._positions.values())))
        self._positions.clear()
        self._chunk_total += len(stored)

    def _tell_room(self) -> None:
        if len(self) < self._capacity:
            self._room.set()
        else:
            self._room.clear()
