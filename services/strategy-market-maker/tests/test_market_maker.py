"""What the market maker quotes, when it replaces, and what it must never do."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import ClientOrderId
from tradewind.services.strategy_market_maker.service import SERVICE
from tradewind.services.strategy_market_maker.strategy import MarketMaker, MarketMakerSettings
from tradewind.strategy.commanding import order_of
from tradewind.strategy.engine import StrategyEngine, StrategyFailed
from tradewind.strategy.saved_state import decode_checkpoint, state_of
from tradewind.strategy.testing import BTC, SECOND, T0, accepted, canceled, denied, drain, engine, feed, filled, quote
from tradewind.wire.commands import CancelOrder, SubmitOrder

BID, ASK = 6_000_000, 6_000_001


def started(**options: Any) -> StrategyEngine:
    made = engine(MarketMaker(), settings=MarketMakerSettings(**options))
    made.start()
    return made


def show(made: StrategyEngine, bid: int, ask: int, at_s: float) -> list[Any]:
    return feed(made, quote(bid, ask, at=T0 + int(at_s * SECOND)))


def accept_all(made: StrategyEngine) -> dict[OrderSide, Any]:
    orders = {order.side: order for order in made.context.open_orders()}
    for order in orders.values():
        made.order_event(accepted(order))
    return orders


def test_both_sides_join_the_touch_post_only() -> None:
    bid, ask = show(started(), BID, ASK, 0)
    assert (bid.side, bid.price, bid.post_only) == (OrderSide.BUY, BID, True)
    assert (ask.side, ask.price, ask.post_only) == (OrderSide.SELL, ASK, True)
    assert bid.size == ask.size == 1_000


def test_it_stands_still_while_the_market_does() -> None:
    made = started()
    show(made, BID, ASK, 0)
    accept_all(made)
    assert [show(made, BID + drift, ASK + drift, 1 + drift) for drift in (0, 10, 50)] == [[], [], []]


def test_a_move_past_the_threshold_replaces_cancel_first() -> None:
    made = started()
    show(made, BID, ASK, 0)
    orders = accept_all(made)
    assert show(made, BID + 300, ASK + 300, 0.1) == []
    cancels = show(made, BID + 300, ASK + 300, 0.6)
    assert {command.client_order_id for command in cancels} == {order.client_order_id for order in orders.values()}
    assert show(made, BID + 300, ASK + 300, 0.7) == []
    for order in orders.values():
        made.order_event(canceled(order))
    assert [command.price for command in show(made, BID + 300, ASK + 300, 0.8)] == [BID + 300, ASK + 300]


def test_nothing_is_cancelled_before_the_venue_has_taken_it() -> None:
    made = started()
    show(made, BID, ASK, 0)
    assert show(made, BID + 900, ASK + 900, 5) == []


def test_inventory_moves_both_quotes_against_it() -> None:
    made = started(skew_ppm=100)
    made.context.position(BTC).signed_size = 4_000
    bid, ask = show(made, BID, BID + 2_000, 0)
    assert BID - bid.price == pytest.approx(480, abs=2)
    assert (BID + 2_000) - ask.price == pytest.approx(480, abs=2)


def test_a_full_inventory_is_quoted_on_one_side() -> None:
    made = started()
    made.context.position(BTC).signed_size = 5_000
    (ask,) = show(made, BID, ASK, 0)
    assert ask.side is OrderSide.SELL
    made = started()
    made.context.position(BTC).signed_size = -4_500
    (bid,) = show(made, BID, ASK, 0)
    assert bid.side is OrderSide.BUY


def test_the_side_that_filled_is_quoted_again() -> None:
    made = started()
    show(made, BID, ASK, 0)
    orders = accept_all(made)
    made.order_event(filled(orders[OrderSide.BUY], 1_000))
    (bid,) = show(made, BID, ASK, 1)
    assert bid.side is OrderSide.BUY
    assert made.context.position(BTC).signed_size == 1_000


def test_a_stale_quote_of_ours_is_not_crossed() -> None:
    made = started()
    show(made, BID, ASK, 0)
    orders = accept_all(made)
    made.order_event(filled(orders[OrderSide.BUY], 1_000))
    commands = show(made, BID + 500, ASK + 500, 1)
    assert [type(command) for command in commands] == [CancelOrder]
    assert commands[0].client_order_id == orders[OrderSide.SELL].client_order_id


def test_a_refused_side_pauses_and_the_other_goes_on() -> None:
    made = started(refusal_pause_s=2.0)
    bid, ask = show(made, BID, ASK, 0)
    made.order_event(denied(made.tracker.open[bid.client_order_id], "BALANCE_INSUFFICIENT: limit=0 value=1"))
    made.order_event(accepted(made.tracker.open[ask.client_order_id]))
    assert show(made, BID, ASK, 1.9) == []
    (again,) = show(made, BID, ASK, 2.0)
    assert again.side is OrderSide.BUY


def test_settings_that_make_no_sense_stop_the_strategy_with_words() -> None:
    with pytest.raises(ValueError, match="at most max_position"):
        MarketMakerSettings(size=Decimal(1), max_position=Decimal("0.5"))
    made = engine(MarketMaker(), settings=MarketMakerSettings(size=Decimal(0)))
    with pytest.raises(StrategyFailed, match="max_position"):
        made.start()


def test_the_service_is_complete() -> None:
    assert SERVICE.name == "strategy-market-maker"
    assert SERVICE.settings is MarketMakerSettings


Step = tuple[int, int, int, str]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-400, 400), st.integers(1, 60), st.integers(0, 800), st.sampled_from("afcdx")),
        min_size=1,
        max_size=80,
    )
)
def test_whatever_happens_one_order_a_side_no_crossing_and_a_bounded_inventory(steps: list[Step]) -> None:
    made = started()
    bid, now_ms = BID, 0
    for move, spread, pause_ms, answer in steps:
        bid, now_ms = bid + move, now_ms + pause_ms
        for command in feed(made, quote(bid, bid + spread, at=T0 + now_ms * 1_000_000)):
            if isinstance(command, SubmitOrder):
                assert command.price is not None
                assert command.price < bid + spread if command.side is OrderSide.BUY else command.price > bid
        _check_promises(made)
        for order in made.context.open_orders():
            _answer(made, order, answer)
    _check_promises(made)


def _answer(made: StrategyEngine, order: Any, answer: str) -> None:
    if order.event_count == 0:
        made.order_event(denied(order, "SIZE_OFF_STEP") if answer == "d" else accepted(order))
    elif answer == "f":
        made.order_event(filled(order, min(400, order.remaining_size)))
    elif answer == "c" and made.context.is_cancel_pending(order):
        made.order_event(canceled(order))


def _check_promises(made: StrategyEngine) -> None:
    orders = made.context.open_orders()
    bids = [order.price or 0 for order in orders if order.side is OrderSide.BUY]
    asks = [order.price or 0 for order in orders if order.side is OrderSide.SELL]
    assert len(bids) <= 1
    assert len(asks) <= 1
    assert not (bids and asks) or bids[0] < asks[0]
    assert abs(made.context.position(BTC).signed_size) <= 5_000


def crashed_and_back(made: StrategyEngine, **options: Any) -> StrategyEngine:
    """A new process that goes on from the checkpoint of now."""
    checkpoint = decode_checkpoint(made.capture().stored)
    back = engine(MarketMaker(), settings=MarketMakerSettings(**options), run=2)
    back.resume(checkpoint, state_of(checkpoint, back.strategy), [], [])
    return back


def test_after_a_crash_its_quotes_are_still_its_quotes() -> None:
    made = started()
    show(made, BID, ASK, 0)
    orders = accept_all(made)
    back = crashed_and_back(made)
    assert show(back, BID, ASK, 0.2) == []
    (cancel,) = show(back, BID - 5_000, ASK - 5_000 + 4_995, 1)
    assert isinstance(cancel, CancelOrder)
    assert cancel.client_order_id == orders[OrderSide.BUY].client_order_id


def test_a_quote_that_was_sent_after_the_checkpoint_is_not_sent_again() -> None:
    made = started()
    before = made.capture()
    bid, ask = show(made, BID, ASK, 0)
    checkpoint = decode_checkpoint(before.stored)
    back = engine(MarketMaker(), settings=MarketMakerSettings(), run=2)
    back.resume(checkpoint, state_of(checkpoint, back.strategy), [order_of(bid), order_of(ask)], [])
    assert show(back, BID, ASK, 1) == []


def test_adopting_keeps_one_quote_per_side() -> None:
    made = started()
    first, second = ([order_of(command) for command in show(started(), BID - off, ASK, 0)] for off in (0, 10))
    for number, order in enumerate((*first, *second)):
        order.client_order_id = ClientOrderId(f"test-one-0-{number}")
        made.tracker.add(order)
    made.adopt()
    commands = drain(made)
    assert [type(command) for command in commands] == [CancelOrder, CancelOrder]
    assert {command.client_order_id for command in commands} == {"test-one-0-2", "test-one-0-3"}
