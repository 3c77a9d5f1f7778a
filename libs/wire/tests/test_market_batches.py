"""The 64-byte record has the documented layout, and a batch of it crosses the wire without a copy."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    MARKET_RECORD,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)

VENUE = Venue("BINANCE")
OFFSETS = {
    "ts_event": (0, "<i8"),
    "ts_recv": (8, "<i8"),
    "price": (16, "<i8"),
    "size": (24, "<i8"),
    "order_id": (32, "<u8"),
    "sequence": (40, "<u8"),
    "instrument": (48, "<u4"),
    "kind": (52, "u1"),
    "side": (53, "u1"),
    "flags": (54, "u1"),
    "level": (55, "u1"),
    "reserved": (56, "<u8"),
}


def test_the_record_is_64_bytes_with_the_documented_offsets() -> None:
    assert MARKET_RECORD.itemsize == 64
    assert MARKET_RECORD.fields is not None
    found = {name: (field[1], field[0]) for name, field in MARKET_RECORD.fields.items()}
    assert found == {name: (offset, np.dtype(form)) for name, (offset, form) in OFFSETS.items()}


def test_one_record_has_these_bytes() -> None:
    records = empty_records(1)
    records[0] = (1, -2, 3, 4, 5, 6, 7, RecordKind.LEVEL, RecordSide.SELL, RecordFlag.LAST | RecordFlag.GAP, 9, 0)
    words = [1, -2, 3, 4, 5, 6]
    expected = b"".join(word.to_bytes(8, "little", signed=True) for word in words)
    assert records.tobytes() == expected + b"\x07\x00\x00\x00" + bytes([3, 2, 5, 9]) + bytes(8)


def test_numbers_of_the_record_are_wire_values() -> None:
    # They are in captures and in the C header: a change would misread what is stored.
    assert [int(kind) for kind in RecordKind] == list(range(1, 10))
    assert [kind.name for kind in RecordKind][:3] == ["TRADE", "TOP_OF_BOOK", "LEVEL"]
    assert (RecordSide.NONE, RecordSide.BUY, RecordSide.SELL) == (0, 1, 2)
    assert (RecordFlag.LAST, RecordFlag.SNAPSHOT, RecordFlag.GAP, RecordFlag.CONFLATED) == (1, 2, 4, 8)


@given(st.binary(min_size=64, max_size=64 * 5).map(lambda data: data[: len(data) // 64 * 64]))
def test_a_batch_comes_back_byte_for_byte(payload: bytes) -> None:
    batch = MarketBatch.from_bytes(VENUE, payload)
    assert batch.venue == VENUE
    assert len(batch.records) == len(payload) // 64
    assert batch.to_bytes() == payload


def test_decoding_a_batch_copies_nothing() -> None:
    payload = empty_records(100).tobytes()
    batch = MarketBatch.from_bytes(VENUE, payload)
    assert np.shares_memory(batch.records, np.frombuffer(payload, dtype=np.uint8))


def test_a_batch_cannot_be_written() -> None:
    batch = MarketBatch.from_bytes(VENUE, empty_records(2).tobytes())
    with pytest.raises(ValueError, match="read-only"):
        batch.records["price"][0] = 1
    with pytest.raises(ValueError, match=r"WRITEABLE|writeable"):
        batch.records.flags.writeable = True


def test_a_read_only_view_shares_the_memory_and_leaves_the_owner_writable() -> None:
    records = empty_records(2)
    view = read_only(records)
    records["price"][0] = 7
    assert view["price"][0] == 7
    with pytest.raises(ValueError, match="read-only"):
        view["price"][0] = 8


@pytest.mark.parametrize("length", [0, 1, 63, 65, 127, 64 * 3 - 1])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"market batch of {length} bytes is not a whole number of 64-byte records"):
        MarketBatch.from_bytes(VENUE, bytes(length))


def test_an_instrument_has_the_same_number_everywhere() -> None:
    # 0xCBF43926 is the published check value of CRC-32.
    assert instrument_number(InstrumentId("123456789")) == 0xCBF43926
    assert instrument_number(InstrumentId("BTCUSDT.BINANCE")) == zlib.crc32(b"BTCUSDT.BINANCE")
    assert instrument_number(InstrumentId("123456789")) <= np.iinfo(MARKET_RECORD["instrument"]).max
