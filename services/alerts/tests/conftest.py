"""Lets the test modules import what lies beside them, and gives them receivers and a deployment."""

import pathlib
import sys
from collections.abc import AsyncIterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from alerts_kit import Deployment, Hook

from tradewind.bus.memory import MemoryBus
from tradewind.store.database import Database


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    """A running receiver of webhooks."""
    async with Hook().running() as running:
        yield running


@pytest.fixture
async def deployment(database: Database, redis_url: str) -> AsyncIterator[Deployment]:
    """Real stores and a memory bus."""
    bus = MemoryBus()
    made = Deployment(database, redis_url, bus)
    yield made
    await made.close()
    await bus.close()
