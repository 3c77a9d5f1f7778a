"""Orders and positions of one strategy, the throttle, and the pauses after denials."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from recording_strategy import Recorder

from tradewind.model.enums import OrderSide, Outcome
from tradewind.model.identifiers import StrategyId, TradeId
from tradewind.model.order_status import OrderStatus
from tradewind.model.positions import Position
from tradewind.strategy import Strategy
from tradewind.strategy.testing import (
    ACCOUNT,
    BTC,
    ETH,
    SECOND,
    STRATEGY,
    T0,
    accepted,
    canceled,
    denied,
    drain,
    engine,
    feed,
    filled,
    quote,
)
from tradewind.strategy.throttle import FIRST_PAUSE_NS, SubmitThrottle
from tradewind.wire.commands import CancelAllOrders, CancelOrder
from tradewind.wire.events import OrderCancelRejected, OrderEvent, OrderOutcomeUnknown


def submitted(made: Any, side: OrderSide = OrderSide.BUY, size: int = 100) -> Any:
    order = made.context.submit_limit(BTC, side, size, 5_000)
    assert order is not None
    return order


def test_an_order_lives_through_its_events() -> None:
    made = engine(strategy := Recorder())
    order = submitted(made)
    assert made.context.open_orders() == [order]
    made.order_event(accepted(order))
    made.order_event(filled(order, 40))
    assert (order.status, order.remaining_size) == (OrderStatus.PARTIALLY_FILLED, 60)
    assert made.context.open_orders(BTC, OrderSide.BUY) == [order]
    assert made.context.open_orders(BTC, OrderSide.SELL) == made.context.open_orders(ETH) == []
    made.order_event(filled(order, 60))
    assert order.status is OrderStatus.FILLED
    assert made.context.open_orders() == []
    assert made.context.position(BTC).signed_size == 100
    assert made.context.position(BTC).average_price == Decimal(50)
    assert len(strategy.events) == 3


def test_the_position_is_up_to_date_inside_the_callback() -> None:
    class Looks(Strategy):
        def on_order_event(self, event: Any) -> None:
            self.seen = (self.context.position(BTC).signed_size, len(self.context.open_orders()))

    made = engine(strategy := Looks())
    order = submitted(made, OrderSide.SELL)
    made.order_event(filled(order, 100))
    assert strategy.seen == (-100, 0)


def test_an_event_that_comes_twice_is_told_once() -> None:
    made = engine(strategy := Recorder())
    order = submitted(made)
    fill = filled(order, 40)
    for _ in range(3):
        made.order_event(fill)
    assert made.context.position(BTC).signed_size == 40
    assert len(strategy.events) == 1


def test_a_fill_after_the_cancel_still_moves_order_and_position() -> None:
    made = engine(Recorder())
    order = submitted(made)
    made.order_event(canceled(order))
    assert made.context.open_orders() == []
    late = filled(order, 100)
    made.order_event(late)
    assert (order.status, made.context.position(BTC).signed_size) == (OrderStatus.FILLED, 100)


def test_events_of_other_strategies_are_not_ours() -> None:
    made = engine(strategy := Recorder())
    order = submitted(made)
    made.order_event(msgspec.structs.replace(filled(order, 40), strategy_id=StrategyId("other")))
    assert strategy.events == []
    assert made.context.position(BTC).signed_size == 0


def test_an_unknown_outcome_keeps_a_closed_order_open() -> None:
    made = engine(Recorder())
    order = submitted(made)
    head = {name: getattr(canceled(order), name) for name in OrderEvent.__struct_fields__}
    made.order_event(OrderOutcomeUnknown(**head, reason="no answer"))
    assert order.outcome is Outcome.UNKNOWN
    assert made.context.open_orders() == [order]


def test_what_the_store_knew_is_not_counted_again() -> None:
    made = engine(Recorder())
    order = submitted(made)
    old = filled(order, 30, trade_id="t-old")
    made = engine(Recorder(), run=2)
    position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=BTC, signed_size=30)
    foreign = Position(account_id=ACCOUNT, strategy_id=StrategyId("other"), instrument_id=BTC, signed_size=99)
    made.load([position, foreign], [order], [TradeId("t-old")])
    made.order_event(old)
    assert made.context.position(BTC).signed_size == 30
    assert made.context.open_orders() == [order]
    made.order_event(filled(order, 5))
    assert made.context.position(BTC).signed_size == 35


def test_a_fill_of_an_order_from_before_reaches_the_position() -> None:
    made = engine(strategy := Recorder(), run=2)
    stranger = submitted(engine(Recorder()))
    made.order_event(filled(stranger, 100))
    assert made.context.position(BTC).signed_size == 100
    assert len(strategy.events) == 1


def test_one_cancel_at_a_time() -> None:
    now = T0
    made = engine(Recorder(), wall_clock=lambda: now)
    order = submitted(made)
    drain(made)
    assert made.context.cancel(order)
    assert made.context.is_cancel_pending(order)
    assert not made.context.cancel(order)
    assert not made.context.cancel_all()
    (command,) = drain(made)
    assert isinstance(command, CancelOrder)
    assert command.correlation_id == order.client_order_id
    head = {name: getattr(accepted(order), name) for name in OrderEvent.__struct_fields__}
    made.order_event(OrderCancelRejected(**head, reason="too late"))
    assert not made.context.is_cancel_pending(order)
    assert made.context.cancel(order)
    now += 3 * SECOND
    assert made.context.cancel(order)
    made.order_event(canceled(order))
    assert not made.context.cancel(order)


def test_cancel_all_is_one_command() -> None:
    made = engine(Recorder())
    submitted(made)
    submitted(made)
    drain(made)
    assert made.context.cancel_all(BTC)
    (command,) = drain(made)
    assert isinstance(command, CancelAllOrders)
    assert command.instrument_id == BTC
    assert not made.context.cancel_all(BTC)


def test_a_command_made_on_an_event_names_the_event() -> None:
    class Answers(Strategy):
        def on_order_event(self, event: Any) -> None:
            self.context.sell(BTC, 1, 1)

    made = engine(Answers())
    order = submitted(made)
    drain(made)
    fill = filled(order, 100)
    made.order_event(fill)
    ((command, tick_ns),) = made.desk.pending
    assert tick_ns == 0
    assert command.causation_id == fill.event_id


def test_an_event_in_the_middle_of_a_batch_does_not_take_over_its_cause() -> None:
    class Buys(Strategy):
        def on_quote(self, quote: Any) -> None:
            self.context.buy(BTC, 1, quote.ask_price)
            self.context.buy(BTC, 1, quote.ask_price)

    made = engine(Buys())
    walk = made.walk(quote(100, 102, sequence=5))
    next(walk)
    first, second = drain(made)
    made.order_event(accepted(made.tracker.open[first.client_order_id]))
    assert [first.causation_id, second.causation_id] == ["md:BINANCE:5"] * 2
    assert made.desk.now_ns() == T0 + 1_000


def test_the_throttle_keeps_orders_back_and_counts_them() -> None:
    class Floods(Strategy):
        def on_quote(self, quote: Any) -> None:
            self.context.buy(BTC, 1, 1)

    made = engine(Floods(), rate=5)
    commands = feed(made, *(quote(1, 2, at=T0 + n) for n in range(20)))
    assert len(commands) == 5
    assert made.context.suppressed_orders == 15
    assert len(made.context.open_orders()) == 5
    assert len(feed(made, quote(1, 2, at=T0 + SECOND))) == 1


def test_a_denial_that_would_repeat_itself_pauses_and_another_does_not() -> None:
    now = T0
    made = engine(Recorder(), wall_clock=lambda: now)
    made.order_event(denied(submitted(made), "PRICE_OFF_TICK: limit=0.01 value=0.011"))
    order = submitted(made)
    made.order_event(denied(order, "TRADING_HALTED: value=HALTED"))
    assert order.reason == "TRADING_HALTED: value=HALTED"
    assert made.context.buy(BTC, 1, 1) is None
    now += FIRST_PAUSE_NS
    order = submitted(made)
    made.order_event(denied(order, "NOT_READY"))
    now += FIRST_PAUSE_NS
    assert made.context.buy(BTC, 1, 1) is None
    now += FIRST_PAUSE_NS
    made.order_event(accepted(submitted(made)))


@given(st.lists(st.integers(0, SECOND), min_size=1, max_size=200), st.integers(1, 50))
def test_the_throttle_never_lets_more_through_than_burst_plus_rate(steps: list[int], rate: int) -> None:
    throttle = SubmitThrottle(rate)
    now, passed = T0, []
    for step in steps:
        now += step
        if throttle.allow(now):
            passed.append(now)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            window_s = (passed[last] - passed[first]) / SECOND
            assert last - first + 1 <= rate * (window_s + 1) + 1e-6
    assert throttle.suppressed == len(steps) - len(passed)
