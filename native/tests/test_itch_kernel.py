"""ITCH 5.0: the decoder kernel and its Python twin make the same records, and refuse the same bytes."""

import gzip
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue.itch import decoding as twin
from tradewind.venue.itch import order_books as books_twin
from tradewind.venue.itch.files import read_records, read_stream
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native import itch as kernel
from tradewind_native import order_books as books_kernel
from tradewind_native.itch_error import ItchError

COUNTS = {"A": 4997, "F": 3, "E": 198, "D": 1745, "U": 12, "X": 45, "P": 5000, "S": 6, "R": 3, "H": 3}
MIDNIGHT = 1_293_166_800 * 10**9

Decoder = kernel.ItchDecoder | twin.ItchDecoder


def number_of(symbol: str) -> int | None:
    return None if symbol == "SKIP" else zlib.crc32(symbol.encode()) or 1


@pytest.fixture(params=[kernel.ItchDecoder, twin.ItchDecoder], ids=["kernel", "twin"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    made: Decoder = request.param(number_of, MIDNIGHT)
    return made


@pytest.fixture(scope="session")
def day_path(test_data: Path) -> Path:
    path = test_data / "itch50" / "ex20101224.lenfixed.itch50"
    if not path.is_file():
        pytest.skip(f"no ITCH day {path}")
    return path


def message(kind: str, body: bytes, locate: int = 1, at: int = 77) -> bytes:
    text = kind.encode() + struct.pack(">HH", locate, 0) + at.to_bytes(6, "big") + body
    return text + b" " * (twin.LENGTHS.get(kind, len(text)) - len(text))


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(each)) + each for each in messages)


def directory(symbol: str = "ALC", locate: int = 1) -> bytes:
    return message("R", symbol.ljust(8).encode(), locate)


def add(reference: int = 9, side: bytes = b"B", shares: int = 100, price: int = 12_3400) -> bytes:
    return message("A", struct.pack(">QcI8sI", reference, side, shares, b"ALC     ", price))


MESSAGES = [
    (add(), [(RecordKind.ORDER_ADD, RecordSide.BUY, 9, 123400, 100)]),
    (message("F", add(side=b"S")[11:] + b"MPID"), [(RecordKind.ORDER_ADD, RecordSide.SELL, 9, 123400, 100)]),
    (message("E", struct.pack(">QIQ", 9, 40, 1)), [(RecordKind.ORDER_EXECUTE, 0, 9, 0, 40)]),
    (message("C", struct.pack(">QIQcI", 9, 40, 1, b"Y", 55)), [(RecordKind.ORDER_EXECUTE, 0, 9, 55, 40)]),
    (message("X", struct.pack(">QI", 9, 10)), [(RecordKind.ORDER_CANCEL, 0, 9, 0, 10)]),
    (message("D", struct.pack(">Q", 9)), [(RecordKind.ORDER_CANCEL, 0, 9, 0, 0)]),
    (
        message("U", struct.pack(">QQII", 9, 10, 30, 200)),
        [(RecordKind.ORDER_CANCEL, 0, 9, 0, 0), (RecordKind.ORDER_ADD, 0, 10, 200, 30)],
    ),
    (message("P", struct.pack(">QcI8sIQ", 0, b"B", 5, b"ALC", 66, 8)), [(RecordKind.TRADE, 0, 8, 66, 5)]),
    (message("Q", struct.pack(">Q8sIQc", 2**40, b"ALC", 66, 8, b"O")), [(RecordKind.TRADE, 0, 8, 66, 2**40)]),
    (message("H", b"ALC     T "), [(RecordKind.STATUS, 0, 0, 0, ord("T"))]),
    (message("h", b"ALC     QH"), [(RecordKind.STATUS, 0, 0, ord("Q"), ord("H"))]),
    (message("S", b"Q"), [(RecordKind.STATUS, 0, 0, 0, ord("Q"))]),
    (message("B", struct.pack(">Q", 8)), []),
    *((message(kind, b""), []) for kind in "YLVWKJINO"),
    (message("z", b"a type of tomorrow"), []),
]


def test_the_test_day_has_its_published_counts(day_path: Path, decoder: Decoder) -> None:
    data = day_path.read_bytes()
    assert decoder.decode(data) == len(data) == decoder.offset
    assert (decoder.messages, decoder.counts) == (12_012, COUNTS)


def test_kernel_and_twin_make_the_same_day_and_the_same_books(day_path: Path) -> None:
    ours, theirs = kernel.ItchDecoder(number_of, MIDNIGHT), twin.ItchDecoder(number_of, MIDNIGHT)
    data = day_path.read_bytes()
    theirs.decode(data)
    expected = theirs.take()
    batches = [batch.copy() for batch in read_records(day_path, ours)]
    assert b"".join(batch.tobytes() for batch in batches) == expected.tobytes()
    kernel_books, twin_books = books_kernel.OrderBooks(), books_twin.OrderBooks()
    for first in range(0, len(expected), 100):
        piece = expected[first : first + 100]
        assert kernel_books.apply(piece) == twin_books.apply(piece)
        for symbol in ("ALC", "BOB", "CHAR"):
            for side in (1, 2):
                number = number_of(symbol) or 0
                assert kernel_books.levels(number, side, 10**6) == twin_books.levels(number, side, 10**6)
    for name in ("orders", "applied", "unknown_orders", "repeated_orders", "excess_sizes"):
        assert getattr(kernel_books, name) == getattr(twin_books, name)
    assert kernel_books.orders > 1000


@pytest.mark.parametrize(("text", "expected"), MESSAGES, ids=[chr(text[0]) for text, _ in MESSAGES])
def test_each_message_makes_its_records(decoder: Decoder, text: bytes, expected: list[tuple[int, ...]]) -> None:
    decoder.decode(framed(directory(), text))
    records = decoder.take()
    fields = ("kind", "side", "order_id", "price", "size")
    assert [tuple(int(record[name]) for name in fields) for record in records] == expected
    for record in records:
        assert (record["ts_event"], record["ts_recv"], record["sequence"]) == (MIDNIGHT + 77, MIDNIGHT + 77, 2)
        assert record["instrument"] == (0 if text[:1] == b"S" else number_of("ALC"))
    assert [bool(record["flags"] & RecordFlag.LAST) for record in records][-1:] == [True] * bool(expected)
    assert decoder.counts == {"R": 1, chr(text[0]): 1}


def test_a_message_of_a_session_carries_its_own_number_and_time(decoder: Decoder) -> None:
    decoder.decode_message(directory(), 41, 5)
    decoder.decode_message(add(), 42, 6)
    record = decoder.take()[0]
    assert (int(record["sequence"]), int(record["ts_recv"]), decoder.messages) == (42, 6, 42)
    with pytest.raises(ValueError, match="begin at 1"):
        decoder.decode_message(add(), 0, 6)


def test_unwanted_and_unlisted_instruments_are_counted_only(decoder: Decoder) -> None:
    decoder.decode(framed(directory("SKIP"), add(), message("D", b"\0" * 8, locate=900)))
    assert (len(decoder.take()), decoder.counts) == (0, {"R": 1, "A": 1, "D": 1})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (framed(add()[:-1]), "wrong length, 35"),
        (b"\xff\xffA", "wrong length, 65535"),
        (framed(add(side=b"?")), "out of its range"),
        (framed(message("Q", struct.pack(">Q", 2**63))), "out of its range"),
        (b"\0\0x", "after the end"),
    ],
)
def test_what_is_wrong_names_its_offset_and_keeps_what_came_before(decoder: Decoder, bad: bytes, reason: str) -> None:
    good = framed(directory(), add())
    with pytest.raises(ItchError, match=reason) as caught:
        decoder.decode(good + bad)
    assert caught.value.offset == len(good) + (2 if "end" in reason else 0)
    assert len(decoder.take()) == 1


@pytest.mark.parametrize("number", [0, -1, 2**32])
def test_an_instrument_number_must_fit(number: int) -> None:
    for module in (kernel, twin):
        made: Any = module
        with pytest.raises(ValueError, match="instrument number"):
            made.ItchDecoder(lambda _: number, 0).decode(framed(directory()))


def both_over(data: bytes, pieces: list[int]) -> list[tuple[Any, ...]]:
    """What each side has to say about the same bytes in the same pieces."""
    answers = []
    for made in (kernel.ItchDecoder(number_of, MIDNIGHT), twin.ItchDecoder(number_of, MIDNIGHT)):
        error, rest, start = "", b"", 0
        for end in [*sorted({min(piece, len(data)) for piece in pieces}), len(data)]:
            given_bytes = rest + data[start:end]
            try:
                rest, start = given_bytes[made.decode(given_bytes) :], end
            except ItchError as caught:
                error = str(caught)
                break
        answers.append((error, made.take().tobytes(), made.counts, made.messages, made.offset, made.ended))
    return answers


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([text for text, _ in MESSAGES]), max_size=8),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.lists(st.integers(0, 400), max_size=4),
    st.integers(0, 500),
)
def test_broken_streams_are_the_same_to_both(
    messages: list[bytes], changes: list[tuple[int, int]], pieces: list[int], cut: int
) -> None:
    data = bytearray(framed(directory(), *messages))
    for place, value in changes:
        data[place % len(data)] = value
    ours, theirs = both_over(bytes(data[: cut or None]), pieces)
    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=3))
def test_garbage_is_the_same_to_both(data: bytes, pieces: list[int]) -> None:
    ours, theirs = both_over(data, pieces)
    assert ours == theirs


def test_a_file_is_read_packed_or_plain_and_a_cut_one_names_its_offset(day_path: Path, tmp_path: Path) -> None:
    data = day_path.read_bytes()
    packed = tmp_path / "day.gz"
    packed.write_bytes(gzip.compress(data, 1))
    made = kernel.ItchDecoder(number_of, MIDNIGHT)
    assert sum(len(batch) for batch in read_records(packed, made)) > 10_000
    assert made.messages == 12_012
    cut = kernel.ItchDecoder(number_of, MIDNIGHT)
    with pytest.raises(ItchError, match="ends inside a message"):
        list(read_stream(io.BytesIO(data[:100_001]), cut))
    assert 0 < 100_001 - cut.offset < 52
    packed.write_bytes(packed.read_bytes()[:-5000])
    with pytest.raises(EOFError):
        list(read_records(packed, kernel.ItchDecoder(number_of, MIDNIGHT)))
