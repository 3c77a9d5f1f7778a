"""Binance spot frames to market records in plain Python: the twin of ``tradewind_native.binance``.

Same records, same errors, about ten times slower. It says in Python what the kernel means; one test module runs on
both. They differ where a key comes twice and only the last value has the right type: the kernel takes the last, msgspec
refuses the first. Fields follow the Binance spot API, "WebSocket Streams" (trade, bookTicker, diff. depth) and "Order
book" (REST).
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np

from tradewind.venue.book_decoding import (
    INT64_MAX,
    MAX_FRAME_BYTES,
    MAX_LEVELS,
    UINT64_MAX,
    Known,
    known_by_symbol,
)
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

__all__ = ["BinanceDecoder", "FrameKind", "MalformedFrame", "UnknownFrame"]

NS_PER_MS: Final = 1_000_000

_DECIMAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Absent = msgspec.UnsetType
ABSENT: Final = msgspec.UNSET
Level = tuple[str, str]
Frame = bytes | bytearray | memoryview


class _Envelope(msgspec.Struct):
    """The outside of a frame: a combined stream wraps its event in ``data``."""

    data: msgspec.Raw | Absent = ABSENT
    result: msgspec.Raw | Absent = ABSENT
    error: msgspec.Raw | Absent = ABSENT
    code: msgspec.Raw | Absent = ABSENT

    @property
    def answers_request(self) -> bool:
        """Whether it answers a request such as SUBSCRIBE."""
        return not (self.result is self.error is self.code is ABSENT)


class _Head(msgspec.Struct):
    """What tells the kind of an event: its name, or the update id of a ticker, which has no name."""

    e: Any = ABSENT
    u: msgspec.Raw | Absent = ABSENT


class _Depth(msgspec.Struct):
    E: int
    s: str
    U: int
    u: int
    b: list[Level]
    a: list[Level]


class _Trade(msgspec.Struct):
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool


class _Ticker(msgspec.Struct):
    u: int
    s: str
    b: str
    B: str
    a: str
    A: str


class _Snapshot(msgspec.Struct):
    lastUpdateId: int
    bids: list[Level]
    asks: list[Level]


_KIND_OF_EVENT: Final = {"depthUpdate": FrameKind.DEPTH, "trade": FrameKind.TRADE, ABSENT: FrameKind.TICKER}


class _Decoded(NamedTuple):
    """One frame's records and what the decoder remembers of it."""

    kind: FrameKind
    first_update_id: int
    final_update_id: int
    instrument: int
    latest_venue_time: int
    records: list[tuple[int, ...]]


class BinanceDecoder:
    """The Python twin of ``tradewind_native.binance.BinanceDecoder``; see there."""

    def __init__(self, instruments: Sequence[tuple[str, int, int, int]]) -> None:
        """``instruments``: the venue's symbol, instrument number, price precision, size precision."""
        self._instruments = known_by_symbol(instruments)
        self._parse_envelope = msgspec.json.Decoder(_Envelope)
        self._parse_head = msgspec.json.Decoder(_Head)
        self._parse_depth = msgspec.json.Decoder(_Depth)
        self._parse_trade = msgspec.json.Decoder(_Trade)
        self._parse_ticker = msgspec.json.Decoder(_Ticker)
        self._parse_snapshot = msgspec.json.Decoder(_Snapshot)
        self._pending: list[tuple[int, ...]] = []
        self._latest_venue_time = 0
        self.first_update_id = 0
        """``U`` of the last depth event; of other frames the same as ``final_update_id``."""
        self.final_update_id = 0
        """``u`` of the last depth event or ticker, the id of a trade, lastUpdateId of a snapshot, 0 of an answer."""
        self.instrument = 0
        """The instrument number of the last frame; 0 after an answer."""

    @property
    def pending(self) -> int:
        """How many records were decoded and not yet taken."""
        return len(self._pending)

    def decode(self, frame: Frame, ts_recv: int) -> int:
        """Append the frame's records to the pending batch and return its FrameKind.

        Raises:
            MalformedFrame: not a frame: count it, and resync where it may have been part of a sequence.
            UnknownFrame: an event type or symbol that this decoder was not made for.
        """
        _check_text(frame)
        envelope = _parsed(self._parse_envelope, frame)
        event = frame if envelope.data is ABSENT else memoryview(envelope.data)
        return self._keep(self._decode_event(event, envelope, ts_recv))

    def decode_snapshot(self, body: Frame, symbol: str, ts_recv: int) -> int:
        """Append the answer of ``GET /api/v3/depth``: a CLEAR record, then a LEVEL record for each level.

        Raises:
            MalformedFrame: not such an answer.
            UnknownFrame: ``symbol`` is not known to this decoder.
        """
        _check_text(body)
        snapshot = _parsed(self._parse_snapshot, body)
        _check_level_count(snapshot.bids, snapshot.asks)
        instrument = self._instrument_of(symbol)
        update = _unsigned(snapshot.lastUpdateId, "lastUpdateId")
        start = (self._latest_venue_time or ts_recv, ts_recv)
        end = (update, update, instrument.number)
        snap = RecordFlag.SNAPSHOT
        records: list[tuple[int, ...]] = [(*start, 0, 0, *end, RecordKind.CLEAR, RecordSide.NONE, snap, 0, 0)]
        for side, levels in ((RecordSide.BUY, snapshot.bids), (RecordSide.SELL, snapshot.asks)):
            for index, level in enumerate(levels):
                numbers = _level(level, instrument)
                records.append((*start, *numbers, *end, RecordKind.LEVEL, side, snap, min(index, 255), 0))
        _mark_last(records)
        return self._keep(
            _Decoded(FrameKind.SNAPSHOT, update, update, instrument.number, self._latest_venue_time, records)
        )

    def take(self) -> RecordArray:
        """The pending records as a read-only array; none are pending afterwards."""
        records = np.array(self._pending, dtype=MARKET_RECORD)
        records.flags.writeable = False
        self._pending = []
        return records

    def _keep(self, decoded: _Decoded) -> int:
        self._pending += decoded.records
        self._latest_venue_time = decoded.latest_venue_time
        self.first_update_id = decoded.first_update_id
        self.final_update_id = decoded.final_update_id
        self.instrument = decoded.instrument
        return decoded.kind

    def _decode_event(self, event: Frame, envelope: _Envelope, ts_recv: int) -> _Decoded:
        head = _parsed(self._parse_head, event)
        if head.e is ABSENT and head.u is ABSENT:
            if envelope.data is ABSENT and envelope.answers_request:
                return _Decoded(FrameKind.CONTROL, 0, 0, 0, self._latest_venue_time, [])
            raise UnknownFrame("unknown Binance frame: an object without event type")
        if not isinstance(head.e, str | Absent):
            raise MalformedFrame("malformed Binance frame: its event type is not a string")
        kind = _KIND_OF_EVENT.get(head.e)
        if kind is FrameKind.DEPTH:
            return self._depth(self._typed(self._parse_depth, event), ts_recv)
        if kind is FrameKind.TRADE:
            return self._trade(self._typed(self._parse_trade, event), ts_recv)
        if kind is FrameKind.TICKER:
            return self._ticker(self._typed(self._parse_ticker, event), ts_recv)
        raise UnknownFrame(f"unknown Binance frame: event type {head.e!r}")

    def _typed(self, decoder: msgspec.json.Decoder[S], event: Frame) -> S:
        """The event; where a field is wrong, an unknown symbol is the better reason, as in the kernel."""
        try:
            return decoder.decode(event)
        except msgspec.ValidationError as error:
            fields = _parsed(msgspec.json.Decoder(dict[str, Any]), event)
            if isinstance(fields.get("s"), str) and fields.keys() >= set(decoder.type.__struct_fields__):
                self._instrument_of(fields["s"])
            raise MalformedFrame(f"malformed Binance frame: {error}") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedFrame(f"malformed Binance frame: {error}") from None

    def _instrument_of(self, symbol: str) -> Known:
        instrument = self._instruments.get(symbol)
        if instrument is None:
            raise UnknownFrame(f"unknown Binance frame: symbol {symbol!r}")
        return instrument

    def _depth(self, event: _Depth, ts_recv: int) -> _Decoded:
        _check_level_count(event.b, event.a)
        instrument = self._instrument_of(event.s)
        ts_event = _time(event.E)
        first, final = _unsigned(event.U, "U"), _unsigned(event.u, "u")
        end = (first, final, instrument.number, RecordKind.LEVEL)
        records: list[tuple[int, ...]] = [
            (ts_event, ts_recv, *_level(level, instrument), *end, side, 0, 0, 0)
            for side, levels in ((RecordSide.BUY, event.b), (RecordSide.SELL, event.a))
            for level in levels
        ] or [(ts_event, ts_recv, 0, 0, *end, RecordSide.NONE, 0, 0, 0)]
        _mark_last(records)
        latest = max(self._latest_venue_time, ts_event)
        return _Decoded(FrameKind.DEPTH, first, final, instrument.number, latest, records)

    def _ticker(self, event: _Ticker, ts_recv: int) -> _Decoded:
        instrument = self._instrument_of(event.s)
        update = _unsigned(event.u, "u")
        start = (self._latest_venue_time or ts_recv, ts_recv)
        end = (0, update, instrument.number, RecordKind.TOP_OF_BOOK)
        records: list[tuple[int, ...]] = [
            (*start, *_level((event.b, event.B), instrument), *end, RecordSide.BUY, 0, 0, 0),
            (*start, *_level((event.a, event.A), instrument), *end, RecordSide.SELL, 0, 0, 0),
        ]
        _mark_last(records)
        return _Decoded(FrameKind.TICKER, update, update, instrument.number, self._latest_venue_time, records)

    def _trade(self, event: _Trade, ts_recv: int) -> _Decoded:
        instrument = self._instrument_of(event.s)
        event_time, trade_time = _time(event.E), _time(event.T)
        trade = _unsigned(event.t, "t")
        price, size = _level((event.p, event.q), instrument)
        side = RecordSide.SELL if event.m else RecordSide.BUY
        number = instrument.number
        record = (trade_time, ts_recv, price, size, trade, trade, number, RecordKind.TRADE, side, RecordFlag.LAST, 0, 0)
        latest = max(self._latest_venue_time, event_time, trade_time)
        return _Decoded(FrameKind.TRADE, trade, trade, number, latest, [record])


def _check_text(frame: Frame) -> None:
    """Refuse what is too large or not UTF-8: msgspec passes over the bytes of what it skips."""
    view = memoryview(frame)
    if view.nbytes > MAX_FRAME_BYTES:
        raise MalformedFrame("malformed Binance frame: it is larger than 16 MiB")
    try:
        str(view, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedFrame(f"malformed Binance frame: not JSON: {error.reason}") from None


def _parsed(decoder: msgspec.json.Decoder[T], frame: Frame) -> T:
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedFrame(f"malformed Binance frame: {error}") from None


def _check_level_count(bids: list[Level], asks: list[Level]) -> None:
    if len(bids) + len(asks) > MAX_LEVELS:
        raise MalformedFrame("malformed Binance frame: it has more than 50,000 levels")


def _unsigned(value: int, name: str) -> int:
    if not 0 <= value <= UINT64_MAX:
        raise MalformedFrame(f"malformed Binance frame: {name} {value} does not fit 64 bits without sign")
    return value


def _time(milliseconds: int) -> int:
    if not 0 <= milliseconds <= INT64_MAX // NS_PER_MS:
        raise MalformedFrame(f"malformed Binance frame: time {milliseconds} is not within 1970 and 2262")
    return milliseconds * NS_PER_MS


def _level(level: Level, instrument: Known) -> tuple[int, int]:
    price = _mantissa(level[0], instrument.price_precision, sign_allowed=True)
    return price, _mantissa(level[1], instrument.size_precision, sign_allowed=False)


def _mantissa(text: str, precision: int, *, sign_allowed: bool) -> int:
    match = _DECIMAL.fullmatch(text)
    if match is None or (match[1] and not sign_allowed):
        raise MalformedFrame(f"malformed Binance frame: {text[:40]!r} is not a plain decimal number")
    decimals = match[3] or ""
    if decimals[precision:].strip("0"):
        raise MalformedFrame(f"malformed Binance frame: {text[:40]!r} has more decimals than the instrument")
    digits = (match[2] + decimals[:precision].ljust(precision, "0")).lstrip("0")
    # An int64 has at most 19 digits; more are not even converted.
    if len(digits) > 19 or int(digits or "0") > INT64_MAX:
        raise MalformedFrame(f"malformed Binance frame: {text[:40]!r} does not fit 64 bits")
    return int(match[1] + (digits or "0"))


def _mark_last(records: list[tuple[int, ...]]) -> None:
    """Set the flag LAST, the tenth field, of the last record."""
    last = records[-1]
    records[-1] = (*last[:9], last[9] | RecordFlag.LAST, *last[10:])
