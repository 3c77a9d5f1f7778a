"""A cold start with 3,000 open orders and 2,500 fills at the venue keeps every working order and books every fill once.

How long it takes is measured by services/execution/benches/bench_cold_start.py.
"""

import collections
from pathlib import Path

import pytest

from recovery.cold_start import ACCOUNT, CANCELED, FILLED, OPEN, PARTLY, leave_behind, started
from recovery.kit import sim_venue, venue_orders
from tradewind.store.database import Database

pytestmark = pytest.mark.timeout(300)


async def test_a_cold_start_keeps_every_working_order_and_books_every_fill_once(
    database: Database, tmp_path: Path
) -> None:
    data_dir = tmp_path / "venue"
    async with sim_venue(data_dir) as venue:
        await leave_behind(database, venue)
        async with started(database, venue) as first:
            await same_as_at_the_venue(database, data_dir)
            count = await stories(database)
            assert first.store.account_id == ACCOUNT
        async with started(database, venue):
            await same_as_at_the_venue(database, data_dir)
        assert await stories(database) == count  # the second start over the same reports says nothing


async def same_as_at_the_venue(database: Database, data_dir: Path) -> None:
    there = collections.Counter(state for _, state, _ in venue_orders(data_dir))
    assert there == {"NEW": OPEN - PARTLY, "PARTIALLY_FILLED": PARTLY, "FILLED": FILLED, "CANCELED": CANCELED}
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT status, outcome, count(*) FROM orders GROUP BY 1, 2")
        fills = await connection.fetchrow("SELECT count(*), sum(size) FROM fills")
        ledger = await connection.fetch("SELECT account_amount = books_amount AS same FROM ledger")
        moved = await connection.fetchval("SELECT sum(filled_size) FROM orders")
    ours = {(row["status"], row["outcome"]): row["count"] for row in rows}
    assert ours == {
        ("ACCEPTED", "KNOWN"): OPEN - PARTLY,
        ("PARTIALLY_FILLED", "KNOWN"): PARTLY,
        ("FILLED", "KNOWN"): FILLED,
        ("CANCELED", "KNOWN"): CANCELED,
    }
    assert fills is not None
    assert fills["count"] == FILLED + PARTLY
    assert fills["sum"] == moved
    assert ledger
    assert all(row["same"] for row in ledger)


async def stories(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM order_events"))
