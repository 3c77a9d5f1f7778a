"""SIGSTOP of the lease's holder, takeover by the standby, SIGCONT: the old holder sends nothing any more.

Two processes of the execution service, a real PostgreSQL, the simulated venue over sockets. What a process sends is
seen by a proxy of its own, outside of it; what became of it is the venue's own record.
"""

import asyncio
import collections
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from recovery.kit import sim_venue, until, venue_orders
from recovery.listening_proxy import ListeningProxy
from tradewind.store.database import Database

pytestmark = pytest.mark.timeout(240)
TESTS = Path(__file__).parents[1]
LEASE = "execution:BINANCE-main"


class Holder:
    """One process and its proxy."""

    def __init__(self, name: str, proxy: ListeningProxy, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.proxy = proxy
        self.process = process
        self._log = log

    def stood_by(self) -> int:
        """How often it has said that it waits for the lease."""
        return self._log.read_text().count("standing by for the lease")


@contextlib.asynccontextmanager
async def holder(name: str, dsn: str, venue_port: int, log: Path) -> AsyncIterator[Holder]:
    async with ListeningProxy(venue_port).running() as proxy:
        command = [sys.executable, "-m", "recovery.execution_process", dsn, str(proxy.port), str(venue_port), name]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: ASYNC220
                command, cwd=TESTS, stdout=output, stderr=output, env={**os.environ, "PYTHONUNBUFFERED": "1"}
            )
        try:
            yield Holder(name, proxy, process, log)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


async def lease_row(database: Database) -> tuple[int, str]:
    async with database.connection() as connection:
        row = await connection.fetchrow("SELECT epoch, holder FROM leases WHERE name = $1", LEASE)
    return (0, "") if row is None else (row["epoch"], row["holder"])


async def orders_of(data_dir: Path, name: str) -> int:
    return sum(one[0].startswith(f"{name}-1-") for one in await asyncio.to_thread(venue_orders, data_dir))


async def goes_on(data_dir: Path, name: str, more: int = 30) -> None:
    """Until the venue has taken that many further orders of a process."""
    before = await orders_of(data_dir, name)

    async def has() -> bool:
        return await orders_of(data_dir, name) >= before + more

    await until(has)


def is_of(process: "subprocess.Popen[bytes]", row: tuple[int, str]) -> bool:
    return f":{process.pid}:" in row[1]


async def test_a_holder_that_was_stopped_sends_nothing_after_the_takeover(
    database: Database, database_dsn: str, tmp_path: Path
) -> None:
    data_dir = tmp_path / "venue"
    async with (
        sim_venue(data_dir, max_open_orders=2_000) as venue,
        holder("alpha", database_dsn, venue.port, tmp_path / "alpha.log") as alpha,
    ):
        await goes_on(data_dir, "alpha")
        async with holder("beta", database_dsn, venue.port, tmp_path / "beta.log") as beta:
            first, second = alpha, beta
            for _ in range(3):
                await stop_take_over_continue(database, data_dir, first, second)
                first, second = second, first
        await no_order_twice_or_missing(database, data_dir)


async def stop_take_over_continue(database: Database, data_dir: Path, first: Holder, second: Holder) -> None:
    epoch, _ = await lease_row(database)
    assert is_of(first.process, await lease_row(database))
    first.process.send_signal(signal.SIGSTOP)

    async def taken_over() -> bool:
        return (await lease_row(database))[0] > epoch

    await until(taken_over)
    taken_over_s = time.monotonic()
    assert is_of(second.process, await lease_row(database))
    await goes_on(data_dir, second.name)
    assert first.proxy.changes_since(taken_over_s) == []  # what it had written before was read by the proxy before
    stood_by = first.stood_by()
    first.process.send_signal(signal.SIGCONT)

    async def has_begun_again() -> bool:
        """A process that stands by connects to nothing: what it says of itself is the sign that it has looked."""
        return first.stood_by() > stood_by

    await until(has_begun_again)
    await goes_on(data_dir, second.name)
    assert first.proxy.changes_since(taken_over_s) == []
    assert is_of(second.process, await lease_row(database))


async def no_order_twice_or_missing(database: Database, data_dir: Path) -> None:
    at_venue: Any = collections.Counter(name for name, _, _ in venue_orders(data_dir))
    assert [name for name, count in at_venue.items() if count > 1] == []
    async with database.connection() as connection:
        ours = {row["client_order_id"] for row in await connection.fetch("SELECT client_order_id FROM orders")}
        assert await connection.fetchval("SELECT count(*) FROM orders WHERE strategy_id = 'EXTERNAL'") == 0
    assert at_venue.keys() - ours == set()
