"""The small repositories on a real PostgreSQL."""

import asyncio
import time
from decimal import Decimal

import asyncpg
import pytest

from tradewind.model.enums import TradingState
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, Venue
from tradewind.model.instruments import Instrument
from tradewind.store import instruments
from tradewind.store.audit import AuditEntry, AuditRepository
from tradewind.store.database import Database
from tradewind.store.equity import EquityPoint, EquityRepository
from tradewind.store.instruments import InstrumentNumberTaken, InstrumentRepository
from tradewind.store.strategy_runs import StrategyRunRepository
from tradewind.store.trading_states import TradingStateRepository

ACCOUNT = AccountId("BINANCE-main")
EMA = StrategyId("ema-cross")
MAKER = StrategyId("market-maker")
START_NS = 1_700_000_000_000_000_000


def instrument(symbol: str, **changes: object) -> Instrument:
    fields: dict[str, object] = {
        "instrument_id": InstrumentId(f"{symbol}.BINANCE"),
        "venue": Venue("BINANCE"),
        "symbol": symbol,
        "base_currency": symbol[:3],
        "quote_currency": "USDT",
        "price_precision": 2,
        "size_precision": 8,
        "price_increment": 1,
        "size_increment": 1_000,
        "min_size": 1_000,
        "max_size": 2**63 - 1,
        "max_price": 100_000_000,
        "min_notional": Decimal("5.00000000"),
    }
    return Instrument(**(fields | changes))  # type: ignore[arg-type]


async def test_instruments_come_back_exactly_and_are_replaced(database: Database) -> None:
    repository = InstrumentRepository(database)
    btc, eth = instrument("BTCUSDT"), instrument("ETHUSDT")
    await repository.register([eth, btc])
    await repository.register([btc])
    assert await repository.load_all() == [btc, eth]
    finer = instrument("ETHUSDT", price_precision=4)
    await repository.register([finer])
    assert await repository.load_all() == [btc, finer]
    await repository.register([])


async def test_two_instruments_with_one_number_are_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruments, "instrument_number", lambda _: 42)
    repository = InstrumentRepository(database)
    await repository.register([instrument("BTCUSDT")])
    with pytest.raises(InstrumentNumberTaken, match=r"ETHUSDT\.BINANCE has the number 42 of BTCUSDT\.BINANCE"):
        await repository.register([instrument("ETHUSDT")])
    with pytest.raises(InstrumentNumberTaken, match="number 42"):
        await repository.register([instrument("SOLUSDT"), instrument("XRPUSDT")])
    assert [found.symbol for found in await repository.load_all()] == ["BTCUSDT"]


async def test_two_services_register_at_the_same_time(database: Database) -> None:
    repository = InstrumentRepository(database)
    all_of_them = [instrument(f"{letter}{letter}XUSDT") for letter in "ABCDEFGH"]
    await asyncio.gather(*(repository.register(all_of_them) for _ in range(6)))
    assert await repository.load_all() == all_of_them


def point(second: int, strategy: StrategyId = EMA, **changes: str) -> EquityPoint:
    amounts = {"realized_pnl": "1.5", "unrealized_pnl": "-0.00000001", "fees": "0"} | changes
    return EquityPoint(
        ts=START_NS + second * 10**9,
        account_id=ACCOUNT,
        strategy_id=strategy,
        currency="USDT",
        **{name: Decimal(value) for name, value in amounts.items()},
    )


async def test_the_equity_curve_is_exact_ordered_and_bounded(either_database: Database) -> None:
    repository = EquityRepository(either_database)
    points = [point(second, realized_pnl=f"{second}.000000000000000001") for second in range(10)]
    await repository.insert(list(reversed(points)))
    await repository.insert([point(3, realized_pnl="99"), point(3, MAKER)])
    assert await repository.curve(ACCOUNT, EMA) == points
    assert await repository.curve(ACCOUNT, EMA, limit=3) == points[-3:]
    assert await repository.curve(ACCOUNT, EMA, start_ns=points[2].ts, end_ns=points[4].ts) == points[2:4]
    assert len(await repository.curve(ACCOUNT)) == 11
    assert await repository.curve(AccountId("BINANCE-other")) == []
    with pytest.raises(ValueError, match="limit 0"):
        await repository.curve(ACCOUNT, limit=0)


async def test_equity_that_is_no_number_is_refused(either_database: Database) -> None:
    repository = EquityRepository(either_database)
    with pytest.raises(ValueError, match="not a finite number"):
        await repository.insert([point(1), point(2, fees="NaN")])
    assert await repository.curve(ACCOUNT) == []


async def test_audit_lines_come_back_newest_first(database: Database) -> None:
    repository = AuditRepository(database)
    lines = [
        AuditEntry(ts=START_NS + n * 1_000, actor="ops", action=f"step {n}", before="", after="ü", why="it's; --")
        for n in range(5)
    ]
    for line in lines:
        await repository.append(line)
    assert await repository.newest() == lines[::-1]
    assert await repository.newest(2) == [lines[4], lines[3]]


async def test_a_trading_state_changes_together_with_its_audit_line(database: Database) -> None:
    repository = TradingStateRepository(database)
    assert await repository.all() == {}
    before = time.time_ns()
    assert await repository.set("firm", TradingState.HALTED, actor="ops", why="drill") is TradingState.ACTIVE
    assert await repository.set("firm", TradingState.ACTIVE, actor="ops", why="over") is TradingState.HALTED
    found = (await repository.all())["firm"]
    assert (found.state, found.actor, found.why) == (TradingState.ACTIVE, "ops", "over")
    assert before - 1_000 <= found.ts <= time.time_ns()
    lines = await AuditRepository(database).newest()
    assert [(line.before, line.after, line.why) for line in lines] == [
        ("HALTED", "ACTIVE", "over"),
        ("ACTIVE", "HALTED", "drill"),
    ]
    assert lines[0].action == "trading state of firm"
    assert lines[0].ts == found.ts


async def test_without_its_audit_line_a_trading_state_does_not_change(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE audit ADD CHECK (actor <> 'nobody')")
    repository = TradingStateRepository(database)
    with pytest.raises(asyncpg.CheckViolationError):
        await repository.set("firm", TradingState.HALTED, actor="nobody", why="")
    assert await repository.all() == {}


async def test_changes_of_one_scope_at_the_same_time_form_one_chain(database: Database) -> None:
    repository = TradingStateRepository(database)
    states = [TradingState.HALTED, TradingState.REDUCING, TradingState.ACTIVE] * 4
    await asyncio.gather(*(repository.set("firm", state, actor="ops", why="race") for state in states))
    lines = (await AuditRepository(database).newest())[::-1]
    assert [line.before for line in lines] == ["ACTIVE", *(line.after for line in lines[:-1])]


async def test_runs_are_counted_without_gap_or_repeat(database: Database) -> None:
    repository = StrategyRunRepository(database)
    runs = await asyncio.gather(*(repository.next_run(EMA) for _ in range(20)))
    assert sorted(runs) == list(range(1, 21))
    assert await repository.next_run(MAKER) == 1
