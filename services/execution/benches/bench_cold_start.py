"""Seconds from the start of the execution service to ready, with thousands of orders and fills at the venue.

Run: PYTHONPATH=tests python services/execution/benches/bench_cold_start.py

The scenario is that of tests/recovery/cold_start.py: the simulated venue over sockets, a real PostgreSQL, 3,000 orders
still open, and 2,500 fills and 200 cancels from while the service was away.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from recovery.cold_start import CANCELED, FILLED, OPEN, PARTLY, leave_behind, started
from recovery.kit import sim_venue

from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import PostgresServer


async def run() -> dict[str, float]:
    """What was there, and how long the start took."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        path = Path(folder)
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path))
        await asyncio.to_thread(server.start)
        try:
            await migrate(server.dsn)
            async with Database(server.dsn) as database, sim_venue(path / "venue") as venue:
                await leave_behind(database, venue)
                async with started(database, venue) as service:
                    took_s = service.took_s
        finally:
            await asyncio.to_thread(server.stop)
    return {"open_orders": OPEN, "fills": FILLED + PARTLY, "cancels": CANCELED, "seconds": took_s}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run()), indent=2))
