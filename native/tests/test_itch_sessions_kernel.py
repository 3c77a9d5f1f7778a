"""ITCH in SoupBinTCP packets and MoldUDP64 blocks, and what orders mean for levels: kernels and twins agree."""

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue.itch import book_changes as changes_twin
from tradewind.venue.itch import decoding as twin
from tradewind.venue.itch import order_books as books_twin
from tradewind.venue.itch.files import read_records
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, RecordKind, RecordSide
from tradewind_native import book_changes as changes_kernel
from tradewind_native import itch as kernel
from tradewind_native import order_books as books_kernel
from tradewind_native.itch_error import ItchError
from tradewind_native.order_book import OrderBook

Decoder = kernel.ItchDecoder | twin.ItchDecoder
Changes = changes_kernel.BookChanges | changes_twin.BookChanges
NUMBERS = {"ALC": 1, "BOB": 2, "CHAR": 3}
ADD, CANCEL, EXECUTE = RecordKind.ORDER_ADD, RecordKind.ORDER_CANCEL, RecordKind.ORDER_EXECUTE
BUY, SELL, NONE = RecordSide.BUY, RecordSide.SELL, RecordSide.NONE


@pytest.fixture(params=[kernel.ItchDecoder, twin.ItchDecoder], ids=["kernel", "twin"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    made: Decoder = request.param(NUMBERS.get, 0)
    return made


@pytest.fixture(params=["kernel", "twin"])
def changes(request: pytest.FixtureRequest) -> Changes:
    if request.param == "kernel":
        return changes_kernel.BookChanges(books_kernel.OrderBooks())
    return changes_twin.BookChanges(books_twin.OrderBooks())


@pytest.fixture(scope="module")
def day(test_data: Path) -> bytes:
    path = test_data / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}")
    return path.read_bytes()


def messages_of(framed: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(framed):
        size = int.from_bytes(framed[at : at + 2], "big")
        yield framed[at + 2 : at + 2 + size]
        at += 2 + size


def packet(payload: bytes, kind: bytes = b"S") -> bytes:
    return struct.pack(">H", len(payload) + 1) + kind + payload


def directory(symbol: str = "ALC") -> bytes:
    return (b"R\0\1\0\0" + bytes(6) + symbol.ljust(8).encode()).ljust(39)


def test_packets_of_a_day_make_the_records_of_its_file(decoder: Decoder, day: bytes) -> None:
    plain = kernel.ItchDecoder(NUMBERS.get, 0)
    plain.decode(day, 7)
    heartbeat = packet(b"", b"H")
    stream = b"".join(packet(each) + heartbeat * (index % 50 == 0) for index, each in enumerate(messages_of(day)))
    dice, rest, taken = random.Random(1), b"", b""
    for start in range(0, len(stream), 5_000):
        data = rest + stream[start : start + 5_000]
        rest = data[decoder.decode_packets(data, 7) :]
        if dice.random() < 0.3:
            taken += decoder.take().tobytes()
    assert rest == b""
    assert taken + decoder.take().tobytes() == plain.take().tobytes()
    assert (decoder.messages, decoder.counts, decoder.offset) == (12_012, plain.counts, len(stream))


def test_blocks_of_a_day_make_the_records_of_its_file(decoder: Decoder, day: bytes) -> None:
    plain = kernel.ItchDecoder(NUMBERS.get, 0)
    plain.decode(day, 7)
    assert decoder.decode_blocks(day, 7) == len(day)
    assert decoder.take().tobytes() == plain.take().tobytes()
    assert (decoder.messages, decoder.ended) == (12_012, False)


@pytest.mark.parametrize(
    "stop",
    [packet(b"", b"Z"), packet(b"x", b"U"), b"\0\0", b"\0\0\0", packet(directory())[:-1], packet(b"x", b"H"), b"\xff"],
)
def test_packets_stop_before_what_is_no_whole_message(decoder: Decoder, stop: bytes) -> None:
    whole = packet(directory()) + packet(b"", b"H")
    assert decoder.decode_packets(whole + stop, 7) == len(whole)
    assert decoder.decode_packets(b"", 7) == 0
    assert (decoder.messages, decoder.offset) == (1, len(whole))


def test_a_wrong_message_in_a_packet_or_block_is_an_error_behind_what_was_right(decoder: Decoder) -> None:
    good, bad = directory(), directory()[:-1]
    with pytest.raises(ItchError, match="wrong length, 38"):
        decoder.decode_packets(packet(good) + packet(bad) + packet(good), 7)
    assert (decoder.messages, decoder.offset) == (1, len(packet(good)))
    blocks = b"".join(struct.pack(">H", len(each)) + each for each in (good, bad))
    with pytest.raises(ItchError, match="wrong length, 38"):
        decoder.decode_blocks(blocks, 7)
    assert (decoder.messages, decoder.offset) == (2, len(packet(good)) + 2 + len(good))
    for empty in (decoder.decode_packets, decoder.decode_blocks):
        with pytest.raises(ItchError, match="wrong length, 0"):
            empty(b"\0\1S" if empty == decoder.decode_packets else b"\0\0", 7)


@pytest.mark.parametrize("blocks", [b"\0", b"\0\5abcd", b"\0\1Z\0", b"\xff\xffx"])
def test_blocks_that_do_not_fill_their_packet_are_not_begun(decoder: Decoder, blocks: bytes) -> None:
    with pytest.raises(ItchError, match="do not fill"):
        decoder.decode_blocks(struct.pack(">H", 39) + directory() + blocks, 7)
    assert (decoder.messages, decoder.offset) == (0, 0)


@pytest.mark.parametrize("count_blocks", [kernel.count_blocks, twin.count_blocks], ids=["kernel", "twin"])
def test_blocks_are_counted_where_they_fill_their_bytes(count_blocks: Callable[[bytes], int]) -> None:
    cases = {b"": 0, b"\0\0": 1, b"\0\2ab\0\0": 2, b"\0": -1, b"\0\2a": -1, b"\0\1ab": -1, b"\xff\xff": -1}
    assert [count_blocks(each) for each in cases] == list(cases.values())


def test_the_number_of_the_next_message_can_be_said(decoder: Decoder) -> None:
    decoder.expect(41)
    decoder.decode_packets(packet(directory()), 7)
    assert decoder.messages == 41
    with pytest.raises(ValueError, match="begin at 1"):
        decoder.expect(0)


def rows(*given: tuple[int, ...]) -> RecordArray:
    """From (kind, side, order_id, price, size) and perhaps flags; sequences from 1."""
    made = np.zeros(len(given), dtype=MARKET_RECORD)
    for index, (kind, side, order_id, price, size, *flags) in enumerate(given):
        fields = {"kind": kind, "side": side, "order_id": order_id, "price": price, "size": size, "instrument": 9}
        for name, value in {**fields, "flags": (flags or [1])[0], "sequence": index + 1, "ts_event": 5}.items():
            made[name][index] = value
    return made


def told(records: RecordArray) -> list[tuple[int, ...]]:
    return [tuple(int(each[name]) for name in ("kind", "side", "price", "size", "flags")) for each in records]


LEVEL, TOP, TRADE = RecordKind.LEVEL, RecordKind.TOP_OF_BOOK, RecordKind.TRADE


def test_levels_trades_and_best_prices_follow_the_orders(changes: Changes) -> None:
    made = changes.follow(rows((ADD, BUY, 1, 100, 10), (ADD, SELL, 2, 102, 4), (ADD, BUY, 3, 99, 1)))
    assert told(made[1:2]) == [(LEVEL, BUY, 100, 10, 1)]
    assert told(made[3:6]) == [(LEVEL, SELL, 102, 4, 1), (TOP, BUY, 100, 10, 0), (TOP, SELL, 102, 4, 1)]
    assert told(made[7:]) == [(LEVEL, BUY, 99, 1, 1)]
    made = changes.follow(rows((EXECUTE, NONE, 2, 0, 3)))
    wanted = [(TRADE, BUY, 102, 3, 1), (LEVEL, SELL, 102, 1, 1), (TOP, BUY, 100, 10, 0), (TOP, SELL, 102, 1, 1)]
    assert told(made[1:]) == wanted
    assert (made["order_id"][1], made["sequence"][1], made["ts_event"][1], made["instrument"][1]) == (1, 1, 5, 9)
    made = changes.follow(rows((EXECUTE, NONE, 2, 101, 1)))
    assert told(made[1:]) == [(TRADE, BUY, 101, 1, 1), (LEVEL, SELL, 102, 0, 1)]


def test_an_execution_that_is_not_printed_is_no_trade(changes: Changes, decoder: Decoder) -> None:
    """Message C with printable N: the cross tells the trade."""
    printed = (b"C\0\1\0\0" + bytes(6) + struct.pack(">QIQcI", 9, 40, 1, b"Y", 55), 0)
    hidden = (printed[0].replace(b"Y", b"N"), 1)
    decoder.decode_packets(packet(directory()) + packet(printed[0]) + packet(hidden[0]), 7)
    records = decoder.take().copy()
    assert records["level"].tolist() == [0, 1]
    changes.follow(rows((ADD, BUY, 9, 100, 100)))
    made = changes.follow(records)
    assert [kind for kind, *_ in told(made)] == [EXECUTE, TRADE, LEVEL, EXECUTE, LEVEL]
    assert made["size"].tolist()[2::2] == [60, 20]


def test_a_replacement_tells_its_best_prices_once(changes: Changes) -> None:
    changes.follow(rows((ADD, BUY, 1, 100, 10), (ADD, SELL, 2, 102, 4)))
    pair = rows((CANCEL, NONE, 1, 0, 0, 0), (ADD, NONE, 5, 101, 7))
    pair["sequence"] = 3
    levels = [(LEVEL, BUY, 100, 0, 0), (LEVEL, BUY, 101, 7, 1)]
    assert told(changes.follow(pair))[1::2] == [levels[0], levels[1], (TOP, SELL, 102, 4, 1)]


def test_an_order_that_is_added_again_leaves_its_old_level(changes: Changes) -> None:
    changes.follow(rows((ADD, BUY, 1, 100, 10)))
    assert told(changes.follow(rows((ADD, BUY, 1, 90, 5))))[1:] == [(LEVEL, BUY, 100, 0, 0), (LEVEL, BUY, 90, 5, 1)]


def test_without_levels_the_trades_are_still_told(changes: Changes) -> None:
    changes.levels = False
    made = changes.follow(rows((ADD, BUY, 1, 100, 10), (EXECUTE, NONE, 1, 0, 4), (EXECUTE, NONE, 8, 0, 4)))
    assert [kind for kind, *_ in told(made)] == [ADD, EXECUTE, TRADE, EXECUTE]
    assert changes.books.order(1) == (9, BUY, 100, 6)


def test_a_record_that_is_no_order_is_refused_behind_what_was_right(changes: Changes) -> None:
    with pytest.raises(ValueError, match="size -1"):
        changes.follow(rows((ADD, BUY, 1, 100, 10), (ADD, BUY, 2, 100, -1)))
    assert changes.books.orders == 1


def test_kernel_and_twin_make_the_same_day_and_levels_make_the_l3_book(day: bytes, test_data: Path) -> None:
    ours = changes_kernel.BookChanges(books_kernel.OrderBooks())
    theirs = changes_twin.BookChanges(books_twin.OrderBooks())
    levels = {number: OrderBook(number) for number in NUMBERS.values()}
    trades = 0
    path = test_data / "itch50" / "ex20101224.lenfixed.itch50"
    for batch in read_records(path, kernel.ItchDecoder(NUMBERS.get, 0)):
        made = ours.follow(batch)
        assert made.tobytes() == theirs.follow(batch).tobytes()
        trades += np.count_nonzero(made["kind"] == TRADE)
        for number, book in levels.items():
            book.apply(made)
            for side in (BUY, SELL):
                orders = [(price, size) for price, size, _ in ours.books.levels(number, side, 10**6)]
                assert book.levels(side, 10**6) == orders
            pairs = made[(made["kind"] == TOP) & (made["instrument"] == number)]
            if len(pairs):
                assert pairs["flags"][-1] & RecordFlag.LAST
    assert trades > 5_000


ORDER_RECORDS = st.lists(
    st.tuples(
        st.sampled_from([ADD, ADD, CANCEL, EXECUTE, RecordKind.CLEAR, TRADE]),
        st.sampled_from([BUY, SELL, NONE]),
        st.integers(1, 6),
        st.integers(1, 5),
        st.integers(0, 4),
        st.sampled_from([0, 1]),
        st.integers(1, 2),
        st.integers(0, 1),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(ORDER_RECORDS)
def test_kernel_and_twin_follow_any_orders_alike_and_levels_make_the_books(given_rows: list[tuple[int, ...]]) -> None:
    records = rows(*(row[:6] for row in given_rows)).copy()
    records["instrument"] = [row[6] for row in given_rows]
    records["level"] = [row[7] for row in given_rows]
    records["sequence"] = [index // 2 for index in range(len(given_rows))]
    ours = changes_kernel.BookChanges(books_kernel.OrderBooks())
    theirs = changes_twin.BookChanges(books_twin.OrderBooks())
    made = ours.follow(records)
    assert made.tobytes() == theirs.follow(records).tobytes()
    for number in (1, 2):
        book = OrderBook(number)
        book.apply(made)
        for side in (BUY, SELL):
            assert book.levels(side, 99) == [level[:2] for level in ours.books.levels(number, side, 99)]
