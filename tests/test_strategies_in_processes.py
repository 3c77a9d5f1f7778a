"""A strategy stopped, killed, started and put to sleep while the platform runs as processes on a real broker."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from replay_kit import COMMAND, needs_capture, recorded_lines, write_capture
from test_process_mode import BROKERS, Demo, check_exact, running, until

from tradewind.bus.interface import Bus, Start, Subscription
from tradewind.model.identifiers import StrategyId
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.supervised import HEALTH_FD_VARIABLE, PARENT_VARIABLE
from tradewind.runtime.topics.brokers import open_buses
from tradewind.wire.commands import StartStrategy, StopStrategy
from tradewind.wire.events import OrderDenied, OrderEvent, OrderInitialized, StrategyStatusChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_EVENTS, STRATEGY_COMMANDS, STRATEGY_STATE, Plane

pytestmark = [needs_capture, pytest.mark.timeout(600)]
LINES = 9_000
WAIT_S = 120.0
NAME = StrategyId("market-maker")
SERVICE = f"strategy-{NAME}"
_ids = EventIds()


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Some 75 s of recorded traffic."""
    return write_capture(tmp_path / "cut.gz", recorded_lines()[:LINES])


class People:
    """Somebody who commands the strategy, and hears what its hosts say."""

    def __init__(self, bus: Bus, states: Subscription) -> None:
        self.bus = bus
        self._states = states

    async def give(self, kind: type[StartStrategy] | type[StopStrategy], **fields: Any) -> None:
        """One command."""
        event_id, now_ns = _ids(), time.time_ns()
        command = kind(
            event_id=event_id,
            correlation_id=event_id,
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            strategy_id=NAME,
            actor="anna",
            why="drill",
            **fields,
        )
        await self.bus.publish(STRATEGY_COMMANDS, NAME, command)

    async def until(self, holds: Callable[[StrategyStatusChanged], bool]) -> StrategyStatusChanged:
        """The first word of a host that fulfils it."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for delivery in await self._states.receive(limit=1):
                    status = delivery.payload
                    if not isinstance(status, StrategyStatusChanged) or status.strategy_id != NAME:
                        continue
                    if holds(status):
                        return status


@asynccontextmanager
async def people(demo: Demo) -> AsyncIterator[People]:
    """On the bus of one demo, whose topics have names of their own."""
    broker = demo.child(SERVICE).environ()["TRADEWIND_BUS_URL"]
    async with open_buses(PlatformSettings(bus_url=broker), {Plane.ORDERS}) as (buses, _):
        bus = buses[Plane.ORDERS]
        states = await bus.subscribe(STRATEGY_STATE, start=Start.EARLIEST)
        try:
            yield People(bus, states)
        finally:
            await states.close()


async def test_a_stop_outlives_a_kill_and_a_start_goes_on(tmp_path: Path, capture: Path, broker: str) -> None:
    with running(tmp_path, capture, broker, "--speed", "1") as demo:
        await asyncio.to_thread(until, lambda: demo.frames() > 500)
        async with people(demo) as anna:
            first = await anna.until(lambda status: status.state == "RUNNING")
            await anna.give(StopStrategy)
            await anna.until(lambda status: status.state == "STOPPED")
            demo.child(SERVICE).kill()
            again = await anna.until(lambda status: status.state == "STOPPED" and status.run > first.run + 1)
            assert (again.wanted, again.reason) == ("STOPPED", "stopped by anna: drill")
            await asyncio.to_thread(until, lambda: demo.states()[SERVICE] == "ready" and demo.restarts()[SERVICE] == 1)
            await anna.give(StartStrategy)
            await anna.until(lambda status: status.state == "RUNNING" and status.run >= again.run)
        assert demo.frames() < LINES, "it was too late to say anything"
        report = await asyncio.to_thread(demo.end)
    check_exact(report)


@contextmanager
def successor(demo: Demo) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process of the strategy, in the place where the first one is."""
    ours = (PARENT_VARIABLE, HEALTH_FD_VARIABLE)
    environ = {name: value for name, value in demo.child(SERVICE).environ().items() if name not in ours}
    process = subprocess.Popen([*COMMAND, "run", SERVICE], env=environ | {"TRADEWIND_HEALTH_PORT": "0"})
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def test_a_process_that_slept_while_another_took_over_sends_no_order(
    tmp_path: Path, capture: Path, broker: str
) -> None:
    with running(tmp_path, capture, broker, "--speed", "1") as demo:
        await asyncio.to_thread(until, lambda: demo.frames() > 500)
        async with people(demo) as anna:
            first = await anna.until(lambda status: status.state == "RUNNING")
            sleeper = demo.child(SERVICE)
            sleeper.suspend()
            with successor(demo):
                await anna.until(lambda status: status.state == "RUNNING" and status.run > first.run)
                told = await anna.bus.subscribe(ORDERS_EVENTS)
                sleeper.resume()
                words = "another process has started this strategy"
                await asyncio.to_thread(until, lambda: words in demo.reasons()[SERVICE])
                events = [one.payload for one in await told.receive(limit=10_000, timeout_s=5.0)]
                await told.close()
        assert demo.frames() < LINES, "it was too late to say anything"
        report = await asyncio.to_thread(demo.end)
    of_first = [
        one for one in events if isinstance(one, OrderEvent) and one.client_order_id.startswith(f"{NAME}-{first.run}-")
    ]
    begun = {one.client_order_id for one in of_first if isinstance(one, OrderInitialized)}
    denied = {one.client_order_id for one in of_first if isinstance(one, OrderDenied)}
    assert begun == denied
    assert all("STRATEGY_SUPERSEDED" in one.reason for one in of_first if isinstance(one, OrderDenied))
    check_exact(report)
