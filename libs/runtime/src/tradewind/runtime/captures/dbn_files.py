"""Databento DBN files through PyPI's ``databento-dbn``, as market records.

Prices are DBN's own: mantissas with nine decimals. Sizes are whole units. A missing price (``UNDEF_PRICE``) is 0, and
so is the size beside it. ``order_id`` of a trade is 0, because DBN has no trade ids.

What each record makes, by schema: ``mbo`` an order record, a TRADE or a CLEAR; ``trades`` a TRADE; ``mbp-1``,
``tbbo``, ``bbo``, ``cmbp-1`` and ``cbbo`` TOP_OF_BOOK in two records; ``mbp-10`` a CLEAR and the levels of both sides
as a snapshot; a TRADE stands before these where the action is a trade. Every other record (``ohlcv``, ``definition``,
``statistics``, ``status``, ``imbalance``, messages of the gateway) has no market record and is counted by its name.
"""

import datetime
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from tradewind.model.identifiers import Venue, instrument_id
from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem, CaptureRefused
from tradewind.runtime.captures.zstd_frames import is_whole
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    MARKET_RECORD,
    RecordFlag,
    RecordKind,
    RecordSide,
    instrument_number,
    read_only,
)

MISSING: Final = (
    "DBN files need the package databento-dbn, which is not installed: install tradewind-runtime[dbn], or "
    "databento-dbn itself."
)
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
DBN_MAGIC: Final = b"DBN"
PRICE_PRECISION: Final = 9
_PIECE_BYTES: Final = 4_096
"""Small: a zstd block of four bytes can unpack to 128 KiB, and what a piece unpacks to is in memory at once."""
_PANICS: Final = "pyo3_runtime"
"""Where the class is from that a panic of databento-dbn's Rust code becomes; it is no ``Exception``."""
_MAX_TIME: Final = 2**63
_NS_PER_S: Final = 1_000_000_000
_SIDES: Final = {"B": RecordSide.BUY, "A": RecordSide.SELL}
_ORDERS: Final = {
    "A": RecordKind.ORDER_ADD,
    "M": RecordKind.ORDER_MODIFY,
    "C": RecordKind.ORDER_CANCEL,
    "F": RecordKind.ORDER_EXECUTE,
}
_ONE_RECORD_EVENTS: Final = frozenset({*_ORDERS.values(), RecordKind.TRADE})
"""The records of other kinds make one event together, and the last of them says so."""
_DBN_LAST: Final = 128
_DBN_SNAPSHOT: Final = 32
_DBN_MAYBE_BAD_BOOK: Final = 4

Row: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int, int, int]


class DbnCapture:
    """See ``CaptureReader``. Times of a record without a receive time are those of its event."""

    form = "Databento DBN"

    def __init__(self, path: Path, venue: Venue | None = None) -> None:
        """``venue`` None: the dataset's own name.

        Raises:
            CaptureRefused: ``databento-dbn`` is not installed.
        """
        try:
            self._dbn: Any = importlib.import_module("databento_dbn")
        except ImportError as error:
            raise CaptureRefused(MISSING) from error
        self.path = path
        self.counts = CaptureCounts()
        self._venue = venue
        self._symbols: dict[int, list[tuple[int, int, str]]] = {}
        self._numbers: dict[tuple[int, str], int] = {}
        self._rows: dict[str, Callable[[Any, int], list[Row]]] = {
            "MBOMsg": self._order_rows,
            "TradeMsg": self._trade_rows,
            "MBP1Msg": self._top_rows,
            "MBP10Msg": self._book_rows,
            "BBOMsg": self._quote_rows,
            "CMBP1Msg": self._top_rows,
            "CBBOMsg": self._quote_rows,
        }

    def __iter__(self) -> Iterator[CaptureItem]:
        """All batches; see ``CaptureReader``."""
        for decoded in self._decoded():
            rows: list[Row] = []
            for record in decoded:
                if isinstance(record, self._dbn.Metadata):
                    self._learn(record)
                else:
                    rows += self._rows_of(record)
            if rows:
                records = read_only(np.array(rows, dtype=MARKET_RECORD))
                self.counts.records += len(rows)
                yield rows[0][1], MarketBatch(self._venue or Venue("DBN"), records)

    def _decoded(self) -> Iterator[list[Any]]:
        with self.path.open("rb") as file:
            packed = file.read(len(ZSTD_MAGIC)) == ZSTD_MAGIC
            file.seek(0)
            compression = self._dbn.Compression.ZSTD if packed else self._dbn.Compression.NONE
            decoder = self._dbn.DBNDecoder(compression=compression)
            while piece := file.read(_PIECE_BYTES):
                try:
                    decoder.write(piece)
                    decoded = decoder.decode()
                except (self._dbn.DBNError, ValueError, OverflowError, MemoryError, RuntimeError) as error:
                    raise self._broken(str(error)) from error
                except BaseException as error:
                    if type(error).__module__ != _PANICS:
                        raise
                    raise self._broken(str(error)) from error
                yield decoded
            if rest := len(decoder.buffer()):
                raise self._broken(f"the file ends inside a record, {rest} bytes of it are there")
            if packed and not is_whole(file, file.tell()):
                raise self._broken("the file is cut off")

    def _broken(self, why: str) -> CaptureBroken:
        return CaptureBroken(f"{self.path} cannot be read after record {self.counts.messages}: {why}")

    def _learn(self, metadata: Any) -> None:
        self._venue = self._venue or Venue(str(metadata.dataset))
        for symbol, intervals in metadata.mappings.items():
            for interval in intervals:
                if str(interval["symbol"]).isdigit():
                    span = _day_ns(interval["start_date"]), _day_ns(interval["end_date"]), symbol
                    self._symbols.setdefault(int(interval["symbol"]), []).append(span)

    def _number_of(self, number: int, at: int) -> int:
        """The instrument's number by its symbol on that day, or by its DBN id where the file does not name it."""
        spans = self._symbols.get(number, ())
        symbol = next((name for start, end, name in spans if start <= at < end), str(number))
        known = self._numbers.get((number, symbol))
        if known is None:
            known = instrument_number(instrument_id(symbol, self._venue or Venue("DBN")))
            self._numbers[number, symbol] = known
        return known

    def _rows_of(self, record: Any) -> list[Row]:
        self.counts.messages += 1
        name = type(record).__name__
        make = self._rows.get(name)
        at = _time(getattr(record, "ts_recv", None)) or _time(record.ts_event)
        if at:
            self.counts.at(at)
        rows = make(record, at) if make is not None else []
        self.counts.count(name if rows else f"{name} without a market record")
        return rows

    def _row(self, record: Any, at: int, kind: RecordKind, side: int, price: int, size: int, order_id: int = 0) -> Row:
        flags = RecordFlag(0)
        dbn_flags = int(getattr(record, "flags", 0))
        if dbn_flags & _DBN_LAST and kind in _ONE_RECORD_EVENTS:
            flags |= RecordFlag.LAST
        if dbn_flags & _DBN_SNAPSHOT:
            flags |= RecordFlag.SNAPSHOT
        if dbn_flags & _DBN_MAYBE_BAD_BOOK:
            flags |= RecordFlag.GAP
        event = _time(record.ts_event) or at
        number = self._number_of(record.instrument_id, at or event)
        if price == self._dbn.UNDEF_PRICE:
            price = size = 0
        sequence = int(getattr(record, "sequence", 0))
        return event, at or event, price, size, order_id, sequence, number, int(kind), int(side), int(flags), 0, 0

    def _order_rows(self, record: Any, at: int) -> list[Row]:
        action, side = str(record.action), _SIDES.get(str(record.side), RecordSide.NONE)
        if action == "R":
            return [self._row(record, at, RecordKind.CLEAR, RecordSide.NONE, 0, 0)]
        if action == "T":
            return [self._row(record, at, RecordKind.TRADE, side, record.price, record.size)]
        kind = _ORDERS.get(action)
        return [] if kind is None else [self._row(record, at, kind, side, record.price, record.size, record.order_id)]

    def _trade_rows(self, record: Any, at: int) -> list[Row]:
        side = _SIDES.get(str(record.side), RecordSide.NONE)
        return [self._row(record, at, RecordKind.TRADE, side, record.price, record.size)]

    def _top_rows(self, record: Any, at: int) -> list[Row]:
        return self._traded(record, at) + self._quote_rows(record, at)

    def _traded(self, record: Any, at: int) -> list[Row]:
        return self._trade_rows(record, at) if str(record.action) == "T" else []

    def _quote_rows(self, record: Any, at: int) -> list[Row]:
        best = record.levels[0]
        bid = self._row(record, at, RecordKind.TOP_OF_BOOK, RecordSide.BUY, best.bid_px, best.bid_sz)
        ask = self._row(record, at, RecordKind.TOP_OF_BOOK, RecordSide.SELL, best.ask_px, best.ask_sz)
        return [bid, _last(ask)]

    def _book_rows(self, record: Any, at: int) -> list[Row]:
        rows = [self._row(record, at, RecordKind.CLEAR, RecordSide.NONE, 0, 0)]
        for side, prices in ((RecordSide.BUY, "bid"), (RecordSide.SELL, "ask")):
            for depth, level in enumerate(record.levels):
                price, size = getattr(level, f"{prices}_px"), getattr(level, f"{prices}_sz")
                if price != self._dbn.UNDEF_PRICE:
                    row = self._row(record, at, RecordKind.LEVEL, side, price, size)
                    rows.append((*row[:9], row[9] | int(RecordFlag.SNAPSHOT), depth, 0))
        return [*self._traded(record, at), *rows[:-1], _last(rows[-1])]


def _last(row: Row) -> Row:
    return (*row[:9], row[9] | int(RecordFlag.LAST), *row[10:])


def _time(value: int | None) -> int:
    """A DBN time, or 0 for one that is missing (``UNDEF_TIMESTAMP``) or out of our range."""
    return value if value is not None and value < _MAX_TIME else 0


def _day_ns(day: datetime.date) -> int:
    return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()) * _NS_PER_S
