"""Lets the test modules import what lies beside them, and gives them a really running api service."""

import pathlib
import sys
from collections.abc import AsyncIterator

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from api_platform import RunningApi, api_settings, away_database, running_api

from tradewind.store.database import Database


@pytest.fixture
async def api() -> AsyncIterator[RunningApi]:
    """The service on a port of its own, with a memory bus and a database that is away."""
    async with running_api(away_database(), api_settings()) as running:
        yield running


@pytest.fixture
async def stored_api(database: Database) -> AsyncIterator[RunningApi]:
    """The service on a port of its own, with a memory bus and a real, empty database."""
    async with running_api(database, api_settings()) as running:
        yield running
