"""Trades and quotes per second through MarketDataRepository.write, beside the driver's copy of Python rows.

Run: python libs/store/benches/bench_market_data_write.py [records]
"""

import asyncio
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from tradewind.store.database import Database
from tradewind.store.embedded import EmbeddedServers
from tradewind.store.market_data import MarketDataRepository
from tradewind.store.migrations import migrate
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide, empty_records

START_NS = 1_700_000_000_000_000_000


def trades(count: int) -> RecordArray:
    records = empty_records(count)
    numbers = np.arange(count)
    records["ts_event"] = START_NS + numbers * 1_000_000
    records["ts_recv"] = records["ts_event"] + 500
    records["order_id"] = numbers
    records["price"] = 6_000_000 + numbers % 1_000
    records["size"] = 1 + numbers % 77
    records["instrument"] = 1
    records["kind"] = RecordKind.TRADE
    records["side"] = 1 + numbers % 2
    return records


def quotes(count: int) -> RecordArray:
    records = trades(count)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["sequence"] = np.arange(count) // 2
    records["side"] = np.where(np.arange(count) % 2, RecordSide.SELL, RecordSide.BUY)
    return records


async def rows_per_second(database: Database, records: RecordArray, rows: int) -> float:
    started = time.perf_counter()
    await MarketDataRepository(database).write(records)
    return rows / (time.perf_counter() - started)


async def plain_rows_per_second(database: Database, count: int) -> float:
    now = datetime.now(UTC)
    started = time.perf_counter()
    rows = [(now, number, number, 2, number, 6_000_000, 5, 1) for number in range(count)]
    async with database.transaction() as connection:
        await connection.copy_records_to_table("trades", records=rows)
    return count / (time.perf_counter() - started)


async def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServers(Path(folder), valkey=False) as servers:
            await migrate(servers.postgres_dsn)
            async with Database(servers.postgres_dsn) as database:
                plain = await plain_rows_per_second(database, count)
                for name, rate in (
                    ("trades, write()", await rows_per_second(database, trades(count), count)),
                    ("the same again, all duplicates", await rows_per_second(database, trades(count), count)),
                    ("quotes, write()", await rows_per_second(database, quotes(2 * count), count)),
                ):
                    print(f"{name:34} {rate:10,.0f} rows/s  {rate / plain:5.2f} x copy_records_to_table")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000))
