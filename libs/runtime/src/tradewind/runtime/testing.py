"""For the tests of services: the context that the supervisor would give, and a service that runs for a block."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from tradewind.bus.interface import Bus
from tradewind.bus.memory import MemoryBus
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues

NO_REDIS = "redis://127.0.0.1:1"
"""Nobody answers there: services must do without."""


@contextlib.asynccontextmanager
async def service_context(
    name: str,
    kind: ServiceKind,
    settings: Any,
    database: Database,
    *,
    redis_url: str = NO_REDIS,
    bus: Bus | None = None,
    platform: PlatformSettings | None = None,
) -> AsyncIterator[ServiceContext]:
    """A context of its own metrics and health, on a memory bus of its own or on ``bus``, which then stays open."""
    own = bus or MemoryBus()
    async with LastValues(redis_url) as last_values:
        yield ServiceContext(
            name=name,
            platform=platform or PlatformSettings(),
            settings=settings,
            market_bus=own,
            order_bus=own,
            database=database,
            last_values=last_values,
            health=HealthBoard().register(name, kind),
            metrics=Metrics(name, ProcessMetrics()),
            log=get_logger(name),
        )
    if bus is None:
        await own.close()


@contextlib.asynccontextmanager
async def running(service: Service, context: ServiceContext) -> AsyncIterator[None]:
    """Run a service for the length of the block, then cancel it as the supervisor would."""
    task = asyncio.ensure_future(service.run(context))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
