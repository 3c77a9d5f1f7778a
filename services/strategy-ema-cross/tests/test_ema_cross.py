"""When the cross trades, with what, and when it must not."""

import itertools
from typing import Any

import pytest

from tradewind.model.enums import OrderSide, TimeInForce
from tradewind.services.strategy_ema_cross.service import SERVICE
from tradewind.services.strategy_ema_cross.strategy import EmaCross, EmaCrossSettings, Trend
from tradewind.strategy.engine import StrategyEngine, StrategyFailed
from tradewind.strategy.saved_state import decode_checkpoint, state_of
from tradewind.strategy.testing import BTC, SECOND, T0, denied, engine, feed, filled, quote

MID = 6_000_000
UP = tuple(range(0, 4_000, 100))
DOWN = tuple(-offset for offset in UP)


def started(**settings: Any) -> StrategyEngine:
    made = engine(EmaCross(), settings=EmaCrossSettings(**settings))
    made.start()
    return made


def play(made: StrategyEngine, offsets: tuple[int, ...], start_s: float = 0.0, step_s: float = 0.25) -> list[Any]:
    """One quote per offset; every order is filled at once, as an IOC at a liquid touch is."""
    commands = []
    for number, offset in enumerate(offsets):
        at = T0 + int((start_s + number * step_s) * SECOND)
        for command in feed(made, quote(MID + offset, MID + offset + 1, at=at)):
            commands.append(command)
            order = made.tracker.open[command.client_order_id]
            made.order_event(filled(order, order.size))
    return commands


def test_a_rise_is_bought_once_and_the_fall_after_it_sold_once() -> None:
    made = started()
    buy, sell = play(made, (*UP, *(UP[-1] - offset for offset in UP)))
    assert (buy.side, sell.side) == (OrderSide.BUY, OrderSide.SELL)
    assert buy.size == sell.size == 5_000
    assert buy.time_in_force is TimeInForce.IOC
    assert made.context.position(BTC).signed_size == 0


def test_a_fall_from_flat_is_not_sold_short() -> None:
    assert play(started(), DOWN) == []


def test_nothing_is_sent_before_the_warm_up() -> None:
    assert play(started(warm_up_s=60.0), UP) == []


def test_the_limit_reaches_through_the_touch_but_stays_on_a_tick() -> None:
    made = started(slippage_ppm=200)
    (buy,) = play(made, UP)
    seen = made.context.quote(BTC)
    assert seen is not None
    assert 0 < buy.price - (MID + 1) <= UP[-1] + 1_300


def test_one_order_at_a_time() -> None:
    made = started()
    commands = []
    for number, offset in enumerate(UP):
        commands += feed(made, quote(MID + offset, MID + offset + 1, at=T0 + number * SECOND // 4))
    assert len(commands) == 1


def test_after_a_denial_it_waits_before_it_tries_again() -> None:
    made = started(retry_s=2.0)
    attempts = []
    for number, offset in enumerate(UP):
        at = T0 + number * SECOND // 4
        for command in feed(made, quote(MID + offset, MID + offset + 1, at=at)):
            attempts.append(at)
            made.order_event(denied(made.tracker.open[command.client_order_id], "BALANCE_INSUFFICIENT: limit=0"))
    assert len(attempts) > 1
    assert all(later - earlier >= 2 * SECOND for earlier, later in itertools.pairwise(attempts))


def test_a_rest_that_is_too_small_to_trade_is_left_alone() -> None:
    made = started()
    made.context.position(BTC).signed_size = 1  # worth 0.60, and the least notional is 5
    assert play(made, DOWN) == []
    made.context.position(BTC).signed_size = 10
    assert [command.size for command in play(made, DOWN, start_s=30)] == [10]


def test_bursts_of_equal_quotes_do_not_move_the_average() -> None:
    quiet, busy = (Trend(0.5, 2.5, 0.0, 0.0) for _ in range(2))
    for trend, repeats in ((quiet, 1), (busy, 50)):
        trend.update(100.0, T0)
        for _ in range(repeats):
            trend.update(101.0, T0 + SECOND)
        trend.update(99.0, T0 + 2 * SECOND)
    assert quiet.__dict__ == busy.__dict__


def test_settings_that_make_no_sense_stop_the_strategy_with_words() -> None:
    made = engine(EmaCross(), settings=EmaCrossSettings(fast_s=3.0, slow_s=2.0))
    with pytest.raises(StrategyFailed, match="fast_s"):
        made.start()


def test_the_service_is_complete() -> None:
    assert SERVICE.name == "strategy-ema-cross"
    assert SERVICE.settings is EmaCrossSettings


def crashed_and_back(made: StrategyEngine, **settings: Any) -> StrategyEngine:
    """A new process that goes on from the checkpoint of now."""
    checkpoint = decode_checkpoint(made.capture().stored)
    back = engine(EmaCross(), settings=EmaCrossSettings(**settings), run=2)
    back.resume(checkpoint, state_of(checkpoint, back.strategy), [], [])
    return back


def test_after_a_crash_it_goes_on_without_a_warm_up() -> None:
    made = started()
    (buy,) = play(made, UP)
    back = crashed_and_back(made)
    assert back.context.position(BTC).signed_size == buy.size
    later = len(UP) * 0.25
    assert play(back, (UP[-1], UP[-1] + 100), start_s=later) == []
    (sell,) = play(back, tuple(UP[-1] - offset for offset in UP), start_s=later + 1)
    assert (sell.side, sell.size) == (OrderSide.SELL, buy.size)


def test_saved_averages_of_a_later_time_are_forgotten() -> None:
    made = started()
    play(made, UP, start_s=3_600)
    back = crashed_and_back(made)
    assert play(back, DOWN[:4]) == [], "the replay began again: it warms up first"
