"""Trades, quotes and level events: written in bulk straight from market records, read in bounded pages, as candles."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tradewind.store.binary_copy import unsigned
from tradewind.store.database import Database
from tradewind.store.market_writing import WrittenCounts, write_records
from tradewind.store.page_limits import checked_limit
from tradewind.store.recorder_positions import RecorderPosition
from tradewind.store.timestamps import EARLIEST, LAST_NS, LATEST, to_timestamp
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordSide

LONGEST_INTERVAL_S: Final = 31 * 86_400
_NS_PER_S: Final = 1_000_000_000
_TRADES: Final = """
    SELECT instrument_number, trade_id, ts_event, ts_recv, price, size, side
    FROM trades WHERE instrument_number = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts DESC, trade_id DESC LIMIT $4
"""
_QUOTES: Final = """
    SELECT instrument_number, sequence, ts_event, ts_recv, bid_price, bid_size, ask_price, ask_size
    FROM quotes WHERE instrument_number = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts DESC, sequence DESC LIMIT $4
"""
_BOOK: Final = """
    SELECT instrument_number, first_sequence, sequence, ts_event, ts_recv, clears, gap, bids, prices, sizes
    FROM book WHERE instrument_number = $1 AND ts >= $2 AND ts < $3
    ORDER BY ts DESC, sequence DESC, clears LIMIT $4
"""
_CANDLES: Final = "SELECT * FROM candles($1, $2, $3, $4, $5)"


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One stored trade; price and size are mantissas, times in ns."""

    instrument_number: int
    trade_id: int
    ts_event: int
    ts_recv: int
    price: int
    size: int
    side: RecordSide


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """One stored best bid and ask; prices and sizes are mantissas, times in ns."""

    instrument_number: int
    sequence: int
    ts_event: int
    ts_recv: int
    bid_price: int
    bid_size: int
    ask_price: int
    ask_size: int


class BookEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One stored event of a price-level feed: new total sizes at prices, 0 for a level that is gone; all mantissas.

    ``clears``: the book is empty before these levels. ``gap``: events were lost before this one.
    """

    instrument_number: int
    first_sequence: int
    sequence: int
    ts_event: int
    ts_recv: int
    clears: bool
    gap: bool
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """The trades of one interval that begins at ``ts`` (ns); prices and volume are mantissas."""

    ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


class MarketDataRepository:
    """The tables ``trades``, ``quotes`` and ``book``, and the bars."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(
        self, records: RecordArray, positions: Sequence[RecorderPosition] = (), *, with_book: bool = True
    ) -> WrittenCounts:
        """Store the trades, top-of-book pairs and level events among ``records``; what is stored already is left out.

        A pair or an event must be whole within one call. Up to RECORDS_PER_COPY records are all stored or none is;
        ``positions`` go with the last of them. After an error the same call is simply made again.

        Raises:
            ValueError: not a one-dimensional array of market records.
            DatabaseUnavailable: some or nothing was stored.
        """
        if records.dtype != MARKET_RECORD or records.ndim != 1:
            raise ValueError(f"expected a one-dimensional array of market records, got {records.ndim}d {records.dtype}")
        return await write_records(self._database, records, positions, with_book=with_book)

    async def count_trades(self, instrument_number: int | None = None) -> int:
        """Stored trades, of one instrument or of all.

        Raises:
            DatabaseUnavailable: no answer.
        """
        return await self._count("trades", instrument_number)

    async def count_quotes(self, instrument_number: int | None = None) -> int:
        """Stored quotes, of one instrument or of all.

        Raises:
            DatabaseUnavailable: no answer.
        """
        return await self._count("quotes", instrument_number)

    async def count_book_events(self, instrument_number: int | None = None) -> int:
        """Stored level events, of one instrument or of all.

        Raises:
            DatabaseUnavailable: no answer.
        """
        return await self._count("book", instrument_number)

    async def trades(
        self, instrument_number: int, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1_000
    ) -> list[Trade]:
        """The newest ``limit`` trades with ``start_ns <= ts_event < end_ns`` (cut to the microsecond), oldest first.

        Raises:
            ValueError: the limit or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _TRADES,
                *_range(instrument_number, start_ns, end_ns),
                checked_limit(limit),
            )
        return [
            Trade(**{**row, "trade_id": unsigned(row["trade_id"]), "side": RecordSide(row["side"])})
            for row in reversed(rows)
        ]

    async def quotes(
        self, instrument_number: int, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1_000
    ) -> list[Quote]:
        """The newest ``limit`` quotes with ``start_ns <= ts_event < end_ns`` (cut to the microsecond), oldest first.

        Raises:
            ValueError: the limit or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _QUOTES,
                *_range(instrument_number, start_ns, end_ns),
                checked_limit(limit),
            )
        return [Quote(**{**row, "sequence": unsigned(row["sequence"])}) for row in reversed(rows)]

    async def book_events(
        self, instrument_number: int, *, start_ns: int | None = None, end_ns: int | None = None, limit: int = 1_000
    ) -> list[BookEvent]:
        """The newest ``limit`` level events with ``start_ns <= ts_event < end_ns`` (cut to the microsecond), in order.

        Raises:
            ValueError: the limit or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_BOOK, *_range(instrument_number, start_ns, end_ns), checked_limit(limit))
        return [_book_event(dict(row)) for row in reversed(rows)]

    async def candles(
        self,
        instrument_number: int,
        interval_s: int,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 500,
    ) -> list[Candle]:
        """Candles of the last ``limit`` intervals up to the newest trade, oldest first; none for an empty interval.

        Intervals are counted from the epoch; those that begin at ``start_ns <= ts < end_ns`` are given, each with all
        of its trades. With TimescaleDB they come from the bars of the largest width that divides the interval, so they
        reach as far back as those bars are kept.

        Raises:
            ValueError: the limit, the interval or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        if not 1 <= interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(f"candles of {interval_s} s: use 1 to {LONGEST_INTERVAL_S} s")
        interval_ns = interval_s * _NS_PER_S
        whole = _range(instrument_number, _next_start(start_ns, interval_ns), _next_start(end_ns, interval_ns))
        number, start, end = whole
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CANDLES, number, interval_s, start, end, checked_limit(limit))
        return [
            Candle(
                ts=row["start_s"] * _NS_PER_S,
                open=row["open"],
                high=row["high"],
                low=row["low"],
                close=row["close"],
                volume=int(row["volume"]),
                trades=row["trades"],
            )
            for row in rows
        ]

    async def _count(self, table: str, instrument_number: int | None) -> int:
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE $1::bigint IS NULL OR instrument_number = $1",  # noqa: S608
                instrument_number,
            )
        return count


def _range(instrument_number: int, start_ns: int | None, end_ns: int | None) -> tuple[int, datetime, datetime]:
    """Parameters $1 to $3 of the questions above. Open ends become the ends of time: one plan serves all."""
    return (
        instrument_number,
        EARLIEST if start_ns is None else to_timestamp(start_ns),
        LATEST if end_ns is None else to_timestamp(end_ns),
    )


def _next_start(ns: int | None, interval_ns: int) -> int | None:
    """Where the first interval begins that does not begin before ``ns``."""
    if ns is None:
        return None
    return min(-(-ns // interval_ns) * interval_ns, max(ns, LAST_NS))


def _book_event(row: dict[str, Any]) -> BookEvent:
    levels = list(zip(row.pop("prices"), row.pop("sizes"), strict=True))
    bids = row.pop("bids")
    row |= {name: unsigned(row[name]) for name in ("first_sequence", "sequence")}
    return BookEvent(**row, bids=levels[:bids], asks=levels[bids:])
