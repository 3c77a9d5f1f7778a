"""A host killed with SIGKILL in the middle of a change and of a stop: the next one does all of it or nothing."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradewind.runtime.service import ServiceContext
from tradewind.store.database import Database
from tradewind.store.strategy_control import StrategyControl, StrategyControlRepository, StrategyHistory
from tradewind.strategy.testing import ACCOUNT, STRATEGY

PROCESS = Path(__file__).parent / "host_process.py"
KILLS = 5
WAIT_S = 60.0


class Hosting:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, *words: str) -> str:
        """The first line that is one of these."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while (line := (await self._process.stdout.readline()).decode().strip()) not in words:
                assert line, "the process has ended"
        return line

    async def say(self, words: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n".encode())
        await self._process.stdin.drain()


@contextlib.asynccontextmanager
async def hosting(dsn: str) -> AsyncIterator[Hosting]:
    """A host's process; it is killed at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), dsn, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Hosting(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def control(database: Database) -> StrategyControl:
    return await StrategyControlRepository(database, STRATEGY, "test").load()


async def taken(database: Database) -> list[str]:
    return [one.action for _, one in await StrategyHistory(database).page(STRATEGY, 100) if not one.refusal]


async def in_market(database: Database) -> tuple[int, int]:
    """Orders without an end, and the position."""
    async with database.connection() as connection:
        orders = await connection.fetchval(
            "SELECT count(*) FROM orders WHERE account_id = $1 AND status IN ('INITIALIZED', 'SUBMITTED', 'ACCEPTED',"
            " 'PARTIALLY_FILLED', 'PENDING_CANCEL')",
            ACCOUNT,
        )
        held = await connection.fetchval("SELECT COALESCE(sum(signed_size), 0) FROM positions")
    return int(orders), int(held)


@pytest.mark.timeout(300)
async def test_a_change_is_whole_or_was_never_made(context: ServiceContext) -> None:
    chance, database = random.Random(6), context.database
    for _ in range(KILLS):
        before = (await control(database)).version
        async with hosting(database.dsn) as process:
            await process.until(f"RUNNING {before}")
            await process.say(f"set {before} {0.5 + before}")
            await asyncio.sleep(chance.random() * 0.05)
        row = await control(database)
        assert row.version in (before, before + 1)
        assert row.settings == ({"checkpoint_s": 0.5 + row.version - 1} if row.version else {})
        assert len(await taken(database)) == row.version
    async with hosting(database.dsn) as process:
        await process.until(f"RUNNING {row.version}")


@pytest.mark.timeout(300)
async def test_a_stop_goes_on_in_the_next_process_until_it_is_done(context: ServiceContext) -> None:
    chance, database = random.Random(8), context.database
    async with hosting(database.dsn) as process:
        await process.until("RUNNING 0")
        await process.say("stop flatten")
        await process.until("STOPPING 0")
        await asyncio.sleep(chance.random() * 0.05)
    row = await control(database)
    assert row.wanted == "STOPPED"
    for _ in range(KILLS):
        async with hosting(database.dsn) as process:
            assert await process.until("STOPPING 0", "STOPPED 0", "RUNNING 0") != "RUNNING 0"
            await asyncio.sleep(chance.random() * 0.05)
    async with hosting(database.dsn) as process:
        await process.until("STOPPED 0")
        row = await control(database)
        assert (row.wanted, row.stop_policy, row.actor) == ("STOPPED", None, "anna")
        assert await in_market(database) == (0, 0)
    assert await taken(database) == ["STOP"]
