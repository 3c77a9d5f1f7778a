"""Lets the tests import what lies beside them; a service context on a real bus and database."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import service_context
from tradewind.store.database import Database
from tradewind.strategy import StrategySettings

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
async def context(database: Database) -> AsyncIterator[ServiceContext]:
    """What the supervisor would give a strategy's service: a real memory bus, a real database."""
    async with service_context("strategy-test-one", ServiceKind.STRATEGY, StrategySettings(), database) as made:
        yield made
