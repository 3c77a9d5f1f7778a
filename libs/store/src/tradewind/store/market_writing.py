"""Market records into the tables ``trades``, ``quotes`` and ``book``: whole columns at a time, no Python per row.

Nearly always all rows are new, so they are first copied straight into the tables. Where one is there already the
transaction is made again through staging tables, from which only the new rows are taken.
"""

import io
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
import numpy as np

from tradewind.store.binary_copy import QUOTE_COLUMNS, TRADE_COLUMNS, copy_data, quote_values, trade_values
from tradewind.store.book_copy import BOOK_COLUMNS, book_copy_data, book_events, continues_event, is_book
from tradewind.store.database import Database
from tradewind.store.recorder_positions import RecorderPosition, save_positions
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide

if TYPE_CHECKING:
    from tradewind.store.database import Connection

RECORDS_PER_COPY: Final = 32_768
"""A larger array is written in several transactions, so that memory and the event loop's pauses stay small."""


class WrittenCounts(msgspec.Struct, kw_only=True):
    """What became of the records of one write."""

    trades: int = 0  # new rows
    quotes: int = 0  # new rows
    book: int = 0  # new rows, one for each event of a level feed
    duplicate_trades: int = 0
    duplicate_quotes: int = 0
    duplicate_book: int = 0
    unpaired: int = 0  # TOP_OF_BOOK records without their other side
    ignored: int = 0  # records of kinds that are not stored here


class _Rows(msgspec.Struct, frozen=True):
    """Rows of one table as a binary COPY."""

    table: str
    columns: Sequence[str]
    count: int
    data: bytes


_Write = Callable[["Connection", _Rows], Awaitable[int]]


async def write_records(
    database: Database, records: RecordArray, positions: Sequence[RecorderPosition], *, with_book: bool
) -> WrittenCounts:
    """See ``MarketDataRepository.write``."""
    counts = WrittenCounts()
    start = 0
    while True:
        end = _end_of_part(records, start)
        await _write_part(database, records[start:end], positions if end == len(records) else (), counts, with_book)
        if end == len(records):
            return counts
        start = end


async def _write_part(
    database: Database,
    records: RecordArray,
    positions: Sequence[RecorderPosition],
    counts: WrittenCounts,
    with_book: bool,
) -> None:
    tables, stored_records, unpaired = _rows_of(records, with_book)
    if tables or positions:
        try:
            new = await _write_rows(database, tables, positions, _copy)
        except asyncpg.UniqueViolationError:
            new = await _write_rows(database, tables, positions, _copy_new)
        for rows, added in zip(tables, new, strict=True):
            _count(counts, rows.table, added)
            _count(counts, f"duplicate_{rows.table}", rows.count - added)
    counts.unpaired += unpaired
    counts.ignored += len(records) - stored_records - unpaired


def _rows_of(records: RecordArray, with_book: bool) -> tuple[list[_Rows], int, int]:
    """What is to be stored, how many records that is, and how many sides of a best bid and ask have no partner."""
    trades = trade_values(records)
    quotes, unpaired = quote_values(records)
    trade_count, quote_count = len(trades["ts"]), len(quotes["ts"])
    found = [
        _Rows("trades", [name for name, _ in TRADE_COLUMNS], trade_count, copy_data(TRADE_COLUMNS, trades)),
        _Rows("quotes", [name for name, _ in QUOTE_COLUMNS], quote_count, copy_data(QUOTE_COLUMNS, quotes)),
    ]
    stored = trade_count + 2 * quote_count
    if with_book and (levels := int(np.count_nonzero(is_book(records)))):
        events = book_events(records)
        found.append(_Rows("book", BOOK_COLUMNS, len(events), book_copy_data(events)))
        stored += levels
    return [rows for rows in found if rows.count], stored, unpaired


async def _write_rows(
    database: Database, tables: list[_Rows], positions: Sequence[RecorderPosition], write: _Write
) -> list[int]:
    async with database.transaction() as connection:
        new = [await write(connection, rows) for rows in tables]
        await save_positions(connection, positions)
    return new


async def _copy(connection: "Connection", rows: _Rows) -> int:
    await connection.copy_to_table(rows.table, columns=rows.columns, format="binary", source=io.BytesIO(rows.data))
    return rows.count


async def _copy_new(connection: "Connection", rows: _Rows) -> int:
    """COPY cannot skip a duplicate, so the rows go into a staging table, and from there those that are new."""
    table, listed = rows.table, ", ".join(rows.columns)
    staging = f"staging_{table}"
    await connection.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staging} (LIKE {table}) ON COMMIT DELETE ROWS")
    await connection.copy_to_table(
        staging, schema_name="pg_temp", columns=rows.columns, format="binary", source=io.BytesIO(rows.data)
    )
    done = await connection.execute(
        f"INSERT INTO {table} ({listed}) SELECT {listed} FROM pg_temp.{staging} ON CONFLICT DO NOTHING"  # noqa: S608
    )
    return int(done.rpartition(" ")[2])


def _count(counts: WrittenCounts, field: str, more: int) -> None:
    setattr(counts, field, getattr(counts, field) + more)


def _end_of_part(records: RecordArray, start: int) -> int:
    """Where the part that begins at ``start`` ends: never between a best bid and its best ask, or inside an event."""
    end = min(start + RECORDS_PER_COPY, len(records))
    if end == len(records):
        return end
    last = records[end - 1]
    if last["kind"] == RecordKind.TOP_OF_BOOK and last["side"] == RecordSide.BUY:
        return end + 1
    ends_here = np.flatnonzero(~continues_event(records[end - 1 :])[1:])
    return end + int(ends_here[0]) if len(ends_here) else len(records)
