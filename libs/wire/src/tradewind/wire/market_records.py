"""The market record: one fixed 64-byte little-endian layout from the wire to the database.

A native decoder writes it, a bus message carries an array of it, strategies read it in place, the recorder turns it
into COPY columns. The C side of the same layout is ``native/src/tradewind_native/market_record.h``; a test compares
the two field by field.

Times are nanoseconds since the Unix epoch, UTC. ``price`` and ``size`` are int64 mantissas at the instrument's own
``price_precision`` and ``size_precision``.
"""

import enum
import zlib
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tradewind.model.identifiers import InstrumentId

MARKET_RECORD: Final = np.dtype(
    [
        ("ts_event", "<i8"),  # the venue's time of the event; the last one known where the venue gives none
        ("ts_recv", "<i8"),  # our time of the first byte's arrival
        ("price", "<i8"),
        ("size", "<i8"),  # 0 on a LEVEL record removes the level
        ("order_id", "<u8"),  # trade id (TRADE), first update id of the event (LEVEL), venue order id (L3)
        ("sequence", "<u8"),  # the venue's sequence number or update id of the whole event
        ("instrument", "<u4"),  # instrument_number() of the instrument
        ("kind", "u1"),
        ("side", "u1"),
        ("flags", "u1"),
        # depth of the level in a snapshot, from 0, at most 255; 1 on an ORDER_EXECUTE that is no trade; 0 elsewhere
        ("level", "u1"),
        ("reserved", "<u8"),  # zero
    ]
)

RecordArray: TypeAlias = npt.NDArray[np.void]
"""One-dimensional array of MARKET_RECORD."""


class RecordKind(enum.IntEnum):
    """What one market record says."""

    TRADE = 1
    TOP_OF_BOOK = 2  # two records an event: side BUY is the best bid, side SELL the best ask
    LEVEL = 3  # L2: the new total size at a price
    ORDER_ADD = 4  # L3
    ORDER_MODIFY = 5
    ORDER_CANCEL = 6
    ORDER_EXECUTE = 7
    CLEAR = 8  # the book is empty; levels follow
    STATUS = 9


class RecordSide(enum.IntEnum):
    """BUY and SELL as in FIX tag 54; the aggressor's side on a trade."""

    NONE = 0
    BUY = 1
    SELL = 2


class RecordFlag(enum.IntFlag):
    """Bits of ``flags``."""

    LAST = 1  # last record of one venue event: a book is consistent after it
    SNAPSHOT = 2  # part of a snapshot
    GAP = 4  # records were lost before this one
    CONFLATED = 8  # earlier records of the same instrument were merged into this one


def instrument_number(instrument_id: InstrumentId) -> int:
    """The number that stands for an instrument in market records: CRC-32 of its id.

    It needs no coordination between processes. Two instruments of one deployment with the same number are refused
    where instruments are registered (see docs/decisions).
    """
    return zlib.crc32(instrument_id.encode())


def empty_records(count: int) -> RecordArray:
    """A zeroed array of ``count`` records."""
    return np.zeros(count, dtype=MARKET_RECORD)


def read_only(records: RecordArray) -> RecordArray:
    """The same memory as a view that refuses writes: what goes onto the bus."""
    view: Any = records.view()
    view.flags.writeable = False
    return view  # type: ignore[no-any-return]
