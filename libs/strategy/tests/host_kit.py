"""A strategy's host in tests: people who give commands, and what the host tells of itself."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from tradewind.bus.interface import Bus, Start
from tradewind.runtime.service import ServiceContext
from tradewind.strategy import Strategy
from tradewind.strategy.running import StrategyHost
from tradewind.strategy.testing import STRATEGY
from tradewind.wire.commands import ConfigureStrategy, StartStrategy, StopStrategy, StrategyCommand
from tradewind.wire.events import StrategyStatusChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import STRATEGY_COMMANDS, STRATEGY_STATE

WAIT_S = 40.0
_ids = EventIds()


def _head(**fields: Any) -> dict[str, Any]:
    event_id, now_ns = _ids(), time.time_ns()
    head = {
        "event_id": event_id,
        "correlation_id": event_id,
        "causation_id": "",
        "ts_event": now_ns,
        "ts_init": now_ns,
        "strategy_id": STRATEGY,
        "actor": "anna",
        "why": "drill",
    }
    return head | fields


def start(**fields: Any) -> StartStrategy:
    return StartStrategy(**_head(**fields))


def stop(**fields: Any) -> StopStrategy:
    return StopStrategy(**_head(**fields))


def configure(version: int, values: dict[str, Any] | None = None, **fields: Any) -> ConfigureStrategy:
    settings = None if values is None else msgspec.json.encode(values).decode()
    return ConfigureStrategy(**_head(version=version, settings=settings, **fields))


async def give(bus: Bus, *commands: StrategyCommand) -> None:
    """Publish commands of a person."""
    for command in commands:
        await bus.publish(STRATEGY_COMMANDS, command.strategy_id, command)


class Told:
    """What hosts say of themselves, in order."""

    def __init__(self) -> None:
        self.all: list[StrategyStatusChanged] = []

    @property
    def last(self) -> StrategyStatusChanged:
        return self.all[-1]

    async def follow(self, bus: Bus) -> None:
        subscription = await bus.subscribe(STRATEGY_STATE, start=Start.EARLIEST)
        while True:
            for delivery in await subscription.receive():
                if isinstance(delivery.payload, StrategyStatusChanged):
                    self.all.append(delivery.payload)

    async def until(self, state: str, **fields: Any) -> StrategyStatusChanged:
        """The last word, as soon as it is of this state, with these fields (a text: contained in the field's)."""

        def holds() -> bool:
            return bool(self.all) and self.last.state == state and all(_fits(self.last, *one) for one in fields.items())

        await until(holds)
        return self.last


def _fits(status: StrategyStatusChanged, name: str, wanted: Any) -> bool:
    value = getattr(status, name)
    return bool(wanted in value if isinstance(wanted, str) and wanted else value == wanted)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def hosted(context: ServiceContext, make: Callable[[], Strategy]) -> AsyncIterator[Told]:
    """A host in this process, until the block ends; what all hosts of the bus tell."""
    told = Told()
    following = asyncio.ensure_future(told.follow(context.order_bus))
    task = asyncio.ensure_future(StrategyHost(context, make, STRATEGY).run())
    try:
        yield told
        assert not task.done(), task.result()
    finally:
        for one in (task, following):
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one
