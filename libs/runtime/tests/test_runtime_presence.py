"""Processes tell of themselves through a real Redis, and ``tradewind status`` shows them wherever they run."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from typer.testing import CliRunner

from tradewind.runtime import cli
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.presence import NoRedis, processes_seen, telling_presence
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.store.presence import ProcessPresence
from tradewind.store.valkey_server import ValkeyServer, url_of_running

_TELLER = """
import asyncio, sys
from tradewind.runtime.health import HealthBoard
from tradewind.runtime.presence import telling_presence
from tradewind.runtime.service import ServiceKind

async def main():
    board = HealthBoard()
    board.register("recorder", ServiceKind.BOOKS).set_ready()
    async with telling_presence(sys.argv[1], board):
        print("told", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def settings(url: str, folder: Path) -> PlatformSettings:
    return PlatformSettings(redis_url=url, data_dir=folder)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(40):
        while not await condition():
            await asyncio.sleep(0.05)


class Watcher:
    def __init__(self, url: str, folder: Path) -> None:
        self.settings = settings(url, folder)

    async def processes(self) -> tuple[ProcessPresence, ...]:
        return (await processes_seen(self.settings)).processes

    async def states(self) -> list[str]:
        try:
            return [f"{one.name} {one.state}" for process in await self.processes() for one in process.services]
        except NoRedis:
            return ["no Redis"]

    async def see(self, *states: str) -> None:
        async def so() -> bool:
            return await self.states() == list(states)

        await until(so)


@pytest.fixture
def watcher(any_redis_url: str, tmp_path: Path) -> Watcher:
    return Watcher(any_redis_url, tmp_path)


async def test_a_process_is_seen_with_its_services_until_it_ends(watcher: Watcher, any_redis_url: str) -> None:
    board = HealthBoard()
    execution = board.register("execution", ServiceKind.ORDER_PATH)
    async with telling_presence(any_redis_url, board) as process_id:
        await watcher.see("execution starting")
        execution.set_not_ready("reconciling")
        await watcher.see("execution not-ready")
        (process,) = await watcher.processes()
        assert (process.process_id, process.host, process.pid) == (process_id, socket.gethostname(), os.getpid())
        assert process.services[0].reason == "reconciling"
    assert await watcher.states() == []


async def test_a_flushed_redis_knows_it_again(watcher: Watcher, any_redis_url: str) -> None:
    board = HealthBoard()
    board.register("execution", ServiceKind.ORDER_PATH).set_ready()
    async with telling_presence(any_redis_url, board), redis.asyncio.from_url(any_redis_url) as client:
        for _ in range(2):
            await watcher.see("execution ready")
            await client.flushall()


async def test_redis_may_die_and_come_back(own_redis: ValkeyServer, tmp_path: Path) -> None:
    board = HealthBoard()
    board.register("execution", ServiceKind.ORDER_PATH).set_ready()
    watcher = Watcher(own_redis.url, tmp_path)
    async with telling_presence(own_redis.url, board):
        await watcher.see("execution ready")
        await asyncio.to_thread(own_redis.stop)
        await watcher.see("no Redis")
        await asyncio.to_thread(own_redis.start)
        await watcher.see("execution ready")


async def test_other_processes_are_seen_and_a_killed_one_is_forgotten(watcher: Watcher, any_redis_url: str) -> None:
    board = HealthBoard()
    board.register("execution", ServiceKind.ORDER_PATH).set_ready()
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TELLER, any_redis_url, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        async with telling_presence(any_redis_url, board):

            async def both() -> bool:
                return sorted(await watcher.states()) == ["execution ready", "recorder ready"]

            await until(both)
            other.send_signal(signal.SIGKILL)
            await other.communicate()
            await watcher.see("execution ready")
    finally:
        if other.returncode is None:
            other.kill()
            await other.communicate()


# -- tradewind status --------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def status(**variables: str) -> Any:
    arguments = ["status", "--url", f"http://127.0.0.1:{free_port()}"]
    wide = {"COLUMNS": "200", "TRADEWIND_REDIS_URL": ""}
    return await asyncio.to_thread(CliRunner().invoke, cli.build_app(), arguments, env=wide | variables)


async def test_status_shows_every_process_even_without_the_api(watcher: Watcher, any_redis_url: str) -> None:
    board = HealthBoard()
    board.register("execution", ServiceKind.ORDER_PATH).set_not_ready("[bold]lease[/bold] \x1b[31mred")
    async with telling_presence(any_redis_url, board):
        await watcher.see("execution not-ready")
        async with redis.asyncio.from_url(any_redis_url) as client:
            await client.set("tradewind:presence:evil", b"\xc1")
            await client.zadd("tradewind:presence-index", {"evil": 1e15})
        result = await status(TRADEWIND_REDIS_URL=any_redis_url)
    assert result.exit_code == 1
    for text in (socket.gethostname(), str(os.getpid()), "execution", "order-path", "[bold]lease[/bold] ?[31mred"):
        assert text in result.output
    assert "nothing answers at http://127.0.0.1:" in result.output
    assert "1 rows in Redis could not be read" in result.output


async def test_status_finds_the_embedded_redis_of_the_data_folder(tmp_path: Path) -> None:
    assert url_of_running(tmp_path / "none") is None
    server = ValkeyServer(tmp_path / "valkey", tmp_path / "run")
    (tmp_path / "run").mkdir(mode=0o700)
    await asyncio.to_thread(server.start)
    try:
        assert url_of_running(tmp_path) == server.url
        async with telling_presence(server.url, HealthBoard()):
            watcher = Watcher("", tmp_path)

            async def seen() -> bool:
                return len(await watcher.processes()) == 1

            await until(seen)
            assert "none yet" in (await status(TRADEWIND_DATA_DIR=str(tmp_path))).output
    finally:
        await asyncio.to_thread(server.stop)
    assert url_of_running(tmp_path) is None


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "http://secret@127.0.0.1"])
async def test_without_redis_status_needs_the_api(url: str, tmp_path: Path) -> None:
    result = await status(TRADEWIND_REDIS_URL=url, TRADEWIND_DATA_DIR=str(tmp_path))
    assert isinstance(result.exception, StartRefused)
    with pytest.raises(NoRedis) as caught:
        await processes_seen(settings(url, tmp_path))
    assert "secret" not in str(caught.value)
