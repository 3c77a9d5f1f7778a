"""A context on a real memory bus and a real PostgreSQL, and the running service."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.portfolio.service import SERVICE
from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import VOLATILE, PostgresServer

RunPortfolio = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
async def context(database: Database, redis_url: str) -> AsyncIterator[ServiceContext]:
    """What the supervisor would give the service."""
    bus = MemoryBus()
    async with LastValues(redis_url) as last_values:
        yield ServiceContext(
            name=SERVICE.name,
            platform=PlatformSettings(),
            settings=SERVICE.settings(),
            market_bus=bus,
            order_bus=bus,
            database=database,
            last_values=last_values,
            health=HealthBoard().register(SERVICE.name, SERVICE.kind),
            metrics=Metrics(SERVICE.name, ProcessMetrics()),
            log=get_logger(SERVICE.name),
        )
        await bus.close()


@pytest.fixture
def running(context: ServiceContext) -> RunPortfolio:
    """Runs the service for the length of a block."""

    @contextlib.asynccontextmanager
    async def run() -> AsyncIterator[None]:
        task = asyncio.ensure_future(SERVICE.run(context))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
async def own_server() -> AsyncIterator[PostgresServer]:
    """A migrated server that the test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="tradewind-test-") as folder:
        path = Path(folder)
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path), settings=VOLATILE)
        await asyncio.to_thread(server.start)
        try:
            await migrate(server.dsn)
            yield server
        finally:
            await asyncio.to_thread(server.stop)
