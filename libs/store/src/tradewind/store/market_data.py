"""Trades and quotes: written in bulk straight from market records, read back in bounded pages, and as candles."""

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec
import numpy.typing as npt

from tradewind.store.binary_copy import (
    QUOTE_COLUMNS,
    TRADE_COLUMNS,
    Column,
    copy_data,
    quote_values,
    trade_values,
    unsigned,
)
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.timestamps import EARLIEST, FIRST_NS, LATEST, to_ns, to_timestamp
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordKind, RecordSide

if TYPE_CHECKING:
    from tradewind.store.database import Connection

RECORDS_PER_COPY: Final = 20_000
"""A larger array is written in several transactions, so that memory and the event loop's pauses stay small."""
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
_NEWEST_TRADE: Final = "SELECT max(ts) FROM trades WHERE instrument_number = $1 AND ts >= $2 AND ts < $3"
_CANDLES: Final = """
    SELECT ts_event - mod(mod(ts_event, $4::bigint) + $4, $4) AS start,
           (array_agg(price ORDER BY ts_event, trade_id))[1] AS open, max(price) AS high, min(price) AS low,
           (array_agg(price ORDER BY ts_event DESC, trade_id DESC))[1] AS close,
           sum(size) AS volume, count(*) AS trades
    FROM trades WHERE instrument_number = $1 AND ts >= $2 AND ts < $3 GROUP BY 1 ORDER BY 1
"""


class WrittenCounts(msgspec.Struct, kw_only=True):
    """What became of the records of one write."""

    trades: int = 0  # new rows
    quotes: int = 0  # new rows
    duplicate_trades: int = 0
    duplicate_quotes: int = 0
    unpaired: int = 0  # TOP_OF_BOOK records without their other side
    ignored: int = 0  # records of kinds that are not stored here


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
    """The tables ``trades`` and ``quotes``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, records: RecordArray) -> WrittenCounts:
        """Store the trades and top-of-book pairs among ``records``; what is stored already is left out.

        A pair must be whole within one call. Up to RECORDS_PER_COPY records are all stored or none is; after an error
        the same call is simply made again.

        Raises:
            ValueError: not a one-dimensional array of market records.
            DatabaseUnavailable: some or nothing was stored.
        """
        if records.dtype != MARKET_RECORD or records.ndim != 1:
            raise ValueError(f"expected a one-dimensional array of market records, got {records.ndim}d {records.dtype}")
        counts = WrittenCounts()
        start = 0
        while start < len(records):
            end = _end_of_part(records, start)
            await self._write_part(records[start:end], counts)
            start = end
        return counts

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

        Intervals are counted from the epoch. Only trades of ``start_ns <= ts_event < end_ns`` count, so the first and
        the last candle may be cut; ask for whole intervals.

        Raises:
            ValueError: the limit, the interval or a time is out of range.
            DatabaseUnavailable: no answer.
        """
        if not 1 <= interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(f"candles of {interval_s} s: use 1 to {LONGEST_INTERVAL_S} s")
        interval_ns = interval_s * _NS_PER_S
        number, start, end = _range(instrument_number, start_ns, end_ns)
        earlier_ns = (checked_limit(limit) - 1) * interval_ns
        async with self._database.connection() as connection:
            newest = await connection.fetchval(_NEWEST_TRADE, number, start, end)
            if newest is None:
                return []
            first_ns = to_ns(newest) // interval_ns * interval_ns - earlier_ns
            rows = await connection.fetch(
                _CANDLES, number, max(start, to_timestamp(max(first_ns, FIRST_NS))), end, interval_ns
            )
        return [
            Candle(
                ts=row["start"],
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

    async def _write_part(self, records: RecordArray, counts: WrittenCounts) -> None:
        trades = trade_values(records)
        quotes, unpaired = quote_values(records)
        trade_count, quote_count = len(trades["ts"]), len(quotes["ts"])
        if trade_count or quote_count:
            async with self._database.transaction() as connection:
                new_trades = await _insert(connection, "trades", TRADE_COLUMNS, trades)
                new_quotes = await _insert(connection, "quotes", QUOTE_COLUMNS, quotes)
            counts.trades += new_trades
            counts.quotes += new_quotes
            counts.duplicate_trades += trade_count - new_trades
            counts.duplicate_quotes += quote_count - new_quotes
        counts.unpaired += unpaired
        counts.ignored += len(records) - trade_count - 2 * quote_count - unpaired


async def _insert(
    connection: "Connection", table: str, columns: tuple[Column, ...], values: dict[str, npt.NDArray[Any]]
) -> int:
    """Rows that were not there before. Nearly always all are new, so they are first copied straight into the table."""
    count = len(values["ts"])
    if not count:
        return 0
    data = copy_data(columns, values)
    names = [name for name, _ in columns]
    try:
        async with connection.transaction():  # a savepoint: a duplicate ends this copy alone
            await connection.copy_to_table(table, columns=names, format="binary", source=io.BytesIO(data))
    except asyncpg.UniqueViolationError:
        return await _insert_new(connection, table, names, data)
    return count


async def _insert_new(connection: "Connection", table: str, names: list[str], data: bytes) -> int:
    """COPY cannot skip a duplicate, so the rows go into a staging table, and from there those that are new."""
    staging, listed = f"staging_{table}", ", ".join(names)
    await connection.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS")
    await connection.copy_to_table(
        staging, schema_name="pg_temp", columns=names, format="binary", source=io.BytesIO(data)
    )
    done = await connection.execute(
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM pg_temp.{staging} ON CONFLICT DO NOTHING"  # noqa: S608
    )
    return int(done.rpartition(" ")[2])


def _end_of_part(records: RecordArray, start: int) -> int:
    """Where the part that begins at ``start`` ends: never between a best bid and its best ask."""
    end = min(start + RECORDS_PER_COPY, len(records))
    last = records[end - 1]
    if end < len(records) and last["kind"] == RecordKind.TOP_OF_BOOK and last["side"] == RecordSide.BUY:
        return end + 1
    return end


def _range(instrument_number: int, start_ns: int | None, end_ns: int | None) -> tuple[int, datetime, datetime]:
    """Parameters $1 to $3 of the questions above. Open ends become the ends of time: one plan serves all."""
    return (
        instrument_number,
        EARLIEST if start_ns is None else to_timestamp(start_ns),
        LATEST if end_ns is None else to_timestamp(end_ns),
    )
