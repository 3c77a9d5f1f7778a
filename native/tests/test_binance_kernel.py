"""The Binance decoder: the kernel and its Python twin give the same records and refuse the same frames."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tradewind_native.binance as kernel
from tradewind.venue.binance import decoding as twin
from tradewind.wire.market_records import MARKET_RECORD, RecordFlag, RecordKind, RecordSide
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

INSTRUMENTS = [("BTCUSDT", 7, 2, 8), ("ETHBTC", 4_000_000_000, 5, 4)]
NOW = 1_723_161_253_937_085_768
MAX = 2**63 - 1

DEPTH = {
    "e": "depthUpdate",
    "E": 1723161255208,
    "s": "BTCUSDT",
    "U": 50,
    "u": 63,
    "b": [["61737.63000000", "0.00000000"], ["61730.17", "1.5"]],
    "a": [["61837.64000000", "1.54698000"]],
}
TRADE = {
    "e": "trade",
    "E": 1723161255343,
    "s": "BTCUSDT",
    "t": 3735683259,
    "p": "61837.63000000",
    "q": "0.02000000",
    "T": 1723161255342,
    "m": True,
    "M": True,
}
TICKER = {"u": 99, "s": "BTCUSDT", "b": "61837.63000000", "B": "3.78826000", "a": "61837.64000000", "A": "1.54698000"}
SNAPSHOT = {"lastUpdateId": 40, "bids": [["9.01", "2"], ["9.00", "3"]], "asks": [["9.02", "1"]]}
SAMPLES = {"depth": DEPTH, "trade": TRADE, "ticker": TICKER}

Decoder = kernel.BinanceDecoder | twin.BinanceDecoder
Make = Callable[[], Decoder]


@pytest.fixture(params=[kernel.BinanceDecoder, twin.BinanceDecoder], ids=["kernel", "twin"])
def make(request: pytest.FixtureRequest) -> Make:
    return lambda: request.param(INSTRUMENTS)


def raw(event: object) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def combined(event: object) -> bytes:
    return raw({"stream": "btcusdt@any", "data": event})


def rows(records: np.ndarray[Any, Any]) -> list[dict[str, int]]:
    return [dict(zip(MARKET_RECORD.names or (), row, strict=True)) for row in records.tolist()]


def changed(event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**event, **fields}


# --- what a frame becomes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [raw, combined])
def test_a_depth_event_becomes_one_level_record_a_change(make: Make, wrap: Callable[[object], bytes]) -> None:
    decoder = make()
    assert decoder.decode(wrap(DEPTH), NOW) == FrameKind.DEPTH
    assert (decoder.first_update_id, decoder.final_update_id, decoder.instrument, decoder.pending) == (50, 63, 7, 3)
    got = rows(decoder.take())
    shared = {"ts_event": 1723161255208 * 10**6, "ts_recv": NOW, "order_id": 50, "sequence": 63, "instrument": 7}
    shared |= {"kind": RecordKind.LEVEL, "level": 0, "reserved": 0}
    assert got == [
        {**shared, "price": 6173763, "size": 0, "side": RecordSide.BUY, "flags": 0},
        {**shared, "price": 6173017, "size": 150_000_000, "side": RecordSide.BUY, "flags": 0},
        {**shared, "price": 6183764, "size": 154_698_000, "side": RecordSide.SELL, "flags": RecordFlag.LAST},
    ]


def test_a_depth_event_without_levels_still_moves_the_sequence(make: Make) -> None:
    decoder = make()
    assert decoder.decode(combined(changed(DEPTH, b=[], a=[])), NOW) == FrameKind.DEPTH
    (row,) = rows(decoder.take())
    assert (row["kind"], row["side"], row["flags"]) == (RecordKind.LEVEL, RecordSide.NONE, RecordFlag.LAST)
    assert (row["price"], row["size"], row["order_id"], row["sequence"]) == (0, 0, 50, 63)


@pytest.mark.parametrize(("maker", "aggressor"), [(True, RecordSide.SELL), (False, RecordSide.BUY)])
def test_a_trade_carries_the_aggressors_side(make: Make, maker: bool, aggressor: RecordSide) -> None:
    decoder = make()
    assert decoder.decode(combined(changed(TRADE, m=maker)), NOW) == FrameKind.TRADE
    (row,) = rows(decoder.take())
    assert row == {
        "ts_event": 1723161255342 * 10**6,
        "ts_recv": NOW,
        "price": 6183763,
        "size": 2_000_000,
        "order_id": 3735683259,
        "sequence": 3735683259,
        "instrument": 7,
        "kind": RecordKind.TRADE,
        "side": aggressor,
        "flags": RecordFlag.LAST,
        "level": 0,
        "reserved": 0,
    }
    assert decoder.first_update_id == decoder.final_update_id == 3735683259


def test_a_ticker_becomes_two_records_dated_by_the_latest_venue_time(make: Make) -> None:
    decoder = make()
    assert decoder.decode(combined(TICKER), NOW) == FrameKind.TICKER
    first = rows(decoder.take())
    assert [row["ts_event"] for row in first] == [NOW, NOW]
    decoder.decode(raw(TRADE), NOW)
    decoder.decode(raw(DEPTH), NOW)
    decoder.take()
    assert decoder.decode(raw(TICKER), NOW) == FrameKind.TICKER
    bid, ask = rows(decoder.take())
    shared = {"ts_event": 1723161255343 * 10**6, "ts_recv": NOW, "order_id": 0, "sequence": 99, "instrument": 7}
    shared |= {"kind": RecordKind.TOP_OF_BOOK, "level": 0, "reserved": 0}
    assert bid == {**shared, "price": 6183763, "size": 378_826_000, "side": RecordSide.BUY, "flags": 0}
    assert ask == {**shared, "price": 6183764, "size": 154_698_000, "side": RecordSide.SELL, "flags": RecordFlag.LAST}


def test_a_snapshot_clears_the_book_and_numbers_its_levels(make: Make) -> None:
    decoder = make()
    body = changed(SNAPSHOT, bids=[[f"{9 - i / 100:.2f}", "1"] for i in range(300)])
    assert decoder.decode_snapshot(raw(body), "BTCUSDT", NOW) == FrameKind.SNAPSHOT
    assert (decoder.first_update_id, decoder.final_update_id, decoder.instrument) == (40, 40, 7)
    records = decoder.take()
    assert len(records) == 302
    assert set(records["sequence"].tolist()) == set(records["order_id"].tolist()) == {40}
    assert records["kind"].tolist() == [RecordKind.CLEAR] + [RecordKind.LEVEL] * 301
    assert records["side"].tolist() == [RecordSide.NONE] + [RecordSide.BUY] * 300 + [RecordSide.SELL]
    assert records["level"][1:301].tolist() == [min(index, 255) for index in range(300)]
    assert records["flags"].tolist() == [RecordFlag.SNAPSHOT] * 301 + [RecordFlag.SNAPSHOT | RecordFlag.LAST]
    assert records["price"][[0, 1, 300, 301]].tolist() == [0, 900, 601, 902]
    assert records["ts_event"][0] == NOW


def test_a_snapshot_of_an_empty_book_is_one_last_record(make: Make) -> None:
    decoder = make()
    decoder.decode_snapshot(raw({"lastUpdateId": 1, "bids": [], "asks": []}), "ETHBTC", NOW)
    (row,) = rows(decoder.take())
    assert (row["kind"], row["flags"]) == (RecordKind.CLEAR, RecordFlag.SNAPSHOT | RecordFlag.LAST)
    assert row["instrument"] == 4_000_000_000


@pytest.mark.parametrize(
    "frame",
    [
        b'{"result":null,"id":1}',
        b'{"id":2,"result":["btcusdt@trade"]}',
        b'{"code":2,"msg":"Invalid request: unknown property"}',
        b'{"error":{"code":2,"msg":"no"},"id":null}',
    ],
)
def test_an_answer_makes_no_record(make: Make, frame: bytes) -> None:
    decoder = make()
    assert decoder.decode(frame, NOW) == FrameKind.CONTROL
    assert (decoder.pending, decoder.instrument, decoder.final_update_id) == (0, 0, 0)
    assert len(decoder.take()) == 0


# --- the shape of the JSON does not matter --------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_order_of_keys_unknown_keys_space_and_escapes_do_not_matter(make: Make, name: str) -> None:
    event = SAMPLES[name]
    plain = make()
    plain.decode(raw(event), NOW)
    expected = plain.take().tobytes()
    backwards = dict(reversed(event.items()))
    extra = {"x": {"e": [1, -2.5e3, {"b": None}], "": 'q"\\'}, **event, "Z": "é", "longer": True}
    escaped = (
        raw(event).replace(b'"s"', b'"\\u0073"').replace(b"BTCUSDT", b"\\u0042TCUSDT").replace(b'"61', b'"\\u00361')
    )
    frames = [
        *(raw(backwards), raw(extra), combined(extra), escaped),
        json.dumps(event, indent=3).encode() + b" \r\n\t",
        raw({"data": backwards, "stream": "x", "e": 5, "b": 7}),
    ]
    for frame in frames:
        decoder = make()
        decoder.decode(frame, NOW)
        assert decoder.take().tobytes() == expected, frame


def test_the_last_one_of_doubled_keys_counts(make: Make) -> None:
    decoder = make()
    decoder.decode(raw(TRADE)[:-1] + b',"p":"1.00","t":5}', NOW)
    (row,) = rows(decoder.take())
    assert (row["price"], row["sequence"]) == (100, 5)


def test_letters_of_other_events_do_not_matter(make: Make) -> None:
    """Binance's trades once carried the two order ids as b and a."""
    decoder = make()
    decoder.decode(raw({**TRADE, "b": 88, "a": [5], "u": "x", "U": None}), NOW)
    decoder.decode(raw({**DEPTH, "p": 5, "m": {}, "B": 1}), NOW)
    decoder.decode(raw({**TICKER, "E": "x", "T": [], "t": -1}), NOW)
    assert decoder.pending == 6


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_contiguous_bytes_are_taken_and_not_changed(make: Make, kind: type) -> None:
    decoder = make()
    frame = combined(DEPTH)
    given_frame = kind(frame)
    decoder.decode(given_frame, NOW)
    decoder.decode_snapshot(kind(raw(SNAPSHOT)), "BTCUSDT", NOW)
    assert bytes(given_frame) == frame
    assert decoder.pending == 7


def test_text_is_a_programming_error_not_a_bad_frame(make: Make) -> None:
    with pytest.raises(TypeError):
        make().decode('{"result":null}', NOW)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        make().decode(None, NOW)  # type: ignore[arg-type]


# --- exact numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mantissa"),
    [
        *[("0", 0), ("1", 100), ("1.0", 100), ("1.2", 120), ("1.23", 123), ("1.230000000000000000000", 123)],
        *[("0001.23", 123), ("-1.23", -123), ("-0.00", 0), ("12345678.12000000", 1234567812)],
        *[("1234567.12000000", 123456712), ("92233720368547758.07", MAX), ("-92233720368547758.07", -MAX)],
        *[("0.01000000", 1), ("9999999.99000000", 999999999), ("00000000000000000000000000001", 100)],
        *[("9.9900000", 999), ("9.990000000", 999)],
    ],
)
def test_prices_are_exact(make: Make, text: str, mantissa: int) -> None:
    decoder = make()
    decoder.decode(raw(changed(TRADE, p=text)), NOW)
    assert rows(decoder.take())[0]["price"] == mantissa


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1.", ".5", "1.2.3", "+1", "--1", "1e3", "1E3", "0x1", "inf", "NaN", " 1", "1 ", "1,5", "١", "1_0"),
        *("1.234", "1.23000001", "1.00100000", "61837.63000001", "92233720368547758.08", "9" * 30, "9" * 5000),
        *("-92233720368547758.08", "-", "-.1"),
        *("1.0000000/", "1.:0000000", "1.000000-0", "1\u00000", "1.0\u0000"),
    ],
)
def test_inexact_prices_are_refused(make: Make, text: str) -> None:
    for event in (changed(TRADE, p=text), changed(DEPTH, b=[[text, "1"]]), changed(TICKER, a=text)):
        with pytest.raises(MalformedFrame):
            make().decode(raw(event), NOW)


@pytest.mark.parametrize("text", ["-1", "-0", "0.000000001", "92233720369", "+1", "1e-3", ""])
def test_inexact_or_signed_sizes_are_refused(make: Make, text: str) -> None:
    for event in (changed(TRADE, q=text), changed(DEPTH, a=[["1", text]]), changed(TICKER, B=text)):
        with pytest.raises(MalformedFrame):
            make().decode(raw(event), NOW)


@pytest.mark.parametrize("precision", range(19))
def test_every_precision_gives_the_same_as_exact_arithmetic(precision: int) -> None:
    texts = ["0.00000000", "1.00000000", "7.10000000", "123.45000000", "1.23456789", "9.99999999", "4.5", "0.000001"]
    for text in texts:
        whole, _, decimals = text.partition(".")
        exact = not decimals[precision:].strip("0")
        mantissa = int(whole + decimals[:precision].ljust(precision, "0"))
        for module in (kernel, twin):
            decoder = module.BinanceDecoder([("BTCUSDT", 7, precision, 8)])
            if exact and mantissa <= MAX:
                decoder.decode(raw(changed(TRADE, p=text)), NOW)
                assert rows(decoder.take())[0]["price"] == mantissa
            else:
                with pytest.raises(MalformedFrame):
                    decoder.decode(raw(changed(TRADE, p=text)), NOW)


@given(
    whole=st.integers(0, 10**9),
    decimals=st.text("0123456789", min_size=0, max_size=10),
    precision=st.integers(0, 12),
)
@settings(max_examples=300, deadline=None)
def test_kernel_and_twin_read_the_same_numbers(whole: int, decimals: str, precision: int) -> None:
    frame = raw(changed(TRADE, p=f"{whole}.{decimals}" if decimals else str(whole)))
    assert outcome(kernel, frame, precision) == outcome(twin, frame, precision)


# --- frames that are refused ----------------------------------------------------------------------------------------


def outcome(module: Any, frame: bytes, precision: int = 2) -> object:
    decoder = module.BinanceDecoder([("BTCUSDT", 7, precision, 8), INSTRUMENTS[1]])
    try:
        kind = decoder.decode(frame, NOW)
    except (MalformedFrame, UnknownFrame) as error:
        return type(error)
    return kind, decoder.take().tobytes()


def refused(make: Make, frame: bytes, error: type[ValueError]) -> None:
    """A refusal leaves the pending batch and the properties as they were."""
    decoder = make()
    decoder.decode(raw(TRADE), NOW)
    before = (decoder.first_update_id, decoder.final_update_id, decoder.instrument, decoder.pending)
    with pytest.raises(error, match="Binance frame"):
        decoder.decode(frame, NOW)
    assert (decoder.first_update_id, decoder.final_update_id, decoder.instrument, decoder.pending) == before
    decoder.decode(raw(TICKER), NOW)
    records = decoder.take()
    assert records["kind"].tolist() == [RecordKind.TRADE, RecordKind.TOP_OF_BOOK, RecordKind.TOP_OF_BOOK]
    assert records["ts_event"][1] == 1723161255343 * 10**6


@pytest.mark.parametrize("wrap", [raw, combined])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_frame_cut_at_any_byte_is_malformed(make: Make, name: str, wrap: Callable[[object], bytes]) -> None:
    frame = wrap(SAMPLES[name])
    decoder = make()
    for length in range(len(frame)):
        with pytest.raises(MalformedFrame):
            decoder.decode(frame[:length], NOW)
    assert decoder.pending == 0


def test_a_snapshot_cut_at_any_byte_is_malformed(make: Make) -> None:
    body = raw(SNAPSHOT)
    decoder = make()
    for length in range(len(body)):
        with pytest.raises(MalformedFrame):
            decoder.decode_snapshot(body[:length], "BTCUSDT", NOW)
    assert decoder.pending == 0


@pytest.mark.parametrize("name", SAMPLES)
def test_every_field_is_needed_and_typed(make: Make, name: str) -> None:
    event = SAMPLES[name]
    for field in event.keys() - {"M", "e"}:
        if name != "ticker" or field != "u":
            refused(make, raw({key: value for key, value in event.items() if key != field}), MalformedFrame)
        wrongs: list[Any] = [None, [[]], {}, [[1, 2]], 1.5, -1, "x" if field != "s" else 5]
        for wrong in wrongs:
            refused(make, combined(changed(event, **{field: wrong})), MalformedFrame)


@pytest.mark.parametrize(
    "levels",
    [
        *([["1"]], [["1", "2", "3"]], [[]], [["1", 2]], [[1, "2"]], [1], ["1"], [None], [{}], [[["1"], "2"]], "1"),
        *({}, 5, True, [["1", "1"], ["1"]]),
    ],
)
def test_levels_are_pairs_of_strings(make: Make, levels: object) -> None:
    refused(make, raw(changed(DEPTH, b=levels)), MalformedFrame)
    refused(make, raw(changed(DEPTH, a=levels)), MalformedFrame)
    with pytest.raises(MalformedFrame):
        make().decode_snapshot(raw(changed(SNAPSHOT, bids=levels)), "BTCUSDT", NOW)


@pytest.mark.parametrize("number", [-1, 2**64, 10**30, 1.0, 1e3, "5", True, None])
def test_update_ids_are_64_bit_without_sign(make: Make, number: object) -> None:
    for event, field in ((DEPTH, "U"), (DEPTH, "u"), (TICKER, "u"), (TRADE, "t")):
        refused(make, raw(changed(event, **{field: number})), MalformedFrame)
    with pytest.raises(MalformedFrame):
        make().decode_snapshot(raw(changed(SNAPSHOT, lastUpdateId=number)), "BTCUSDT", NOW)


def test_the_largest_update_id_and_time_are_taken(make: Make) -> None:
    decoder = make()
    latest = MAX // 10**6
    decoder.decode(raw(changed(DEPTH, u=2**64 - 1, E=latest)), NOW)
    assert decoder.final_update_id == 2**64 - 1
    assert rows(decoder.take())[0]["ts_event"] == latest * 10**6
    refused(make, raw(changed(DEPTH, E=latest + 1)), MalformedFrame)
    refused(make, raw(changed(TRADE, T=2**64)), MalformedFrame)


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b" ", b"\0", b"null", b"[]", b"1", b'"x"', b"{", b"}", b"{]", b"[}", b"nonsense", b'{"e"', b'{"e":}'),
        *(b"{}{}", b"{} x", b'{"data":null}', b'{"data":[]}', b'{"data":5,"e":"trade"}', b'{"result":nul}', b"{1:2}"),
        *(b'{"result":tru}', b'{"result":01}', b'{"result":1.}', b'{"result":-}', b'{"result":1e}', b'{"result":+1}'),
        *(b'{"result":"\\q"}', b'{"result":"\\u12"}', b'{"result":"a\nb"}', b'{"result":[1,]}', b'{"result":[1 2]}'),
        *(b'{"result":null,}', b'{"result" null}', b'{"result":{"a":1,"b"}}', b'{"result":[1}', b'{"\\q":1}'),
        *(b'{"result":"\xff"}', b'{"\xff":1}', b"\xff\xfe{}", b'{"e":"\xc3"}', b'{"result":nullx}', b'{"e":null}'),
        *(
            raw(TRADE)[:-1] + b',"b":1x}',
            raw(changed(TRADE, s="X")).replace(b"true,", b"tru,"),
            raw(TRADE)[:-1] + b',"b":"\\q"}',
        ),
        *(raw(DEPTH)[:-1] + b',"b":[["1","\\q"]],"b":[]}', raw(TRADE)[:-1] + b',"p":01,"p":"1"}'),
        *(combined(TRADE)[:-1] + b',"data":{"e":tru}}', b'{"data":{"u":01},' + combined(TRADE)[1:]),
        *(b'{"e":5}', b'{"e":["trade"]}', b'{"e":{"e":"trade"}}', b'{"result":1}]', b'{"result":NaN}', b'{"":"}'),
    ],
)
def test_what_is_no_frame_is_malformed(make: Make, frame: bytes) -> None:
    refused(make, frame, MalformedFrame)


@pytest.mark.parametrize("filler", [b"[", b'{"a":', b'[{"a":'])
def test_deep_nesting_is_refused_without_exhausting_the_stack(make: Make, filler: bytes) -> None:
    for start in (b"", b'{"x":', b'{"data":{"x":', b'{"data":', b'{"e":"depthUpdate","b":'):
        refused(make, start + filler * 100_000, MalformedFrame)
    closed = b'{"result":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    refused(make, closed, MalformedFrame)


def test_too_many_levels_and_too_large_frames_are_refused(make: Make) -> None:
    most = changed(DEPTH, b=[["1", "1"]] * 25_000, a=[["2", "1"]] * 25_000)
    decoder = make()
    decoder.decode(raw(TRADE), NOW)
    assert decoder.decode(raw(most), NOW) == FrameKind.DEPTH
    assert decoder.pending == 50_001
    assert len(decoder.take()) == 50_001
    refused(make, raw(changed(DEPTH, b=[["1", "1"]] * 50_001)), MalformedFrame)
    refused(make, raw(changed(most, a=[["2", "1"]] * 25_001)), MalformedFrame)
    limit = 16 * 1024 * 1024
    answer = b'{"result":null}'
    assert decoder.decode(answer + b" " * (limit - len(answer)), NOW) == FrameKind.CONTROL
    refused(make, answer + b" " * (limit + 1 - len(answer)), MalformedFrame)
    assert decoder.decode(raw(DEPTH), NOW) == FrameKind.DEPTH


@pytest.mark.parametrize(
    "event",
    [
        changed(TRADE, s="DOGEUSDT"),
        changed(DEPTH, s=""),
        changed(TICKER, s="btcusdt"),
        changed(DEPTH, s="DOGEUSDT", U="x", b=[["1"]]),
        changed(TRADE, s="DOGEUSDT", p=None, t=-1),
        {"e": "aggTrade", "E": 1, "s": "BTCUSDT", "a": 5, "p": "1", "q": "2", "m": True},
        {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {"t": 1, "o": "1"}},
        {"e": "outboundAccountPosition", "E": 1, "u": 5, "B": [{"a": "BTC", "f": "1", "l": "0"}]},
        {"e": "", "b": [[1, 2]]},
        {"lastUpdateId": 160, "bids": [["1", "2"]], "asks": []},
        {"b": "1"},
        {},
    ],
)
def test_other_events_and_symbols_are_unknown(make: Make, event: object) -> None:
    refused(make, raw(event), UnknownFrame)
    refused(make, combined(event), UnknownFrame)
    with pytest.raises(UnknownFrame):
        make().decode_snapshot(raw(SNAPSHOT), "DOGEUSDT", NOW)


@given(data=st.data())
@settings(max_examples=500, deadline=None)
def test_a_damaged_frame_has_the_same_outcome_in_both(data: st.DataObject) -> None:
    wrap = data.draw(st.sampled_from([raw, combined]))
    frame = bytearray(wrap(data.draw(st.sampled_from(list(SAMPLES.values())))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from([b"", b'"', b"]", b"}", b",", b"0"]))
        if not frame:
            return
    assert outcome(kernel, bytes(frame)) == outcome(twin, bytes(frame))


# --- construction and the arena -------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [kernel, twin], ids=["kernel", "twin"])
@pytest.mark.parametrize(
    ("instruments", "says"),
    [
        ([("A", 1, 19, 0)], "precision 19"),
        ([("A", 1, 0, -1)], "precision -1"),
        ([("A", 2**32, 0, 0)], "32 bits"),
        ([("A", -1, 0, 0)], "32 bits"),
        ([("A", 1, 0, 0), ("A", 2, 0, 0)], "given twice"),
    ],
)
def test_wrong_instruments_are_refused(module: Any, instruments: list[tuple[str, int, int, int]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        module.BinanceDecoder(instruments)


def test_taken_records_are_read_only_and_never_change(make: Make) -> None:
    decoder = make()
    taken, copies = [], []
    for round_number in range(3000):
        decoder.decode(combined(changed(TICKER, u=round_number)), NOW)
        if round_number % 3 == 0:
            decoder.decode(raw(changed(DEPTH, u=round_number)), NOW)
        if round_number % 7 == 0:
            taken.append(decoder.take())
            copies.append(taken[-1].tobytes())
    assert not any(records.flags.writeable for records in taken)
    assert [records.tobytes() for records in taken] == copies
    assert {records.dtype for records in taken} == {MARKET_RECORD}
    with pytest.raises(ValueError, match="read-only"):
        taken[0]["price"][0] = 1
    assert sum(map(len, taken)) + decoder.pending == 3000 * 2 + 1000 * 3


def test_a_large_untaken_batch_keeps_its_order(make: Make) -> None:
    decoder = make()
    for number in range(6000):
        decoder.decode(raw(changed(TICKER, u=number)), NOW)
    records = decoder.take()
    assert records["sequence"].tolist() == [number for number in range(6000) for _ in range(2)]
    assert decoder.pending == 0
    assert len(decoder.take()) == 0


def test_records_outlive_their_decoder(make: Make) -> None:
    decoder = make()
    decoder.decode(raw(DEPTH), NOW)
    records = decoder.take()
    expected = records.tobytes()
    del decoder
    for _ in range(50):
        make().decode(raw(TRADE), NOW)
    assert records.tobytes() == expected


def test_the_kernel_uses_a_chunk_again_when_nobody_holds_it() -> None:
    decoder = kernel.BinanceDecoder(INSTRUMENTS)
    addresses = set()
    for _ in range(20_000):
        decoder.decode(raw(TICKER), NOW)
        addresses.add(decoder.take().ctypes.data)
    assert len(addresses) <= 4096 // 2


# --- the real thing -------------------------------------------------------------------------------------------------


def test_the_whole_capture_gives_the_same_bytes_in_both(capture: list[tuple[int, bytes]]) -> None:
    ours, theirs = kernel.BinanceDecoder(INSTRUMENTS), twin.BinanceDecoder(INSTRUMENTS)
    kinds: dict[int, int] = {}
    for at, frame in capture:
        got = []
        for decoder in (ours, theirs):
            if frame.startswith(b'{"lastUpdateId"'):
                kind = decoder.decode_snapshot(frame, "BTCUSDT", at)
            else:
                kind = decoder.decode(frame, at)
            ids = (decoder.first_update_id, decoder.final_update_id, decoder.instrument)
            got.append((kind, ids, decoder.take().tobytes()))
        assert got[0] == got[1], frame
        kinds[kind] = kinds.get(kind, 0) + 1
    assert kinds == {FrameKind.DEPTH: 3451, FrameKind.TICKER: 28040, FrameKind.TRADE: 9757, FrameKind.SNAPSHOT: 1}
