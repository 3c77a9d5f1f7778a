"""The buses of a process as metrics."""

import asyncio
from collections.abc import Callable

from tradewind.bus.interface import Start
from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import TradingState
from tradewind.runtime.bus_watching import LAG, watch_buses
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.wire.commands import SetTradingState
from tradewind.wire.topics import RISK_COMMANDS


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_waits_for_a_reader_is_seen_until_it_is_read_or_the_reader_has_gone() -> None:
    command = SetTradingState(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        scope="firm",
        state=TradingState.HALTED,
        actor="alice",
        why="drill",
    )
    bus, metrics = MemoryBus(), ProcessMetrics()
    reader = await bus.subscribe(RISK_COMMANDS, group="risk", start=Start.EARLIEST)
    other = await bus.subscribe(RISK_COMMANDS, start=Start.LATEST)
    for _ in range(3):
        await bus.publish(RISK_COMMANDS, "scope", command)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch_buses(Metrics("runtime", metrics), (bus, bus)))
        await _until(lambda: metrics.total(LAG, topic="risk.commands") == 6)
        assert metrics.total(LAG, group="risk") == 3
        assert metrics.total("bus_published") == 3
        await reader.receive()
        await _until(lambda: metrics.total(LAG, group="risk") == 0)
        assert metrics.total(LAG) == 3
        await other.close()
        await _until(lambda: metrics.total(LAG) == 0)
        watching.cancel()
    await bus.close()
