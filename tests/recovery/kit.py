"""What the recovery tests share: a simulated venue on a loopback port, and what it has in its own record."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from tradewind.runtime.logging import get_logger
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.sim_venue.server import LEDGER_NAME, SimVenue
from tradewind.services.sim_venue.settings import Settings

KEY = "test-key"
SECRET = "test-secret"


@contextlib.asynccontextmanager
async def sim_venue(data_dir: Path, **settings: Any) -> AsyncIterator[SimVenue]:
    """A venue of this process with a book that hardly moves, for the length of the block."""
    made = Settings(**{"port": 0, "seed": 7, "events_per_s": 0.001, "max_open_orders": 10_000, **settings})
    venue = SimVenue(made, data_dir, KEY, SECRET, get_logger("sim-venue"))
    task = asyncio.ensure_future(venue.run("127.0.0.1"))
    try:
        ready = asyncio.ensure_future(venue.ready.wait())
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()
        yield venue
    finally:
        task.cancel()
        await asyncio.wait([task])


def platform_of(rest_port: int, stream_port: int, **more: Any) -> PlatformSettings:
    """The settings of a service that trades there."""
    return PlatformSettings(
        venue_rest_url=f"http://127.0.0.1:{rest_port}",
        venue_stream_url=f"ws://127.0.0.1:{stream_port}",
        venue_api_key=KEY,
        venue_api_secret=SECRET,
        **more,
    )


def venue_orders(data_dir: Path) -> list[tuple[str, str, int]]:
    """Client order id, state and time of acceptance (ms) of all orders, from the venue's own record."""
    path = data_dir / LEDGER_NAME
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as record:
        return list(record.execute("SELECT client_order_id, state, created_ms FROM orders ORDER BY order_id"))


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 40.0) -> None:
    """Wait for something to hold.

    Raises:
        TimeoutError: it did not.
    """
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.02)
