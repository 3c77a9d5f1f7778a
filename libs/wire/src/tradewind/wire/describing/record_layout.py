"""The 64-byte market record, field by field: place and type from the numpy dtype, meaning and unit from here."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final

import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordFlag, RecordKind, RecordSide

MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "ts_event": ("ns since the Unix epoch, UTC", "the venue's time; the last one known where the venue gives none"),
    "ts_recv": ("ns since the Unix epoch, UTC", "our time of the first byte's arrival"),
    "price": ("mantissa at the instrument's price precision", "price of the trade, level or order"),
    "size": ("mantissa at the instrument's size precision", "its size; 0 on a LEVEL record removes the level"),
    "order_id": ("number", "trade id (TRADE), first update id of the event (LEVEL), venue order id (ORDER_*)"),
    "sequence": ("number", "the venue's sequence number or update id of the whole event"),
    "instrument": ("CRC-32", "CRC-32 of the UTF-8 instrument id, `SYMBOL.VENUE`"),
    "kind": ("code", "what the record says"),
    "side": ("code", "side of the book; the aggressor's side on a trade"),
    "flags": ("bits", "a book is consistent after LAST; GAP means that records were lost before this one"),
    "level": ("levels", "depth of the level in a snapshot, from 0, at most 255; 0 elsewhere"),
    "reserved": ("none", "zero"),
}
"""Field -> (unit, meaning)."""

CODES: Final[Mapping[str, type[enum.IntEnum] | type[enum.IntFlag]]] = {
    "kind": RecordKind,
    "side": RecordSide,
    "flags": RecordFlag,
}
_OFFSETS: Final = {name: int(place[1]) for name, place in (MARKET_RECORD.fields or {}).items()}
_TYPES: Final = {"i8": "int64", "u8": "uint64", "u4": "uint32", "u1": "uint8"}


@dataclasses.dataclass(frozen=True, slots=True)
class RecordField:
    """One field; all are little-endian. ``codes`` name the values of an enumeration or the bits of flags."""

    name: str
    type: str
    offset: int
    size: int
    unit: str
    meaning: str
    codes: Mapping[str, int]


def record_fields() -> tuple[RecordField, ...]:
    """All fields in the order of their offsets.

    Raises:
        KeyError: a field of the dtype is not described yet; add it to ``MEANINGS``.
    """
    return tuple(_field(name) for name in MARKET_RECORD.names or ())


def _field(name: str) -> RecordField:
    kind: np.dtype[np.generic] = MARKET_RECORD[name]
    offset = _OFFSETS[name]
    codes = {member.name: int(member) for member in CODES.get(name, ()) if member.name}
    unit, meaning = MEANINGS[name]
    return RecordField(name, _TYPES[kind.str[1:]], offset, kind.itemsize, unit, meaning, codes)
