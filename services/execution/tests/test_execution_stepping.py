"""Execution in lockstep: real PostgreSQL and memory bus, a scripted venue, and its stepping side on real HTTP."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from order_path_kit import ACCOUNT, BTCUSDT, submit
from scripted_venue import ScriptedVenue

from tradewind.bus.interface import Bus, Start, Subscription
from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.testing import running, service_context
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings
from tradewind.store.database import Database
from tradewind.venue.reports import BalanceReport
from tradewind.wire.commands import ReplayStepAnswered
from tradewind.wire.events import OrderEvent, ReplayStepEnded, ReplayStepSettled
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, market_events

STORY = {"event_id": "e", "correlation_id": "c", "causation_id": "", "ts_event": 1, "ts_init": 1}


@dataclasses.dataclass
class Stepping:
    """The stepping side of the venue: says balances on the private stream, and counts answered steps."""

    venue: ScriptedVenue
    answered: list[int] = dataclasses.field(default_factory=list)
    said: int = 0

    async def balances(self, _request: web.Request) -> web.Response:
        self.said += 1
        balances = (await self.venue.balances()).balances
        report = BalanceReport(account_id=ACCOUNT, balances=balances, snapshot=False, ts_event=self.said * 1_000_000)
        await self.venue.events.put(report)
        return web.json_response({"update_time_ms": self.said})

    async def answer(self, request: web.Request) -> web.Response:
        self.answered.append(int(request.query["number"]))
        return web.json_response({})


@dataclasses.dataclass
class Desk:
    """What a test may do."""

    bus: Bus
    venue: ScriptedVenue
    stepping: Stepping
    events: Subscription

    async def answer(self, strategy: str, step: int, turn: int = 0) -> None:
        answer = ReplayStepAnswered(
            **STORY, account_id=AccountId(ACCOUNT), strategy_id=StrategyId(strategy), step=step, turn=turn
        )
        await self.bus.publish(ORDERS_COMMANDS, ACCOUNT, answer)

    async def order(self, strategy: str, name: str) -> None:
        command = submit(name, strategy_id=strategy, ts_init=time.time_ns())
        await self.bus.publish(ORDERS_COMMANDS, ACCOUNT, command)

    async def end_step(self, step: int) -> None:
        mark = ReplayStepEnded(**STORY, venue=BTCUSDT.venue, step=step)
        await self.bus.publish(market_events(BTCUSDT.venue), BTCUSDT.venue, mark)

    async def until_settled(self) -> tuple[list[Any], ReplayStepSettled]:
        """The order events up to the next settled turn, and that."""
        seen: list[Any] = []
        async with asyncio.timeout(20):
            while True:
                for delivery in await self.events.receive(limit=1):
                    if isinstance(delivery.payload, ReplayStepSettled):
                        return seen, delivery.payload
                    seen.append(delivery.payload)


@pytest.fixture
async def desk(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    venue = ScriptedVenue()
    stepping = Stepping(venue)
    app = web.Application()
    app.add_routes([web.post("/sim/v1/balances", stepping.balances), web.post("/sim/v1/step", stepping.answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(service, "execution_client_of", lambda *_: venue)
    platform = PlatformSettings(lockstep="one,two", venue_rest_url=f"http://127.0.0.1:{runner.addresses[0][1]}")
    kind = ServiceKind.ORDER_PATH
    async with (
        service_context("execution", kind, Settings(), database, platform=platform) as context,
        running(service.SERVICE, context),
    ):
        events = await context.order_bus.subscribe(ORDERS_EVENTS, start=Start.EARLIEST)
        await _until_ready(context)
        yield Desk(context.order_bus, venue, stepping, events)
    await runner.cleanup()


async def _until_ready(context: ServiceContext) -> None:
    async with asyncio.timeout(20):
        while not context.health.ready:
            await asyncio.sleep(0.01)


async def test_commands_wait_for_all_answers_and_go_in_the_order_of_strategies(desk: Desk) -> None:
    await desk.order("two", "two-1-1")
    await desk.answer("two", 1)
    await desk.order("one", "one-1-1")
    await desk.order("one", "one-1-2")
    await desk.end_step(1)
    await asyncio.sleep(0.1)
    assert desk.venue.submits == []
    await desk.answer("one", 1)
    events, settled = await desk.until_settled()
    assert desk.venue.submits == ["one-1-1", "one-1-2", "two-1-1"]
    assert (settled.step, settled.turn) == (1, 0)
    assert {event.client_order_id for event in events if isinstance(event, OrderEvent)} == set(desk.venue.submits)
    assert desk.stepping.answered == []
    await desk.answer("one", 1, 1)
    await desk.answer("two", 1, 1)
    await _until_answered(desk, [1])


async def test_market_data_must_have_come_too(desk: Desk) -> None:
    await desk.order("one", "one-1-1")
    await desk.answer("one", 1)
    await desk.answer("two", 1)
    await asyncio.sleep(0.1)
    assert desk.venue.submits == []
    await desk.end_step(1)
    await desk.until_settled()
    assert desk.venue.submits == ["one-1-1"]


async def test_steps_without_commands_go_by(desk: Desk) -> None:
    for step in range(1, 4):
        await desk.end_step(step)
        await desk.answer("two", step)
        await desk.answer("one", step)
        await _until_answered(desk, list(range(1, step + 1)))
    assert desk.venue.submits == []


async def test_a_fill_of_the_step_is_told_before_the_turn_is_settled(desk: Desk) -> None:
    await desk.order("one", "one-1-1")
    await desk.end_step(1)
    for turn in range(2):
        await desk.answer("one", 1, turn)
        await desk.answer("two", 1, turn)
        if not turn:
            await desk.until_settled()
    await _until_answered(desk, [1])
    await desk.venue.events.put(desk.venue.fill("one-1-1", 10_000))
    await desk.end_step(2)
    await desk.answer("one", 2)
    await desk.answer("two", 2)
    events, settled = await desk.until_settled()
    assert "OrderFilled" in [type(event).__name__ for event in events]
    assert (settled.step, settled.turn) == (2, 0)


async def test_when_all_have_left_their_last_commands_are_carried_out(desk: Desk) -> None:
    await desk.answer("one", 0)
    await desk.order("two", "two-1-1")
    await desk.answer("two", 0)
    async with asyncio.timeout(20):
        while desk.venue.submits != ["two-1-1"]:
            await asyncio.sleep(0.01)


async def _until_answered(desk: Desk, steps: list[int]) -> None:
    async with asyncio.timeout(20):
        while desk.stepping.answered != steps:
            await asyncio.sleep(0.01)
