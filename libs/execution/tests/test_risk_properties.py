"""Random days of many strategies: whatever is submitted, filled, cancelled, lost and restarted, no limit is overshot at
the worst case, and the running sums are what counting everything anew gives."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from order_path_kit import BTCUSDT
from risk_desk import INSTRUMENTS, PRICE, STRATEGIES, Desk, scope_sums

from tradewind.execution.order_rates import MINUTE_NS
from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId, StrategyId

SIDES = st.sampled_from(list(OrderSide))
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.sampled_from(STRATEGIES),
            st.sampled_from(INSTRUMENTS),
            SIDES,
            st.integers(1, 120).map(lambda n: n * 100),
            st.booleans(),
            st.booleans(),
        ),
        st.tuples(st.sampled_from(["fill", "part", "cancel", "reject", "unknown", "gone"]), st.integers(0, 50)),
        st.tuples(st.sampled_from(["restart", "minute", "reduce", "free"])),
    ),
    min_size=10,
    max_size=80,
)


def worst_cases(desk: Desk) -> dict[str, Decimal]:
    """Exposure by scope, from nothing but orders and positions."""
    sides: dict[tuple[StrategyId, InstrumentId], dict[OrderSide, int]] = defaultdict(Counter)
    for (strategy, instrument), position in desk.engine.ledger.positions.items():
        side = OrderSide.BUY if position.signed_size > 0 else OrderSide.SELL
        sides[strategy, instrument][side] += abs(position.signed_size)
    for order in desk.engine.orders.values():
        sides[order.strategy_id, order.instrument_id][order.side] += order.at_risk_size
    found: dict[str, Decimal] = defaultdict(Decimal)
    for (strategy, instrument), by_side in sides.items():
        notional = BTCUSDT.notional(PRICE, max(by_side.values()))
        for scope in (f"strategy:{strategy}", f"instrument:{instrument}", "account"):
            found[scope] += notional
    return found


def counts(desk: Desk) -> Counter[str]:
    found: Counter[str] = Counter()
    for order in desk.engine.orders.values():
        found.update([f"strategy:{order.strategy_id}", f"instrument:{order.instrument_id}", "account"])
    return found


def scopes(desk: Desk) -> Iterable[Any]:
    exposures = desk.engine.risk.exposures
    return [exposures.account, *exposures.strategies.values(), *exposures.instruments.values()]


def check(desk: Desk) -> None:
    desk.engine.risk.observe(desk.now_ns)
    exposures, open_orders = worst_cases(desk), counts(desk)
    for use in scopes(desk):
        key = use.name if ":" in use.name and not use.name.startswith("account") else "account"
        assert use.exposure == exposures[key], key
        assert use.open_orders == open_orders[key], key
        assert use.exposure <= use.limits.max_position_notional, key
        assert use.open_orders <= use.limits.max_open_orders, key


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_no_limit_is_overshot_at_the_worst_case(steps: list[tuple[Any, ...]]) -> None:
    desk = Desk()
    for step in steps:
        desk.step(*step)
        check(desk)
    for last in desk.increases:
        begin_ns = last.ts_init - MINUTE_NS
        own = [one for one in desk.sent if one.strategy_id == last.strategy_id]
        assert sum(begin_ns < one.ts_init <= last.ts_init for one in own) <= 12


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_after_a_restart_the_reservations_are_those_of_memory(steps: list[tuple[Any, ...]]) -> None:
    desk = Desk()
    for step in steps:
        desk.step(*step)
        desk.take(desk.engine.plan_risk(desk.now_ns))
    again = desk.started()
    again.risk.observe(desk.now_ns)
    before, after = desk.engine.risk, again.risk
    assert after.reservations() == before.reservations()
    assert scope_sums(again) == scope_sums(desk.engine)
    profit, same = before.exposures.account.profit, after.exposures.account.profit
    assert profit is not None
    assert same is not None
    assert (same.total, same.fees) == (profit.total, profit.fees)


REDUCTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"),
            st.just(STRATEGIES[0]),
            st.just(INSTRUMENTS[0]),
            SIDES,
            st.sampled_from([4_000, 10_000]),
            st.booleans(),
            st.booleans(),
        ),
        st.tuples(st.sampled_from(["fill", "part", "cancel", "unknown", "gone"]), st.integers(0, 50)),
        st.tuples(st.sampled_from(["restart"])),
    ),
    min_size=10,
    max_size=60,
)


@given(SIDES, REDUCTIONS)
@settings(max_examples=200, deadline=None)
def test_while_reducing_no_position_grows_or_turns(held: OrderSide, steps: list[tuple[Any, ...]]) -> None:
    desk = Desk()
    desk.step("submit", STRATEGIES[0], INSTRUMENTS[0], held, 10_000, False, False)
    desk.step("fill", 0)
    desk.step("reduce")
    before = {key: one.signed_size for key, one in desk.engine.ledger.positions.items()}
    assert list(map(abs, before.values())) == [10_000]
    for step in steps:
        desk.step(*step)
        for key, position in desk.engine.ledger.positions.items():
            was = before[key]
            assert 0 <= position.signed_size * (1 if was > 0 else -1) <= abs(was), key
            before[key] = position.signed_size or was // abs(was)
