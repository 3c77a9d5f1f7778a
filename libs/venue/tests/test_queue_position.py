"""The queue position never promises more than the recording allows, and gives every size out once."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venue.queue_position import BUY, SELL, PassiveOrders

PRICE = 100


def _resting(queue_ahead: int = 5, size: int = 3, side: int = BUY, order_id: int = 1) -> PassiveOrders:
    orders = PassiveOrders()
    orders.add(order_id, side, PRICE, size, queue_ahead=queue_ahead, as_of=10)
    return orders


def test_trades_at_our_price_take_first_what_is_ahead() -> None:
    orders = _resting()
    assert orders.on_trade(PRICE, 4, SELL) == []
    assert orders.position(1).queue_ahead == 1
    assert orders.on_trade(PRICE, 3, SELL) == [(1, PRICE, 2, 1)]
    assert orders.on_trade(PRICE, 9, SELL) == [(1, PRICE, 1, 0)]
    assert 1 not in orders


def test_a_trade_by_our_own_side_does_nothing() -> None:
    orders = _resting()
    assert orders.on_trade(PRICE, 50, BUY) == []
    assert orders.position(1).queue_ahead == 5


def test_a_trade_at_a_better_price_does_not_reach_us() -> None:
    assert _resting().on_trade(PRICE + 1, 50, SELL) == []
    assert _resting(side=SELL).on_trade(PRICE - 1, 50, BUY) == []


def test_a_trade_through_our_price_fills_up_to_its_size() -> None:
    orders = _resting()
    assert orders.on_trade(PRICE - 1, 2, SELL) == [(1, PRICE, 2, 1)]
    assert _resting(side=SELL).on_trade(PRICE + 1, 7, BUY) == [(1, PRICE, 3, 0)]


def test_a_smaller_display_caps_the_queue_and_a_larger_one_does_not_lengthen_it() -> None:
    orders = _resting()
    orders.on_displayed(BUY, PRICE, 9, 11)
    assert orders.position(1).queue_ahead == 5
    orders.on_displayed(BUY, PRICE, 2, 12)
    assert orders.position(1).queue_ahead == 2
    orders.on_displayed(SELL, PRICE, 0, 13)
    orders.on_displayed(BUY, PRICE - 1, 0, 13)
    assert orders.position(1).queue_ahead == 2


def test_a_display_older_than_our_arrival_is_no_news() -> None:
    orders = _resting()
    orders.on_displayed(BUY, PRICE, 1, 10)
    orders.on_own_best(BUY, PRICE - 5, 1, 9)
    assert orders.position(1).queue_ahead == 5


def test_an_own_best_that_is_worse_leaves_nobody_ahead() -> None:
    orders = _resting()
    orders.on_own_best(BUY, PRICE + 1, 50, 11)
    assert orders.position(1).queue_ahead == 5
    orders.on_own_best(BUY, PRICE, 3, 12)
    assert orders.position(1).queue_ahead == 3
    orders.on_own_best(BUY, PRICE - 1, 50, 13)
    assert orders.position(1).queue_ahead == 0


def test_an_opposite_best_through_us_fills_up_to_what_it_shows() -> None:
    orders = _resting()
    assert orders.on_opposite(SELL, PRICE + 1, 9) == []
    assert orders.on_opposite(SELL, PRICE, 2) == [(1, PRICE, 2, 1)]
    assert orders.on_opposite(SELL, PRICE - 4, 9) == [(1, PRICE, 1, 0)]


def test_one_trade_is_given_out_once_in_price_time_priority() -> None:
    orders = _resting(queue_ahead=1, size=3)
    orders.add(2, BUY, PRICE, 4, queue_ahead=2, as_of=10)
    orders.add(3, BUY, PRICE + 1, 2, queue_ahead=7, as_of=10)
    fills = orders.on_trade(PRICE, 7, SELL)
    # 2 to the better price; of the 5 left 1 is ahead and 3 fill the first; the last 1 is others', before the second.
    assert fills == [(3, PRICE + 1, 2, 0), (1, PRICE, 3, 0)]
    assert orders.position(2).queue_ahead == 0


def test_cancel_answers_what_rested() -> None:
    orders = _resting()
    assert orders.cancel(1) == 3
    assert orders.cancel(1) == 0
    assert len(orders) == 0
    assert orders.best(BUY) is None


def test_fills_are_whole_steps_of_our_size() -> None:
    orders = PassiveOrders(size_step=10)
    orders.add(1, BUY, PRICE, 50, queue_ahead=3, as_of=0)
    assert orders.on_trade(PRICE, 12, SELL) == []
    assert orders.on_trade(PRICE, 27, SELL) == [(1, PRICE, 20, 30)]
    assert orders.on_opposite(SELL, PRICE, 19) == [(1, PRICE, 10, 20)]


@pytest.mark.parametrize(("side", "size", "ahead"), [(3, 1, 0), (BUY, 0, 0), (BUY, 1, -1)])
def test_what_cannot_rest_is_refused(side: int, size: int, ahead: int) -> None:
    with pytest.raises(ValueError, match="cannot rest"):
        PassiveOrders().add(1, side, PRICE, size, queue_ahead=ahead, as_of=0)


def test_an_id_rests_once() -> None:
    with pytest.raises(ValueError, match="order 1"):
        _resting().add(1, SELL, PRICE + 5, 1, queue_ahead=0, as_of=0)


@dataclasses.dataclass
class _TrueQueue:
    """The real first-in-first-out queue at one price, with our order in it as a mark that takes no room."""

    ahead: list[int]
    behind: list[int]

    @property
    def displayed(self) -> int:
        return sum(self.ahead) + sum(self.behind)

    def trade(self, size: int) -> None:
        for queue in (self.ahead, self.behind):
            while size and queue:
                taken = min(size, queue[0])
                size -= taken
                queue[0] -= taken
                if not queue[0]:
                    queue.pop(0)

    def leave(self, pick: int) -> None:
        everyone = len(self.ahead) + len(self.behind)
        if everyone:
            index = pick % everyone
            (self.ahead if index < len(self.ahead) else self.behind).pop(
                index if index < len(self.ahead) else index - len(self.ahead)
            )


_EVENTS = st.lists(
    st.tuples(st.sampled_from(["trade", "join", "leave"]), st.integers(min_value=1, max_value=12)), max_size=60
)


@given(st.lists(st.integers(min_value=1, max_value=9), max_size=6), _EVENTS)
def test_the_estimate_is_never_ahead_of_the_real_queue(ahead: list[int], events: list[tuple[str, int]]) -> None:
    truth = _TrueQueue(list(ahead), [])
    orders = PassiveOrders()
    orders.add(1, BUY, PRICE, 10**9, queue_ahead=truth.displayed, as_of=0)
    for sequence, (what, number) in enumerate(events, start=1):
        real_beyond = 0
        if what == "trade":
            real_beyond = max(0, number - sum(truth.ahead))
            size = min(number, truth.displayed)
            truth.trade(size)
            filled = sum(fill.size for fill in orders.on_trade(PRICE, size, SELL))
            assert filled <= real_beyond
        elif what == "join":
            truth.behind.append(number)
        else:
            truth.leave(number)
        orders.on_displayed(BUY, PRICE, truth.displayed, sequence)
        assert orders.position(1).queue_ahead >= sum(truth.ahead)


_ORDERS = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]),
        st.integers(min_value=95, max_value=105),
        st.integers(min_value=1, max_value=20),
        st.integers(min_value=0, max_value=20),
    ),
    min_size=1,
    max_size=8,
)
_TAPE = st.lists(
    st.tuples(
        st.sampled_from(["trade", "display", "own-best", "opposite"]),
        st.sampled_from([BUY, SELL]),
        st.integers(min_value=94, max_value=106),
        st.integers(min_value=0, max_value=25),
    ),
    max_size=60,
)


@given(_ORDERS, _TAPE)
def test_every_size_is_given_out_once_and_only_where_it_reaches(
    placed: list[tuple[int, int, int, int]], tape: list[tuple[str, int, int, int]]
) -> None:
    orders = PassiveOrders()
    filled = dict.fromkeys(range(len(placed)), 0)
    for order_id, (side, price, size, ahead) in enumerate(placed):
        orders.add(order_id, side, price, size, queue_ahead=ahead, as_of=0)
    for sequence, (what, side, price, size) in enumerate(tape, start=1):
        queues = {order_id: orders.position(order_id).queue_ahead for order_id in filled if order_id in orders}
        fills = []
        if what == "trade":
            fills = orders.on_trade(price, size, side)
        elif what == "opposite":
            fills = orders.on_opposite(side, price, size)
        elif what == "display":
            orders.on_displayed(side, price, size, sequence)
        else:
            orders.on_own_best(side, price, size, sequence)
        assert sum(fill.size for fill in fills) <= size
        for fill in fills:
            own_side, own_price, own_size, _ = placed[fill.order_id]
            filled[fill.order_id] += fill.size
            assert own_side != side
            assert fill.price == own_price
            assert own_price >= price if own_side == BUY else own_price <= price
            assert fill.remaining == own_size - filled[fill.order_id] >= 0
        for order_id, before in queues.items():
            if order_id in orders:
                assert 0 <= orders.position(order_id).queue_ahead <= before


@given(st.integers(min_value=0, max_value=20), st.lists(st.integers(min_value=1, max_value=15), max_size=20))
def test_the_earlier_of_two_orders_at_a_price_fills_first(ahead: int, trades: list[int]) -> None:
    orders = PassiveOrders()
    orders.add(1, SELL, PRICE, 10, queue_ahead=ahead, as_of=0)
    orders.add(2, SELL, PRICE, 10, queue_ahead=ahead, as_of=0)
    for size in trades:
        for fill in orders.on_trade(PRICE, size, BUY):
            if fill.order_id == 2:
                assert 1 not in orders
