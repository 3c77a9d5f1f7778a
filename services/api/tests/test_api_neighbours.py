"""The page shows the services of every process of the deployment, on a real Valkey."""

import asyncio
import os
from collections.abc import Callable

import pytest

from tradewind.runtime.health import HealthBoard
from tradewind.runtime.presence import telling_presence
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.api.view_model import neighbours
from tradewind.services.api.view_model.neighbours import Neighbours


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_services_of_other_processes_are_seen_and_go(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    board = HealthBoard()
    board.register("execution", ServiceKind.ORDER_PATH).set_ready()
    neighbours_of = Neighbours(PlatformSettings(redis_url=redis_url))
    monkeypatch.setattr(neighbours, "LOOK_S", 0.05)
    # Told by this very process, so it must be taken for another one.
    neighbours_of._own = ("elsewhere", os.getpid())
    task = asyncio.ensure_future(neighbours_of.run())
    async with telling_presence(redis_url, board):
        await _until(lambda: [one.name for one in neighbours_of.services] == ["execution"])
        assert neighbours_of.services[0].state == "ready"
    await _until(lambda: neighbours_of.services == ())
    task.cancel()


async def test_this_process_is_no_neighbour_and_no_redis_is_no_error(redis_url: str) -> None:
    board = HealthBoard()
    board.register("api", ServiceKind.EDGE).set_ready()
    own = Neighbours(PlatformSettings(redis_url=redis_url))
    away = Neighbours(PlatformSettings(redis_url="redis://127.0.0.1:1"))
    tasks = [asyncio.ensure_future(one.run()) for one in (own, away)]
    async with telling_presence(redis_url, board):
        await asyncio.sleep(0.5)
        assert own.services == ()
        assert away.services == ()
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
