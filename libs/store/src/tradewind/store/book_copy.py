"""Events of a price-level feed as rows of the table ``book``, in PostgreSQL's binary COPY format.

An event is one row with two arrays, so rows have no fixed width: the fixed part of all rows and the elements of all
arrays are built whole columns at a time, then the pieces of each event are joined. Binary form of an array
(PostgreSQL's ``array_send``): dimensions, null flag, element type, length, lower bound, then each element with its
length.
"""

import dataclasses
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradewind.store.binary_copy import COPY_HEADER, COPY_TRAILER, same_bits, timestamps
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide

BOOK_COLUMNS: Final = (
    "ts",
    "ts_event",
    "ts_recv",
    "instrument_number",
    "first_sequence",
    "sequence",
    "clears",
    "gap",
    "bids",
    "prices",
    "sizes",
)
_INT8_OID: Final = 20
_ELEMENT: Final = np.dtype([("length", ">i4"), ("value", ">i8")])
_ARRAY_HEADER: Final = [
    ("bytes", ">i4"),
    ("dimensions", ">i4"),
    ("nulls", ">i4"),
    ("type", ">i4"),
    ("count", ">i4"),
    ("lower", ">i4"),
]
_ARRAY_HEADER_BYTES: Final = 20  # of those that count in "bytes"
_FIXED: Final = (
    ("ts", ">i8"),
    ("ts_event", ">i8"),
    ("ts_recv", ">i8"),
    ("instrument_number", ">i8"),
    ("first_sequence", ">i8"),
    ("sequence", ">i8"),
    ("clears", "?"),
    ("gap", "?"),
    ("bids", ">i4"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class BookEvents:
    """Events in order: one value of each fixed column for each, and the levels of all of them one after another."""

    columns: dict[str, npt.NDArray[Any]]
    level_counts: npt.NDArray[np.int64]
    prices: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.level_counts)


def continues_event(records: RecordArray) -> npt.NDArray[np.bool_]:
    """For each record of a level feed: it belongs to the event of the record before it."""
    if not len(records):
        return np.zeros(0, dtype=bool)
    first, second = records[:-1], records[1:]
    same = (
        ((first["flags"] & RecordFlag.LAST) == 0)
        & (second["kind"] == RecordKind.LEVEL)
        & (first["instrument"] == second["instrument"])
        & (first["sequence"] == second["sequence"])
        & (first["ts_event"] == second["ts_event"])
    )
    return np.concatenate([[False], same])


def is_book(records: RecordArray) -> npt.NDArray[np.bool_]:
    """Which records are part of a price-level feed."""
    kinds = records["kind"]
    found: npt.NDArray[np.bool_] = (kinds == RecordKind.LEVEL) | (kinds == RecordKind.CLEAR)
    return found


def book_events(records: RecordArray) -> BookEvents:
    """The events of the LEVEL and CLEAR records among ``records``."""
    feed = records[is_book(records)]
    begins = ~continues_event(feed)
    event, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)
    firsts = feed[starts]
    # A level without a side stands for an event that changed none.
    levels = (feed["kind"] == RecordKind.LEVEL) & (feed["side"] != RecordSide.NONE)
    is_bid = feed["side"] == RecordSide.BUY
    kept, of_event = feed[levels], event[levels]
    order = np.lexsort((~is_bid[levels], of_event))
    gaps = feed["flags"] & RecordFlag.GAP != 0
    columns = {
        "ts": timestamps(firsts),
        "ts_event": firsts["ts_event"],
        "ts_recv": firsts["ts_recv"],
        "instrument_number": firsts["instrument"],
        "first_sequence": same_bits(firsts["order_id"]),
        "sequence": same_bits(firsts["sequence"]),
        "clears": firsts["kind"] == RecordKind.CLEAR,
        "gap": np.logical_or.reduceat(gaps, starts) if len(starts) else gaps,
        "bids": np.bincount(event[levels & is_bid], minlength=len(starts)),
    }
    counts = np.bincount(of_event, minlength=len(starts))
    return BookEvents(columns, counts, kept["price"][order], kept["size"][order])


def book_copy_data(events: BookEvents) -> bytes:
    """A complete binary COPY of BOOK_COLUMNS."""
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in _FIXED:
        layout += [(f"{name} length", ">i4"), (name, kind)]
    heads = np.empty(len(events), dtype=layout)
    heads["fields"] = len(BOOK_COLUMNS)
    for name, kind in _FIXED:
        heads[f"{name} length"] = np.dtype(kind).itemsize
        heads[name] = events.columns[name]
    return b"".join([COPY_HEADER, *_pieces(heads, events), COPY_TRAILER])


def _pieces(heads: npt.NDArray[np.void], events: BookEvents) -> list[bytes]:
    arrays = np.empty(len(events), dtype=_ARRAY_HEADER)
    arrays["bytes"] = _ARRAY_HEADER_BYTES + events.level_counts * _ELEMENT.itemsize
    arrays["dimensions"], arrays["nulls"], arrays["type"], arrays["lower"] = 1, 0, _INT8_OID, 1
    arrays["count"] = events.level_counts
    head_bytes, array_bytes = heads.tobytes(), arrays.tobytes()
    prices, sizes = _elements(events.prices), _elements(events.sizes)
    head, header, element = heads.itemsize, arrays.itemsize, _ELEMENT.itemsize
    pieces: list[bytes] = []
    ends = (np.cumsum(events.level_counts) * element).tolist()
    start = 0
    for number, end in enumerate(ends):
        array = array_bytes[number * header : (number + 1) * header]
        pieces += (head_bytes[number * head : (number + 1) * head], array, prices[start:end], array, sizes[start:end])
        start = end
    return pieces


def _elements(values: npt.NDArray[np.int64]) -> bytes:
    elements = np.empty(len(values), dtype=_ELEMENT)
    elements["length"] = 8
    elements["value"] = values
    return elements.tobytes()
