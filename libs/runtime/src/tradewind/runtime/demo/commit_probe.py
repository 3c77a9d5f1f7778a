"""What a bare one-row commit costs on the very database of a run, while it runs: what orders are compared with.

Owner: whoever enters the block. One task, one row every ``_EVERY_S``; it ends with the block, and its table too.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

from tradewind.runtime.metrics import LatencyRecorder
from tradewind.runtime.tasks import TaskNursery
from tradewind.store.database import Database, DatabaseUnavailable

_EVERY_S: Final = 0.2


@contextlib.asynccontextmanager
async def commit_probe(database: Database) -> AsyncIterator[LatencyRecorder]:
    """Commit one row now and then during the block; gives the recorder of the times."""
    recorder = LatencyRecorder()
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS commit_probe (n bigint, words text)")
    async with TaskNursery("commit-probe") as nursery:
        nursery.spawn(_keep_probing(database, recorder), "probe")
        yield recorder
    async with database.connection() as connection:
        await connection.execute("DROP TABLE commit_probe")


async def _keep_probing(database: Database, recorder: LatencyRecorder) -> None:
    while True:
        try:
            async with database.connection() as connection:
                statement = await connection.prepare("INSERT INTO commit_probe VALUES ($1, $2)")
                while True:
                    await asyncio.sleep(_EVERY_S)
                    begun_ns = time.perf_counter_ns()
                    await statement.fetchval(begun_ns, "one row")
                    recorder.record(time.perf_counter_ns() - begun_ns)
        except DatabaseUnavailable:
            await asyncio.sleep(_EVERY_S)  # the run tells what an outage does; this measures commits that happened
