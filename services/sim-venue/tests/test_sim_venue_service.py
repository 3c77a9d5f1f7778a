"""The service as the supervisor runs it: settings, health, metrics, refusals."""

import asyncio
import contextlib
import gzip
import socket
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import msgspec
import pytest

from tradewind.runtime.health import Health
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.refusals import PortTaken, StartRefused, refusal_in
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.service_registry import load_services
from tradewind.runtime.settings import PlatformSettings, SettingsError, load_settings, service_prefix
from tradewind.services.sim_venue.service import SERVICE, run
from tradewind.services.sim_venue.settings import Settings


def _context(data_dir: Path, process: ProcessMetrics, **settings: Any) -> ServiceContext:
    return ServiceContext(
        name="sim-venue",
        platform=PlatformSettings(data_dir=data_dir),
        settings=Settings(**{"port": 0, **settings}),
        market_bus=cast("Any", None),
        order_bus=cast("Any", None),
        database=cast("Any", None),
        last_values=cast("Any", None),
        health=Health("sim-venue", SERVICE.kind),
        metrics=Metrics("sim-venue", process),
        log=get_logger("sim-venue"),
    )


@contextlib.asynccontextmanager
async def _running(context: ServiceContext) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run(context))
    yield task
    task.cancel()
    await asyncio.wait([task])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_replay_shows_its_progress(tmp_path: Path) -> None:
    capture = tmp_path / "c.gz"
    snapshot = b'1700000000000000000 {"lastUpdateId":1,"bids":[],"asks":[]}\n'
    capture.write_bytes(gzip.compress(b"bad\n" + snapshot))
    process = ProcessMetrics()
    port = _free_port()
    context = _context(tmp_path, process, mode="replay", capture=capture, speed=0, port=port)
    async with _running(context), aiohttp.ClientSession() as session:
        while not context.health.ready:
            await asyncio.sleep(0.01)
        assert process.total("replay_ended") == 0
        url = f"http://127.0.0.1:{port}/stream?streams=btcusdt@depth@100ms"
        async with session.ws_connect(url):
            while not process.total("replay_ended"):
                await asyncio.sleep(0.02)
        assert (process.total("input_frames"), process.total("input_malformed")) == (1, 1)
        # The account's key is the platform's own unless the settings name another.
        path = f"http://127.0.0.1:{port}/api/v3/userDataStream"
        async with session.post(path, headers={"X-MBX-APIKEY": "demo-key"}) as response:
            assert response.status == 200


async def test_the_lies_are_counted(tmp_path: Path) -> None:
    script = tmp_path / "down.toml"
    script.write_text('[[rules]]\nlie = "error_before"\nendpoints = ["time"]\n')
    process = ProcessMetrics()
    port = _free_port()
    context = _context(tmp_path, process, faults=str(script), port=port)
    async with _running(context), aiohttp.ClientSession() as session:
        while not context.health.ready:
            await asyncio.sleep(0.01)
        for _ in range(3):
            async with session.get(f"http://127.0.0.1:{port}/api/v3/time") as response:
                assert response.status == 503
        while b'tradewind_lies_told_total{lie="error_before",service="sim-venue"} 3.0' not in process.page():
            await asyncio.sleep(0.02)


async def test_a_taken_port_ends_the_start_in_words(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BaseExceptionGroup) as raised:
            await run(_context(tmp_path, ProcessMetrics(), port=port))
    refusal = refusal_in(raised.value)
    assert isinstance(refusal, PortTaken)
    assert "TRADEWIND_SIM_VENUE_PORT" in str(refusal)
    # The record is closed again: the next start may have it.
    context = _context(tmp_path, ProcessMetrics())
    async with _running(context):
        while not context.health.ready:
            await asyncio.sleep(0.01)


async def test_a_wrong_symbol_or_balance_is_refused(tmp_path: Path) -> None:
    for wrong in ({"symbols": "DOGEUSDT"}, {"initial_balances": "BTC"}, {"symbols": ""}):
        with pytest.raises(StartRefused):
            await run(_context(tmp_path, ProcessMetrics(), **wrong))
    replay = {"mode": "replay", "capture": tmp_path / "c.gz", "symbols": "BTCUSDT,ETHUSDT"}
    with pytest.raises(StartRefused, match="one symbol"):
        await run(_context(tmp_path, ProcessMetrics(), **replay))


def test_the_service_is_found_and_its_settings_come_from_the_environment() -> None:
    assert load_services(["sim-venue"])["sim-venue"] is SERVICE
    environ = {"TRADEWIND_SIM_VENUE_MODE": "replay", "TRADEWIND_SIM_VENUE_CAPTURE": "/x/c.gz"}
    loaded = load_settings(Settings, prefix=service_prefix("sim-venue"), environ=environ)
    assert (loaded.mode, loaded.capture) == ("replay", Path("/x/c.gz"))
    with pytest.raises(SettingsError, match="one of flow, replay"):
        load_settings(Settings, prefix=service_prefix("sim-venue"), environ={"TRADEWIND_SIM_VENUE_MODE": "x"})


def test_every_setting_is_described() -> None:
    described = tomllib.loads((Path(__file__).parents[1] / "service.toml").read_text())["env"]
    fields = {f"TRADEWIND_SIM_VENUE_{each.name.upper()}": each for each in msgspec.structs.fields(Settings)}
    assert set(described) == set(fields)
    for name, field in fields.items():
        default = field.default
        if isinstance(default, Path):
            assert described[name]["default"] == ""
        elif isinstance(default, float):
            assert float(described[name]["default"]) == default
        elif isinstance(default, bool):
            assert described[name]["default"] == str(default).lower()
        else:
            assert described[name]["default"] == str(default)
