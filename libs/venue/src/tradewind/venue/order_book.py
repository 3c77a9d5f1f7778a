"""Price-level book of one instrument in plain Python: the twin of ``tradewind_native.order_book``.

Same answers, slower; it says in Python what the kernel means. One test module runs on both.
"""

from bisect import bisect_left, insort
from typing import Final

import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide, empty_records

MAX_LEVEL_INDEX: Final = 255


class BookSide:
    """Sizes by price. Keys rise with the quality of the price, so that the best one is the last on both sides."""

    def __init__(self, side: RecordSide) -> None:
        self._sign = 1 if side is RecordSide.BUY else -1
        self._keys: list[int] = []
        self._sizes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, price: int, size: int) -> None:
        """Set the size at a price; 0 removes the level."""
        key = price * self._sign
        exists = key in self._sizes
        if size == 0:
            if exists:
                del self._sizes[key]
                del self._keys[bisect_left(self._keys, key)]
            return
        if not exists:
            insort(self._keys, key)
        self._sizes[key] = size

    def clear(self) -> None:
        """Remove all levels."""
        self._keys.clear()
        self._sizes.clear()

    def best(self) -> tuple[int, int] | None:
        """(price, size) of the best level, or None."""
        if not self._keys:
            return None
        key = self._keys[-1]
        return key * self._sign, self._sizes[key]

    def levels(self, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size), best first."""
        best_first = self._keys[: -max(depth, 0) - 1 : -1]
        return [(key * self._sign, self._sizes[key]) for key in best_first]

    def worst(self, count: int) -> list[tuple[int, int]]:
        """Up to ``count`` levels (price, size), worst first."""
        return [(key * self._sign, self._sizes[key]) for key in self._keys[: max(count, 0)]]

    def size_at(self, price: int) -> int:
        """The size at a price; 0 where there is no level."""
        return self._sizes.get(price * self._sign, 0)


class OrderBook:
    """The Python twin of ``tradewind_native.order_book.OrderBook``; see there."""

    def __init__(self, instrument: int) -> None:
        """``instrument``: the number in the records that belong to this book."""
        if not 0 <= instrument < 2**32:
            raise OverflowError(f"instrument number {instrument} does not fit 32 bits")
        self.instrument = instrument
        """The instrument's number."""
        self.sequence = 0
        """The sequence of the last applied record; 0 before the first and after ``clear()``."""
        self._bids = BookSide(RecordSide.BUY)
        self._asks = BookSide(RecordSide.SELL)

    def apply(self, records: RecordArray) -> int:
        """Apply the LEVEL and CLEAR records of this instrument, in order; answers how many there were.

        Raises:
            TypeError: not a one-dimensional array of market records.
            ValueError: a LEVEL with a negative size or an unknown side; the records before it are applied.
        """
        if not isinstance(records, np.ndarray) or records.dtype != MARKET_RECORD or records.ndim != 1:
            raise TypeError("a one-dimensional numpy array of market records is wanted")
        applied = 0
        for _, _, price, size, _, sequence, instrument, kind, side, *_ in records.tolist():
            if instrument != self.instrument:
                continue
            if kind == RecordKind.LEVEL:
                self._apply_level(side, price, size)
            elif kind == RecordKind.CLEAR:
                self._bids.clear()
                self._asks.clear()
            else:
                continue
            self.sequence = sequence
            applied += 1
        return applied

    def _apply_level(self, side: int, price: int, size: int) -> None:
        if size < 0 or side > RecordSide.SELL:
            raise ValueError(f"a LEVEL record has side {side} and size {size}")
        if side != RecordSide.NONE:
            self._side(side).put(price, size)

    def clear(self) -> None:
        """Empty both sides and forget the sequence."""
        self._bids.clear()
        self._asks.clear()
        self.sequence = 0

    def _side(self, side: int) -> BookSide:
        if side == RecordSide.BUY:
            return self._bids
        if side == RecordSide.SELL:
            return self._asks
        raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")

    def best_bid(self) -> tuple[int, int] | None:
        """(price, size) mantissas of the best bid, or None."""
        return self._bids.best()

    def best_ask(self) -> tuple[int, int] | None:
        """(price, size) mantissas of the best ask, or None."""
        return self._asks.best()

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size) of a side, best first."""
        return self._side(side).levels(depth)

    def worst(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to ``count`` levels (price, size) of a side, worst first."""
        return self._side(side).worst(count)

    def size_at(self, side: int, price: int) -> int:
        """The size at a price; 0 where there is no level."""
        return self._side(side).size_at(price)

    def depth(self, side: int) -> int:
        """The number of levels of a side."""
        return len(self._side(side))

    def snapshot_records(self, ts_event: int, ts_recv: int, depth: int) -> RecordArray:
        """CLEAR and LEVEL records of the best ``depth`` levels of each side, read-only: what a late joiner gets."""
        rows = [(0, 0, RecordKind.CLEAR, RecordSide.NONE, 0)]
        for side in (RecordSide.BUY, RecordSide.SELL):
            for index, (price, size) in enumerate(self._side(side).levels(depth)):
                rows.append((price, size, RecordKind.LEVEL, side, min(index, MAX_LEVEL_INDEX)))
        records = empty_records(len(rows))
        records["price"], records["size"], records["kind"], records["side"], records["level"] = zip(*rows, strict=True)
        records["ts_event"] = ts_event
        records["ts_recv"] = ts_recv
        records["order_id"] = records["sequence"] = self.sequence
        records["instrument"] = self.instrument
        records["flags"] = RecordFlag.SNAPSHOT
        records["flags"][-1] |= RecordFlag.LAST
        records.flags.writeable = False
        return records
