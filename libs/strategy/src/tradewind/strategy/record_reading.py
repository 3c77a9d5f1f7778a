"""Reads market records out of raw bytes without numpy's cost per field: made for batches of a few records.

The layouts are built from ``MARKET_RECORD`` itself, so that they cannot drift from it.
"""

import re
import struct
from collections.abc import Sequence
from typing import Final

from tradewind.wire.market_records import MARKET_RECORD, RecordKind

RECORD_BYTES: Final = MARKET_RECORD.itemsize
_FORMATS: Final = {"<i8": "q", "<u8": "Q", "<u4": "I", "|u1": "B"}


def offset_of(field: str) -> int:
    """Where a field lies in a record, in bytes."""
    fields = MARKET_RECORD.fields
    if fields is None:
        raise TypeError("MARKET_RECORD has no fields")
    return int(fields[field][1])


def _format(wanted: Sequence[str]) -> str:
    parts = []
    for name in MARKET_RECORD.names or ():
        kind = MARKET_RECORD[name]
        parts.append(_FORMATS[kind.str] if name in wanted else f"{kind.itemsize}x")
    return "".join(parts)


_QUOTE_FIRST: Final = ("ts_event", "ts_recv", "price", "size", "sequence", "instrument", "side")
_QUOTE_SECOND: Final = ("price", "size", "instrument", "side")
_SINGLE: Final = ("ts_event", "ts_recv", "price", "size", "order_id", "sequence", "instrument", "side", "flags")

QUOTE_PAIR: Final = struct.Struct("<" + _format(_QUOTE_FIRST) + _format(_QUOTE_SECOND))
"""A pair: ts_event, ts_recv, price, size, sequence, instrument, side; of the second price, size, instrument, side."""
SINGLE: Final = struct.Struct("<" + _format(_SINGLE))
"""One record: (ts_event, ts_recv, price, size, order_id, sequence, instrument, side, flags)."""
KIND_OFFSET: Final = offset_of("kind")
FLAGS_OFFSET: Final = offset_of("flags")

_TOP, _TRADE = bytes([RecordKind.TOP_OF_BOOK]), bytes([RecordKind.TRADE])
_LEVELS: Final = bytes([RecordKind.LEVEL, RecordKind.CLEAR])


def token_pattern(*, trades: bool, levels: bool) -> re.Pattern[bytes]:
    """A pattern over the kinds of a batch, a byte each, whose matches are the pieces to handle.

    A pair of top-of-book records, a lone one, a trade, a run of levels; everything else is skipped at C speed.
    """
    parts = [_TOP + _TOP, _TOP]
    if trades:
        parts.append(_TRADE)
    if levels:
        parts.append(b"[" + re.escape(_LEVELS) + b"]+")
    return re.compile(b"|".join(parts), re.DOTALL)
