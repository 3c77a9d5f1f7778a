from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from order_path_kit import ACCOUNT, BTCUSDT, NOW, STRATEGY, cancel, event_names, fill, new_engine, status, submit

from tradewind.execution.engine import ExecutionEngine
from tradewind.execution.limits import DenyCode, RiskLimits
from tradewind.model.enums import OrderSide, OrderType, Outcome, TradingState
from tradewind.model.identifiers import EXTERNAL, ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.wire.commands import BeginStrategyRun, CancelAllOrders
from tradewind.wire.events import AnsweredEvent, OrderDenied, OrderInitialized

S = OrderStatus


def accepted(engine: ExecutionEngine, name: str = "a-1-1", **fields: object) -> None:
    engine.plan_commands([submit(name, **fields)], NOW)
    engine.plan_reports([status(name, S.ACCEPTED)], NOW)


def denial(engine: ExecutionEngine, **fields: object) -> str:
    plan = engine.plan_commands([submit(**fields)], NOW)
    assert not plan.submits
    message = plan.outgoing[-1].message
    assert isinstance(message, OrderDenied)
    assert next(iter(plan.new_orders.values())).status is S.DENIED
    return message.reason


def test_a_good_order_is_written_before_it_is_sent() -> None:
    plan = new_engine().plan_commands([submit("a-1-1")], NOW)
    assert event_names(plan) == ["OrderInitialized", "OrderSubmitted"]
    assert [order.client_order_id for order in plan.submits] == ["a-1-1"]
    assert plan.new_orders[ClientOrderId("a-1-1")].status is S.SUBMITTED
    assert [item.sequence for item in plan.outgoing] == [1, 2]


@pytest.mark.parametrize("size", [1_000, 0])
def test_the_first_event_of_an_order_says_when_it_was_decided_and_upon_what(size: int) -> None:
    command = submit("a-1-1", ts_event=NOW - 2_000, ts_init=NOW - 1_000, size=size)
    first = new_engine().plan_commands([command], NOW).outgoing[0].message
    assert isinstance(first, OrderInitialized)
    assert (first.ts_cause, first.ts_intent, first.ts_init) == (NOW - 2_000, NOW - 1_000, NOW)


@pytest.mark.parametrize("is_filled", [False, True])
def test_the_first_word_after_a_send_says_when_the_order_was_durable_and_sent(is_filled: bool) -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.note_sent(ClientOrderId("a-1-1"), NOW + 10, NOW + 20)
    reports = [fill("a-1-1", "t1")] if is_filled else [status("a-1-1", S.ACCEPTED), fill("a-1-1", "t1")]
    plan = engine.plan_reports(reports, NOW)
    told = [one.message for one in plan.outgoing if isinstance(one.message, AnsweredEvent)]
    assert [(one.ts_durable, one.ts_sent) for one in told] == [(NOW + 10, NOW + 20), (0, 0)][: len(told)]
    assert len(told) == len(reports)


def test_the_send_of_an_order_that_ended_is_not_kept() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    engine.plan_not_sent(ClientOrderId("a-1-1"), "refused", NOW)
    engine.note_sent(ClientOrderId("a-1-1"), NOW, NOW)
    plan = engine.plan_reports([fill("a-1-1", "t1")], NOW)
    told = [one.message for one in plan.outgoing if isinstance(one.message, AnsweredEvent)]
    assert [(one.ts_durable, one.ts_sent) for one in told] == [(0, 0)]


def test_the_same_command_twice_is_one_order() -> None:
    engine = new_engine()
    command = submit()
    first = engine.plan_commands([command, command], NOW)
    again = engine.plan_commands([command], NOW)
    assert len(first.submits) == 1
    assert again.is_empty
    assert engine.duplicates == 2


def test_another_command_with_a_used_id_is_denied_and_leaves_the_first_alone() -> None:
    engine = new_engine()
    accepted(engine)
    plan = engine.plan_commands([submit("a-1-1", price=5_000_000)], NOW)
    [item] = plan.outgoing
    assert isinstance(item.message, OrderDenied)
    assert item.message.reason.startswith("DUPLICATE_CLIENT_ORDER_ID")
    assert item.message.sequence == 0
    assert engine.orders[ClientOrderId("a-1-1")].status is S.ACCEPTED
    assert not plan.submits


def test_an_earlier_start_of_a_strategy_is_denied_once_a_later_one_has_begun_and_may_still_cancel() -> None:
    engine = new_engine()
    began = BeginStrategyRun(
        event_id="b",
        correlation_id="b",
        causation_id="",
        ts_event=NOW,
        ts_init=NOW,
        account_id=ACCOUNT,
        strategy_id=STRATEGY,
        run=3,
    )
    first = engine.plan_commands([submit("a-2-1", run=2)], NOW)
    assert len(first.submits) == 1
    plan = engine.plan_commands([began, submit("a-2-2", run=2), submit("a-3-1", run=3), submit("a-0-1")], NOW)
    assert [request.client_order_id for request in plan.submits] == ["a-3-1", "a-0-1"]
    [denied] = [item.message for item in plan.outgoing if isinstance(item.message, OrderDenied)]
    assert (denied.client_order_id, denied.reason) == ("a-2-2", "STRATEGY_SUPERSEDED: limit=3 value=2")
    engine.begin_run(STRATEGY, 1)
    assert not engine.plan_commands([submit("a-2-3", run=2)], NOW).submits


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"price": -1}, DenyCode.PRICE_NOT_POSITIVE),
        ({"price": None}, DenyCode.PRICE_MISSING),
        ({"price": 100_000_001}, DenyCode.PRICE_EXCEEDS_MAX),
        ({"price": 10**30}, DenyCode.PRICE_EXCEEDS_MAX),
        ({"size": 0}, DenyCode.SIZE_NOT_POSITIVE),
        ({"size": -10_000}, DenyCode.SIZE_NOT_POSITIVE),
        ({"size": 900_000_001}, DenyCode.SIZE_EXCEEDS_MAX),
        ({"size": 10**40}, DenyCode.SIZE_EXCEEDS_MAX),
        ({"size": 1, "price": 100}, DenyCode.NOTIONAL_BELOW_MIN),
        ({"size": 500_000}, DenyCode.NOTIONAL_EXCEEDS_MAX_PER_ORDER),
        ({"side": OrderSide.SELL, "size": 10_000, "reduce_only": True}, DenyCode.REDUCE_ONLY_WOULD_INCREASE),
        ({"order_type": OrderType.STOP_LIMIT}, DenyCode.ORDER_TYPE_UNSUPPORTED),
        ({"order_type": OrderType.MARKET, "price": None}, DenyCode.PRICE_REFERENCE_MISSING),
        ({"instrument_id": "ETHUSDT.BINANCE"}, DenyCode.INSTRUMENT_UNKNOWN),
        ({"ts_init": NOW - 31_000_000_000}, DenyCode.COMMAND_TOO_OLD),
    ],
)
def test_bad_orders_are_denied_with_their_code(fields: dict[str, object], code: DenyCode) -> None:
    assert denial(new_engine(), **fields).split(":")[0] == code


def test_off_tick_and_off_step_are_denied() -> None:
    engine = new_engine()
    coarse = type(BTCUSDT)(**{f: getattr(BTCUSDT, f) for f in BTCUSDT.__struct_fields__} | {"price_increment": 10})
    engine.instruments[BTCUSDT.instrument_id] = coarse
    assert denial(engine, price=6_000_001) == "PRICE_OFF_TICK: limit=0.10 value=60000.01"
    lots = type(BTCUSDT)(**{f: getattr(BTCUSDT, f) for f in BTCUSDT.__struct_fields__} | {"size_increment": 100})
    engine.instruments[BTCUSDT.instrument_id] = lots
    assert denial(engine, size=10_050).startswith("SIZE_OFF_STEP")


def test_reservations_hold_the_instrument_limit_to_the_last_order() -> None:
    engine = new_engine(RiskLimits(max_instrument_notional=Decimal(18_000)))
    plan = engine.plan_commands([submit() for _ in range(5)], NOW)
    assert len(plan.submits) == 3
    assert sum(o.status is S.DENIED for o in plan.new_orders.values()) == 2


def test_a_position_counts_in_the_instrument_limit() -> None:
    engine = new_engine(RiskLimits(max_instrument_notional=Decimal(9_000)))
    accepted(engine)
    engine.plan_reports([fill("a-1-1", "t1"), fill("a-1-1", "t2")], NOW)
    assert denial(engine).startswith("NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT: limit=9000 value=12000")


def test_account_limit_counts_what_other_instruments_hold() -> None:
    engine = new_engine(RiskLimits(max_account_notional=Decimal(10_000)))
    fields = {f: getattr(BTCUSDT, f) for f in BTCUSDT.__struct_fields__} | {"instrument_id": "XBTUSDT.BINANCE"}
    engine.instruments["XBTUSDT.BINANCE"] = type(BTCUSDT)(**fields)  # type: ignore[index]
    engine.plan_commands([submit(instrument_id="XBTUSDT.BINANCE")], NOW)
    assert denial(engine).startswith("NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT: limit=10000 value=12000")


def test_balance_is_reserved_while_orders_rest() -> None:
    engine = new_engine(USDT=10_000, BTC=0)
    accepted(engine)
    reason = denial(engine)
    assert reason.startswith("BALANCE_INSUFFICIENT")
    assert "4000" in reason
    engine.plan_reports([status("a-1-1", S.CANCELED)], NOW)
    assert engine.plan_commands([submit()], NOW).submits


def test_open_order_counts_are_bounded() -> None:
    engine = new_engine(RiskLimits(max_open_orders_per_instrument=2, max_open_orders=2))
    engine.plan_commands([submit(), submit()], NOW)
    assert denial(engine).startswith("OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT: limit=2 value=3")


def test_trading_states_bind_by_scope_and_cancels_always_pass() -> None:
    engine = new_engine()
    accepted(engine)
    engine.set_trading_state(f"strategy:{STRATEGY}", TradingState.HALTED)
    assert denial(engine).startswith("TRADING_HALTED")
    assert engine.plan_commands([cancel("a-1-1")], NOW).cancels
    engine.set_trading_state(f"strategy:{STRATEGY}", TradingState.ACTIVE)
    engine.set_trading_state("firm", TradingState.REDUCING)
    assert denial(engine).startswith("TRADING_REDUCING")


def test_reducing_lets_a_position_shrink() -> None:
    engine = new_engine()
    accepted(engine)
    engine.plan_reports([fill("a-1-1", "t1"), fill("a-1-1", "t2")], NOW)
    engine.set_trading_state("firm", TradingState.REDUCING)
    assert engine.plan_commands([submit(side=OrderSide.SELL)], NOW).submits


def test_not_ready_denies() -> None:
    engine = new_engine()
    engine.not_ready_reason = "private stream: gone"
    assert denial(engine) == "NOT_READY: value=private stream: gone"


def test_fills_move_the_book_once_however_often_they_are_told() -> None:
    engine = new_engine()
    accepted(engine)
    first = engine.plan_reports([fill("a-1-1", "t1")], NOW)
    assert event_names(first) == ["OrderFilled", "PositionChanged"]
    assert engine.plan_reports([fill("a-1-1", "t1")], NOW).is_empty
    assert engine.ledger.books[STRATEGY, "USDT"] == Decimal(-3000)
    assert engine.ledger.books[STRATEGY, "BTC"] == Decimal("0.04995")
    assert engine.ledger.totals["USDT"] == Decimal(997_000)


def test_a_fill_without_an_acknowledgement_is_believed() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    plan = engine.plan_reports([fill("a-1-1", "t1", size=10_000)], NOW)
    assert "OrderFilled" in event_names(plan)
    assert plan.changed_orders[ClientOrderId("a-1-1")].status is S.FILLED


def test_a_final_word_waits_for_the_fills_that_it_counts() -> None:
    engine = new_engine()
    accepted(engine)
    early = engine.plan_reports([status("a-1-1", S.CANCELED, filled_size=5_000)], NOW)
    assert early.is_empty
    assert [r.filled_size for r in engine.incomplete.values()] == [5_000]
    plan = engine.plan_reports([fill("a-1-1", "t1")], NOW)
    assert event_names(plan) == ["OrderFilled", "PositionChanged", "OrderCanceled"]
    assert not len(engine.incomplete)


def test_a_fill_after_the_cancel_is_booked_and_leaves_it_canceled() -> None:
    engine = new_engine()
    accepted(engine)
    engine.plan_reports([status("a-1-1", S.CANCELED)], NOW)
    plan = engine.plan_reports([fill("a-1-1", "t1")], NOW)
    assert plan.changed_orders[ClientOrderId("a-1-1")].status is S.CANCELED
    assert plan.changed_orders[ClientOrderId("a-1-1")].filled_size == 5_000
    assert engine.ledger.positions[STRATEGY, BTCUSDT.instrument_id].signed_size == 5_000


def test_unknown_keeps_its_worst_case_until_the_venue_speaks() -> None:
    engine = new_engine(USDT=6_000, BTC=0)
    engine.plan_commands([submit("a-1-1")], NOW)
    assert event_names(engine.plan_unknown(ClientOrderId("a-1-1"), "timeout", NOW)) == ["OrderOutcomeUnknown"]
    assert engine.orders[ClientOrderId("a-1-1")].outcome is Outcome.UNKNOWN
    assert denial(engine).startswith("BALANCE_INSUFFICIENT")
    plan = engine.plan_not_sent(ClientOrderId("a-1-1"), "NOT_AT_VENUE", NOW)
    assert event_names(plan) == ["OrderOutcomeResolved", "OrderRejected"]
    assert engine.plan_commands([submit()], NOW).submits


def test_not_sent_is_refused_once_the_venue_has_shown_the_order() -> None:
    engine = new_engine()
    accepted(engine)
    assert engine.plan_not_sent(ClientOrderId("a-1-1"), "late 404", NOW).is_empty


def test_a_cancel_before_the_acknowledgement_goes_out_after_it() -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    assert engine.plan_commands([cancel("a-1-1")], NOW).is_empty
    plan = engine.plan_reports([status("a-1-1", S.ACCEPTED)], NOW)
    assert event_names(plan) == ["OrderAccepted", "OrderPendingCancel"]
    assert len(plan.cancels) == 1


def test_cancel_all_takes_only_the_named_strategy() -> None:
    engine = new_engine()
    accepted(engine, "a-1-1")
    accepted(engine, "b-1-1", strategy_id="other")
    command = CancelAllOrders(
        event_id="c", correlation_id="c", causation_id="", ts_event=NOW, ts_init=NOW, account_id=ACCOUNT,
        strategy_id=STRATEGY,
    )  # fmt: skip
    assert [c.client_order_id for c in engine.plan_commands([command], NOW).cancels] == ["a-1-1"]


def test_a_refused_cancel_restores_the_order() -> None:
    engine = new_engine()
    accepted(engine)
    engine.plan_commands([cancel("a-1-1")], NOW)
    plan = engine.plan_cancel_refused(ClientOrderId("a-1-1"), "busy", NOW)
    assert event_names(plan) == ["OrderCancelRejected"]
    assert engine.orders[ClientOrderId("a-1-1")].status is S.ACCEPTED


def test_foreign_orders_belong_to_external() -> None:
    engine = new_engine()
    plan = engine.plan_reports([status("web_1", S.ACCEPTED), fill("web_1", "t9")], NOW)
    assert plan.new_orders[ClientOrderId("web_1")].strategy_id == EXTERNAL
    assert engine.ledger.positions[EXTERNAL, BTCUSDT.instrument_id].signed_size == 5_000


def test_a_fill_that_nobody_can_place_waits_for_its_order() -> None:
    engine = new_engine()
    assert engine.plan_reports([fill("lost", "t1")], NOW).is_empty
    assert len(engine.orphans) == 1
    engine.plan_commands([submit("lost")], NOW)
    assert "OrderFilled" in event_names(engine.plan_reports(engine.orphans.values(), NOW))
    assert len(engine.orphans) == 0


def test_market_orders_are_counted_at_the_opposite_best() -> None:
    engine = new_engine()
    for side, price in ((OrderSide.SELL, 6_000_100), (OrderSide.BUY, 6_000_000)):
        engine.risk.prices.take(BTCUSDT.instrument_id, side, price, NOW)
    plan = engine.plan_commands([submit(order_type=OrderType.MARKET, price=None)], NOW)
    assert len(plan.submits) == 1
    assert engine.risk.reserved_notional(BTCUSDT.instrument_id, OrderSide.BUY) == Decimal("6000.1")


REPORTS = [
    status("a-1-1", S.ACCEPTED),
    status("a-1-1", S.PARTIALLY_FILLED, filled_size=2_000),
    status("a-1-1", S.PARTIALLY_FILLED, filled_size=7_000),
    status("a-1-1", S.CANCELED, filled_size=7_000),
    fill("a-1-1", "t1", size=2_000, fee=Decimal("0.00002")),
    fill("a-1-1", "t2", size=5_000),
]


@given(st.lists(st.sampled_from(REPORTS), max_size=20))
def test_reports_in_any_order_and_number_end_in_the_same_truth(noise: list[object]) -> None:
    """Doubled, reordered and early reports never book a fill twice; with all of them told, the end is the venue's."""
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    plans = [engine.plan_reports([report], NOW) for report in [*noise, *REPORTS]]
    order = engine.find(ClientOrderId("a-1-1"))
    assert order is not None
    assert (order.status, order.filled_size) == (S.CANCELED, 7_000)
    assert sum(len(plan.fills) for plan in plans) == 2
    assert engine.ledger.books[STRATEGY, "USDT"] == Decimal(-4200)
    sequences = [item.sequence for plan in plans for item in plan.outgoing if item.sequence]
    assert sequences == list(range(3, 3 + len(sequences)))
    assert sum((a for (_, c), a in engine.ledger.books.items() if c == "USDT"), Decimal(0)) == Decimal(995_800)
    assert all(plan.is_empty for plan in (engine.plan_reports([r], NOW) for r in REPORTS))


@given(st.permutations(REPORTS))
def test_reports_told_once_in_any_order_end_in_the_same_truth(reports: list[object]) -> None:
    engine = new_engine()
    engine.plan_commands([submit("a-1-1")], NOW)
    for report in reports:
        engine.plan_reports([report], NOW)
    order = engine.find(ClientOrderId("a-1-1"))
    assert order is not None
    assert (order.status, order.filled_size) == (S.CANCELED, 7_000)
    assert not len(engine.incomplete)
