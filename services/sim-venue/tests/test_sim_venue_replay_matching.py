"""Our orders in a recorded market: never better than what was displayed and printed."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.services.sim_venue.listings import KNOWN
from tradewind.services.sim_venue.orders import BUY, SELL, VenueOrder
from tradewind.services.sim_venue.replay_matching import ReplayMarket
from tradewind.wire.market_records import RecordArray, RecordKind, empty_records

LISTING = dataclasses.replace(KNOWN["BTCUSDT"], step=1)
NUMBER = 7


def _records(*rows: tuple[RecordKind, int, int, int, int]) -> RecordArray:
    """(kind, side, price, size, sequence) rows."""
    records = empty_records(len(rows))
    for place, (kind, side, price, size, sequence) in enumerate(rows):
        record = records[place]
        record["instrument"], record["kind"], record["side"] = NUMBER, kind, side
        record["price"], record["size"], record["sequence"] = price, size, sequence
    return records


class Scene:
    """A market with bids at 100 and 99, asks at 102 and 103, ten each, as of sequence 10."""

    def __init__(self) -> None:
        self.fills: list[tuple[int, int, int]] = []
        self.market = ReplayMarket(LISTING, NUMBER, lambda *fill: self.fills.append(fill))
        self.sequence = 10
        self.level(BUY, 100, 10)
        self.level(BUY, 99, 10)
        self.level(SELL, 102, 10)
        self.level(SELL, 103, 10)
        self._next = 1

    def level(self, side: int, price: int, size: int) -> None:
        self.sequence += 1
        self.market.on_records(_records((RecordKind.LEVEL, side, price, size, self.sequence)))

    def best(self, side: int, price: int, size: int) -> None:
        self.sequence += 1
        self.market.on_records(_records((RecordKind.TOP_OF_BOOK, side, price, size, self.sequence)))

    def print(self, price: int, size: int, aggressor: int) -> None:
        self.sequence += 1
        self.market.on_records(_records((RecordKind.TRADE, aggressor, price, size, self.sequence)))

    def order(self, side: int, price: int, size: int, kind: str = "LIMIT", tif: str = "GTC", owner: int = 1) -> Any:
        order_id, self._next = self._next, self._next + 1
        order = VenueOrder(order_id, "main", "BTCUSDT", f"c{order_id}", side, kind, tif, price, size, 0, 0)
        return self.market.submit(order, owner)


def test_an_aggressive_order_takes_what_is_displayed_once() -> None:
    scene = Scene()
    taken = scene.order(BUY, 102, 8)
    assert ([(each.price, each.size) for each in taken.executions], taken.rests) == ([(102, 8)], False)
    taken = scene.order(BUY, 0, 5, "MARKET")
    assert [(each.price, each.size) for each in taken.executions] == [(102, 2), (103, 3)]
    scene.level(SELL, 102, 10)
    assert scene.order(BUY, 102, 5, tif="IOC").executions == []
    scene.level(SELL, 102, 9)
    assert [(each.price, each.size) for each in scene.order(BUY, 102, 5).executions] == [(102, 5)]


def test_a_newer_ticker_is_what_counts_at_the_touch() -> None:
    scene = Scene()
    scene.best(SELL, 103, 4)
    assert [(each.price, each.size) for each in scene.order(BUY, 110, 9, tif="IOC").executions] == [(103, 4)]
    scene.best(SELL, 101, 2)
    assert [(each.price, each.size) for each in scene.order(BUY, 110, 1, tif="IOC").executions] == [(101, 1)]
    scene.level(SELL, 101, 6)
    assert [(each.price, each.size) for each in scene.order(BUY, 101, 9, tif="IOC").executions] == [(101, 6)]


def test_fok_takes_all_or_nothing() -> None:
    scene = Scene()
    assert scene.order(BUY, 103, 21, tif="FOK").executions == []
    assert sum(each.size for each in scene.order(BUY, 103, 20, tif="FOK").executions) == 20


def test_a_passive_order_queues_behind_the_display_and_fills_from_prints() -> None:
    scene = Scene()
    assert scene.order(BUY, 100, 5).rests
    assert scene.market.queue_ahead(1) == 10
    scene.print(100, 8, SELL)
    scene.level(BUY, 100, 2)
    assert scene.fills == []
    scene.print(100, 4, SELL)
    assert scene.fills == [(1, 100, 2)]
    scene.print(99, 1, SELL)
    assert scene.fills[1:] == [(1, 100, 1)]


def test_a_cancel_ahead_counts_only_when_less_than_our_queue_stays() -> None:
    scene = Scene()
    scene.order(BUY, 100, 5)
    scene.level(BUY, 100, 12)
    scene.level(BUY, 100, 10)
    assert scene.market.queue_ahead(1) == 10
    scene.level(BUY, 100, 3)
    assert scene.market.queue_ahead(1) == 3
    scene.best(BUY, 99, 10)
    assert scene.market.queue_ahead(1) == 0


def test_a_depth_update_older_than_the_ticker_is_no_news() -> None:
    scene = Scene()
    scene.best(BUY, 100, 7)
    scene.order(BUY, 100, 5)
    assert scene.market.queue_ahead(1) == 7
    stale = _records((RecordKind.LEVEL, BUY, 100, 1, scene.sequence - 1))
    scene.market.on_records(stale)
    assert scene.market.queue_ahead(1) == 7


def test_a_book_that_crosses_our_price_fills_us_once_at_our_price() -> None:
    scene = Scene()
    scene.order(BUY, 101, 9)
    scene.best(SELL, 100, 4)
    assert scene.fills == [(1, 101, 4)]
    scene.best(SELL, 100, 4)
    assert len(scene.fills) == 1
    scene.best(SELL, 100, 3)
    assert scene.fills[1:] == [(1, 101, 3)]


def test_what_we_took_on_arrival_does_not_fill_the_rest_of_us_again() -> None:
    scene = Scene()
    placed = scene.order(BUY, 102, 15)
    assert (sum(each.size for each in placed.executions), placed.rests) == (10, True)
    scene.best(SELL, 102, 10)
    assert scene.fills == []


def test_post_only_orders_that_would_take_are_refused() -> None:
    scene = Scene()
    assert scene.order(BUY, 102, 1, "LIMIT_MAKER").would_take
    assert not scene.order(BUY, 101, 1, "LIMIT_MAKER").would_take
    assert scene.order(SELL, 101, 1, "LIMIT_MAKER").would_take


def test_our_own_resting_orders_give_way() -> None:
    scene = Scene()
    scene.order(SELL, 101, 5)
    scene.order(SELL, 102, 5)
    taken = scene.order(BUY, 0, 4, "MARKET")
    assert (taken.expired_makers, [(each.price, each.size) for each in taken.executions]) == ((1,), [(102, 4)])
    taken = scene.order(BUY, 0, 8, "MARKET")
    assert (taken.expired_makers, [(each.price, each.size) for each in taken.executions]) == (
        (2,),
        [(102, 6), (103, 2)],
    )
    scene.order(BUY, 100, 1, owner=2)
    assert scene.order(SELL, 100, 1, owner=1).expired_makers == ()


def test_cancel_takes_an_order_out_of_the_queue() -> None:
    scene = Scene()
    scene.order(BUY, 100, 5)
    scene.market.cancel(1)
    scene.print(99, 50, SELL)
    assert scene.fills == []
    with pytest.raises(KeyError):
        scene.market.queue_ahead(1)


_TAPE = st.lists(
    st.tuples(
        st.sampled_from(["level", "best", "print", "order", "market", "cancel"]),
        st.sampled_from([BUY, SELL]),
        st.integers(min_value=96, max_value=106),
        st.integers(min_value=0, max_value=12),
    ),
    max_size=80,
)


@given(_TAPE)
def test_we_never_get_more_than_was_shown_or_printed(tape: list[tuple[str, int, int, int]]) -> None:
    scene = Scene()
    shown = {BUY: 20, SELL: 20}
    printed = {BUY: 0, SELL: 0}
    got = {BUY: 0, SELL: 0}
    sides: dict[int, tuple[int, int]] = {}
    for what, side, price, size in tape:
        before = len(scene.fills)
        if what == "level":
            scene.level(side, price, size)
            shown[side] += size
        elif what == "best":
            if size:
                scene.best(side, price, size)
                shown[side] += size
        elif what == "print":
            scene.print(price, size, side)
            printed[side] += size
        elif what == "cancel":
            scene.market.cancel(price - 95)
        elif size:
            sides[scene._next] = (side, price)
            placed = scene.order(side, price if what == "order" else 0, size, "LIMIT" if what == "order" else "MARKET")
            for execution in placed.executions:
                got[side] += execution.size
                assert what == "market" or (execution.price <= price if side == BUY else execution.price >= price)
            assert sum(execution.size for execution in placed.executions) <= size
        for order_id, fill_price, fill_size in scene.fills[before:]:
            own_side, own_price = sides[order_id]
            assert fill_price == own_price
            got[own_side] += fill_size
    # Our buys come out of asks that were shown and of sellers' prints, and the other way round.
    assert got[BUY] <= shown[SELL] + printed[SELL]
    assert got[SELL] <= shown[BUY] + printed[BUY]
