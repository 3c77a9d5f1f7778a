"""The order book: the kernel and its Python twin give the same levels after the same records."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind_native.order_book as kernel
from tradewind.venue import order_book as twin
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide, read_only
from tradewind_native.binance import BinanceDecoder
from tradewind_native.frames import FrameKind

BUY, SELL, NONE = RecordSide.BUY, RecordSide.SELL, RecordSide.NONE
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

Book = kernel.OrderBook | twin.OrderBook


@pytest.fixture(params=[kernel.OrderBook, twin.OrderBook], ids=["kernel", "twin"])
def book(request: pytest.FixtureRequest) -> Book:
    made: Book = request.param(7)
    return made


def record(
    side: int = 0,
    price: int = 0,
    size: int = 0,
    *,
    sequence: int = 1,
    kind: int = RecordKind.LEVEL,
    instrument: int = 7,
) -> tuple[int, ...]:
    return (0, 0, price, size, 0, sequence, instrument, kind, side, 0, 0, 0)


def array(*records: tuple[int, ...]) -> RecordArray:
    return read_only(np.array(list(records), dtype=MARKET_RECORD))


def test_levels_are_set_replaced_and_removed(book: Book) -> None:
    levels = [record(BUY, 100, 5), record(BUY, 101, 6), record(BUY, 99, 7), record(SELL, 103, 1), record(SELL, 102, 2)]
    assert book.apply(array(*levels)) == 5
    assert (book.best_bid(), book.best_ask()) == ((101, 6), (102, 2))
    assert book.levels(BUY, 10) == [(101, 6), (100, 5), (99, 7)]
    assert book.levels(SELL, 10) == [(102, 2), (103, 1)]
    assert book.apply(array(record(BUY, 101, 0), record(SELL, 102, 9), record(BUY, 55, 0))) == 3
    assert (book.best_bid(), book.best_ask()) == ((100, 5), (102, 9))
    assert (book.depth(BUY), book.depth(SELL)) == (2, 2)
    assert (book.size_at(BUY, 99), book.size_at(BUY, 101), book.size_at(SELL, 99)) == (7, 0, 0)


def test_an_empty_book_has_no_best(book: Book) -> None:
    assert (book.best_bid(), book.best_ask(), book.levels(BUY, 3), book.depth(SELL)) == (None, None, [], 0)
    assert (book.sequence, book.instrument, book.size_at(BUY, 1)) == (0, 7, 0)
    assert book.apply(array()) == 0


@pytest.mark.parametrize(("depth", "count"), [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (10**9, 3)])
def test_depth_cuts_the_levels_from_the_best(book: Book, depth: int, count: int) -> None:
    for side, prices in ((BUY, [3, 2, 1]), (SELL, [1, 2, 3])):
        book.apply(array(*(record(side, price, 1) for price in (2, 1, 3))))
        assert book.levels(side, depth) == [(price, 1) for price in prices[:count]]


def test_only_levels_and_clears_of_the_instrument_are_applied(book: Book) -> None:
    other = [
        record(BUY, 9, 1, kind=RecordKind.TRADE, sequence=50),
        record(BUY, 9, 1, kind=RecordKind.TOP_OF_BOOK, sequence=51),
        record(BUY, 9, 1, instrument=8, sequence=52),
        record(kind=RecordKind.CLEAR, instrument=8, sequence=53),
        record(kind=RecordKind.STATUS, sequence=54),
    ]
    assert book.apply(array(record(SELL, 8, 1, sequence=3), *other)) == 1
    assert (book.sequence, book.best_bid(), book.best_ask()) == (3, None, (8, 1))


def test_a_level_without_side_moves_only_the_sequence(book: Book) -> None:
    book.apply(array(record(BUY, 5, 1, sequence=3), record(NONE, 0, 0, sequence=2**64 - 1)))
    assert (book.sequence, book.levels(BUY, 9)) == (2**64 - 1, [(5, 1)])


def test_clear_empties_both_sides(book: Book) -> None:
    levels = array(record(BUY, 5, 1, sequence=3), record(SELL, 6, 1, sequence=3))
    book.apply(levels)
    assert book.apply(array(record(kind=RecordKind.CLEAR, sequence=4), record(SELL, 9, 2, sequence=4))) == 2
    assert (book.best_bid(), book.best_ask(), book.sequence) == (None, (9, 2), 4)
    book.apply(levels)
    book.clear()
    assert (book.best_bid(), book.best_ask(), book.sequence, book.depth(SELL)) == (None, None, 0, 0)


def test_extreme_prices_keep_their_order(book: Book) -> None:
    prices = [INT64_MIN, INT64_MAX, 0, -1, 1, INT64_MIN + 1]
    for side in (BUY, SELL):
        book.apply(array(*(record(side, price, INT64_MAX) for price in prices)))
        expected = sorted(prices, reverse=side == BUY)
        assert book.levels(side, 9) == [(price, INT64_MAX) for price in expected]
        assert all(book.size_at(side, price) == INT64_MAX for price in prices)


@pytest.mark.parametrize("bad", [record(BUY, 5, -1), record(3, 5, 1), record(255, 5, 1)])
def test_a_wrong_level_is_refused_after_the_ones_before_it(book: Book, bad: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="LEVEL record has side"):
        book.apply(array(record(BUY, 4, 1, sequence=2), bad, record(BUY, 6, 1, sequence=9)))
    assert (book.levels(BUY, 9), book.sequence) == ([(4, 1)], 2)


@pytest.mark.parametrize("side", [0, 3, -1])
def test_a_wrong_side_is_refused(book: Book, side: int) -> None:
    for call in (lambda: book.levels(side, 1), lambda: book.depth(side), lambda: book.size_at(side, 1)):
        with pytest.raises(ValueError, match="side is 1"):
            call()


@pytest.mark.parametrize("make", [kernel.OrderBook, twin.OrderBook])
@pytest.mark.parametrize("number", [-1, 2**32])
def test_an_instrument_number_has_32_bits(make: Any, number: int) -> None:
    with pytest.raises(OverflowError):
        make(number)


def test_snapshot_records_rebuild_the_book(book: Book) -> None:
    bids, asks = range(1, 400), range(500, 520)
    book.apply(array(*(record(BUY, p, p) for p in bids), *(record(SELL, p, p, sequence=77) for p in asks)))
    records = book.snapshot_records(11, 12, 300)
    assert not records.flags.writeable
    assert len(records) == 1 + 300 + 20
    assert records["flags"].tolist() == [RecordFlag.SNAPSHOT] * 320 + [RecordFlag.SNAPSHOT | RecordFlag.LAST]
    assert records["level"].tolist() == [0, *(min(index, 255) for index in range(300)), *range(20)]
    assert records["kind"].tolist() == [RecordKind.CLEAR] + [RecordKind.LEVEL] * 320
    for name, value in (("ts_event", 11), ("ts_recv", 12), ("order_id", 77), ("sequence", 77), ("reserved", 0)):
        assert set(records[name].tolist()) == {value}
    joiner = type(book)(7)
    joiner.apply(array(record(BUY, 10_000, 1)))
    assert joiner.apply(records) == 321
    assert joiner.levels(BUY, 999) == book.levels(BUY, 300)
    assert joiner.levels(SELL, 999) == book.levels(SELL, 999)
    assert joiner.sequence == 77


def test_a_snapshot_of_an_empty_book_is_one_last_clear(book: Book) -> None:
    (row,) = book.snapshot_records(1, 2, 5).tolist()
    assert row == (1, 2, 0, 0, 0, 0, 7, RecordKind.CLEAR, NONE, RecordFlag.SNAPSHOT | RecordFlag.LAST, 0, 0)


updates = st.lists(
    st.builds(
        record,
        st.sampled_from([BUY, SELL, BUY, SELL, NONE]),
        st.integers(-20, 20) | st.sampled_from([INT64_MIN, INT64_MAX]),
        st.sampled_from([0, 0, 1, 2, INT64_MAX]),
        sequence=st.integers(0, 2**64 - 1),
        kind=st.sampled_from([RecordKind.LEVEL] * 12 + [RecordKind.CLEAR, RecordKind.TRADE]),
        instrument=st.sampled_from([7] * 9 + [8]),
    ),
    max_size=60,
)


@given(updates, updates)
@settings(max_examples=200, deadline=None)
def test_kernel_and_twin_agree_after_any_records(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    ours, theirs = kernel.OrderBook(7), twin.OrderBook(7)
    for records in (first, second):
        assert ours.apply(array(*records)) == theirs.apply(array(*records))
        assert ours.sequence == theirs.sequence
        assert (ours.best_bid(), ours.best_ask()) == (theirs.best_bid(), theirs.best_ask())
        for side in (BUY, SELL):
            assert ours.levels(side, 100) == theirs.levels(side, 100)
            assert ours.depth(side) == theirs.depth(side)
        assert ours.snapshot_records(1, 2, 9).tobytes() == theirs.snapshot_records(1, 2, 9).tobytes()


def test_the_book_of_the_capture_equals_the_exchanges_own_ticker(capture: list[tuple[int, bytes]], book: Book) -> None:
    decoder = BinanceDecoder([("BTCUSDT", 7, 2, 8)])
    pairs: list[tuple[int, RecordArray]] = []
    snapshot = None
    for at, frame in capture:
        if frame.startswith(b'{"lastUpdateId"'):
            decoder.decode_snapshot(frame, "BTCUSDT", at)
            snapshot = (decoder.final_update_id, decoder.take())
        elif (kind := decoder.decode(frame, at)) in (FrameKind.DEPTH, FrameKind.TICKER):
            pairs.append((kind, decoder.take()))
        else:
            decoder.take()
    assert snapshot is not None
    tops = {int(records["sequence"][0]): records for kind, records in pairs if kind == FrameKind.TICKER}
    book.apply(snapshot[1])
    compared = 0
    for kind, records in pairs:
        final = int(records["sequence"][0])
        if kind != FrameKind.DEPTH or final <= snapshot[0]:
            continue
        assert int(records["order_id"][0]) <= book.sequence + 1, "a gap in the capture"
        book.apply(records)
        if final in tops:
            top = [
                (int(price), int(size)) for price, size in zip(tops[final]["price"], tops[final]["size"], strict=True)
            ]
            assert [book.best_bid(), book.best_ask()] == top
            compared += 1
    assert compared > 100
