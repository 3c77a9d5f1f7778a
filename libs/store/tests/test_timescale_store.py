"""What only TimescaleDB does: bars that are kept up, compression, retention, policies as rows, and the way there."""

import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from tradewind.store import migrations
from tradewind.store.database import Database
from tradewind.store.market_data import Candle, MarketDataRepository, WrittenCounts
from tradewind.store.migrations import head_revision, migrate
from tradewind.store.testing import missing
from tradewind.store.timescale_for_tests import TimescaleMissing, running
from tradewind.wire.market_records import RecordArray, RecordKind, empty_records

SQL = Path(migrations.__file__).parent / "sql"
HYPERTABLES = {"trades", "quotes", "book", "order_events", "equity"}
BARS = {"bars_1s": 1, "bars_1m": 60, "bars_5m": 300, "bars_1h": 3_600, "bars_1d": 86_400}
BTC = 7
DAY_NS = 86_400 * 10**9


def trades(count: int, *, days_ago: float, first: int = 1, step_ns: int = 500_000_000) -> RecordArray:
    """Trades in a row that began ``days_ago`` at the full minute."""
    records = empty_records(count)
    start = (time.time_ns() - int(days_ago * DAY_NS)) // (60 * 10**9) * 60 * 10**9
    numbers = np.arange(count)
    records["kind"], records["side"], records["instrument"] = RecordKind.TRADE, 1, BTC
    records["order_id"] = first + numbers
    records["ts_event"] = records["ts_recv"] = start + numbers * step_ns
    records["price"], records["size"] = 6_000_000 + numbers * 7 % 1_000, 1 + numbers % 10
    return records


@pytest.fixture
async def connection(timescale_database: Database) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    opened = await asyncpg.connect(timescale_database.dsn, timeout=30, command_timeout=60)
    try:
        yield opened
    finally:
        await opened.close(timeout=30)


@pytest.fixture
def repository(timescale_database: Database) -> MarketDataRepository:
    return MarketDataRepository(timescale_database)


@pytest.fixture
def own_timescale_dsn() -> Iterator[str]:
    """A new server without any table."""
    try:
        with running() as dsn:
            yield dsn
    except TimescaleMissing as error:
        missing("timescaledb", str(error))


@pytest.fixture
async def own_connection(own_timescale_dsn: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    opened = await asyncpg.connect(own_timescale_dsn, timeout=30, command_timeout=60)
    try:
        yield opened
    finally:
        await opened.close(timeout=30)


async def run_jobs(connection: "asyncpg.Connection[asyncpg.Record]", kind: str, relation: str = "") -> int:
    """Run every policy of a kind now, as the scheduler would, the finest bars first."""
    jobs = await connection.fetch(
        "SELECT job_id, hypertable_name AS name FROM timescaledb_information.jobs "
        "WHERE proc_name = $1 AND ($2 = '' OR hypertable_name = $2)",
        kind,
        relation,
    )
    order = list(BARS)
    for row in sorted(jobs, key=lambda row: order.index(row["name"]) if row["name"] in order else -1):
        await connection.execute(f"CALL run_job({row['job_id']})")
    return len(jobs)


async def all_candles(repository: MarketDataRepository) -> dict[int, list[Candle]]:
    return {width: await repository.candles(BTC, width, limit=10_000) for width in (1, 7, 60, 300, 600, 3_600, 86_400)}


async def materialized(connection: "asyncpg.Connection[asyncpg.Record]", view: str) -> int:
    """Bars that are stored, not computed on the way."""
    table = await connection.fetchval(
        "SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name) "
        "FROM timescaledb_information.continuous_aggregates WHERE view_name = $1",
        view,
    )
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


async def test_the_tables_are_hypertables_with_policies(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    rows = await connection.fetch(
        "SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables"
    )
    assert {row[0] for row in rows} >= HYPERTABLES
    assert all(row[1] for row in rows if row[0] in HYPERTABLES)
    jobs = await connection.fetch("SELECT proc_name, hypertable_name FROM timescaledb_information.jobs")
    by_kind: dict[str, set[str]] = {}
    for kind, name in jobs:
        by_kind.setdefault(kind, set()).add(name)
    assert by_kind["policy_retention"] == {"trades", "quotes", "book", "bars_1s"}
    assert by_kind["policy_compression"] == HYPERTABLES | {"bars_1s", "bars_1m", "bars_5m", "bars_1h"}
    assert by_kind["policy_refresh_continuous_aggregate"] == set(BARS)


async def test_candles_stay_the_same_while_bars_are_stored_and_late_trades_come(
    repository: MarketDataRepository, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    records = trades(5_000, days_ago=2)
    late = np.arange(len(records)) % 10 == 3
    await repository.write(records[~late])
    before = await all_candles(repository)
    assert await run_jobs(connection, "policy_refresh_continuous_aggregate") == len(BARS)
    assert await materialized(connection, "bars_1s") == len(before[1])
    assert await materialized(connection, "bars_1h") == len(before[3_600])
    assert await all_candles(repository) == before
    await repository.write(records[late])
    newest = trades(100, days_ago=0.001, first=1_000_000)
    await repository.write(newest)
    # What is newer than the stored bars counts at once, what is older with the next run of the jobs.
    assert sum(each.trades for each in (await repository.candles(BTC, 1, start_ns=newest["ts_event"].item(0)))) == 100
    await run_jobs(connection, "policy_refresh_continuous_aggregate")
    found = await all_candles(repository)
    async with Database(repository._database.dsn) as plain, plain.transaction() as own:
        rows = await own.fetch(
            "SELECT ts_event / 60000000000 * 60 AS s, max(price) AS high, sum(size) AS volume, count(*) AS n "
            "FROM trades GROUP BY 1 ORDER BY 1"
        )
    assert [(c.ts // 10**9, c.high, c.volume, c.trades) for c in found[60]] == [tuple(row) for row in rows]
    for width in (60, 300, 600, 3_600, 86_400):
        assert sum(each.trades for each in found[width]) == 5_100


async def test_bars_outlive_the_trades_that_they_were_made_of(
    repository: MarketDataRepository, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await repository.write(np.concatenate([trades(1_000, days_ago=20), trades(10, days_ago=0.01, first=5_000)]))
    await run_jobs(connection, "policy_refresh_continuous_aggregate")
    before = await all_candles(repository)
    await connection.execute("UPDATE storage_policies SET keep_for = '10 days' WHERE relation = 'trades'")
    try:
        assert await run_jobs(connection, "policy_retention", "trades") == 1
        assert await repository.count_trades(BTC) == 10
        await run_jobs(connection, "policy_refresh_continuous_aggregate")
        assert await all_candles(repository) == before
    finally:
        await connection.execute("UPDATE storage_policies SET keep_for = '30 days' WHERE relation = 'trades'")


async def test_a_policy_is_changed_by_its_row(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    question = (
        "SELECT config->>'drop_after' FROM timescaledb_information.jobs "
        "WHERE proc_name = 'policy_retention' AND hypertable_name = 'quotes'"
    )
    await connection.execute("UPDATE storage_policies SET keep_for = '400 days' WHERE relation = 'quotes'")
    assert await connection.fetchval(question) == "400 days"
    await connection.execute("UPDATE storage_policies SET keep_for = NULL WHERE relation = 'quotes'")
    assert await connection.fetchval(question) is None
    await connection.execute("UPDATE storage_policies SET keep_for = '30 days' WHERE relation = 'quotes'")
    assert await connection.fetchval(question) == "30 days"


async def test_compressed_rows_are_smaller_found_again_and_not_doubled(
    repository: MarketDataRepository, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    records = trades(20_000, days_ago=5, step_ns=50_000_000)
    await repository.write(records[::2])
    before = await repository.trades(BTC, limit=10_000)
    await run_jobs(connection, "policy_compression", "trades")
    size = await connection.fetchrow(
        "SELECT before_compression_total_bytes, after_compression_total_bytes "
        "FROM hypertable_compression_stats('trades')"
    )
    assert size is not None
    assert size[1] * 4 < size[0]
    assert await repository.trades(BTC, limit=10_000) == before
    part = records[:200]
    assert await repository.write(part) == WrittenCounts(trades=100, duplicate_trades=100)
    assert await repository.count_trades(BTC) == 10_100


@pytest.mark.brokers
async def test_a_database_of_an_earlier_revision_is_brought_here_with_its_rows(
    own_timescale_dsn: str, own_connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    connection = own_connection
    for number in (1, 2):
        (path,) = SQL.glob(f"{number:04}_*.sql")
        await connection.execute(path.read_text(encoding="utf-8"))
    await connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    await connection.execute("INSERT INTO alembic_version VALUES ('0002')")
    await connection.execute(
        "INSERT INTO trades SELECT '2023-11-14 22:13:20+00'::timestamptz + n * INTERVAL '1 second', "
        "1700000000000000000 + n * 1000000000::bigint, 0, 7, n, 100 + n % 9, 1, 1 FROM generate_series(0, 499) n"
    )
    assert (await migrate(own_timescale_dsn))[-1] == head_revision()
    assert await connection.fetchval("SELECT use_timescaledb()") is False
    async with Database(own_timescale_dsn, max_connections=2) as database:
        plain = await all_candles(MarketDataRepository(database))
    assert sum(candle.trades for candle in plain[60]) == 500
    # The extension is installed later.
    await connection.execute("CREATE EXTENSION timescaledb")
    assert await connection.fetchval("SELECT use_timescaledb()") is True
    assert await connection.fetchval("SELECT use_timescaledb()") is True
    async with Database(own_timescale_dsn, max_connections=2) as database:
        repository = MarketDataRepository(database)
        assert await all_candles(repository) == plain
        assert await repository.count_trades(BTC) == 500
    found = await connection.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables")
    assert {row[0] for row in found} >= HYPERTABLES


async def test_a_plain_database_keeps_policies_without_acting_on_them(database: Database) -> None:
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT use_timescaledb()") is False
        await connection.execute("UPDATE storage_policies SET keep_for = INTERVAL '1 day'")
        rows = await connection.fetch("SELECT relation, keep_for FROM storage_policies")
    assert {row["relation"]: row["keep_for"] for row in rows} == dict.fromkeys(HYPERTABLES | set(BARS), timedelta(1))
