"""OKX's and Kraken's decoders and checksums: kernel and twin say the same, on recorded traffic and on noise."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venue import book_checksums as twin_checksums
from tradewind.venue import order_book as twin_books
from tradewind.venue.kraken.decoding import KrakenDecoder as KrakenTwin
from tradewind.venue.okx.decoding import OkxDecoder as OkxTwin
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native import book_checksums, order_book
from tradewind_native.book_frames import BookFrameDecoder, KrakenDecoder, OkxDecoder
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

NOW = 1_723_161_253_937_085_768
OKX = [("BTC-USD-220527", 1, 1, 0), ("UNI-USD-SWAP", 2, 3, 0), ("BTC-USDT", 3, 1, 8)]
KRAKEN = [
    (pair, number, price, 8)
    for number, (pair, price) in enumerate(
        {
            "WAVES/EUR": 6, "XMR/USD": 8, "KSM/XBT": 8, "GRT/ETH": 9, "SC/EUR": 6, "ETH/CHF": 5, "OCEAN/XBT": 9,
            "OMG/USD": 6, "XBT/CHF": 5, "ADA/XBT": 8,
        }.items(),
        1,
    )
]  # fmt: skip
OKX_BOOK: dict[str, Any] = {
    "arg": {"channel": "books", "instId": "BTC-USDT"},
    "action": "update",
    "data": [
        {
            "asks": [["30243.5", "1.2112", "0", "4"]],
            "bids": [["30237.2", "0", "0", "0"], ["30236.1", "0.05452", "0", "1"]],
            "ts": "1652459225464",
            "checksum": -914047754,
            "seqId": 12,
            "prevSeqId": 11,
        }
    ],
}
OKX_TRADE: dict[str, Any] = {
    "arg": {"channel": "trades", "instId": "BTC-USDT"},
    "data": [{"tradeId": "338", "px": "30227.6", "sz": "0.5", "side": "sell", "ts": "1652459235576"}],
}  # fmt: skip
OKX_TICKER: dict[str, Any] = {
    "arg": {"channel": "tickers", "instId": "BTC-USDT"},
    "data": [{"bidPx": "30230.2", "bidSz": "0.4112", "askPx": "30230.3", "askSz": "1.9", "ts": "1652459235637"}],
}
KRAKEN_BOOK: list[Any] = [
    5,
    {"a": [["13.284500", "1396.00000000", "1618678133.383209"]]},
    {"b": [["13.200000", "0.00000000", "1618678133.383210", "r"]], "c": "176333288"},
    "book-10",
    "WAVES/EUR",
]
KRAKEN_TRADE: list[Any] = [5, [["13.2845", "2", "1618678133.383209", "s", "l", ""]], "trade", "WAVES/EUR"]
KRAKEN_SPREAD: list[Any] = [5, ["13.1", "13.2", "1618678133.383209", "4", "5.5"], "spread", "WAVES/EUR"]


class Pair:
    """Kernel and twin side by side: whatever one says, the other must say."""

    def __init__(self, kernel: type[BookFrameDecoder], twin: Any, instruments: list[tuple[str, int, int, int]]) -> None:
        self.kernel, self.twin = kernel(instruments), twin(instruments)

    def decode(self, frame: bytes) -> tuple[FrameKind | str, np.ndarray[Any, Any]]:
        ends: list[tuple[FrameKind | str, list[tuple[int, ...]], tuple[int | None, ...]]] = []
        for decoder in (self.kernel, self.twin):
            end: FrameKind | str
            try:
                end = FrameKind(decoder.decode(frame, NOW))
            except (MalformedFrame, UnknownFrame) as error:
                end = type(error).__name__
                ends.append((end, decoder.take().tolist(), ()))
                continue
            about = (
                decoder.instrument, decoder.checksum, decoder.sequence, decoder.previous_sequence,
                decoder.price_decimals, decoder.size_decimals,
            )  # fmt: skip
            records = decoder.take()
            ends.append((end, records.tolist(), about))
        assert ends[0] == ends[1]
        return ends[0][0], records if isinstance(end, FrameKind) else np.array([])


def okx() -> Pair:
    return Pair(OkxDecoder, OkxTwin, OKX)


def kraken() -> Pair:
    return Pair(KrakenDecoder, KrakenTwin, KRAKEN)


def raw(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def recorded(path: Path) -> Iterator[bytes]:
    """What the venue sent: lines of time, colon, frame."""
    if not path.is_file():
        pytest.skip(f"no capture {path}")
    for line in path.read_text().splitlines():
        at, _, frame = line.partition(": ")
        if at.replace(".", "").isdigit():
            yield frame.encode()


BOOKS = [(order_book.OrderBook, book_checksums), (twin_books.OrderBook, twin_checksums)]


def test_every_checksum_of_okx_is_equal(test_data: Path) -> None:
    pair = okx()
    books = {number: [book(number) for book, _ in BOOKS] for _, number, _, _ in OKX}
    precisions = {number: (price, size) for _, number, price, size in OKX}
    compared = 0
    for frame in recorded(test_data / "okx" / "OKX.ws.1.0"):
        kind, records = pair.decode(frame)
        assert isinstance(kind, FrameKind), frame[:200]
        if (wanted := pair.kernel.checksum) is None:
            continue
        number = pair.kernel.instrument
        for book, (_, checksums) in zip(books[number], BOOKS, strict=True):
            book.apply(records)
            assert checksums.okx_checksum(book, *precisions[number]) == wanted
        compared += 1
    assert compared == 290


def test_every_checksum_of_kraken_is_equal(test_data: Path) -> None:
    pair = kraken()
    books = {number: [book(number) for book, _ in BOOKS] for _, number, _, _ in KRAKEN}
    precisions = {number: (price, size) for _, number, price, size in KRAKEN}
    compared = 0
    for frame in recorded(test_data / "kraken" / "KRAKEN.ws.50.first60"):
        kind, records = pair.decode(frame)
        assert isinstance(kind, FrameKind), frame[:200]
        for book, (_, checksums) in zip(books.get(pair.kernel.instrument, []), BOOKS, strict=False):
            book.apply(records)
            if (wanted := pair.kernel.checksum) is None:
                continue
            price, size = precisions[pair.kernel.instrument]
            assert pair.kernel.price_decimals is not None
            assert pair.kernel.size_decimals is not None
            more = pair.kernel.price_decimals - price, pair.kernel.size_decimals - size
            assert checksums.kraken_checksum(book, *more) == wanted
            compared += 1
    assert compared == 2 * sum(b'"c":' in one for one in recorded(test_data / "kraken" / "KRAKEN.ws.50.first60"))
    assert compared > 0


def test_a_book_that_is_not_the_venues_has_another_checksum() -> None:
    for make, checksums in BOOKS:
        book = make(3)
        pair = okx()
        book.apply(pair.decode(raw(OKX_BOOK))[1])
        before = checksums.okx_checksum(book, 1, 8), checksums.kraken_checksum(book, 0, 0)
        changed = copy.deepcopy(OKX_BOOK)
        changed["data"][0]["asks"][0][1] = "1.2113"
        book.apply(pair.decode(raw(changed))[1])
        after = checksums.okx_checksum(book, 1, 8), checksums.kraken_checksum(book, 0, 0)
        assert before[0] != after[0]
        assert before[1] != after[1]


def test_an_update_of_okx_makes_a_record_for_each_level() -> None:
    pair = okx()
    kind, records = pair.decode(raw(OKX_BOOK))
    assert kind is FrameKind.DEPTH
    assert records["price"].tolist() == [302372, 302361, 302435]
    assert records["size"].tolist() == [0, 5_452_000, 121_120_000]
    assert records["side"].tolist() == [RecordSide.BUY, RecordSide.BUY, RecordSide.SELL]
    assert records["flags"].tolist() == [0, 0, RecordFlag.LAST]
    assert set(records["ts_event"].tolist()) == {1652459225464 * 10**6}
    assert (pair.kernel.sequence, pair.kernel.previous_sequence, pair.kernel.checksum) == (12, 11, -914047754)


def test_a_snapshot_begins_with_clear_and_numbers_its_levels() -> None:
    whole = copy.deepcopy(OKX_BOOK)
    whole["action"] = "snapshot"
    kind, records = okx().decode(raw(whole))
    assert kind is FrameKind.SNAPSHOT
    assert records["kind"].tolist() == [RecordKind.CLEAR] + [RecordKind.LEVEL] * 3
    assert records["level"].tolist() == [0, 0, 1, 0]
    assert all(records["flags"] & RecordFlag.SNAPSHOT)
    waves = [5, {"as": [["13.2", "1", "1.5"]], "bs": []}, "book-10", "WAVES/EUR"]
    kind, records = kraken().decode(raw(waves))
    assert kind is FrameKind.SNAPSHOT
    assert records["kind"].tolist() == [RecordKind.CLEAR, RecordKind.LEVEL]
    assert records["ts_event"].tolist() == [1_500_000_000] * 2


def test_both_payloads_of_one_kraken_frame_are_one_update() -> None:
    pair = kraken()
    kind, records = pair.decode(raw(KRAKEN_BOOK))
    assert kind is FrameKind.DEPTH
    assert records["side"].tolist() == [RecordSide.SELL, RecordSide.BUY]
    assert set(records["ts_event"].tolist()) == {1618678133383210000}
    assert pair.kernel.checksum == 176333288
    assert (pair.kernel.price_decimals, pair.kernel.size_decimals) == (6, 8)


def test_trades_and_best_prices() -> None:
    for pair, trade, best in ((okx(), OKX_TRADE, OKX_TICKER), (kraken(), KRAKEN_TRADE, KRAKEN_SPREAD)):
        kind, records = pair.decode(raw(trade))
        assert kind is FrameKind.TRADE
        assert records["side"].tolist() == [RecordSide.SELL]
        kind, records = pair.decode(raw(best))
        assert kind is FrameKind.TICKER
        assert records["side"].tolist() == [RecordSide.BUY, RecordSide.SELL]
    empty = copy.deepcopy(OKX_TICKER)
    empty["data"][0] |= {"bidPx": "", "bidSz": ""}
    assert okx().decode(raw(empty))[1]["side"].tolist() == [RecordSide.SELL]
    best = {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [OKX_BOOK["data"][0]]}
    assert okx().decode(raw(best))[0] is FrameKind.TICKER


def test_an_update_without_levels_moves_time_on() -> None:
    quiet = copy.deepcopy(OKX_BOOK)
    quiet["data"][0] |= {"asks": [], "bids": []}
    kind, records = okx().decode(raw(quiet))
    assert kind is FrameKind.DEPTH
    assert (records["kind"].tolist(), records["side"].tolist()) == ([RecordKind.LEVEL], [RecordSide.NONE])


@pytest.mark.parametrize(
    "frame", [b"pong", b'{"event":"subscribe","arg":{}}', b'{"event":"error","code":"60012","msg":"x"}']
)
def test_answers_of_okx_make_no_record(frame: bytes) -> None:
    kind, records = okx().decode(frame)
    assert (kind, len(records)) == (FrameKind.CONTROL, 0)


def test_events_of_kraken_make_no_record() -> None:
    assert kraken().decode(b'{"event":"heartbeat"}')[0] is FrameKind.CONTROL


@pytest.mark.parametrize(
    "frame",
    [
        raw({**OKX_BOOK, "arg": {"channel": "candle1m", "instId": "BTC-USDT"}}),
        raw({**OKX_BOOK, "arg": {"channel": "books", "instId": "ETH-USDT"}}),
    ],
)
def test_what_nobody_asked_okx_for_is_unknown(frame: bytes) -> None:
    assert okx().decode(frame)[0] == "UnknownFrame"


@pytest.mark.parametrize("tail", [["ohlc-5", "WAVES/EUR"], ["book-10", "DOT/EUR"]])
def test_what_nobody_asked_kraken_for_is_unknown(tail: list[str]) -> None:
    assert kraken().decode(raw([*KRAKEN_BOOK[:2], *tail]))[0] == "UnknownFrame"


BAD_VALUES = [
    None,
    True,
    1,
    -1,
    10**30,
    0.5,
    "",
    "x",
    "1e-8",
    "0x1",
    "1.",
    ".5",
    "-1",
    "9" * 30,
    "1\u0000",
    "1,5",
    [],
    {},
    [[]],
]
MESSAGES: list[tuple[Any, Any]] = [
    (okx, OKX_BOOK), (okx, OKX_TRADE), (okx, OKX_TICKER),
    (kraken, KRAKEN_BOOK), (kraken, KRAKEN_TRADE), (kraken, KRAKEN_SPREAD),
]  # fmt: skip


def places(message: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a message."""
    inside = message.items() if isinstance(message, dict) else enumerate(message) if isinstance(message, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize(("make", "message"), MESSAGES)
def test_kernel_and_twin_agree_on_every_wrong_value_at_every_place(make: Any, message: Any) -> None:
    pair = make()
    verdicts = set()
    for path in places(message):
        for value in BAD_VALUES:
            changed = copy.deepcopy(message)
            inner = changed
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = value
            verdicts.add(pair.decode(raw(changed))[0])
        changed = copy.deepcopy(message)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        verdicts.add(pair.decode(raw(changed))[0])
    assert "MalformedFrame" in verdicts


@pytest.mark.parametrize(("make", "message"), MESSAGES)
def test_a_frame_that_is_cut_off_anywhere_is_malformed(make: Any, message: Any) -> None:
    pair, frame = make(), raw(message)
    assert {pair.decode(frame[:length])[0] for length in range(len(frame))} == {"MalformedFrame"}


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_noise_is_malformed(noise: bytes) -> None:
    if noise.strip() in (b"pong",):
        return
    for pair in (okx(), kraken()):
        with pytest.raises(MalformedFrame):
            pair.kernel.decode(noise, NOW)
        with pytest.raises(MalformedFrame):
            pair.twin.decode(noise, NOW)


def test_claims_of_size_are_bounded() -> None:
    for pair in (okx(), kraken()):
        assert pair.decode(b"[" * 100_000)[0] == "MalformedFrame"
        assert pair.decode(b" " * (16 * 1024 * 1024 + 1))[0] == "MalformedFrame"
    many = copy.deepcopy(OKX_BOOK)
    many["data"][0]["asks"] = [["1", "1"]] * 50_010
    assert okx().decode(raw(many))[0] == "MalformedFrame"


def test_records_of_an_earlier_frame_survive_a_bad_one() -> None:
    for decoder in (okx().kernel, okx().twin):
        decoder.decode(raw(OKX_BOOK), NOW)
        with pytest.raises(MalformedFrame):
            decoder.decode(b"{", NOW)
        assert len(decoder.take()) == 3


@pytest.mark.parametrize("make", [OkxDecoder, OkxTwin, KrakenDecoder, KrakenTwin])
def test_instruments_are_checked(make: Any) -> None:
    for wrong in ([("A", 1, 19, 0)], [("A", 1, 0, -1)], [("A", 2**32, 0, 0)], [("A", 1, 0, 0), ("A", 2, 0, 0)]):
        with pytest.raises(ValueError, match=r"precision|32 bits|twice"):
            make(wrong)


def test_the_shared_decoder_is_of_no_venue() -> None:
    with pytest.raises(TypeError, match="OkxDecoder"):
        BookFrameDecoder(OKX)


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(1, 10**12), st.integers(0, 10**12)), max_size=80),
    st.integers(0, 18),
    st.integers(0, 18),
)
@settings(max_examples=100, deadline=None)
def test_checksums_of_any_book_are_those_of_the_twin(levels: list[tuple[int, int, int]], price: int, size: int) -> None:
    records = np.zeros(len(levels), dtype=twin_books.MARKET_RECORD)
    for row, (side, at, amount) in zip(records, levels, strict=True):
        row["kind"], row["instrument"], row["side"], row["price"], row["size"] = RecordKind.LEVEL, 1, side, at, amount
    book = order_book.OrderBook(1)
    book.apply(records)
    assert book_checksums.okx_checksum(book, price, size) == twin_checksums.okx_checksum(book, price, size)
    assert book_checksums.kraken_checksum(book, price, size) == twin_checksums.kraken_checksum(book, price, size)


def test_a_precision_that_is_none_is_refused() -> None:
    for make, checksums in BOOKS:
        with pytest.raises(ValueError, match="precisions"):
            checksums.okx_checksum(make(1), 19, 0)
        with pytest.raises(ValueError, match="precisions"):
            checksums.kraken_checksum(make(1), 0, -1)
