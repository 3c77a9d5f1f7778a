"""Market records into PostgreSQL: ``MarketDataRepository.write`` beside the driver's bare ``copy_records_to_table``.

Run: python libs/store/benches/bench_market_data_write.py [records]

Both write the same rows to the same tables of the same server, in turns, a chunk of CHUNK records in each transaction,
as the recorder does. The driver gets its rows ready made, as tuples, for nothing; ours start as market records, and its
transaction holds the recorder's position too. A ratio is rows per second of ours over the driver's.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from tradewind.store.binary_copy import QUOTE_COLUMNS, TRADE_COLUMNS, quote_values, trade_values
from tradewind.store.book_copy import BOOK_COLUMNS, book_events
from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.market_data import MarketDataRepository
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.recorder_positions import RecorderPosition
from tradewind.store.timestamps import to_timestamp
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, empty_records

START_NS: Final = 1_700_000_000_000_000_000
CHUNK: Final = 20_000
CHUNKS: Final = 10
LEVELS: Final = 40
OURS, DRIVERS = 1, 2

Rows = list[tuple[Any, ...]]


def trades(count: int, first: int) -> RecordArray:
    """``count`` trades from number ``first`` on."""
    records = empty_records(count)
    numbers = first + np.arange(count)
    records["ts_event"] = START_NS + numbers * 1_000_000
    records["ts_recv"] = records["ts_event"] + 500
    records["order_id"] = numbers
    records["price"] = 6_000_000 + numbers % 1_000
    records["size"] = 1 + numbers % 77
    records["kind"] = RecordKind.TRADE
    records["side"] = 1 + numbers % 2
    return records


def quotes(count: int, first: int) -> RecordArray:
    """``count`` records: half as many best bids and asks."""
    records = trades(count, first)
    numbers = first + np.arange(count)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["sequence"] = numbers // 2
    records["side"] = np.where(numbers % 2, RecordSide.SELL, RecordSide.BUY)
    return records


def levels(count: int, first: int) -> RecordArray:
    """``count`` records: events of LEVELS levels."""
    records = trades(count, first)
    numbers = first + np.arange(count)
    events = numbers // LEVELS
    records["kind"] = RecordKind.LEVEL
    records["ts_event"] = START_NS + events * 100_000_000
    records["sequence"] = records["order_id"] = events
    records["side"] = np.where(numbers % LEVELS < LEVELS // 2, RecordSide.BUY, RecordSide.SELL)
    records["flags"] = np.where(numbers % LEVELS == LEVELS - 1, RecordFlag.LAST, 0)
    return records


def trade_rows(records: RecordArray) -> Rows:
    """The same rows as the driver takes them."""
    return _plain_rows([name for name, _ in TRADE_COLUMNS], trade_values(records), records["ts_event"])


def quote_rows(records: RecordArray) -> Rows:
    """The same rows as the driver takes them."""
    return _plain_rows([name for name, _ in QUOTE_COLUMNS], quote_values(records)[0], records["ts_event"][::2])


def level_rows(records: RecordArray) -> Rows:
    """The same rows as the driver takes them."""
    events = book_events(records)
    ends = np.cumsum(events.level_counts).tolist()
    starts = [0, *ends[:-1]]
    columns = dict(events.columns)
    for name, values in (("prices", events.prices), ("sizes", events.sizes)):
        columns[name] = [values[start:end].tolist() for start, end in zip(starts, ends, strict=True)]  # type: ignore[assignment]
    return _plain_rows(list(BOOK_COLUMNS), columns, columns["ts_event"])


def _plain_rows(names: list[str], values: dict[str, Any], ts_event: Any) -> Rows:
    columns = [values[name] if isinstance(values[name], list) else values[name].tolist() for name in names]
    columns[0] = [to_timestamp(ns) for ns in ts_event.tolist()]
    return list(zip(*columns, strict=True))


Make = Callable[[int, int], RecordArray]
RowsOf = Callable[[RecordArray], Rows]
KINDS: Final[dict[str, tuple[list[str], Make, RowsOf]]] = {
    "trades": ([name for name, _ in TRADE_COLUMNS], trades, trade_rows),
    "quotes": ([name for name, _ in QUOTE_COLUMNS], quotes, quote_rows),
    "book": (list(BOOK_COLUMNS), levels, level_rows),
}
"""Table -> its columns, and what makes records and the driver's rows."""


async def _ours(database: Database, records: RecordArray, number: int) -> float:
    records["instrument"] = OURS
    position = RecorderPosition("md.events.bench", 0, number + 1, START_NS)
    started = time.perf_counter()
    await MarketDataRepository(database).write(records, [position])
    return time.perf_counter() - started


async def _drivers(database: Database, table: str, columns: list[str], rows: Rows) -> float:
    started = time.perf_counter()
    async with database.transaction() as connection:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
    return time.perf_counter() - started


async def _compare(database: Database, table: str, chunks: int) -> dict[str, float]:
    """Median rows per second of both, and the ratio of the medians; the first round of each is not counted."""
    columns, make, rows_of = KINDS[table]
    ours, drivers, count = [], [], 0
    for number in range(chunks + 1):
        records = make(CHUNK, number * CHUNK)
        records["instrument"] = DRIVERS
        rows = rows_of(records)
        count = len(rows)
        for turn in (number, number + 1):
            if turn % 2:
                ours.append(await _ours(database, records.copy(), number))
            else:
                drivers.append(await _drivers(database, table, columns, rows))
    our, driver = (count / statistics.median(times[1:]) for times in (ours, drivers))
    return {"rows_per_s": our, "records_per_s": our * CHUNK / count, "driver_rows_per_s": driver, "ratio": our / driver}


async def _run(dsn: str, chunks: int) -> dict[str, dict[str, float]]:
    await migrate(dsn)
    async with Database(dsn) as database:
        return {table: await _compare(database, table, chunks) for table in KINDS}


def run(records: int = CHUNKS * CHUNK) -> dict[str, dict[str, float]]:
    """Figures by table."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        path = Path(folder).resolve()
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path))
        server.start()
        try:
            return asyncio.run(_run(server.dsn, max(records // CHUNK, 1)))
        finally:
            server.stop()


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else CHUNKS * CHUNK), indent=2))
