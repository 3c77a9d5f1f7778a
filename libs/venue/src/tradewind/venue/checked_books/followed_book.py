"""One book that is built from a venue's frames and compared with the venue's own proof. No I/O."""

from typing import Final

import numpy as np

from tradewind.model.instruments import Instrument
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind_native.order_book import OrderBook

MAX_LEVELS_OF_A_SIDE: Final = 10_000
_SIDES: Final = (RecordSide.BUY, RecordSide.SELL)
_LAST: Final = int(RecordFlag.LAST)


class FollowedBook:
    """A book, whether it is right now, and what was found when it was compared."""

    def __init__(self, instrument: Instrument, name: str) -> None:
        self.instrument = instrument
        self.name = name
        """What the venue's frames call it."""
        self.number = instrument_number(instrument.instrument_id)
        self.book = OrderBook(self.number)
        self.in_sync = False
        self.sequence: int | None = None
        """The venue's number of the last frame, where it has one."""
        self.decimals: tuple[int, int] | None = None
        """Decimals of a price and of a size as this book's frames write them."""
        self.frames = 0
        """Frames applied since it was made: our own numbers where the venue has none."""
        self.compared = 0
        self.equal = 0
        self.unchecked = 0
        """Frames that brought no checksum though the venue has them."""
        self.first_difference: str | None = None

    def lose(self) -> None:
        """The book is void until the next snapshot."""
        self.in_sync = False
        self.sequence = None
        self.decimals = None
        self.book.clear()

    def compare(self, theirs: int, ours: int) -> str | None:
        """Count one comparison of checksums; why the book is wrong when they differ."""
        self.compared += 1
        if theirs == ours:
            self.equal += 1
            return None
        difference = f"{self.name}: the venue's checksum is {theirs} and the book's {ours}"
        self.first_difference = self.first_difference or difference
        return difference

    def apply(self, records: RecordArray) -> str | None:
        """Apply one frame; why the book cannot be right when it grows beyond all bounds."""
        self.book.apply(records)
        self.frames += 1
        for side in _SIDES:
            if self.book.depth(side) > MAX_LEVELS_OF_A_SIDE:
                return f"{self.name}: more than {MAX_LEVELS_OF_A_SIDE} levels of a side"
        return None

    def without_fallen_levels(self, records: RecordArray, kept: int) -> RecordArray:
        """The applied frame with a removal for each level beyond the best ``kept``; removed from the book too."""
        fallen = [
            (side, price)
            for side in _SIDES
            if (beyond := self.book.depth(side) - kept) > 0
            for price, _ in self.book.worst(side, beyond)
        ]
        if not fallen:
            return records
        removals = empty_records(len(fallen))
        for field in ("ts_event", "ts_recv", "order_id", "sequence", "instrument"):
            removals[field] = records[field][-1]
        removals["kind"] = int(RecordKind.LEVEL)
        removals["flags"] = records["flags"][-1] & ~np.uint8(_LAST)
        removals["side"] = [side for side, _ in fallen]
        removals["price"] = [price for _, price in fallen]
        self.book.apply(removals)
        whole = np.concatenate([records, removals])
        whole["flags"][len(records) - 1] &= ~np.uint8(_LAST)
        whole["flags"][-1] |= _LAST
        return read_only(whole)

    def numbered(self, records: RecordArray) -> RecordArray:
        """A frame with our own number for it, as a copy."""
        copy = records.copy()
        copy["sequence"] = copy["order_id"] = self.frames + 1
        return read_only(copy)

    def clear_record(self, now_ns: int, *, lost: bool) -> RecordArray:
        """What tells everyone who follows this book to empty it. ``lost``: records are missing (flag GAP)."""
        record = empty_records(1)
        record["ts_event"] = record["ts_recv"] = now_ns
        record["sequence"] = record["order_id"] = self.book.sequence
        record["instrument"] = self.number
        record["kind"] = int(RecordKind.CLEAR)
        record["flags"] = int(RecordFlag.GAP | RecordFlag.LAST if lost else RecordFlag.LAST)
        return read_only(record)
