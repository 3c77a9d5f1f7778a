"""A strategy in lockstep, on a real memory bus: when it answers, and when it is shown its order events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from test_strategy_running import BreaksOnSecondQuote, BuyOnce, define, running, show, until

from tradewind.bus.interface import Start, Subscription
from tradewind.model.identifiers import Venue
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.testing import service_context
from tradewind.store.database import Database
from tradewind.strategy import StrategySettings
from tradewind.strategy.commanding import order_of
from tradewind.strategy.testing import ACCOUNT, STRATEGY, T0, VENUE, accepted, quote
from tradewind.wire.commands import CancelAllOrders, ReplayStepAnswered, SubmitOrder
from tradewind.wire.events import ReplayStepEnded, ReplayStepSettled
from tradewind.wire.messages import Message
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, market_events

STORY: dict[str, Any] = {"event_id": "e", "correlation_id": "c", "causation_id": "", "ts_event": T0, "ts_init": T0}


@pytest.fixture
async def context(database: Database) -> AsyncIterator[ServiceContext]:
    platform = PlatformSettings(lockstep=f"other, {STRATEGY}")
    kind, settings = ServiceKind.STRATEGY, StrategySettings()
    async with service_context("strategy-test-one", kind, settings, database, platform=platform) as made:
        yield made


@pytest.fixture
async def commands(context: ServiceContext) -> Subscription:
    return await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)


async def end_step(context: ServiceContext, step: int) -> None:
    mark = ReplayStepEnded(**STORY, venue=Venue(VENUE), step=step)
    await context.market_bus.publish(market_events(VENUE), VENUE, mark)


async def settle(context: ServiceContext, step: int, turn: int) -> None:
    settled = ReplayStepSettled(**STORY, account_id=ACCOUNT, step=step, turn=turn)
    await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, settled)


async def read(commands: Subscription, count: int) -> list[Message]:
    got: list[Any] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            got += [delivery.payload for delivery in await commands.receive()]
    return got


def turn_of(message: Message) -> tuple[int, int]:
    assert isinstance(message, ReplayStepAnswered)
    assert message.strategy_id == STRATEGY
    return message.step, message.turn


async def test_events_are_shown_when_their_turn_is_settled(context: ServiceContext, commands: Subscription) -> None:
    await define(context)
    strategy = BuyOnce()
    async with running(context, strategy):
        await until(lambda: context.health.ready)
        await show(context, quote(6_000_000, 6_000_100))
        await end_step(context, 1)
        submit, answer = await read(commands, 2)
        assert isinstance(submit, SubmitOrder)
        assert turn_of(answer) == (1, 0)
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, accepted(order_of(submit)))
        await show(context, quote(6_000_000, 6_000_100))
        await until(lambda: strategy.calls.count("quote") == 2)
        assert OrderStatus.ACCEPTED not in strategy.calls
        await settle(context, 1, 0)
        [answer] = await read(commands, 1)
        assert turn_of(answer) == (1, 1)
        assert strategy.calls[-1] == OrderStatus.ACCEPTED
        # What was dealt with before is passed over.
        await settle(context, 1, 0)
        await end_step(context, 1)
        await end_step(context, 2)
        [answer] = await read(commands, 1)
        assert turn_of(answer) == (2, 0)
    cancel_all, left = await read(commands, 2)
    assert isinstance(cancel_all, CancelAllOrders)
    assert turn_of(left) == (0, 0)


async def test_time_is_that_of_the_data(context: ServiceContext, commands: Subscription) -> None:
    class Hasty(BuyOnce):
        def on_quote(self, quote: Any) -> None:
            self.calls.append("quote")
            for _ in range(3):
                self.context.buy(quote.instrument_id, "0.01", quote.bid)

    context.settings = StrategySettings(max_orders_per_s=1.0)
    await define(context)
    async with running(context, Hasty()):
        await until(lambda: context.health.ready)
        for second in range(3):
            records = quote(6_000_000, 6_000_100, T0 + second * 1_000_000_000)
            records["ts_recv"] = T0
            await show(context, records)
        await end_step(context, 1)
        got = await read(commands, 4)
    # One a second of the data, though hardly any real time passed.
    assert [type(message).__name__ for message in got] == ["SubmitOrder"] * 3 + ["ReplayStepAnswered"]


async def test_a_strategy_that_failed_goes_on_answering(context: ServiceContext, commands: Subscription) -> None:
    await define(context)
    async with running(context, BreaksOnSecondQuote()):
        await until(lambda: context.health.ready)
        await show(context, quote(6_000_000, 6_000_100))
        await show(context, quote(6_000_000, 6_000_100))
        await end_step(context, 1)
        await end_step(context, 2)
        got = await read(commands, 4)
    assert [turn_of(message) for message in got[2:]] == [(1, 0), (2, 0)]
