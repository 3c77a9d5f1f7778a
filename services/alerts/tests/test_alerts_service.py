"""The whole service on real stores, bus and receiver: each thing is told once, over restarts and copies."""

import asyncio
import time
from decimal import Decimal

import msgspec
import pytest
from aiohttp import web
from alerts_kit import Deployment, Hook, quick, until

from tradewind.bus.interface import Payload, Start, TopicDescription
from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import TradingState
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, Venue
from tradewind.store.alert_deliveries import AlertDeliveries
from tradewind.store.database import Database
from tradewind.store.kill_switches import KillSwitchRepository
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.trading_states import TradingStateRepository
from tradewind.store.valkey_server import ValkeyServer
from tradewind.wire.events import (
    AlertChanged,
    DeadLettered,
    FeedStatusChanged,
    LimitsUsed,
    LimitUsed,
    StrategyStatusChanged,
)
from tradewind.wire.topics import (
    MD_STATUS,
    OPS_ALERTS,
    ORDERS_COMMANDS,
    RISK_LIMITS,
    STRATEGY_STATE,
    Topic,
    dead_letters_of,
)

OPENED, RESOLVED = "OPENED", "RESOLVED"


async def nothing_waits(deployment: Deployment) -> bool:
    return not any(one.pending for one in await AlertDeliveries(deployment.database).channels())


async def test_a_service_that_goes_away_is_told_once_and_once_that_it_is_back(
    deployment: Deployment, hook: Hook
) -> None:
    await deployment.tell("market-data")
    async with deployment.copy(quick(webhook_url=hook.url)) as context:
        await until(lambda: context.health.ready)
        await deployment.tell("execution", kind="order-path")
        await until(lambda: known(deployment, "execution"))
        await deployment.gone("execution")
        opened = await deployment.comes("ServiceAway", "OPEN")
        assert (opened.subject, opened.severity) == ("execution", "critical")
        assert opened.page == "docs/operating/service-away.md"
        await until(lambda: hook.of("ServiceAway") == [(OPENED, "execution")])
        await deployment.tell("execution", kind="order-path")
        await deployment.comes("ServiceAway", "RESOLVED")
        await until(lambda: len(hook.of("ServiceAway")) > 1)
        await until(lambda: nothing_waits(deployment))
    assert hook.of("ServiceAway") == [(OPENED, "execution"), (RESOLVED, "execution")]
    told = await published(deployment)
    assert [one.state for one in told if one.name == "ServiceAway"] == ["OPEN", "RESOLVED"]
    assert [one.revision for one in told if one.name == "ServiceAway"] == [1, 2]


async def known(deployment: Deployment, name: str) -> bool:
    return f"service:{name}" in await AlertDeliveries(deployment.database).marks()


async def published(deployment: Deployment) -> list[AlertChanged]:
    deliveries = await deployment.bus.replay(OPS_ALERTS, from_offset=0)
    return [one.payload for one in deliveries if isinstance(one.payload, AlertChanged)]


async def test_a_restart_tells_nobody_again_and_sees_what_happened_meanwhile(
    deployment: Deployment, hook: Hook
) -> None:
    settings = quick(webhook_url=hook.url)
    states = TradingStateRepository(deployment.database)
    await deployment.tell("execution")
    await states.set("firm", TradingState.HALTED, actor="anna", why="drill")
    async with deployment.copy(settings):
        await until(lambda: hook.of("TradingHalted") == [(OPENED, "firm")])
        await until(lambda: known(deployment, "execution"))
    await deployment.gone("execution")
    async with deployment.copy(settings):
        # It remembers a service that it has not seen itself.
        await until(lambda: hook.of("ServiceAway") == [(OPENED, "execution")])
        told_again = [one for one in await published(deployment) if one.name == "TradingHalted"]
        assert {(one.state, one.revision) for one in told_again} == {("OPEN", 1)}
    await states.set("firm", TradingState.ACTIVE, actor="anna", why="done")
    async with deployment.copy(settings):
        await deployment.comes("TradingHalted", "RESOLVED")
        await until(lambda: len(hook.of("TradingHalted")) == 2)
        await until(lambda: nothing_waits(deployment))
    assert hook.of("TradingHalted") == [(OPENED, "firm"), (RESOLVED, "firm")]
    assert hook.of("ServiceAway") == [(OPENED, "execution")]


async def test_two_copies_tell_once_and_the_second_goes_on_where_the_first_ended(
    deployment: Deployment, hook: Hook
) -> None:
    settings = quick(webhook_url=hook.url)
    states = TradingStateRepository(deployment.database)
    async with deployment.copy(settings) as first:
        await until(lambda: first.health.ready)
        async with deployment.copy(settings) as second:
            await until(lambda: "standing by" in second.health.reason or "standing by" in first.health.reason)
            for number in range(5):
                await states.set(f"strategy:s-{number}", TradingState.HALTED, actor="anna", why="drill")
            await until(lambda: len(hook.of("TradingHalted")) >= 5)
            await until(lambda: nothing_waits(deployment))
    async with deployment.copy(settings):
        await states.set("strategy:s-0", TradingState.ACTIVE, actor="anna", why="done")
        await until(lambda: (RESOLVED, "strategy:s-0") in hook.of("TradingHalted"))
        await until(lambda: nothing_waits(deployment))
    wanted = [(OPENED, f"strategy:s-{number}") for number in range(5)] + [(RESOLVED, "strategy:s-0")]
    assert sorted(hook.of("TradingHalted")) == sorted(wanted)


async def test_one_that_takes_over_while_the_other_still_believes_it_leads_makes_no_second_message(
    deployment: Deployment, hook: Hook
) -> None:
    settings = quick(webhook_url=hook.url)
    states = TradingStateRepository(deployment.database)
    async with deployment.copy(settings) as first:
        await until(lambda: first.health.ready)
        async with deployment.database.connection() as connection:
            # As if the first had been frozen until its lease was over.
            await connection.execute("UPDATE leases SET expires_at = '-infinity' WHERE name = 'alerts'")
        async with deployment.copy(settings) as second:
            await until(lambda: second.health.ready and "standing by" not in second.health.reason)
            for number in range(8):
                await states.set(f"strategy:s-{number}", TradingState.HALTED, actor="anna", why="drill")
            await until(lambda: len(hook.of("TradingHalted")) >= 8)
            await until(lambda: nothing_waits(deployment))
    assert sorted(hook.of("TradingHalted")) == [(OPENED, f"strategy:s-{number}") for number in range(8)]


async def test_what_was_queued_and_not_sent_is_sent_after_a_restart(deployment: Deployment, hook: Hook) -> None:
    async def hangs(_request: web.Request) -> web.StreamResponse:
        await hook.stopping.wait()
        return web.Response()

    hook.answer = hangs
    states = TradingStateRepository(deployment.database)
    await states.set("firm", TradingState.HALTED, actor="anna", why="drill")
    async with deployment.copy(quick(webhook_url=hook.url)):
        await until(lambda: hook.bodies)
    first = hook.headers[0]["X-Tradewind-Delivery"]

    async def fine(_request: web.Request) -> web.StreamResponse:
        return web.Response()

    hook.answer = fine
    async with deployment.copy(quick(webhook_url=hook.url)):
        await until(lambda: nothing_waits(deployment))
    assert [one["X-Tradewind-Delivery"] for one in hook.headers] == [first, first]


async def test_a_kill_switch_and_a_feed_come_and_go(deployment: Deployment, hook: Hook) -> None:
    switches = KillSwitchRepository(deployment.database)
    async with deployment.copy(quick(webhook_url=hook.url)):
        await feed(deployment, "LIVE")
        await feed(deployment, "LIVE", "ETHUSDT.BINANCE")
        await switches.engage("firm", command_id="c", flatten=False, actor="anna", why="drill")
        await feed(deployment, "STALE")
        await deployment.comes("KillSwitchEngaged", "OPEN")
        not_flat = await deployment.comes("KillSwitchNotFlat", "OPEN")
        assert not_flat.page == "docs/operating/kill-switch.md"
        stale = await deployment.comes("BookOutOfSync", "OPEN")
        assert (stale.subject, stale.severity) == ("BINANCE", "warning")
        await feed(deployment, "DISCONNECTED", None)
        await until(lambda: hook.of("BookOutOfSync") == [(OPENED, "BINANCE"), ("ESCALATED", "BINANCE")])
        await switches.release(
            "firm", command_id="d", state=TradingState.ACTIVE, force=True, actor="bob", why="drill is over"
        )
        await feed(deployment, "LIVE")
        await feed(deployment, "LIVE", "ETHUSDT.BINANCE")
        for name in ("KillSwitchEngaged", "KillSwitchNotFlat", "BookOutOfSync"):
            await deployment.comes(name, "RESOLVED")
        await until(lambda: len(hook.told()) == 7)
    # A halt by a kill switch is not told a second time as a halt.
    assert await deployment.find("TradingHalted") == []


async def feed(deployment: Deployment, state: str, instrument: str | None = "BTCUSDT.BINANCE") -> None:
    event = FeedStatusChanged(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        venue=Venue("BINANCE"),
        instrument_id=None if instrument is None else InstrumentId(instrument),
        state=state,
    )
    await deployment.bus.publish(MD_STATUS, instrument or "BINANCE", event)


async def test_a_strategy_that_says_it_failed(deployment: Deployment, hook: Hook) -> None:
    async with deployment.copy(quick(webhook_url=hook.url)):
        await strategy(deployment, "FAILED")
        failed = await deployment.comes("StrategyFailed", "OPEN")
        assert (failed.subject, failed.severity) == ("strategy-ema-cross", "critical")
        await strategy(deployment, "RUNNING")
        await deployment.comes("StrategyFailed", "RESOLVED")
        await until(lambda: len(hook.of("StrategyFailed")) == 2)
    # Its own words may tell what it does.
    assert not any(b"a secret formula" in body for body in hook.bodies)


async def strategy(deployment: Deployment, state: str) -> None:
    event = StrategyStatusChanged(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        account_id=AccountId("BINANCE-main"),
        strategy_id=StrategyId("ema-cross"),
        service="strategy-ema-cross",
        kind="ema-cross",
        state=state,
        wanted="RUNNING",
        reason="a secret formula divides by zero",
        run=1,
        version=1,
        policy="RESUME",
        settings="{}",
        settings_in_force="{}",
        settings_schema="{}",
    )
    await deployment.bus.publish(STRATEGY_STATE, "ema-cross", event)


async def test_a_limit_that_is_nearly_used_up_and_then_reached(deployment: Deployment, hook: Hook) -> None:
    async with deployment.copy(quick(webhook_url=hook.url)) as context:
        await until(lambda: context.health.ready)
        near = asyncio.create_task(using(deployment, "83.5"))
        await deployment.comes("LimitNearBound", "OPEN")
        near.cancel()
        reached = asyncio.create_task(using(deployment, "100"))
        await until(lambda: len(hook.of("LimitNearBound")) == 2)
        reached.cancel()
        free = asyncio.create_task(using(deployment, "10"))
        alert = await deployment.comes("LimitNearBound", "RESOLVED")
        await until(lambda: len(hook.of("LimitNearBound")) == 3)
        free.cancel()
    assert (alert.subject, alert.severity) == ("account:BINANCE-main max_daily_loss", "critical")
    assert [kind for kind, _ in hook.of("LimitNearBound")] == [OPENED, "ESCALATED", RESOLVED]
    # How much is used stays in the house.
    assert not any(
        "83" in line.partition("(since")[0] for line in msgspec.json.decode(hook.bodies[0])["text"].splitlines()
    )


async def using(deployment: Deployment, used: str) -> None:
    """Tell of the use of a limit again and again."""
    uses = (LimitUsed(scope="account:BINANCE-main", name="max_daily_loss", used=Decimal(used), limit=Decimal(100)),)
    event = LimitsUsed(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        account_id=AccountId("BINANCE-main"),
        uses=uses,
    )
    while True:
        await deployment.bus.publish(RISK_LIMITS, "BINANCE-main", event)
        await asyncio.sleep(0.02)


async def test_orders_in_doubt_and_differences_are_found_in_the_store(deployment: Deployment, hook: Hook) -> None:
    async with deployment.database.connection() as connection:
        await connection.execute(
            "INSERT INTO orders SELECT 'BINANCE-main', 'o-1', 'c-1', 's', 'BTCUSDT.BINANCE', 'BUY', 'LIMIT', 'GTC', 1,"
            " 1, NULL, false, false, NULL, 'k', 'SUBMITTED', NULL, 'UNKNOWN', $1, NULL, 0, NULL, 1, 1, 1",
            time.time_ns(),
        )
        await connection.execute(
            "INSERT INTO reconciliations (account_id, ts, differences, details) VALUES ('BINANCE-main', 1, $1, '{}')",
            '[{"currency": "BTC", "at_venue": "731.5", "in_books": "730"}]',
        )
    async with deployment.copy(quick(webhook_url=hook.url)):
        unknown = await deployment.comes("OrderOutcomeUnknown", "OPEN")
        different = await deployment.comes("ReconciliationDifference", "OPEN")
        await until(lambda: len(hook.told()) == 2)
        async with deployment.database.connection() as connection:
            await connection.execute("UPDATE orders SET outcome = 'KNOWN', unknown_since = NULL")
            await connection.execute(
                "INSERT INTO reconciliations (account_id, ts, differences, details)"
                " VALUES ('BINANCE-main', 2, '[]', '{}')"
            )
        await deployment.comes("OrderOutcomeUnknown", "RESOLVED")
        await deployment.comes("ReconciliationDifference", "RESOLVED")
    assert unknown.subject == different.subject == "BINANCE-main"
    # Amounts stay in the house.
    assert not any(b"731" in body or b"730" in body for body in hook.bodies)


async def test_messages_that_wait_and_messages_put_aside(deployment: Deployment, hook: Hook) -> None:
    group = await deployment.bus.subscribe(OPS_ALERTS, group="slow", start=Start.EARLIEST)
    async with deployment.copy(quick(webhook_url=hook.url, lag_messages=3, put_aside_window_s=0.5)) as context:
        await until(lambda: context.health.ready)
        await until(lambda: known_mark(deployment, f"dead:{ORDERS_COMMANDS.name}"))
        letter = DeadLettered(
            event_id="e",
            correlation_id="e",
            causation_id="",
            ts_event=1,
            ts_init=1,
            topic=ORDERS_COMMANDS.name,
            partition=0,
            offset=0,
            key="k",
            message_type="SubmitOrder",
            message_version=1,
            reason="no",
            payload=b"",
        )
        await deployment.bus.publish(dead_letters_of(ORDERS_COMMANDS.name), "k", letter)
        aside = await deployment.comes("MessagePutAside", "OPEN")
        assert aside.subject == ORDERS_COMMANDS.name
        for number in range(8):
            await deployment.bus.publish(OPS_ALERTS, str(number), letter)
        waits = await deployment.comes("OrderMessagesWait", "OPEN")
        assert waits.subject == f"{OPS_ALERTS.name} slow"
        await deployment.comes("MessagePutAside", "RESOLVED")
        await group.close()


async def known_mark(deployment: Deployment, mark: str) -> bool:
    return mark in await AlertDeliveries(deployment.database).marks()


async def test_not_ready_failed_and_restarting(deployment: Deployment) -> None:
    async with deployment.copy(quick(restarts=2, loop_lag_s=0.0)) as context:
        await deployment.tell("execution", "not-ready", reason="the venue does not answer", kind="order-path")
        unready = await deployment.comes("ServiceNotReady", "OPEN")
        assert (unready.severity, unready.subject) == ("critical", "execution")
        assert "the venue does not answer" in unready.summary
        await deployment.tell("execution", "ready", kind="order-path")
        await deployment.comes("ServiceNotReady", "RESOLVED")
        await deployment.tell("strategy-ema-cross", "not-ready", reason="FAILED: division by zero", kind="strategy")
        assert (await deployment.comes("StrategyFailed", "OPEN")).subject == "strategy-ema-cross"
        assert context.health.ready
        await deployment.tell("portfolio", lag_s=1.2)
        assert (await deployment.comes("EventLoopLate", "OPEN")).subject == "portfolio"
        await deployment.tell("portfolio", lag_s=0.6)
        await deployment.tell("recorder", kind="books", restarts=5)
        await until(lambda: known(deployment, "recorder"))
        # What there was before it looked is not counted, only what grows.
        assert await deployment.find("ServiceRestarting") == []
        await deployment.tell("recorder", kind="books", restarts=7)
        assert (await deployment.comes("ServiceRestarting", "OPEN")).subject == "recorder"
        # An alert of a number ends only well below its bound.
        assert [one.state for one in await deployment.find("EventLoopLate")] == ["OPEN"]
        await deployment.tell("portfolio", lag_s=0.4)
        await deployment.comes("EventLoopLate", "RESOLVED")


async def test_without_redis_nothing_is_said_to_be_away_and_that_is_said(
    database: Database, hook: Hook, own_redis: ValkeyServer
) -> None:
    bus = MemoryBus()
    deployment = Deployment(database, own_redis.url, bus)
    await deployment.tell("execution")
    async with deployment.copy(quick(webhook_url=hook.url)):
        await until(lambda: known(deployment, "execution"))
        await asyncio.to_thread(own_redis.stop)
        await deployment.comes("RedisAway", "OPEN")
        await asyncio.to_thread(own_redis.start)
        await deployment.comes("RedisAway", "RESOLVED")
    assert (OPENED, "redis") in hook.of("RedisAway")
    await deployment.close()
    await bus.close()


async def test_the_database_s_absence_is_told_without_it_once(
    own_server: PostgresServer, redis_url: str, hook: Hook
) -> None:
    bus = MemoryBus()
    async with Database(own_server.dsn, connect_timeout_s=2.0) as database:
        deployment = Deployment(database, redis_url, bus)
        async with deployment.copy(quick(webhook_url=hook.url)) as context:
            await until(lambda: context.health.ready)
            await asyncio.to_thread(own_server.stop)
            await until(lambda: hook.of("DatabaseAway") == [(OPENED, "postgres")])
            assert not context.health.ready
            await asyncio.to_thread(own_server.start)
            await until(lambda: hook.of("DatabaseAway") == [(OPENED, "postgres"), (RESOLVED, "postgres")])
            await deployment.comes("DatabaseAway", "RESOLVED")
            await until(lambda: context.health.ready)
        await deployment.close()
    assert len(hook.of("DatabaseAway")) == 2
    await bus.close()


async def test_a_body_is_what_programs_and_chats_read(deployment: Deployment, hook: Hook) -> None:
    await TradingStateRepository(deployment.database).set("firm", TradingState.HALTED, actor="anna", why="secret plan")
    async with deployment.copy(quick(webhook_url=hook.url, page_url="https://desk.example.com/")):
        await until(lambda: hook.bodies)
    body = msgspec.json.decode(hook.bodies[0])
    assert body["text"].splitlines()[0] == "[tradewind] warning: TradingHalted firm"
    assert "https://desk.example.com/" in body["text"]
    assert body["alerts"][0]["severity"] == "warning"
    assert "secret plan" not in body["text"]
    assert "anna" not in body["text"]


@pytest.mark.parametrize("minimum", ["warning", "critical"])
async def test_a_channel_is_told_from_its_minimum_on(deployment: Deployment, hook: Hook, minimum: str) -> None:
    await TradingStateRepository(deployment.database).set("firm", TradingState.HALTED, actor="anna", why="drill")
    await deployment.tell("execution", "not-ready", kind="order-path")
    async with deployment.copy(quick(webhook_url=hook.url, webhook_min_severity=minimum)):
        await deployment.comes("TradingHalted", "OPEN")
        await deployment.comes("ServiceNotReady", "OPEN")
        await until(lambda: hook.of("ServiceNotReady"))
        await until(lambda: nothing_waits(deployment))
    assert bool(hook.of("TradingHalted")) is (minimum == "warning")


class Severed(MemoryBus):
    """A bus whose broker can be taken away from those who ask and publish."""

    away = False

    async def describe(self, topic: Topic) -> TopicDescription:
        if self.away:
            raise ConnectionError("no broker answers")
        return await super().describe(topic)

    async def publish(self, topic: Topic, key: str, payload: Payload) -> None:
        if self.away:
            raise ConnectionError("no broker answers")
        await super().publish(topic, key, payload)


async def test_without_the_broker_people_are_told_and_the_topic_hears_it_later(
    database: Database, redis_url: str, hook: Hook
) -> None:
    bus = Severed()
    deployment = Deployment(database, redis_url, bus)
    async with deployment.copy(quick(webhook_url=hook.url)) as context:
        await until(lambda: context.health.ready)
        bus.away = True
        await deployment.comes("BrokerAway", "OPEN")
        await TradingStateRepository(database).set("firm", TradingState.HALTED, actor="anna", why="drill")
        await until(lambda: hook.of("TradingHalted") == [(OPENED, "firm")])
        assert await published(deployment) == []
        bus.away = False
        await deployment.comes("BrokerAway", "RESOLVED")

        async def heard() -> bool:
            told = {(one.name, one.state) for one in await published(deployment)}
            return {("TradingHalted", "OPEN"), ("BrokerAway", "RESOLVED")} <= told

        await until(heard)
    await deployment.close()
    await bus.close()
