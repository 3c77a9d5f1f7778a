"""Lets the tests import what lies beside them; a service context on a real bus and database."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import VOLATILE, PostgresServer
from tradewind.strategy import StrategySettings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def context(database: Database) -> AsyncIterator[ServiceContext]:
    """What the supervisor would give a strategy's service: a real memory bus, a real database."""
    bus = MemoryBus()
    async with LastValues("redis://127.0.0.1:1") as last_values:
        yield ServiceContext(
            name="strategy-test-one",
            platform=PlatformSettings(),
            settings=StrategySettings(),
            market_bus=bus,
            order_bus=bus,
            database=database,
            last_values=last_values,
            health=HealthBoard().register("strategy-test-one", ServiceKind.STRATEGY),
            metrics=Metrics("strategy-test-one", ProcessMetrics()),
            log=get_logger("strategy-test-one"),
        )
        await bus.close()


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
