"""Starting, stopping and changing a strategy from outside, over restarts: a real database, a stored order path."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from checkpoint_events import defined
from checkpointed_strategy import Diarist
from host_kit import Told, configure, give, hosted, start, stop, until
from stored_order_path import StoredOrderPath

from tradewind.bus.interface import Start, Subscription
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext
from tradewind.store.strategy_control import StrategyHistory
from tradewind.strategy import Policy, StrategySettings
from tradewind.strategy.testing import BTC, STRATEGY, VENUE, filled, quote
from tradewind.wire.commands import BeginStrategyRun, CancelAllOrders, SubmitOrder
from tradewind.wire.events import StrategyLogged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import read_only
from tradewind.wire.topics import ORDERS_COMMANDS, REF_INSTRUMENTS, STRATEGY_LOGS, STRATEGY_STATE, market_events

HELD = 400


class Tidy(Diarist):
    """Cancels what it has when it is stopped, and would send one more."""

    def on_stop(self) -> None:
        self.context.cancel_all()
        self.context.buy(BTC, 1_000, 5_900_000)


class Breaks(Diarist):
    """Fails at the first quote of its first life."""

    lives = 0

    def on_start(self) -> None:
        type(self).lives += 1

    def on_quote(self, quote: Any) -> None:
        if self.lives == 1:
            raise RuntimeError("no idea")
        super().on_quote(quote)


class Venue(StoredOrderPath):
    """An order path that answers while it is told to, and afterwards hears what was said meanwhile."""

    subscription: Subscription

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.run(self.subscription))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def path(context: ServiceContext) -> AsyncIterator[Venue]:
    """An order path that is silent."""
    await context.order_bus.publish(REF_INSTRUMENTS, BTC, defined())
    context.settings = StrategySettings(checkpoint_s=0.2)
    made = await Venue.made(context.order_bus, context.database)
    made.subscription = await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
    yield made
    await made.subscription.close()
    await made.close()


async def show(context: ServiceContext) -> None:
    records = read_only(quote(6_000_000, 6_000_100))
    await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, records))


async def with_position(context: ServiceContext, path: Venue) -> None:
    """The running strategy has bought HELD and has an order open."""
    await show(context)
    await until(lambda: len(path.open()) == 1 and path.open()[0].status is OrderStatus.ACCEPTED)
    await path.say(path.open()[0], lambda order: filled(order, HELD))


async def refusals(context: ServiceContext) -> list[tuple[str, str]]:
    history = await StrategyHistory(context.database).page(STRATEGY, 100)
    return [(one.action, one.refusal) for _, one in reversed(history)]


async def test_a_stopped_strategy_stays_stopped_over_restarts_and_goes_on_where_it_was(
    context: ServiceContext, path: Venue
) -> None:
    async with path.answering():
        async with hosted(context, Diarist) as told:
            await told.until("RUNNING", wanted="RUNNING", version=0)
            await with_position(context, path)
            await give(context.order_bus, stop())
            status = await told.until("STOPPED", wanted="STOPPED")
            assert status.reason == "stopped by anna: drill"
            assert (context.health.ready, context.health.reason) == (True, "stopped by anna: drill")
            assert path.open() == []
            assert path.position.signed_size == HELD
            await show(context)
        sent = len([one for one in path.commands if isinstance(one, SubmitOrder)])
        async with hosted(context, Diarist) as told:
            await told.until("STOPPED", run=status.run + 1)
            assert context.health.reason == "stopped by anna: drill"
            await show(context)
            assert len([one for one in path.commands if isinstance(one, SubmitOrder)]) == sent
            await give(context.order_bus, start())
            await told.until("RUNNING")
            await show(context)
            await until(lambda: len([one for one in path.commands if isinstance(one, SubmitOrder)]) == sent + 1)
    assert [one.state for one in told.all if one.run > status.run] == ["STOPPED", "STARTING", "RUNNING"]
    assert await refusals(context) == [("STOP", ""), ("START", "")]
    newest = [one for one in path.commands if isinstance(one, SubmitOrder)][-1]
    began = [one.run for one in path.commands if isinstance(one, BeginStrategyRun)]
    assert (newest.run, began[-1]) == (began[-1], max(began))


async def test_a_stop_with_flatten_goes_on_over_a_silent_venue_and_a_restart(
    context: ServiceContext, path: Venue
) -> None:
    async with hosted(context, Diarist) as told:
        async with path.answering():
            await told.until("RUNNING")
            await with_position(context, path)
        # From here on nobody answers.
        await give(context.order_bus, stop(policy="flatten"))
        await told.until("STOPPING", reason="waits for the end of 1 orders", wanted="STOPPED")
    assert path.position.signed_size == HELD
    async with hosted(context, Diarist) as told:
        await told.until("STOPPING", reason="waits for the end of 1 orders")
        assert context.health.ready
        async with path.answering():
            await told.until("STOPPED")
        assert path.position.signed_size == 0
        assert path.open() == []
    closing = [one for one in path.commands if isinstance(one, SubmitOrder) and one.reduce_only]
    assert {(one.side.value, one.size, one.price) for one in closing} == {("SELL", HELD, None)}
    async with path.answering(), hosted(context, Diarist) as told:
        await told.until("STOPPED")
        await give(context.order_bus, start())
        await told.until("RUNNING")
        assert context.health.reason == ""


async def test_a_start_gives_up_a_stop_that_cannot_end_and_hold_leaves_the_orders(
    context: ServiceContext, path: Venue
) -> None:
    async with hosted(context, Tidy) as told:
        async with path.answering():
            await told.until("RUNNING")
            await with_position(context, path)
            path.commands.clear()
            await give(context.order_bus, stop(policy="hold"))
            await told.until("STOPPED")
            assert [one for one in path.commands if isinstance(one, CancelAllOrders)] == []
            assert len(path.open()) == 1
            await give(context.order_bus, start())
            await told.until("RUNNING")
        await give(context.order_bus, stop(policy="flatten"))
        await told.until("STOPPING", reason="waits for the end")
        await give(context.order_bus, start(why="it stays"))
        await told.until("RUNNING", wanted="RUNNING")


async def test_settings_are_stored_over_the_environment_and_bad_ones_stop_nothing(
    context: ServiceContext, path: Venue
) -> None:
    bad: list[tuple[Any, str]] = [
        (configure(0, {"checkpoint_s": -1}, restart=True), "checkpoint_s: it takes a number, more than 0"),
        (configure(0, {"symbols": "NONE"}, restart=True), "symbols: NONE is not among those of the platform"),
        (configure(0, {"policy": "flatten"}, restart=True), "policy: there is no such setting"),
        (configure(3, {"checkpoint_s": 1}, restart=True), "the settings are at version 0"),
        (configure(0, policy="never", restart=True), "policy: it takes one of"),
        (msgspec.structs.replace(configure(0, {}, restart=True), settings="[]"), "settings: they are no JSON object"),
        (configure(0, {}, ts_init=1), "s old; give it again"),
    ]
    async with path.answering(), hosted(context, Diarist) as told:
        run = (await told.until("RUNNING")).run
        for number, (command, refusal) in enumerate(bad):
            await give(context.order_bus, command)
            await until(lambda number=number: len(told.all) > number + 2)  # type: ignore[misc]
            await told.until("RUNNING", refusal=refusal, run=run, version=0)
        await give(context.order_bus, changed := configure(0, {"checkpoint_s": 0.5}, policy="adopt"))
        status = await told.until("RUNNING", refusal="", version=1, run=run)
        assert (_values(status.settings)["checkpoint_s"], status.policy) == (0.5, "adopt")
        assert _values(status.settings_in_force)["checkpoint_s"] == 0.2
        await give(context.order_bus, changed, configure(1, {"checkpoint_s": 0.7}, restart=True))
        status = await told.until("RUNNING", version=2, run=run + 1)
        assert _values(status.settings_in_force)["checkpoint_s"] == 0.7
        assert context.health.reason == "settings of version 2, stored, before the environment's"
    context.settings = StrategySettings(checkpoint_s=0.9, max_orders_per_s=7.0)
    async with path.answering(), hosted(context, Diarist) as told:
        status = await told.until("RUNNING", version=2, run=run + 2)
        in_force = _values(status.settings_in_force)
        assert (in_force["checkpoint_s"], in_force["max_orders_per_s"]) == (0.7, 7.0)
        assert msgspec.json.decode(status.settings_schema)["properties"]["checkpoint_s"]["unit"] == "s"


async def test_stored_settings_that_fit_no_more_fail_the_start_and_can_be_set_anew(
    context: ServiceContext, path: Venue
) -> None:
    async with path.answering(), hosted(context, Diarist) as told:
        await told.until("RUNNING")
        await give(context.order_bus, configure(0, {"checkpoint_s": 0.5}))
        await told.until("RUNNING", version=1)
    async with context.database.connection() as connection:
        await connection.execute("""UPDATE strategy_control SET settings = '{"gone": 1}'""")
    async with path.answering(), hosted(context, Diarist) as told:
        await told.until("FAILED", reason="gone: there is no such setting", version=1)
        assert not context.health.ready
        await give(context.order_bus, configure(1, {}, restart=True))
        await told.until("RUNNING", version=2)


async def test_a_failed_strategy_is_started_again(context: ServiceContext, path: Venue) -> None:
    Breaks.lives = 0
    async with path.answering(), hosted(context, Breaks) as told:
        await told.until("RUNNING")
        await give(context.order_bus, start())
        await told.until("RUNNING", refusal="it runs already")
        await show(context)
        await told.until("FAILED", reason="FAILED: RuntimeError: no idea")
        await give(context.order_bus, start())
        await told.until("RUNNING", refusal="")
        await show(context)
        await until(lambda: len(path.open()) == 1)


async def test_a_hold_ends_with_a_policy_that_somebody_gives(context: ServiceContext, path: Venue) -> None:
    async with path.answering():
        async with hosted(context, Diarist) as told:
            await told.until("RUNNING")
            await with_position(context, path)
            order = path.open()[0]
        path.position.signed_size += 1_000
        await path.slip_in(
            msgspec.structs.replace(
                order, client_order_id=f"{STRATEGY}-1-900", status=OrderStatus.ACCEPTED, event_count=2, filled_size=0
            )
        )
        context.settings = StrategySettings(policy=Policy.HOLD)
        async with hosted(context, Diarist) as told:
            await told.until("STOPPED", wanted="RUNNING", reason="held: state and store disagree")
            assert not context.health.ready
            await give(context.order_bus, start())
            await told.until("STOPPED", refusal="it is held: state and store disagree")
            await give(context.order_bus, start(policy="adopt", why="looked at it"))
            await told.until("RUNNING", policy="hold")
            assert len(path.open()) == 1
    assert await refusals(context) == [
        ("START", "it is held: state and store disagree; start it with policy resume, flatten or adopt"),
        ("START", ""),
    ]


async def test_of_two_hosts_the_later_one_has_the_strategy_and_the_earlier_touches_nothing(
    context: ServiceContext, path: Venue
) -> None:
    async with path.answering(), hosted(context, Tidy) as told:
        first = await told.until("RUNNING")
        await with_position(context, path)
        path.commands.clear()
        health = context.health
        other = dataclasses.replace(context, health=type(health)(health.name, health.kind))
        async with hosted(other, Tidy) as both:
            await both.until("RUNNING", run=first.run + 1)
            await until(lambda: "another process has started this strategy" in health.reason)
            assert len(path.open()) == 1
            assert [type(one).__name__ for one in path.commands] == ["BeginStrategyRun"]
            await give(context.order_bus, command := stop(), command)
            await both.until("STOPPED")
            assert {one.run for one in both.all if one.wanted == "STOPPED"} <= {first.run + 1, first.run + 2}
        assert await refusals(context) == [("STOP", "")]
        await give(context.order_bus, start())
        await show(context)
        assert not health.ready
    assert await refusals(context) == [("STOP", "")]


async def test_a_command_given_while_no_host_was_there_is_taken_once(context: ServiceContext, path: Venue) -> None:
    async with path.answering():
        await give(context.order_bus, command := stop(ts_init=1), command)
        async with hosted(context, Diarist) as told:
            await told.until("STOPPED", wanted="STOPPED")
            await give(context.order_bus, start())
            run = (await told.until("RUNNING")).run
        async with hosted(context, Diarist) as told:
            await told.until("RUNNING", run=run + 1)
    assert await refusals(context) == [("STOP", ""), ("START", "")]


async def test_lines_of_the_log_are_told_within_bounds(context: ServiceContext, path: Venue) -> None:
    class Talks(Diarist):
        def on_start(self) -> None:
            self.context.log.info("hello", price=self.context.time_ns, secret="x" * 2_000)
            for number in range(400):
                self.context.log.warning("flood", number=number)

    lines: list[StrategyLogged] = []
    subscription = await context.market_bus.subscribe(STRATEGY_LOGS)
    async with path.answering(), hosted(context, Talks) as told:
        await told.until("RUNNING")
        await asyncio.sleep(0.2)  # the bound lets a line out again
        await give(context.order_bus, configure(0, {}))
        async with asyncio.timeout(30):
            while not lines or lines[-1].text != "command taken":
                lines += [one.payload for one in await subscription.receive()]  # type: ignore[misc]
    await subscription.close()
    [hello] = [one for one in lines if one.text == "hello"]
    assert msgspec.json.decode(hello.fields) == {"price": 0, "secret": "***"}
    floods = [one for one in lines if one.text == "flood"]
    assert 0 < len(floods) < 200
    assert len(floods) + sum(one.left_out for one in lines) >= 400


async def test_a_host_that_is_told_of_a_later_start_ends_its_own(context: ServiceContext, path: Venue) -> None:
    async with path.answering(), hosted(context, Diarist) as told:
        status = await told.until("RUNNING")
        later = msgspec.structs.replace(status, run=status.run + 5)
        await context.order_bus.publish(STRATEGY_STATE, STRATEGY, later)
        await until(lambda: "another process" in context.health.reason)
        assert isinstance(told, Told)


def _values(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])
