"""PostgreSQL's binary COPY format, built whole columns at a time from market records.

PostgreSQL manual, COPY, "Binary Format": a header of 19 bytes, then for each row a 16-bit field count and for each
field a 32-bit length and the value, everything big-endian, then a 16-bit -1. All our columns have a fixed width and no
NULL, so a row is a fixed numpy layout. A timestamptz is microseconds since 2000-01-01 UTC.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide

COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000

Column = tuple[str, str]
"""Name and numpy type of one column: ``>i8`` for bigint and timestamptz, ``>i2`` for smallint."""

TRADE_COLUMNS: Final[tuple[Column, ...]] = (
    ("ts", ">i8"),
    ("ts_event", ">i8"),
    ("ts_recv", ">i8"),
    ("instrument_number", ">i8"),
    ("trade_id", ">i8"),
    ("price", ">i8"),
    ("size", ">i8"),
    ("side", ">i2"),
)
QUOTE_COLUMNS: Final[tuple[Column, ...]] = (
    ("ts", ">i8"),
    ("ts_event", ">i8"),
    ("ts_recv", ">i8"),
    ("instrument_number", ">i8"),
    ("sequence", ">i8"),
    ("bid_price", ">i8"),
    ("bid_size", ">i8"),
    ("ask_price", ">i8"),
    ("ask_size", ">i8"),
)


def copy_data(columns: tuple[Column, ...], values: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """A complete binary COPY of one table; ``values`` has one array for each column, all of the same length."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns:
        layout += [(f"{name} length", ">i4"), (name, kind)]
    rows = np.empty(len(values[columns[0][0]]), dtype=layout)
    rows["fields"] = len(columns)
    for name, kind in columns:
        rows[f"{name} length"] = np.dtype(kind).itemsize
        rows[name] = values[name]
    return b"".join((COPY_HEADER, rows.tobytes(), COPY_TRAILER))


def trade_values(records: RecordArray) -> dict[str, npt.NDArray[Any]]:
    """Columns of the TRADE records among ``records``."""
    trades = records[records["kind"] == RecordKind.TRADE]
    return {
        "ts": timestamps(trades),
        "ts_event": trades["ts_event"],
        "ts_recv": trades["ts_recv"],
        "instrument_number": trades["instrument"],
        "trade_id": same_bits(trades["order_id"]),
        "price": trades["price"],
        "size": trades["size"],
        "side": trades["side"],
    }


def quote_values(records: RecordArray) -> tuple[dict[str, npt.NDArray[Any]], int]:
    """Columns of the TOP_OF_BOOK pairs among ``records``, and how many such records have no partner.

    A pair is a BUY record and, next among the TOP_OF_BOOK records, a SELL record of the same instrument and sequence.
    """
    tops = records[records["kind"] == RecordKind.TOP_OF_BOOK]
    first, second = tops[:-1], tops[1:]
    paired = (
        (first["side"] == RecordSide.BUY)
        & (second["side"] == RecordSide.SELL)
        & (first["instrument"] == second["instrument"])
        & (first["sequence"] == second["sequence"])
    )
    bids, asks = first[paired], second[paired]
    values = {
        "ts": timestamps(bids),
        "ts_event": bids["ts_event"],
        "ts_recv": bids["ts_recv"],
        "instrument_number": bids["instrument"],
        "sequence": same_bits(bids["sequence"]),
        "bid_price": bids["price"],
        "bid_size": bids["size"],
        "ask_price": asks["price"],
        "ask_size": asks["size"],
    }
    return values, len(tops) - 2 * len(bids)


def timestamps(records: RecordArray) -> npt.NDArray[np.int64]:
    """Values of a timestamptz column: ``ts_event`` cut to the microsecond."""
    microseconds: npt.NDArray[np.int64] = records["ts_event"] // 1_000 - _POSTGRES_EPOCH_US
    return microseconds


def same_bits(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Unsigned ids as bigint, which has no unsigned twin; those above 2**63 come back through ``unsigned``."""
    return numbers.astype(np.uint64).view(np.int64)


def unsigned(number: int) -> int:
    """The unsigned id that a bigint column stands for."""
    return number & 0xFFFF_FFFF_FFFF_FFFF
