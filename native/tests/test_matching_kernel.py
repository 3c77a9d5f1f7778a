"""The matching engine: the kernel and its Python twin give the same fills for the same orders."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind_native.matching as kernel
from tradewind.venue import matching as twin
from tradewind.wire.market_records import RecordSide
from tradewind_native.submission import Fill, MatchingTimeInForce, SubmitResult, SubmitStatus

BUY, SELL = RecordSide.BUY, RecordSide.SELL
GTC, IOC, FOK = MatchingTimeInForce.GTC, MatchingTimeInForce.IOC, MatchingTimeInForce.FOK
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

Engine = kernel.MatchingEngine | twin.MatchingEngine


@pytest.fixture(params=[kernel.MatchingEngine, twin.MatchingEngine], ids=["kernel", "twin"])
def engine(request: pytest.FixtureRequest) -> Engine:
    made: Engine = request.param()
    return made


def with_asks(engine: Engine) -> Engine:
    """Asks: 11 at 100 (5, owner 1), 12 at 100 (7, owner 2), 13 at 101 (9, owner 1)."""
    for order_id, price, size, owner in ((11, 100, 5, 1), (12, 100, 7, 2), (13, 101, 9, 1)):
        assert engine.submit(order_id, SELL, price, size, owner=owner).status is SubmitStatus.ACCEPTED
    return engine


def test_an_order_that_meets_nobody_rests(engine: Engine) -> None:
    assert engine.submit(1, BUY, 100, 5) == SubmitResult(SubmitStatus.ACCEPTED, 5, [])
    assert engine.submit(2, SELL, 101, 6) == SubmitResult(SubmitStatus.ACCEPTED, 6, [])
    assert (engine.best_bid(), engine.best_ask(), len(engine)) == ((100, 5), (101, 6), 2)
    assert (engine.remaining(1), engine.remaining(2), engine.remaining(3)) == (5, 6, 0)


def test_the_result_is_a_named_tuple(engine: Engine) -> None:
    result = with_asks(engine).submit(1, BUY, 100, 4, owner=9)
    assert isinstance(result, SubmitResult)
    assert result.status is SubmitStatus.FILLED
    assert isinstance(result.fills[0], Fill)
    assert result.fills[0]._asdict() == {
        "maker_order_id": 11,
        "price": 100,
        "size": 4,
        "maker_remaining": 1,
        "maker_owner": 1,
    }
    assert repr(result).startswith("SubmitResult(status=<SubmitStatus.FILLED")


def test_fills_go_by_price_then_by_time_at_the_makers_price(engine: Engine) -> None:
    result = with_asks(engine).submit(1, BUY, 105, 14)
    fills = [Fill(11, 100, 5, 0, 1), Fill(12, 100, 7, 0, 2), Fill(13, 101, 2, 7, 1)]
    assert result == SubmitResult(SubmitStatus.FILLED, 0, fills)
    assert engine.levels(SELL, 9) == [(101, 7)]
    assert (engine.remaining(11), engine.remaining(13), len(engine)) == (0, 7, 1)


def test_the_remainder_of_a_limit_order_rests_at_its_own_price(engine: Engine) -> None:
    result = with_asks(engine).submit(1, BUY, 100, 20)
    assert (result.status, result.remaining, len(result.fills)) == (SubmitStatus.PARTIALLY_FILLED, 8, 2)
    assert (engine.best_bid(), engine.best_ask()) == ((100, 8), (101, 9))


@pytest.mark.parametrize("size", [5, 12, 21])
def test_ioc_never_rests(engine: Engine, size: int) -> None:
    result = with_asks(engine).submit(1, BUY, 100, size, time_in_force=IOC)
    filled = sum(fill.size for fill in result.fills)
    assert (filled, result.remaining) == (min(size, 12), max(0, size - 12))
    assert result.status is (SubmitStatus.FILLED if size <= 12 else SubmitStatus.CANCELED)
    assert (engine.best_bid(), engine.remaining(1)) == (None, 0)


@pytest.mark.parametrize(
    ("price", "size", "fills"), [(100, 12, 2), (100, 13, 0), (101, 21, 3), (101, 22, 0), (99, 1, 0)]
)
def test_fok_fills_whole_or_not_at_all(engine: Engine, price: int, size: int, fills: int) -> None:
    before = with_asks(engine).levels(SELL, 9)
    result = engine.submit(1, BUY, price, size, time_in_force=FOK)
    assert len(result.fills) == fills
    if fills:
        assert result.status is SubmitStatus.FILLED
    else:
        assert (result.status, result.remaining) == (SubmitStatus.CANCELED, size)
        assert engine.levels(SELL, 9) == before


def test_a_market_order_takes_any_price_and_never_rests(engine: Engine) -> None:
    assert engine.submit(1, BUY, 0, 3, market=True) == SubmitResult(SubmitStatus.CANCELED, 3, [])
    result = with_asks(engine).submit(2, BUY, 0, 30, market=True)
    assert (result.status, result.remaining, len(result.fills)) == (SubmitStatus.CANCELED, 9, 3)
    engine.submit(3, BUY, INT64_MIN, 4)
    assert engine.submit(4, SELL, 0, 4, market=True).fills == [Fill(3, INT64_MIN, 4, 0, 0)]
    assert len(engine) == 0


def test_post_only_is_rejected_where_it_would_trade(engine: Engine) -> None:
    with_asks(engine)
    rejected = SubmitResult(SubmitStatus.REJECTED_POST_ONLY, 3, [])
    assert engine.submit(1, BUY, 100, 3, post_only=True) == rejected
    assert engine.submit(1, BUY, 100, 3, post_only=True, owner=1, prevent_self_trade=True) == rejected
    assert engine.submit(1, BUY, 99, 3, post_only=True).status is SubmitStatus.ACCEPTED
    assert engine.levels(SELL, 9) == [(100, 12), (101, 9)]


def test_self_trade_is_prevented_before_anything_trades(engine: Engine) -> None:
    with_asks(engine)
    rejected = SubmitResult(SubmitStatus.REJECTED_SELF_TRADE, 8, [])
    assert engine.submit(1, BUY, 100, 8, owner=2, prevent_self_trade=True) == rejected
    assert engine.size_at(SELL, 100) == 12
    first = engine.submit(1, BUY, 100, 5, owner=2, prevent_self_trade=True)
    assert first.fills == [Fill(11, 100, 5, 0, 1)]
    assert engine.submit(2, BUY, 100, 1, owner=2).fills == [Fill(12, 100, 1, 6, 2)]
    assert engine.submit(3, BUY, 90, 1, owner=2, prevent_self_trade=True).status is SubmitStatus.ACCEPTED


def test_owner_zero_is_nobody(engine: Engine) -> None:
    engine.submit(1, SELL, 5, 1)
    assert engine.submit(2, BUY, 5, 1, prevent_self_trade=True).status is SubmitStatus.FILLED


def test_cancel_answers_what_rested(engine: Engine) -> None:
    with_asks(engine).submit(1, BUY, 100, 3)
    assert engine.cancel(11) == 2
    assert (engine.cancel(11), engine.cancel(99), engine.size_at(SELL, 100)) == (0, 0, 7)
    assert engine.cancel(12) == 7
    assert (engine.best_ask(), len(engine)) == ((101, 9), 1)
    assert engine.submit(11, SELL, 100, 1).status is SubmitStatus.ACCEPTED


def test_reduce_keeps_priority_and_cancel_from_the_middle_keeps_the_queue(engine: Engine) -> None:
    for order_id in (1, 2, 3, 4):
        engine.submit(order_id, BUY, 50, 10)
    assert [engine.queue_ahead(order_id) for order_id in (1, 2, 3, 4)] == [0, 10, 20, 30]
    assert engine.reduce(1, 4) == 6
    assert engine.reduce(1, 4) == 0
    assert engine.reduce(77, 4) == 0
    assert engine.cancel(3) == 10
    assert [engine.queue_ahead(order_id) for order_id in (1, 2, 4)] == [0, 4, 14]
    assert engine.size_at(BUY, 50) == 24
    fills = engine.submit(9, SELL, 50, 20).fills
    assert [(fill.maker_order_id, fill.size) for fill in fills] == [(1, 4), (2, 10), (4, 6)]
    with pytest.raises(KeyError):
        engine.queue_ahead(3)


@pytest.mark.parametrize("new_size", [0, -1, 11])
def test_reduce_refuses_what_is_no_reduction(engine: Engine, new_size: int) -> None:
    engine.submit(1, BUY, 50, 10)
    with pytest.raises(ValueError, match="new size"):
        engine.reduce(1, new_size)
    assert (engine.remaining(1), engine.size_at(BUY, 50)) == (10, 10)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((1, BUY, 5, 0), {}, "size 0"),
        ((1, BUY, 5, -1), {}, "size -1"),
        ((1, 0, 5, 1), {}, "side is 1"),
        ((1, 3, 5, 1), {}, "side is 1"),
        ((1, BUY, 5, 1), {"time_in_force": 3}, "time in force"),
        ((1, BUY, 5, 1), {"time_in_force": -1}, "time in force"),
        ((1, BUY, 5, 1), {"post_only": True, "market": True}, "post_only"),
        ((1, BUY, 5, 1), {"post_only": True, "time_in_force": 1}, "post_only"),
        ((11, BUY, 5, 1), {}, "already rests"),
        ((11, BUY, 500, 1), {"time_in_force": 1}, "already rests"),
    ],
)
def test_wrong_orders_are_refused(engine: Engine, arguments: Any, options: Any, says: str) -> None:
    with_asks(engine)
    with pytest.raises(ValueError, match=says):
        engine.submit(*arguments, **options)
    assert (len(engine), engine.levels(SELL, 9)) == (3, [(100, 12), (101, 9)])


@pytest.mark.parametrize(
    "arguments", [(2**63, BUY, 1, 1), (1, BUY, 2**63, 1), (1, BUY, -(2**63) - 1, 1), (1, BUY, 1, 2**63)]
)
def test_numbers_past_64_bits_are_refused(engine: Engine, arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(OverflowError):
        engine.submit(*arguments)
    for call in (engine.cancel, engine.remaining, engine.queue_ahead):
        with pytest.raises(OverflowError):
            call(2**63)


def test_a_level_never_holds_more_than_64_bits(engine: Engine) -> None:
    engine.submit(1, BUY, 5, INT64_MAX - 1)
    engine.submit(2, BUY, 5, 1)
    with pytest.raises(OverflowError, match="would not fit"):
        engine.submit(3, BUY, 5, 1)
    engine.submit(4, SELL, 6, INT64_MAX)
    engine.submit(5, SELL, 7, INT64_MAX)
    assert engine.submit(6, BUY, 9, INT64_MAX, time_in_force=FOK).status is SubmitStatus.FILLED
    assert (engine.size_at(BUY, 5), engine.best_ask()) == (INT64_MAX, (7, INT64_MAX))


def test_extreme_prices_keep_their_order(engine: Engine) -> None:
    for number, price in enumerate([INT64_MAX, 0, -5]):
        engine.submit(number, SELL, price, 1)
    engine.submit(9, BUY, INT64_MIN, 1)
    assert engine.levels(SELL, 9) == [(-5, 1), (0, 1), (INT64_MAX, 1)]
    assert [fill.price for fill in engine.submit(8, BUY, INT64_MAX, 3).fills] == [-5, 0, INT64_MAX]
    assert engine.best_bid() == (INT64_MIN, 1)


# --- properties -----------------------------------------------------------------------------------------------------

submits = st.fixed_dictionaries(
    {
        "side": st.sampled_from([BUY, SELL]),
        "price": st.integers(95, 105),
        "size": st.integers(1, 20),
        "market": st.sampled_from([False, False, False, True]),
        "time_in_force": st.sampled_from([GTC, GTC, GTC, IOC, FOK]),
        "post_only": st.sampled_from([False, False, False, True]),
        "owner": st.integers(0, 3),
        "prevent_self_trade": st.booleans(),
    }
)
steps = st.lists(
    st.tuples(st.just("submit"), submits)
    | st.tuples(st.just("cancel"), st.integers(0, 80))
    | st.tuples(st.just("reduce"), st.tuples(st.integers(0, 80), st.integers(1, 12))),
    max_size=80,
)


def play(engine: Engine, order_id: int, step: tuple[str, Any]) -> object:
    action, argument = step
    try:
        if action == "submit":
            return engine.submit(order_id, **argument)
        return engine.cancel(argument) if action == "cancel" else engine.reduce(*argument)
    except ValueError as error:
        return str(error)


def state(engine: Engine, orders: int) -> object:
    resting = [(order_id, engine.remaining(order_id)) for order_id in range(orders) if engine.remaining(order_id)]
    queue = [engine.queue_ahead(order_id) for order_id, _ in resting]
    return resting, queue, engine.levels(BUY, 99), engine.levels(SELL, 99), len(engine)


@given(steps)
@settings(max_examples=300, deadline=None)
def test_kernel_and_twin_agree_and_size_is_conserved(taken_steps: list[tuple[str, Any]]) -> None:
    ours, theirs = kernel.MatchingEngine(), twin.MatchingEngine()
    resting = 0
    for order_id, step in enumerate(taken_steps):
        result = play(ours, order_id, step)
        assert result == play(theirs, order_id, step)
        assert state(ours, order_id + 1) == state(theirs, order_id + 1)
        if isinstance(result, SubmitResult):
            traded = sum(fill.size for fill in result.fills)
            rests = result.status in (SubmitStatus.ACCEPTED, SubmitStatus.PARTIALLY_FILLED)
            assert step[1]["size"] == traded + result.remaining
            resting += (result.remaining if rests else 0) - traded
        elif isinstance(result, int):
            resting -= result
        assert resting == sum(size for side in (BUY, SELL) for _, size in ours.levels(side, 99))
        bid, ask = ours.best_bid(), ours.best_ask()
        assert bid is None or ask is None or bid[0] < ask[0]


# --- exchange-core's scenarios --------------------------------------------------------------------------------------


def scenario_steps(path: Path) -> list[str]:
    """The steps of the first scenario that touch the book, tables joined to their step."""
    text = path.read_text().partition("Scenario Outline: basic full cycle test")[2].partition("Examples:")[0]
    lines = [re.sub(r"^(Given|When|Then|And) ", "", line.strip()) for line in text.splitlines() if line.strip()]
    joined: list[str] = []
    for line in lines:
        if line.startswith("|"):
            joined[-1] += "\n" + line
        else:
            joined.append(line)
    return joined


def wanted_book(step: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    bids, asks = [], []
    for row in step.splitlines()[1:]:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if cells == ["bid", "price", "ask"]:
            continue
        bid, price, ask = cells
        if ask:
            asks.append((int(price), int(ask)))
        else:
            bids.append((int(price), int(bid)))
    return bids, sorted(asks)


def place(engine: Engine, step: str) -> list[Fill]:
    order = re.match(r"A client (\w+) places an (ASK|BID) order (\d+) at (\d+)@(\d+) \(type: (GTC|IOC)", step)
    assert order is not None, step
    side = SELL if order[2] == "ASK" else BUY
    tif = MatchingTimeInForce[order[6]]
    return engine.submit(int(order[3]), side, int(order[4]), int(order[5]), time_in_force=tif).fills


def move(engine: Engine, step: str) -> list[Fill]:
    """exchange-core moves an order as cancel and submit under the same id."""
    moved = re.match(r"A client (\w+) moves a price to (\d+) of the order (\d+)", step)
    assert moved is not None, step
    return engine.submit(int(moved[3]), SELL, int(moved[2]), engine.cancel(int(moved[3]))).fills


def test_exchange_cores_basic_cycle(engine: Engine, test_data: Path) -> None:
    path = test_data / "matching" / "exchange-core.basic.feature"
    if not path.is_file():
        pytest.skip(f"no scenarios {path}")
    fills: list[Fill] = []
    checked = 0
    for step in scenario_steps(path):
        if " places an " in step:
            fills = place(engine, step)
        elif " moves a price " in step:
            fills = move(engine, step)
        elif step.startswith("An "):
            assert (engine.levels(BUY, 9), engine.levels(SELL, 9)) == wanted_book(step)
            checked += 1
        elif step.startswith("No trade events"):
            assert fills == []
            checked += 1
        elif match := re.match(r"The order (\d+) is (partially|fully) matched. LastPx: (\d+), LastQty: (\d+)", step):
            (fill,) = fills
            assert [fill.maker_order_id, fill.price, fill.size] == [int(match[1]), int(match[3]), int(match[4])]
            assert (fill.maker_remaining == 0) == (match[2] == "fully")
            checked += 1
    assert checked == 8
