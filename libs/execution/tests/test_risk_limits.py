"""Each limit of each scope, at its edge: what still passes and what does not, and what it says then."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from order_path_kit import ACCOUNT, BTCUSDT, NOW, STRATEGY, cancel, fill, new_engine, status, submit

from tradewind.execution.engine import ExecutionEngine
from tradewind.execution.limits import InstrumentLimits, RiskLimits, StrategyLimits, without_clock
from tradewind.model.enums import OrderSide, OrderType, TradingState
from tradewind.model.identifiers import EXTERNAL, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.model.positions import Position
from tradewind.store.risk_counters import RiskCounterRow, SentOrder, StoredRisk
from tradewind.wire.commands import ClaimOrder

S = OrderStatus
BTC = BTCUSDT.instrument_id
NS = 1_000_000_000
DAY_NS = 86_400 * NS
SCOPES = ("firm", f"account:{ACCOUNT}", f"strategy:{STRATEGY}", f"instrument:{BTC}")


def outcome(engine: ExecutionEngine, now_ns: int = NOW, **fields: Any) -> str:
    """Empty when the order passed, else why not."""
    plan = engine.plan_commands([submit(**({"ts_init": now_ns} | fields))], now_ns)
    return "" if plan.submits else str(plan.outgoing[-1].message.reason)  # type: ignore[union-attr]


def hold(engine: ExecutionEngine, name: str = "held-1-1", size: int = 10_000, **fields: Any) -> None:
    """Give a strategy a position of 0.1 BTC at 60,000."""
    side = fields.get("side", OrderSide.BUY)
    price = fields.get("price", 6_000_000)
    engine.plan_commands([submit(name, size=size, **fields)], NOW)
    engine.plan_reports([fill(name, f"t-{name}", size=size, fee=Decimal(0), side=side, price=price)], NOW)


def quote(engine: ExecutionEngine, bid: int, ask: int, now_ns: int = NOW, instrument: InstrumentId = BTC) -> None:
    engine.risk.prices.take(instrument, OrderSide.BUY, bid, now_ns)
    engine.risk.prices.take(instrument, OrderSide.SELL, ask, now_ns)


def with_second_instrument(engine: ExecutionEngine) -> InstrumentId:
    other = InstrumentId("XBTUSDT.BINANCE")
    engine.instruments[other] = msgspec.structs.replace(BTCUSDT, instrument_id=other)
    return other


# -- orders, positions, open orders --


def test_an_order_may_be_as_large_as_its_limit_and_no_larger() -> None:
    engine = new_engine(RiskLimits(max_order_size=Decimal("0.1")))
    assert outcome(engine) == ""
    assert outcome(engine, size=10_001) == "SIZE_EXCEEDS_MAX_PER_ORDER: limit=0.1 value=0.10001"


def test_a_strategy_and_an_instrument_may_have_smaller_orders_of_their_own() -> None:
    limits = RiskLimits(
        strategies={STRATEGY: StrategyLimits(max_order_notional=Decimal(3_000))},
        instruments={BTC: InstrumentLimits(max_order_size=Decimal("0.2"))},
    )
    engine = new_engine(limits)
    assert outcome(engine).startswith("NOTIONAL_EXCEEDS_MAX_PER_ORDER: limit=3000 value=6000")
    assert outcome(engine).endswith(f"scope=strategy:{STRATEGY}")
    assert outcome(engine, strategy_id="other") == ""
    reason = outcome(engine, strategy_id="other", size=20_001)
    assert reason == f"SIZE_EXCEEDS_MAX_PER_ORDER: limit=0.2 value=0.20001 scope=instrument:{BTC}"


def test_a_strategys_limit_is_its_own() -> None:
    engine = new_engine(RiskLimits(max_strategy_notional=Decimal(12_000)))
    assert [outcome(engine) for _ in range(2)] == ["", ""]
    reason = outcome(engine)
    assert reason == f"NOTIONAL_EXCEEDS_MAX_PER_STRATEGY: limit=12000 value=18000.0000000 scope=strategy:{STRATEGY}"
    assert outcome(engine, strategy_id="other") == ""


def test_opposite_positions_of_two_strategies_do_not_offset_each_other() -> None:
    engine = new_engine(RiskLimits(max_instrument_notional=Decimal(12_000)))
    hold(engine)
    hold(engine, "other-1-1", strategy_id="other", side=OrderSide.SELL)
    assert outcome(engine).startswith("NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT: limit=12000 value=18000")


def test_the_smaller_side_costs_nothing_until_it_is_the_larger() -> None:
    engine = new_engine(RiskLimits(max_instrument_notional=Decimal(6_000)))
    assert outcome(engine) == ""
    assert outcome(engine, side=OrderSide.SELL) == ""
    assert outcome(engine, side=OrderSide.SELL, size=100).startswith("NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT")


def test_a_scope_that_the_market_took_over_its_limit_may_shrink_and_not_grow() -> None:
    engine = new_engine(RiskLimits(max_instrument_notional=Decimal(7_000)))
    hold(engine)
    quote(engine, 8_000_000, 8_000_100)
    assert outcome(engine, size=100).startswith("NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT: limit=7000 value=8060")
    assert outcome(engine, side=OrderSide.SELL, price=8_000_000) == ""


def test_open_orders_are_counted_by_strategy_too() -> None:
    engine = new_engine(RiskLimits(max_open_orders_per_strategy=1))
    assert outcome(engine, client_order_id=ClientOrderId("a-1-1")) == ""
    assert outcome(engine).startswith("OPEN_ORDERS_EXCEED_MAX_PER_STRATEGY: limit=1 value=2")
    assert outcome(engine, strategy_id="other") == ""
    engine.plan_reports([status("a-1-1", S.ACCEPTED), status("a-1-1", S.CANCELED)], NOW)
    assert outcome(engine) == ""


def test_the_accounts_open_orders_are_counted_over_strategies_and_instruments() -> None:
    engine = new_engine(RiskLimits(max_open_orders=2))
    other = with_second_instrument(engine)
    assert [outcome(engine), outcome(engine, strategy_id="b", instrument_id=other)] == ["", ""]
    assert outcome(engine, strategy_id="c").startswith("OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT: limit=2 value=3")


def test_an_order_beyond_the_account_counts_what_is_unknown() -> None:
    engine = new_engine(RiskLimits(max_account_notional=Decimal(6_000)))
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_unknown(ClientOrderId("a-1-1"), "timeout", NOW)
    assert outcome(engine).startswith("NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT: limit=6000 value=12000")


def test_a_sell_through_the_market_counts_at_the_bid() -> None:
    engine = new_engine()
    quote(engine, 6_000_000, 6_000_100)
    plan = engine.plan_commands([submit("s-1-1", side=OrderSide.SELL, price=3_000_000)], NOW)
    assert plan.submits
    assert engine.risk.reserved_notional(BTC, OrderSide.SELL) == Decimal(6_000)
    assert plan.risk is not None
    assert [(row.client_order_id, row.price) for row in plan.risk.order_prices] == [("s-1-1", 6_000_000)]
    ended = engine.plan_reports([status("s-1-1", S.REJECTED, side=OrderSide.SELL)], NOW)
    assert ended.risk is not None
    assert ended.risk.ended_orders == ["s-1-1"]


def test_a_claimed_order_counts_for_its_new_owner() -> None:
    engine = new_engine(RiskLimits(max_strategy_notional=Decimal(12_000)))
    quote(engine, 6_000_000, 6_000_100)
    cheap = engine.plan_reports([status("web-1", S.ACCEPTED, side=OrderSide.SELL, price=3_000_000)], NOW)
    exposures = engine.risk.exposures
    assert exposures.strategy(EXTERNAL).exposure == Decimal(6_000)
    claim = ClaimOrder(
        event_id="c", correlation_id="c", causation_id="", ts_event=NOW, ts_init=NOW, account_id=ACCOUNT,
        client_order_id=ClientOrderId("web-1"), strategy_id=STRATEGY, actor="me", why="mine",
    )  # fmt: skip
    plan = engine.plan_operators([claim], NOW)
    assert cheap.risk is not None
    assert len(cheap.risk.order_prices) == 1
    assert plan.risk is None, "the price that it counts at is stored and stays"
    external, own = exposures.strategy(EXTERNAL), exposures.strategy(STRATEGY)
    assert (external.exposure, external.open_orders) == (0, 0)
    assert (own.exposure, own.open_orders) == (Decimal(6_000), 1)
    assert (exposures.account.exposure, exposures.account.open_orders) == (Decimal(6_000), 1)
    sell = {"side": OrderSide.SELL}
    assert [outcome(engine, **sell), bool(outcome(engine, **sell))] == ["", True]


# -- rates --


def test_no_second_ever_holds_more_orders_than_its_limit() -> None:
    engine = new_engine(RiskLimits(max_orders_per_second=3))
    times = [NOW + n * NS // 10 for n in range(60)]
    passed = [now_ns for now_ns in times if not outcome(engine, now_ns, size=100)]
    assert len(passed) == 18
    assert all(sum(start <= at < start + NS for at in passed) <= 3 for start in times)


@pytest.mark.parametrize(
    ("limits", "scope"),
    [
        (RiskLimits(max_orders_per_minute=1), f"account:{ACCOUNT}"),
        (RiskLimits(max_orders_per_minute_per_strategy=1), f"strategy:{STRATEGY}"),
        (RiskLimits(max_orders_per_minute_per_instrument=1), f"instrument:{BTC}"),
        (RiskLimits(strategies={STRATEGY: StrategyLimits(max_orders_per_minute=1)}), f"strategy:{STRATEGY}"),
    ],
)
def test_rates_bind_by_scope(limits: RiskLimits, scope: str) -> None:
    engine = new_engine(limits)
    assert outcome(engine) == ""
    assert outcome(engine, NOW + 59 * NS) == f"ORDER_RATE_EXCEEDED: limit=1/60s value=2 scope={scope}"
    assert outcome(engine, NOW + 60 * NS) == ""


def test_an_order_that_was_denied_takes_no_place_and_a_reducing_one_is_never_refused() -> None:
    engine = new_engine(RiskLimits(max_orders_per_second=2))
    hold(engine)
    assert outcome(engine, price=-1) != ""
    assert outcome(engine, size=100) == ""
    assert outcome(engine, size=100).startswith("ORDER_RATE_EXCEEDED")
    assert outcome(engine, side=OrderSide.SELL, size=100) == ""


def test_a_restart_keeps_the_minute_that_has_begun() -> None:
    engine = new_engine(RiskLimits(max_orders_per_minute_per_strategy=2))
    sent = [SentOrder(strategy_id=STRATEGY, instrument_id=BTC, ts_init=NOW - n * NS) for n in (50, 10)]
    engine.risk.load(StoredRisk(sent_orders=sent))
    assert outcome(engine).startswith("ORDER_RATE_EXCEEDED")
    assert outcome(engine, NOW + 10 * NS) == ""
    assert outcome(engine, NOW + 11 * NS).startswith("ORDER_RATE_EXCEEDED")


def test_in_lockstep_neither_rates_nor_ages_bind() -> None:
    own = {STRATEGY: StrategyLimits(max_orders_per_second=1, max_open_orders=3)}
    limits = without_clock(RiskLimits(max_orders_per_second=1, strategies=own))
    engine = new_engine(limits)
    quote(engine, 6_000_000, 6_000_100, NOW - 60 * NS)
    assert [outcome(engine, size=100) for _ in range(3)] == ["", "", ""]
    assert outcome(engine, size=100).startswith("OPEN_ORDERS_EXCEED_MAX_PER_STRATEGY")


# -- losses --


def test_a_day_of_losses_stops_what_increases_and_lets_the_position_out() -> None:
    engine = new_engine(RiskLimits(max_daily_loss=Decimal(100)))
    quote(engine, 6_000_000, 6_000_000)
    hold(engine)
    quote(engine, 5_900_001, 5_900_100)
    assert outcome(engine, size=100) == ""
    quote(engine, 5_900_000, 5_900_100)
    reason = outcome(engine, size=100)
    assert reason.startswith("DAILY_LOSS_EXCEEDED: limit=100 value=100")
    assert reason.endswith(f"scope=account:{ACCOUNT}")
    assert outcome(engine, side=OrderSide.SELL, price=5_900_000) == ""


def test_fees_and_realized_losses_count_as_unrealized_ones_do() -> None:
    engine = new_engine(RiskLimits(max_strategy_daily_loss=Decimal(600)))
    quote(engine, 6_000_000, 6_000_000)
    hold(engine)
    engine.plan_commands([submit("out-1-1", side=OrderSide.SELL)], NOW)
    sold = fill(
        "out-1-1", "t-out", size=10_000, side=OrderSide.SELL, price=5_500_000, fee=Decimal("99.99"), fee_currency="USDT"
    )
    engine.plan_reports([sold], NOW)
    assert outcome(engine, size=100) == ""
    bought = fill("last-1-1", "t-last", size=100, price=6_000_000, fee=Decimal("0.000001"))
    engine.plan_commands([submit("last-1-1", size=100)], NOW)
    engine.plan_reports([bought], NOW)
    reason = outcome(engine, size=100)
    assert reason.startswith("DAILY_LOSS_EXCEEDED: limit=600 value=600.05")
    assert outcome(engine, strategy_id="other", size=100) == ""


def test_a_new_day_begins_at_its_hour_with_what_there_was_then() -> None:
    six_hours_s = 6 * 3_600
    engine = new_engine(RiskLimits(max_daily_loss=Decimal(100), day_start_s=six_hours_s))
    midnight_ns = NOW - NOW % DAY_NS + DAY_NS
    before_ns, after_ns = midnight_ns + (six_hours_s - 1) * NS, midnight_ns + six_hours_s * NS
    quote(engine, 6_000_000, 6_000_000)
    hold(engine)
    quote(engine, 5_900_000, 5_900_000, before_ns)
    engine.risk.observe(NOW)
    assert outcome(engine, before_ns, size=100).startswith("DAILY_LOSS_EXCEEDED")
    assert outcome(engine, after_ns, size=100) == ""
    quote(engine, 5_850_000, 5_850_000, after_ns)
    assert outcome(engine, after_ns, size=100) == ""
    quote(engine, 5_750_000, 5_750_000, after_ns)
    assert outcome(engine, after_ns, size=100).startswith("DAILY_LOSS_EXCEEDED")


def test_a_drawdown_is_measured_from_the_peak() -> None:
    engine = new_engine(RiskLimits(strategies={STRATEGY: StrategyLimits(max_drawdown=Decimal(300))}))
    quote(engine, 6_000_000, 6_000_000)
    hold(engine)
    quote(engine, 6_500_000, 6_500_000)
    engine.risk.observe(NOW)
    quote(engine, 6_200_001, 6_200_001)
    assert outcome(engine, size=100) == ""
    quote(engine, 6_200_000, 6_200_000)
    assert outcome(engine, size=100).startswith("DRAWDOWN_EXCEEDED: limit=300 value=300")


def test_a_restart_resets_neither_the_day_nor_the_peak() -> None:
    limits = RiskLimits(max_daily_loss=Decimal(1_000), max_drawdown=Decimal(500))
    engine = new_engine(limits)
    quote(engine, 6_000_000, 6_000_000)
    hold(engine)
    quote(engine, 6_400_000, 6_400_000)
    plan = engine.plan_risk(NOW)
    assert plan.risk is not None
    [row] = plan.risk.counters
    assert row.peak_pnl > Decimal(400), "the stored peak must run ahead"
    again = new_engine(limits)
    again.risk.load(StoredRisk(counters=[row]))
    again.ledger.load(engine.ledger.positions.values(), [])
    assert outcome(again, size=100).startswith("PRICE_REFERENCE_MISSING"), "without a price nobody knows the loss"
    quote(again, 5_900_000, 5_900_000)
    assert outcome(again, size=100).startswith("DRAWDOWN_EXCEEDED")
    same = {one.limit: one.used for one in again.risk.usage(NOW) if one.scope.startswith("account")}
    assert same["max_daily_loss"] == Decimal(100)


def test_what_was_lost_overnight_while_nobody_ran_counts_on_the_new_day() -> None:
    row = RiskCounterRow(
        scope="account", day=NOW // DAY_NS - 1, day_start_pnl=Decimal(0), peak_pnl=Decimal(50), last_pnl=Decimal(40),
        fees=Decimal(0),
    )  # fmt: skip
    engine = new_engine(RiskLimits(max_daily_loss=Decimal(100)))
    engine.risk.load(StoredRisk(counters=[row]))
    hold(engine)
    quote(engine, 5_939_999, 5_939_999)
    assert outcome(engine, size=100).startswith("DAILY_LOSS_EXCEEDED: limit=100 value=100")


def test_counters_are_written_with_the_fill_that_moved_them() -> None:
    engine = new_engine(RiskLimits(max_daily_loss=Decimal(1_000)))
    engine.plan_commands([submit("a-1-1")], NOW)
    plan = engine.plan_reports([fill("a-1-1", "t1", fee=Decimal(3), fee_currency="USDT")], NOW)
    assert plan.fills
    assert plan.risk is not None
    assert [(row.scope, row.fees) for row in plan.risk.counters] == [("account", Decimal(3))]
    assert engine.plan_risk(NOW).is_empty


# -- market data --


def test_stale_market_data_stops_what_increases_and_lets_cancels_and_reductions_through() -> None:
    engine = new_engine()
    quote(engine, 6_000_000, 6_000_100)
    hold(engine)
    engine.plan_commands([submit("rests-1-1")], NOW)
    engine.plan_reports([status("rests-1-1", S.ACCEPTED)], NOW)
    late_ns = NOW + 5 * NS + 1_000_000
    assert outcome(engine, NOW + 5 * NS, size=100) == ""
    assert outcome(engine, late_ns) == f"MARKET_DATA_STALE: limit=5.0 value=5.001 scope=instrument:{BTC}"
    assert outcome(engine, late_ns, order_type=OrderType.MARKET, price=None).startswith("MARKET_DATA_STALE")
    assert outcome(engine, late_ns, side=OrderSide.SELL, reduce_only=True) == ""
    assert engine.plan_commands([cancel("rests-1-1")], late_ns).cancels
    engine.risk.prices.touch(BTC, late_ns)
    assert outcome(engine, late_ns, size=100) == ""


def test_a_position_elsewhere_whose_price_is_old_stops_the_account() -> None:
    engine = new_engine()
    other = with_second_instrument(engine)
    quote(engine, 6_000_000, 6_000_100, NOW, other)
    hold(engine, instrument_id=BTC)
    engine.plan_commands([submit("x-1-1", instrument_id=other)], NOW)
    moved = fill("x-1-1", "tx", size=10_000, instrument_id=other, fee=Decimal(0))
    engine.plan_reports([moved], NOW)
    late_ns = NOW + 6 * NS
    quote(engine, 6_000_000, 6_000_100, late_ns, BTC)
    assert outcome(engine, late_ns, size=100).endswith(f"scope=instrument:{other}")
    quote(engine, 6_000_000, 6_000_100, late_ns, other)
    assert outcome(engine, late_ns, size=100) == ""


def test_an_instrument_may_have_an_age_of_its_own() -> None:
    engine = new_engine(RiskLimits(instruments={BTC: InstrumentLimits(max_price_age_s=60.0)}))
    quote(engine, 6_000_000, 6_000_100)
    assert outcome(engine, NOW + 59 * NS) == ""
    assert outcome(engine, NOW + 61 * NS).startswith("MARKET_DATA_STALE: limit=60.0 value=61.0")


def test_limit_orders_without_any_price_pass_unless_settings_say_no() -> None:
    assert outcome(new_engine()) == ""
    strict = new_engine(RiskLimits(limit_orders_need_price=True))
    assert outcome(strict) == f"PRICE_REFERENCE_MISSING: value={BTC}"
    quote(strict, 6_000_000, 6_000_100)
    assert outcome(strict) == ""


def test_where_prices_are_needed_a_position_without_one_stops_the_account() -> None:
    engine = new_engine(RiskLimits(limit_orders_need_price=True))
    other = with_second_instrument(engine)
    held = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=other, signed_size=1)
    engine.ledger.load([held], [])
    quote(engine, 6_000_000, 6_000_100)
    assert outcome(engine) == f"PRICE_REFERENCE_MISSING: value={other}"
    quote(engine, 6_000_000, 6_000_100, NOW, other)
    assert outcome(engine) == ""


# -- firm --


def test_beyond_its_share_of_the_firms_limit_an_account_waits_for_more() -> None:
    engine = new_engine(RiskLimits(max_firm_notional=Decimal(100_000)))
    assert outcome(engine).startswith("FIRM_ALLOCATION_EXCEEDED: limit=0 value=6000")
    assert engine.risk.firm_wanted == Decimal(6_000)
    engine.risk.firm_share = Decimal(6_000)
    assert outcome(engine) == ""
    assert outcome(engine).startswith("FIRM_ALLOCATION_EXCEEDED: limit=6000 value=12000")


# -- trading states --


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_can_halt_and_reduce(scope: str) -> None:
    engine = new_engine()
    hold(engine)
    engine.set_trading_state(scope, TradingState.REDUCING)
    assert outcome(engine).startswith("TRADING_REDUCING")
    assert outcome(engine, side=OrderSide.SELL, size=5_000) == ""
    engine.set_trading_state(scope, TradingState.HALTED)
    assert outcome(engine, side=OrderSide.SELL, size=5_000).startswith("TRADING_HALTED")
    engine.set_trading_state(scope, TradingState.ACTIVE)
    assert outcome(engine) == ""


@pytest.mark.parametrize("scope", ["account:BINANCE-other", "strategy:other", "instrument:ETHUSDT.BINANCE"])
def test_another_scope_binds_nobody_here(scope: str) -> None:
    engine = new_engine()
    engine.set_trading_state(scope, TradingState.HALTED)
    assert outcome(engine) == ""


def test_the_strictest_of_several_scopes_wins() -> None:
    engine = new_engine()
    hold(engine)
    engine.set_trading_state("firm", TradingState.REDUCING)
    engine.set_trading_state(f"strategy:{STRATEGY}", TradingState.HALTED)
    assert outcome(engine, side=OrderSide.SELL).startswith("TRADING_HALTED")


@pytest.mark.parametrize("reduce_only", [True, False])
def test_two_orders_that_each_reduce_all_cannot_both_pass(reduce_only: bool) -> None:
    engine = new_engine()
    hold(engine)
    engine.set_trading_state("firm", TradingState.REDUCING)
    sell = {"side": OrderSide.SELL, "reduce_only": reduce_only}
    plan = engine.plan_commands([submit("r1-1-1", **sell), submit("r2-1-1", **sell)], NOW)
    assert [(one.client_order_id, one.reduces) for one in plan.submits] == [("r1-1-1", True)]
    engine.plan_unknown(ClientOrderId("r1-1-1"), "timeout", NOW)
    assert outcome(engine, **sell).startswith("TRADING_REDUCING: limit=10000 value=10000")
    engine.plan_reports([status("r1-1-1", S.CANCELED, side=OrderSide.SELL)], NOW)
    assert outcome(engine, **sell) == ""


def test_reductions_may_come_in_parts_up_to_the_position() -> None:
    engine = new_engine()
    hold(engine)
    engine.set_trading_state("firm", TradingState.REDUCING)
    sell = {"side": OrderSide.SELL, "size": 4_000}
    assert [bool(outcome(engine, **sell)) for _ in range(3)] == [False, False, True]
    assert outcome(engine, side=OrderSide.SELL, size=2_000) == ""


# -- read model --


def test_usage_names_every_limit_that_is_set() -> None:
    limits = RiskLimits(max_daily_loss=Decimal(10), max_orders_per_second=5, max_firm_notional=Decimal(50_000))
    engine = new_engine(limits)
    engine.risk.firm_share = Decimal(50_000)
    quote(engine, 6_000_000, 6_000_000)
    outcome(engine)
    found = {(one.scope, one.limit): (one.used, one.bound) for one in engine.risk.usage(NOW)}
    account = f"account:{ACCOUNT}"
    assert found[account, "max_position_notional"] == (Decimal(6_000), Decimal(2_000_000))
    assert found[account, "max_open_orders"] == (1, 200)
    assert found[account, "max_orders_per_1s"] == (1, 5)
    assert found[account, "max_daily_loss"] == (0, 10)
    assert found["firm", "max_firm_notional"] == (Decimal(6_000), Decimal(50_000))
    assert found[f"instrument:{BTC}", "max_open_orders"] == (1, 50)
    assert not any(scope == f"strategy:{StrategyId(STRATEGY)}" for scope, _ in found)
