"""The kill switch on a real bus and a real database: stored, told, cancelled, never forgotten."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from tradewind.bus.interface import Start
from tradewind.model.enums import TradingState
from tradewind.model.identifiers import Venue
from tradewind.runtime.service import ServiceContext
from tradewind.services.risk.scopes import InvalidRequest, parse_scope
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.trading_states import TradingStateRepository
from tradewind.wire.commands import CancelAllOrders, SetTradingState
from tradewind.wire.events import Audited, FeedStatusChanged, TradingStateChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import OPS_AUDIT, ORDERS_COMMANDS, RISK_COMMANDS, RISK_STATE, Topic, dead_letters_of

WAIT_S = 10.0
Run = Callable[[], AbstractAsyncContextManager[None]]
event_ids = EventIds()


def request(scope: str, state: TradingState, *, actor: str = "alice", why: str = "drill") -> SetTradingState:
    event_id = event_ids()
    return SetTradingState(
        event_id=event_id,
        correlation_id=event_id,
        causation_id="",
        ts_event=1,
        ts_init=1,
        scope=scope,
        state=state,
        actor=actor,
        why=why,
    )


async def send(context: ServiceContext, *commands: Any) -> None:
    for command in commands:
        await context.order_bus.publish(RISK_COMMANDS, getattr(command, "scope", ""), command)


async def messages(context: ServiceContext, topic: Topic, count: int) -> list[Any]:
    """The first ``count`` messages of a topic, waited for."""
    subscription = await context.order_bus.subscribe(topic, start=Start.EARLIEST)
    found: list[Any] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            found += [delivery.payload for delivery in await subscription.receive()]
    await subscription.close()
    return found


async def test_a_halt_is_stored_told_audited_and_cancels(context: ServiceContext, running: Run) -> None:
    async with running():
        command = request("firm", TradingState.HALTED)
        await send(context, command)
        (cancel,) = await messages(context, ORDERS_COMMANDS, 1)
        (changed,) = await messages(context, RISK_STATE, 1)
        (audited,) = await messages(context, OPS_AUDIT, 1)
        assert context.health.ready
    assert isinstance(cancel, CancelAllOrders)
    assert (cancel.account_id, cancel.strategy_id, cancel.instrument_id) == ("BINANCE-main", None, None)
    assert isinstance(changed, TradingStateChanged)
    assert (changed.scope, changed.state, changed.actor) == ("firm", TradingState.HALTED, "alice")
    assert isinstance(audited, Audited)
    assert (audited.before, audited.after, audited.why) == ("ACTIVE", "HALTED", "drill")
    assert {message.causation_id for message in (cancel, changed, audited)} == {command.event_id}
    stored = await TradingStateRepository(context.database).all()
    assert stored["firm"].state is TradingState.HALTED
    (line,) = await AuditRepository(context.database).newest()
    assert (line.actor, line.after) == ("alice", "HALTED")


@pytest.mark.parametrize(
    ("scope", "account", "strategy", "instrument"),
    [
        ("account:BINANCE-second", "BINANCE-second", None, None),
        ("strategy:ema-cross", "BINANCE-main", "ema-cross", None),
        ("instrument:BTCUSDT.BINANCE", "BINANCE-main", None, "BTCUSDT.BINANCE"),
    ],
)
async def test_a_halt_cancels_only_its_scope(
    context: ServiceContext, running: Run, scope: str, account: str, strategy: str | None, instrument: str | None
) -> None:
    async with running():
        await send(context, request(scope, TradingState.HALTED))
        (cancel,) = await messages(context, ORDERS_COMMANDS, 1)
    assert (cancel.account_id, cancel.strategy_id, cancel.instrument_id) == (account, strategy, instrument)


async def test_reducing_and_release_cancel_nothing(context: ServiceContext, running: Run) -> None:
    async with running():
        await send(context, request("firm", TradingState.REDUCING), request("firm", TradingState.ACTIVE))
        changes = await messages(context, RISK_STATE, 2)
    assert [change.state for change in changes] == [TradingState.REDUCING, TradingState.ACTIVE]
    assert await context.order_bus.replay(ORDERS_COMMANDS) == []


async def test_a_restart_tells_what_is_stored_and_cancels_again(context: ServiceContext, running: Run) -> None:
    repository = TradingStateRepository(context.database)
    await repository.set("strategy:ema-cross", TradingState.HALTED, actor="bob", why="odd fills")
    await repository.set("firm", TradingState.ACTIVE, actor="bob", why="morning")
    async with running():
        changes = await messages(context, RISK_STATE, 2)
        (cancel,) = await messages(context, ORDERS_COMMANDS, 1)
    assert {change.scope: change.state for change in changes} == {
        "firm": TradingState.ACTIVE,
        "strategy:ema-cross": TradingState.HALTED,
    }
    assert cancel.strategy_id == "ema-cross"
    assert len(await AuditRepository(context.database).newest()) == 2


async def test_the_same_command_twice_is_one_change(context: ServiceContext, running: Run) -> None:
    command = request("firm", TradingState.HALTED)
    async with running():
        await send(context, command, command, request("firm", TradingState.ACTIVE))
        await messages(context, RISK_STATE, 2)
    assert len(await AuditRepository(context.database).newest()) == 2


async def test_what_cannot_be_obeyed_goes_to_the_dead_letters_with_its_reason(
    context: ServiceContext, running: Run
) -> None:
    stranger = FeedStatusChanged(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        venue=Venue("X"),
        instrument_id=None,
        state="GAP",
    )
    wrong = [
        request("everything", TradingState.HALTED),
        request("strategy:No Such Name!", TradingState.HALTED),
        request("firm", TradingState.HALTED, actor=" "),
        request("firm", TradingState.HALTED, why=""),
        request("firm", TradingState.HALTED, why="two\nlines"),
        msgspec.structs.replace(request("firm", TradingState.HALTED), state="PAUSED"),
        stranger,
    ]
    async with running():
        await send(context, *wrong, request("firm", TradingState.REDUCING))
        dead = await messages(context, dead_letters_of(RISK_COMMANDS.name), len(wrong))
        (changed,) = await messages(context, RISK_STATE, 1)
    assert changed.state is TradingState.REDUCING
    reasons = [letter.reason for letter in dead]
    expected = [
        "'everything'",
        "'No Such Name!'",
        "actor is empty",
        "why is empty",
        "printable",
        "PAUSED",
        "SetTradingState",
    ]
    assert all(part in reason for part, reason in zip(expected, reasons, strict=True))


async def test_an_uncommitted_command_is_done_by_the_next_start(context: ServiceContext, running: Run) -> None:
    await send(context, request("firm", TradingState.HALTED))
    async with running():
        await messages(context, RISK_STATE, 1)
    async with running():
        # Told again because it is stored, and not because the command came again.
        changes = await messages(context, RISK_STATE, 2)
    assert changes[0].causation_id != ""
    assert changes[1].causation_id == ""
    assert len(await AuditRepository(context.database).newest()) == 1


async def test_a_halt_cancels_before_the_database_is_back_and_is_stored_after(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    async with Database(own_server.dsn) as context.database:
        async with running():
            await send(context, request("firm", TradingState.REDUCING))
            await messages(context, RISK_STATE, 1)
            await asyncio.to_thread(own_server.stop)
            await send(context, request("firm", TradingState.HALTED))
            (cancel,) = await messages(context, ORDERS_COMMANDS, 1)
            assert isinstance(cancel, CancelAllOrders)
            assert not context.health.ready
            assert len(await context.order_bus.replay(RISK_STATE)) == 1
            await asyncio.to_thread(own_server.start)
            _, changed = await messages(context, RISK_STATE, 2)
            assert context.health.ready
        assert changed.state is TradingState.HALTED
        assert (await TradingStateRepository(context.database).all())["firm"].state is TradingState.HALTED


NOT_SCOPES = ("", "firm:", "account:", "account:nodash", "instrument:BTCUSDT", "strategy:", "venue:X")


@pytest.mark.parametrize("text", NOT_SCOPES)
def test_scopes_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"use firm|strategy id"):
        parse_scope(text)


def test_external_orders_are_a_scope_too() -> None:
    assert parse_scope("strategy:EXTERNAL").strategy_id == "EXTERNAL"
