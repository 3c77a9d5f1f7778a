"""A start over what an earlier one left: checkpoints as they are saved, each policy where state and store disagree."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from checkpoint_events import defined
from checkpointed_strategy import Diarist, Diary
from stored_order_path import StoredOrderPath

from tradewind.bus.interface import Start
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext
from tradewind.store.checkpoints import CheckpointRepository, StoredCheckpoint
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.strategy import Policy, Strategy, StrategySettings
from tradewind.strategy.saved_state import MAX_STATE_BYTES, decode_checkpoint
from tradewind.strategy.strategy_run import run_strategy
from tradewind.strategy.testing import ACCOUNT, BTC, STRATEGY, VENUE, accepted, filled, quote
from tradewind.wire.commands import CancelAllOrders, CancelOrder, SubmitOrder
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import read_only
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS, market_events

WAIT_S = 30.0


class OnlyLooks(Diarist):
    """Sends nothing."""

    def on_quote(self, quote: Any) -> None:
        self.state.quotes += 1


@pytest.fixture
async def path(context: ServiceContext) -> AsyncIterator[StoredOrderPath]:
    await context.order_bus.publish(REF_INSTRUMENTS, BTC, defined())
    made = await StoredOrderPath.made(context.order_bus, context.database)
    subscription = await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
    task = asyncio.ensure_future(made.run(subscription))
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await made.close()


@contextlib.asynccontextmanager
async def running(
    context: ServiceContext, strategy: Strategy, policy: Policy = Policy.RESUME
) -> AsyncIterator["asyncio.Task[None]"]:
    context.settings = StrategySettings(policy=policy, checkpoint_s=0.2)
    context.health.set_starting()
    task = asyncio.ensure_future(run_strategy(context, strategy, STRATEGY))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def show(context: ServiceContext) -> None:
    records = read_only(quote(6_000_000, 6_000_100))
    await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, records))


async def saved(context: ServiceContext) -> StoredCheckpoint:
    found = await CheckpointRepository(context.database, ACCOUNT).load(STRATEGY)
    assert found is not None
    return found


async def state_once(context: ServiceContext, condition: Callable[[Diary], bool]) -> Diary:
    """The stored state as soon as it fulfils the condition."""
    async with asyncio.timeout(WAIT_S):
        while True:
            stored = decode_checkpoint((await saved(context)).state)
            state = msgspec.msgpack.decode(stored.state, type=Diary)
            if condition(state):
                return state
            await asyncio.sleep(0.01)


def metric(context: ServiceContext, name: str) -> float:
    process: Any = context.metrics._process
    return float(process.total(name))


async def left_behind(context: ServiceContext, path: StoredOrderPath, held: int = 400) -> None:
    """A first run that trades, stops, and after which the position is changed by somebody else, with an order open."""
    async with running(context, strategy := Diarist()):
        await until(lambda: context.health.ready)
        await show(context)
        await until(lambda: len(path.open()) == 1)
        order = path.open()[0]
        await path.say(order, lambda one: filled(one, held))
        await until(lambda: strategy.state.filled == held)
    await until(lambda: not path.open())
    path.position.signed_size += 1_000
    await path.slip_in(
        msgspec.structs.replace(
            order, client_order_id=f"{STRATEGY}-1-900", status=OrderStatus.ACCEPTED, event_count=2, filled_size=0
        )
    )
    path.commands.clear()


async def test_every_order_event_is_in_the_checkpoint_soon_and_a_stop_tells_the_next_start(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    async with running(context, strategy := Diarist()):
        await until(lambda: context.health.ready)
        first = await saved(context)
        await show(context)
        await until(lambda: len(strategy.state.told) == 2)
        state = await state_once(context, lambda state: len(state.told) == 2)
        assert state.told == strategy.state.told
        assert (await saved(context)).journal_id > first.journal_id
    assert metric(context, "strategy_checkpoints") >= 2
    # The end of the order came after on_stop: the next start hears of it.
    async with running(context, strategy := Diarist()):
        await until(lambda: context.health.ready)
        assert [tuple(one) for one in strategy.state.told] == [(f"{STRATEGY}-1-1", number) for number in (1, 2, 3)]
        assert context.health.reason == ""
    assert metric(context, "strategy_disagreements") == 0


async def test_an_order_that_nobody_has_taken_yet_is_open_at_the_next_start_and_not_sent_again(
    context: ServiceContext,
) -> None:
    await context.order_bus.publish(REF_INSTRUMENTS, BTC, defined())
    async with running(context, Diarist()):
        await until(lambda: context.health.ready)
        for _ in range(2):
            await show(context)
        await until(lambda: metric(context, "strategy_commands") == 2)
    async with running(context, strategy := Diarist()):
        await until(lambda: context.health.ready)
        assert [order.client_order_id for order in strategy.context.open_orders()] == ["test-one-1-1", "test-one-1-2"]
        await show(context)
        await until(lambda: strategy.state.quotes == 3)
        assert metric(context, "strategy_commands") == 2
        # The order path is back, and finds them where they were left.
        made = await StoredOrderPath.made(context.order_bus, context.database)
        task = asyncio.ensure_future(made.run(await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)))
        await until(lambda: {name for name, _ in strategy.state.told} >= {"test-one-1-1", "test-one-1-2"})
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await made.close()


async def test_what_changes_without_an_order_event_is_saved_in_time(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    async with running(context, OnlyLooks()):
        await until(lambda: context.health.ready)
        await show(context)
        await state_once(context, lambda state: state.quotes == 1)


async def test_resume_goes_on_with_the_stores_word_and_cancels_what_the_state_does_not_know(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    await left_behind(context, path)
    async with running(context, strategy := Diarist(), Policy.RESUME):
        await until(lambda: context.health.ready)
        assert strategy.context.position(BTC).signed_size == 1_400
        assert strategy.state.filled == 400
        assert "policy resume" in context.health.reason
        assert "the state makes 0.00400, the store has 0.01400" in context.health.reason
        assert metric(context, "strategy_disagreements") >= 1
        await until(lambda: path.orders[f"{STRATEGY}-1-900"].status.is_closed)
    assert strategy.adopted == 0
    first = path.commands[0]
    assert isinstance(first, CancelOrder)
    assert first.client_order_id == f"{STRATEGY}-1-900"


async def test_adopt_takes_over_what_is_there(context: ServiceContext, path: StoredOrderPath) -> None:
    await left_behind(context, path)
    async with running(context, strategy := Diarist(), Policy.ADOPT):
        await until(lambda: context.health.ready)
        assert strategy.adopted == 1
        assert [order.client_order_id for order in strategy.context.open_orders()] == [f"{STRATEGY}-1-900"]
        assert strategy.context.position(BTC).signed_size == 1_400
        assert path.commands == []


async def test_flatten_closes_everything_with_orders_that_only_reduce_and_starts_anew(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    await left_behind(context, path)
    path.denials = ["TRADING_REDUCING: value=REDUCING"]
    async with running(context, strategy := Diarist(), Policy.FLATTEN):
        await until(lambda: "the last order: TRADING_REDUCING" in context.health.reason)
        assert not context.health.ready
        assert strategy.starts == 0
        await until(lambda: context.health.ready)
        assert path.position.signed_size == 0
        assert strategy.context.position(BTC).signed_size == 0
        assert strategy.state == Diary()
    sent = [command for command in path.commands if isinstance(command, SubmitOrder)]
    assert [(one.side.value, one.size, one.price, one.reduce_only) for one in sent] == [("SELL", 1_400, None, True)] * 2
    assert isinstance(path.commands[0], CancelAllOrders)


async def test_hold_does_nothing_and_says_why_until_another_policy(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    await left_behind(context, path)
    before = await saved(context)
    async with running(context, strategy := Diarist(), Policy.HOLD):
        await until(lambda: "policy hold" in context.health.reason)
        assert "start it with policy resume, flatten or adopt" in context.health.reason
        await show(context)
        # Order events are still read, so that the topic does not push back on the others.
        order = path.open()[0]
        for _ in range(3_000):
            await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, accepted(order))
        assert (strategy.starts, path.commands) == (0, [])
    assert path.commands == []
    assert await saved(context) == before
    async with running(context, strategy, Policy.ADOPT):
        await until(lambda: context.health.ready)


@pytest.mark.parametrize("policy", list(Policy))
async def test_without_a_disagreement_no_policy_is_asked(
    context: ServiceContext, path: StoredOrderPath, policy: Policy
) -> None:
    async with running(context, Diarist(), policy):
        await until(lambda: context.health.ready)
        assert context.health.reason == ""
        await show(context)
        await until(lambda: len(path.open()) == 1)


async def test_a_damaged_checkpoint_over_a_position_is_a_disagreement(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    await left_behind(context, path)
    stored = await saved(context)
    await CheckpointRepository(context.database, ACCOUNT).save(
        STRATEGY, stored.state[:-3], run=stored.run, journal_id=stored.journal_id
    )
    async with running(context, Diarist(), Policy.HOLD):
        await until(lambda: "policy hold" in context.health.reason)
        assert "is damaged" in context.health.reason
    async with running(context, strategy := Diarist(), Policy.RESUME):
        await until(lambda: context.health.ready)
        assert strategy.state.filled == 0
        assert strategy.context.position(BTC).signed_size == 1_400
        await until(lambda: path.orders[f"{STRATEGY}-1-900"].status.is_closed)
    assert isinstance(path.commands[0], CancelAllOrders)
    assert path.commands[0].reason == "orders of an earlier run"


async def test_a_state_that_grows_too_large_is_complained_of_and_trading_goes_on(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    async with running(context, strategy := Diarist()):
        await until(lambda: context.health.ready)
        small = await saved(context)
        strategy.state.told = [("x" * 1_000, 1)] * (MAX_STATE_BYTES // 1_000)
        await show(context)
        await until(lambda: metric(context, "strategy_checkpoint_failures") >= 1)
        await until(lambda: len(path.open()) == 1)
        assert context.health.ready
        assert (await saved(context)).state == small.state
        strategy.state.told = []
        await state_once(context, lambda state: state.quotes == 1)


async def test_on_save_that_raises_is_a_failure_of_the_strategy(context: ServiceContext, path: StoredOrderPath) -> None:
    class Breaks(Diarist):
        def on_save(self) -> Any:
            if self.state.quotes:
                raise RuntimeError("nothing to save")
            return self.state

    async with running(context, Breaks()):
        await until(lambda: context.health.ready)
        await show(context)
        await until(lambda: "FAILED: RuntimeError: nothing to save" in context.health.reason)
        await until(lambda: not path.open())


async def test_an_older_process_of_the_same_strategy_cannot_write_over_a_newer_one(
    context: ServiceContext, path: StoredOrderPath
) -> None:
    async with running(context, Diarist()):
        await until(lambda: context.health.ready)
        await CheckpointRepository(context.database, ACCOUNT).save(STRATEGY, b"newer", run=7, journal_id=0)
        await show(context)
        await until(lambda: metric(context, "strategy_checkpoint_failures") >= 1)
    assert (await saved(context)).state == b"newer"


async def test_while_the_database_is_away_it_goes_on_and_the_newest_state_is_saved_afterwards(
    context: ServiceContext, path: StoredOrderPath, own_server: PostgresServer
) -> None:
    context.database = Database(own_server.dsn)
    await context.database.open()
    async with running(context, strategy := OnlyLooks()):
        await until(lambda: context.health.ready)
        await asyncio.to_thread(own_server.stop)
        for number in range(3):
            await show(context)
            await until(lambda number=number: strategy.state.quotes == number + 1)  # type: ignore[misc]
        await until(lambda: metric(context, "strategy_checkpoint_failures") >= 1)
        assert context.health.ready
        await asyncio.to_thread(own_server.start)
        await context.database.wait_until_available()
        await state_once(context, lambda state: state.quotes == 3)
    await context.database.close()
