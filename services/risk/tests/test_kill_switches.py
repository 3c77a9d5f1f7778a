"""The state of kill switches on a real bus and database; the execution service's answers are the test's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest
from prometheus_client import generate_latest

from tradewind.bus.interface import Start
from tradewind.model.accounts import Balance
from tradewind.model.enums import KillStage, TradingState
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.testing import running as running_service
from tradewind.runtime.testing import service_context
from tradewind.services.risk.service import SERVICE
from tradewind.services.risk.settings import Settings
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.kill_switches import KillSwitch, KillSwitchRepository
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.trading_states import TradingStateRepository
from tradewind.wire.commands import CancelAllOrders, EngageKillSwitch, ProveFlat, ReleaseKillSwitch, SetTradingState
from tradewind.wire.events import FlatnessReported, KillSwitchChanged, TradingStateChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_COMMANDS, RISK_COMMANDS, RISK_STATE, dead_letters_of

K = KillStage
WAIT_S = 30.0
FAST = Settings(ask_every_s=0.05, watch_every_s=0.2, stuck_after_s=20.0)
IMPATIENT = Settings(ask_every_s=0.05, watch_every_s=0.2, stuck_after_s=0.3)
event_ids = EventIds()


def identity() -> dict[str, Any]:
    event_id = event_ids()
    return {"event_id": event_id, "correlation_id": event_id, "causation_id": "", "ts_event": 1, "ts_init": 1}


def engaging(scope: str = "firm", *, flatten: bool = False, actor: str = "anna") -> EngageKillSwitch:
    return EngageKillSwitch(scope=scope, flatten=flatten, actor=actor, why="drill", **identity())


def releasing(
    scope: str = "firm", state: TradingState = TradingState.ACTIVE, *, force: bool = False
) -> ReleaseKillSwitch:
    return ReleaseKillSwitch(scope=scope, state=state, force=force, actor="anna", why="looked", **identity())


class Desk:
    """What a test does to one running service."""

    def __init__(self, context: ServiceContext) -> None:
        self.context = context
        self.bus = context.order_bus
        self.switches = KillSwitchRepository(context.database)

    async def send(self, *commands: Any) -> None:
        for command in commands:
            await self.bus.publish(RISK_COMMANDS, command.scope, command)

    async def asks(self) -> list[ProveFlat]:
        deliveries = await self.bus.replay(ORDERS_COMMANDS, from_offset=0)
        return [each.payload for each in deliveries if isinstance(each.payload, ProveFlat)]

    async def cancels(self) -> list[CancelAllOrders]:
        deliveries = await self.bus.replay(ORDERS_COMMANDS, from_offset=0)
        return [each.payload for each in deliveries if isinstance(each.payload, CancelAllOrders)]

    async def answer(self, stage: KillStage, ask: ProveFlat | None = None, **fields: Any) -> None:
        """What the execution service would say to the newest question."""
        if ask is None:
            await until(self.is_asking)
            ask = (await self.asks())[-1]
        report = FlatnessReported(
            **(identity() | {"causation_id": ask.event_id}),
            account_id=ask.account_id,
            kill_id=ask.kill_id,
            scope=ask.scope,
            stage=stage,
            **fields,
        )
        await self.bus.publish(ACCOUNT_EVENTS, ask.account_id, report)

    async def is_asking(self) -> bool:
        return bool(await self.asks())

    async def asked_anew(self) -> None:
        """Until a question later than those so far was asked."""
        before = len(await self.asks())

        async def more() -> bool:
            return len(await self.asks()) > before

        await until(more)

    async def switch(self, scope: str = "firm") -> KillSwitch | None:
        return next((one for one in await self.switches.engaged() if one.scope == scope), None)

    async def comes_to(self, stage: KillStage, scope: str = "firm") -> KillSwitch:
        async def there() -> bool:
            found = await self.switch(scope)
            return found is not None and found.stage is stage

        await until(there)
        found = await self.switch(scope)
        assert found is not None
        return found

    async def prove(self, **fields: Any) -> KillSwitch:
        await self.asked_anew()
        balances = (Balance(currency="BTC", free=Decimal("10.5"), locked=Decimal(0)),)
        await self.answer(K.FLAT, balances=balances, ts_snapshot=1_700_000_000_000_000_000, **fields)
        return await self.comes_to(K.FLAT)

    async def told(self) -> list[KillStage]:
        deliveries = await self.bus.replay(RISK_STATE, from_offset=0)
        return [each.payload.stage for each in deliveries if isinstance(each.payload, KillSwitchChanged)]

    async def state(self, scope: str = "firm") -> TradingState:
        return (await TradingStateRepository(self.context.database).all())[scope].state

    async def is_refused(self) -> bool:
        return bool(await self.bus.replay(dead_letters_of(RISK_COMMANDS.name), from_offset=0))

    async def is_released(self) -> bool:
        return [one.stage for one in await self.switches.newest()] == [K.RELEASED]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def desk_of(database: Database, settings: Settings = FAST) -> AsyncIterator[Desk]:
    async with service_context(SERVICE.name, SERVICE.kind, settings, database) as context:
        yield Desk(context)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with desk_of(database) as made:
        yield made


async def test_the_scope_is_halted_and_cancelled_before_the_first_question(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        command = engaging("strategy:ema-cross", flatten=True)
        await desk.send(command)
        await until(desk.is_asking)
    sent = [each.payload for each in await desk.bus.replay(ORDERS_COMMANDS, from_offset=0)]
    assert [type(one) for one in sent[:2]] == [CancelAllOrders, ProveFlat]
    assert (sent[1].strategy_id, sent[1].flatten, sent[1].account_id) == ("ema-cross", True, "BINANCE-main")
    assert await desk.state("strategy:ema-cross") is TradingState.HALTED
    states = [each.payload for each in await desk.bus.replay(RISK_STATE, from_offset=0)]
    assert isinstance(states[0], TradingStateChanged)
    assert states[0].causation_id == command.event_id
    actions = {line.action for line in await AuditRepository(desk.context.database).newest()}
    assert actions == {"kill switch of strategy:ema-cross engaged", "trading state of strategy:ema-cross"}


async def test_every_stage_is_stored_and_told_until_the_proof(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging(flatten=True))
        await desk.comes_to(K.CANCELING)
        await desk.answer(K.FLATTENING, reason="closing", positions=("ema-cross BTCUSDT.BINANCE 0.1",))
        await desk.comes_to(K.FLATTENING)
        await desk.answer(K.VERIFYING, reason="waiting")
        await desk.comes_to(K.VERIFYING)
        switch = await desk.prove(dust=("ema-cross BTCUSDT.BINANCE 0.00001",))
        page = generate_latest(desk.context.metrics._process.registry).decode()
    assert switch.evidence is not None
    assert (switch.evidence.ts, switch.evidence.open_orders) == (1_700_000_000_000_000_000, 0)
    assert switch.evidence.balances == ("BTC 10.5",)
    assert switch.evidence.dust == ("ema-cross BTCUSDT.BINANCE 0.00001",)
    wanted = [K.ENGAGED, K.CANCELING, K.FLATTENING, K.VERIFYING, K.FLAT]
    assert [step.stage for step in await desk.switches.history(switch.kill_id)] == wanted
    assert await desk.told() == wanted
    assert 'tradewind_kill_switches_engaged{service="risk"} 1.0' in page


async def test_an_answer_to_a_question_of_another_life_proves_nothing(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging())
        await until(desk.is_asking)
    old = (await desk.asks())[-1]
    async with running_service(SERVICE, desk.context):
        await desk.asked_anew()
        await desk.answer(K.FLAT, old)
        await desk.asked_anew()
        found = await desk.switch()
        assert found is not None
        assert found.stage is K.CANCELING
        await desk.prove()


async def test_adding_flatten_asks_anew_and_an_older_answer_does_not_count(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging())
        await desk.prove(positions=("ema-cross BTCUSDT.BINANCE 0.1",))
        old = (await desk.asks())[-1]
        await desk.send(engaging(flatten=True, actor="bob"))
        await desk.comes_to(K.CANCELING)
        await desk.answer(K.FLAT, old)
        await desk.asked_anew()
        found = await desk.switch()
        assert found is not None
        assert (found.stage, found.flatten, found.evidence) == (K.CANCELING, True, None)
        assert (await desk.asks())[-1].flatten
        await desk.prove()
    assert len(await desk.switches.newest()) == 1


async def test_flat_is_watched_and_lost_again_when_something_rests(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging())
        await desk.prove()
        await desk.asked_anew()
        await desk.answer(K.VERIFYING, reason="the venue did not answer: 503")
        await desk.asked_anew()
        await desk.comes_to(K.FLAT)
        await desk.answer(K.CANCELING, reason="waiting for stranger", open_orders=1)
        await desk.comes_to(K.CANCELING)
        await desk.prove()


async def test_without_an_answer_it_is_stuck_and_goes_on_when_there_is_one(database: Database) -> None:
    async with desk_of(database, IMPATIENT) as desk, running_service(SERVICE, desk.context):
        await desk.send(engaging("account:BINANCE-second"))
        stuck = await desk.comes_to(K.STUCK, "account:BINANCE-second")
        assert "no answer from the execution service of BINANCE-second" in stuck.reason

        async def said() -> bool:
            return "is STUCK" in desk.context.health.row().reason

        await until(said)
        await desk.asked_anew()
        await desk.answer(K.FLAT)
        await desk.comes_to(K.FLAT, "account:BINANCE-second")
        await until(lambda: ready(desk))


async def ready(desk: Desk) -> bool:
    return desk.context.health.ready


async def test_without_progress_it_is_stuck_for_the_reason_that_is_told(database: Database) -> None:
    async with desk_of(database, IMPATIENT) as desk, running_service(SERVICE, desk.context):
        await desk.send(engaging())

        async def stuck() -> bool:
            await desk.asked_anew()
            await desk.answer(K.CANCELING, reason="waiting for a-1-1 (SUBMITTED, UNKNOWN)", open_orders=1)
            found = await desk.switch()
            return found is not None and found.stage is K.STUCK

        await until(stuck)
        found = await desk.switch()
        assert found is not None
        assert "a-1-1" in found.reason


async def test_only_a_hand_releases_and_only_what_is_flat(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging(), releasing())
        await until(desk.is_refused)
        await desk.prove()
        assert await desk.state() is TradingState.HALTED
    async with running_service(SERVICE, desk.context):
        await until(lambda: ready(desk))
        assert await desk.state() is TradingState.HALTED
        await desk.send(releasing(state=TradingState.REDUCING))
        await until(desk.is_released)
        await until(lambda: tells(desk, TradingState.REDUCING))
    [released] = await desk.switches.newest()
    assert (released.stage, released.released_by, released.released_why, released.forced) == (
        K.RELEASED,
        "anna",
        "looked",
        False,
    )
    assert await desk.state() is TradingState.REDUCING
    assert (await desk.told())[-1] is K.RELEASED


async def tells(desk: Desk, state: TradingState) -> bool:
    deliveries = await desk.bus.replay(RISK_STATE, from_offset=0)
    changes = [each.payload for each in deliveries if isinstance(each.payload, TradingStateChanged)]
    return changes[-1].state is state


async def test_force_has_an_audit_line_of_its_own(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging(), releasing(force=True))
        await until(desk.is_released)
    [released] = await desk.switches.newest()
    assert released.forced
    actions = [line.action for line in await AuditRepository(desk.context.database).newest()]
    assert "kill switch of firm released by force" in actions


@pytest.mark.parametrize(
    "wrong",
    [
        engaging("everything"),
        engaging(actor=" "),
        releasing("strategy:ema-cross"),
        releasing(state=TradingState.HALTED, force=True),
        msgspec.structs.replace(releasing(force=True), state="PAUSED"),
    ],
)
async def test_what_cannot_be_obeyed_changes_nothing(desk: Desk, wrong: Any) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging())
        await desk.prove()
        await desk.send(wrong)
        await until(desk.is_refused)
        found = await desk.switch()
        assert found is not None
        assert found.stage is K.FLAT


async def test_a_plain_trading_state_does_not_end_it(desk: Desk) -> None:
    async with running_service(SERVICE, desk.context):
        await desk.send(engaging())
        await desk.prove()
        wanted = SetTradingState(scope="firm", state=TradingState.ACTIVE, actor="anna", why="oops", **identity())
        await desk.send(wanted)
        await until(desk.is_refused)
    assert await desk.state() is TradingState.HALTED
    [letter] = await desk.bus.replay(dead_letters_of(RISK_COMMANDS.name), from_offset=0)
    assert "tradewind kill release firm" in letter.payload.reason


async def test_the_same_command_twice_is_one_engagement(desk: Desk) -> None:
    command = engaging()
    async with running_service(SERVICE, desk.context):
        await desk.send(command)
        await desk.comes_to(K.CANCELING)
    async with running_service(SERVICE, desk.context):
        await desk.send(command)
        switch = await desk.prove()
    assert [step.stage for step in await desk.switches.history(switch.kill_id)].count(K.ENGAGED) == 1
    actions = [line.action for line in await AuditRepository(desk.context.database).newest()]
    assert actions.count("kill switch of firm engaged") == 1


async def test_without_the_database_it_cancels_at_once_and_is_stored_when_it_is_back(
    own_server: PostgresServer,
) -> None:
    async with Database(own_server.dsn) as database, desk_of(database) as desk:
        async with running_service(SERVICE, desk.context):
            await until(lambda: ready(desk))
            await asyncio.to_thread(own_server.stop)
            await desk.send(engaging(flatten=True))
            subscription = await desk.bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
            [delivery] = await subscription.receive(limit=1, timeout_s=WAIT_S)
            assert isinstance(delivery.payload, CancelAllOrders)
            await asyncio.to_thread(own_server.start)
            await desk.comes_to(K.CANCELING)
            await desk.prove()
        assert await desk.state() is TradingState.HALTED


async def test_the_history_cannot_be_rewritten(desk: Desk) -> None:
    await desk.switches.engage("firm", command_id="c", flatten=False, actor="anna", why="drill")
    async with desk.context.database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute("DELETE FROM kill_switch_history")
