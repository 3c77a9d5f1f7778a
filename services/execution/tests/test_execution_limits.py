"""Limits on the whole service: many strategies at once over the bus, real PostgreSQL, restarts, a firm of two."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from order_path_kit import BTCUSDT, submit
from scripted_venue import ScriptedVenue

from tradewind.bus.interface import Bus, Start
from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import OrderSide, OrderType
from tradewind.model.identifiers import AccountId, ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings, SettingsError, load_settings
from tradewind.runtime.testing import running as running_service
from tradewind.runtime.testing import service_context
from tradewind.services.execution import service
from tradewind.services.execution.limit_keeping import FIRM
from tradewind.services.execution.settings import Settings
from tradewind.store.database import Database
from tradewind.store.firm_allocations import FirmAllocations
from tradewind.store.order_store import OrderStore
from tradewind.wire.events import LimitsUsed
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide, empty_records, instrument_number
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_LIMITS, market_events

FAST = Settings(lease_duration_s=1.0, lease_grace_s=0.1, send_margin_s=0.1, inflight_check_s=0.1, reconcile_every_s=0.5)
S = OrderStatus
ONE_ORDER = Decimal(6_000)
STRATEGIES = [f"s{number}" for number in range(20)]


class Desk:
    """One running service over its account's venue."""

    def __init__(self, context: ServiceContext, account: str, venue: ScriptedVenue) -> None:
        self.context = context
        self.account = AccountId(f"{context.platform.venue}-{account}")
        self.venue = venue
        self.store = OrderStore(context.database, self.account)

    async def send(self, name: str, **fields: Any) -> None:
        known = {"account_id": self.account, "ts_init": time.time_ns()} | fields
        await self.context.order_bus.publish(ORDERS_COMMANDS, self.account, submit(name, **known))

    async def end_of(self, name: str, *, but: tuple[OrderStatus, ...] = (S.SUBMITTED,)) -> tuple[OrderStatus, str]:
        """Status and reason of an order that has gone on from where it began."""
        async with asyncio.timeout(40):
            while True:
                rows = await self.store.orders_by_id([ClientOrderId(name)])
                if rows and rows[0].status not in but:
                    return rows[0].status, rows[0].reason or ""
                await asyncio.sleep(0.01)

    async def ask(self, name: str, **fields: Any) -> str:
        """Send an order; empty when it passed, else why not."""
        await self.send(name, **fields)
        status, reason = await self.end_of(name)
        return reason if status is S.DENIED else ""

    async def quote(self, price: int) -> None:
        records = empty_records(2)
        records["instrument"] = instrument_number(BTCUSDT.instrument_id)
        records["kind"] = RecordKind.TOP_OF_BOOK
        records["side"] = [RecordSide.BUY, RecordSide.SELL]
        records["price"] = price
        records["size"] = 100_000
        records["flags"] = [0, RecordFlag.LAST]
        records["ts_event"] = records["ts_recv"] = time.time_ns()
        batch = MarketBatch(BTCUSDT.venue, records)
        await self.context.market_bus.publish(market_events(BTCUSDT.venue), BTCUSDT.venue, batch)


@asynccontextmanager
async def running(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus, venues: dict[str, ScriptedVenue], **limits: Any
) -> AsyncIterator[list[Desk]]:
    """A service for each account."""
    monkeypatch.setattr(service, "execution_client_of", lambda platform, *_: venues[platform.account])
    settings = msgspec.structs.replace(FAST, **limits)
    async with AsyncExitStack() as stack:
        desks = []
        for account, venue in venues.items():
            context = await stack.enter_async_context(
                service_context(
                    "execution", ServiceKind.ORDER_PATH, settings, database, bus=bus,
                    platform=PlatformSettings(account=account),
                )
            )  # fmt: skip
            await stack.enter_async_context(running_service(service.SERVICE, context))
            desks.append(Desk(context, account, venue))
        for desk in desks:
            await until(lambda desk=desk: ready(desk))  # type: ignore[misc]
        yield desks


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = MemoryBus()
    yield bus
    await bus.close()


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 40.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.01)


async def ready(desk: Desk) -> bool:
    return desk.context.health.ready


async def all_at_once(desk: Desk, each: int) -> Counter[str]:
    """Every strategy in a task of its own, as fast as it can; how often each answer came."""

    async def trade(strategy: str) -> list[str]:
        names = [f"{strategy}-1-{number}" for number in range(each)]
        for name in names:
            await desk.send(name, strategy_id=strategy)
        ends = [await desk.end_of(name, but=(S.INITIALIZED,)) for name in names]
        return [reason.split(":")[0] if status is S.DENIED else "passed" for status, reason in ends]

    answers = await asyncio.gather(*(trade(strategy) for strategy in STRATEGIES))
    return Counter(answer for one in answers for answer in one)


@pytest.mark.parametrize("script", ["rest", "fill", "lost_after"])
async def test_many_strategies_at_once_hold_the_accounts_limit_to_the_last_order(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus, script: str
) -> None:
    venue = ScriptedVenue(on_submit=script, queries_fail=False)
    async with running(database, monkeypatch, bus, {"main": venue}, max_account_notional=11 * ONE_ORDER) as [desk]:
        venue.queries_fail = script == "lost_after"  # they stay UNKNOWN, and count
        answers = await all_at_once(desk, each=5)
    assert answers == {"passed": 11, "NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT": 89}
    assert len(venue.submits) == len(set(venue.submits)) == 11


async def test_many_strategies_at_once_hold_limits_of_strategies_and_counts(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    venue = ScriptedVenue()
    limits: dict[str, Any] = {"max_strategy_notional": 2 * ONE_ORDER, "max_open_orders_per_instrument": 33}
    async with running(database, monkeypatch, bus, {"main": venue}, **limits) as [desk]:
        answers = await all_at_once(desk, each=4)
        found = {(u["scope"], u["limit"]): used for u, used in await gauges(desk)}
    assert answers["passed"] == 33
    assert set(answers) == {"passed", "NOTIONAL_EXCEEDS_MAX_PER_STRATEGY", "OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT"}
    by_strategy = Counter(name.split("-")[0] for name in venue.submits)
    assert max(by_strategy.values()) == 2
    assert found[f"instrument:{BTCUSDT.instrument_id}", "max_open_orders"] == 33.0
    assert found[f"account:{desk.account}", "max_position_notional"] == float(33 * ONE_ORDER)


async def gauges(desk: Desk) -> list[tuple[dict[str, str], float]]:
    """The gauge of what is used, once it has been set after the last order."""
    process = desk.context.metrics._process
    pages = await desk.context.bus_for(RISK_LIMITS).subscribe(RISK_LIMITS, start=Start.EARLIEST)

    async def shown() -> bool:
        return process.total("risk_limit_used", limit="max_open_orders", scope=f"account:{desk.account}") == 33

    await until(shown)
    async with asyncio.timeout(40):
        told: dict[tuple[str, str], float] = {}
        while told.get((f"account:{desk.account}", "max_open_orders")) != 33.0:
            for delivery in await pages.receive():
                assert isinstance(delivery.payload, LimitsUsed)
                told = {(use.scope, use.name): float(use.used) for use in delivery.payload.uses}
    await pages.close()
    values = process.values()["risk_limit_used"]
    assert told == {(labels["scope"], labels["limit"]): value for labels, value in values}
    return values


async def test_a_restart_keeps_reservations_rates_and_the_days_loss(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    venue = ScriptedVenue()
    limits: dict[str, Any] = {"max_orders_per_minute": 3, "max_daily_loss": Decimal(100), "max_price_age_s": None}
    async with running(database, monkeypatch, bus, {"main": venue}, **limits) as [desk]:
        await desk.quote(6_000_000)
        venue.on_submit = "fill"
        assert await desk.ask("a-1-1") == ""
        await desk.end_of("a-1-1", but=(S.SUBMITTED, S.ACCEPTED))
        venue.on_submit = "rest"
        assert [await desk.ask("a-1-2", size=100), await desk.ask("a-1-3", size=100)] == ["", ""]
        assert (await desk.ask("a-1-4", size=100)).startswith("ORDER_RATE_EXCEEDED: limit=3/60s value=4")
    async with running(database, monkeypatch, bus, {"main": venue}, **limits) as [desk]:
        await desk.quote(6_000_000)
        assert (await desk.ask("a-2-1", size=100)).startswith("ORDER_RATE_EXCEEDED: limit=3/60s value=4")
    limits["max_orders_per_minute"] = None
    async with running(database, monkeypatch, bus, {"main": venue}, **limits) as [desk]:
        await desk.quote(5_895_000)
        assert await eventually(desk, "DAILY_LOSS_EXCEEDED: limit=100", size=100)
        assert await desk.ask("out-1-1", side=OrderSide.SELL, price=5_895_000) == ""


async def eventually(desk: Desk, reason: str, **fields: Any) -> str:
    """Ask until this is the answer."""
    async with asyncio.timeout(40):
        for number in range(10_000):
            answer = await desk.ask(f"try-{time.time_ns()}-{number}", **fields)
            if answer.startswith(reason) and bool(reason) == bool(answer):
                return answer or "passed"
    raise AssertionError


async def test_stale_market_data_denies_until_the_feed_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    limits: dict[str, Any] = {"max_open_orders_per_instrument": 10**6, "max_open_orders": 10**6}
    async with running(database, monkeypatch, bus, {"main": ScriptedVenue()}, max_price_age_s=0.3, **limits) as [desk]:
        market = {"order_type": OrderType.MARKET, "price": None, "size": 100}
        assert (await desk.ask("m-1-1", **market)).startswith("PRICE_REFERENCE_MISSING")
        await desk.quote(6_000_000)
        assert (await eventually(desk, "MARKET_DATA_STALE: limit=0.3 value=", size=100)).startswith("MARKET_DATA")
        assert (await desk.ask("m-1-2", **market)).startswith("MARKET_DATA_STALE")

        async def feed() -> None:
            while True:
                await desk.quote(6_000_000)
                await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(feed())
            assert await eventually(desk, "", **market) == "passed"
            feeding.cancel()


async def test_the_firms_limit_holds_over_two_accounts_to_the_last_order(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    """Each wants a part that only fits when the other gives up what it does not use."""
    venues = {"main": ScriptedVenue(), "second": ScriptedVenue()}
    passed: Counter[str] = Counter()
    async with running(database, monkeypatch, bus, venues, max_firm_notional=10 * ONE_ORDER) as desks:
        firm = FirmAllocations(database, FIRM)
        most = {desks[0].account: 6, desks[1].account: 4}

        async def trade(desk: Desk) -> None:
            for number in range(10_000):
                if passed[desk.account] == most[desk.account]:
                    return
                answer = await desk.ask(f"{desk.account}-{number}")
                assert answer == "" or answer.startswith("FIRM_ALLOCATION_EXCEEDED")
                passed[desk.account] += not answer
                assert passed.total() <= 10
                assert (await firm.state()).free >= 0
                await asyncio.sleep(0.02 if answer else 0)

        async with asyncio.timeout(50), asyncio.TaskGroup() as tasks:
            for desk in desks:
                tasks.create_task(trade(desk))
        assert [len(venue.submits) for venue in venues.values()] == [6, 4]
        for desk in desks:
            assert (await desk.ask(f"last-{desk.account}-1")).startswith("FIRM_ALLOCATION_EXCEEDED")
    state = await firm.state()
    assert {one.account_id: one.share for one in state.shares} == {
        account: count * ONE_ORDER for account, count in most.items()
    }, "what is not used is given back at the end"


async def test_one_account_alone_has_the_whole_limit_of_the_firm(
    database: Database, monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    async with running(database, monkeypatch, bus, {"main": ScriptedVenue()}, max_firm_notional=3 * ONE_ORDER) as [
        desk
    ]:
        answers = await all_at_once(desk, each=1)
    assert answers == {"passed": 3, "FIRM_ALLOCATION_EXCEEDED": 17}


def test_a_limits_file_is_read_and_a_wrong_one_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    environ = {"TRADEWIND_EXECUTION_LIMITS_FILE": str(path), "TRADEWIND_EXECUTION_MAX_DAILY_LOSS": "250.5"}
    path.write_text('[strategy.ema-cross]\nmax_position_notional = "100"\n')
    settings = load_settings(Settings, prefix="TRADEWIND_EXECUTION_", environ=environ)
    assert settings.limits.of_strategy("ema-cross").max_position_notional == 100  # type: ignore[arg-type]
    assert settings.limits.of_account().max_daily_loss == Decimal("250.5")
    path.write_text("[strategy.ema-cross]\nmax_positon_notional = 100\n")
    with pytest.raises(SettingsError, match=r"limits\.toml: \[strategy\.ema-cross\].*max_positon_notional"):
        load_settings(Settings, prefix="TRADEWIND_EXECUTION_", environ=environ)
    with pytest.raises(SettingsError, match="max_daily_loss=-1"):
        load_settings(Settings, prefix="TRADEWIND_EXECUTION_", environ={"TRADEWIND_EXECUTION_MAX_DAILY_LOSS": "-1"})
