"""A context on a real memory bus and a real PostgreSQL, and the running service."""

import functools
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tradewind.runtime.service import ServiceContext
from tradewind.runtime.testing import running as running_service
from tradewind.runtime.testing import service_context
from tradewind.services.recorder.service import SERVICE
from tradewind.store.database import Database

sys.path.insert(0, str(Path(__file__).parent))

RunRecorder = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
async def context(database: Database) -> AsyncIterator[ServiceContext]:
    """What the supervisor would give the service."""
    async with service_context(SERVICE.name, SERVICE.kind, SERVICE.settings(), database) as made:
        yield made


@pytest.fixture
def running(context: ServiceContext) -> RunRecorder:
    """Runs the service for the length of a block."""
    return functools.partial(running_service, SERVICE, context)
