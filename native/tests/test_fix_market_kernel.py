"""FIX market data: what each entry becomes, and what is refused; kernel and twin say the same."""

import datetime
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venue.fix_market_data import FixDecoder as Twin
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide
from tradewind_native.book_frames import FixDecoder as Kernel
from tradewind_native.frames import FrameKind, MalformedFrame, UnknownFrame

NOW: Final = 1_723_161_253_937_085_768
INSTRUMENTS: Final = [("BTCUSDT", 1, 2, 8), ("MSFT", 2, 4, 0)]
SENT: Final = "20261123-10:20:30.123"
SENT_NS: Final = int(datetime.datetime(2026, 11, 23, 10, 20, 30, tzinfo=datetime.UTC).timestamp()) * 10**9 + 123_000_000
HEAD: Final = f"34=9|49=VENUE|52={SENT}|56=US|"
SNAPSHOT: Final = (
    f"35=W|{HEAD}262=1|55=BTCUSDT|268=3|269=0|270=60000.10|271=0.5|290=1|269=1|270=60000.2|271=1|"
    "269=2|270=60000.2|271=2|"
)
UPDATE: Final = (
    f"35=X|{HEAD}262=1|268=3|279=1|269=0|55=BTCUSDT|270=60000.10|271=0.25|272=20261122|273=23:59:59.5|"
    "279=2|269=1|270=60000.2|279=0|269=2|55=MSFT|270=401.2345|271=100|"
)


def framed(body: str, version: str = "FIX.4.4") -> bytes:
    """The body, ``|`` for SOH, with its head and trailer."""
    raw = body.replace("|", "\x01").encode("latin-1")
    start = b"8=%b\x019=%d\x01" % (version.encode(), len(raw)) + raw
    return start + b"10=%03d\x01" % (sum(start) % 256)


def decoded(frame: bytes) -> tuple[FrameKind | str, Any]:
    """What kernel and twin both say of a frame."""
    ends: list[tuple[FrameKind | str, list[tuple[int, ...]], tuple[int | None, int]]] = []
    records: Any = np.array([])
    for decoder in (Kernel(INSTRUMENTS), Twin(INSTRUMENTS)):
        try:
            kind = FrameKind(decoder.decode(frame, NOW))
        except (MalformedFrame, UnknownFrame) as error:
            ends.append((type(error).__name__, decoder.take().tolist(), (None, 0)))
            continue
        records = decoder.take()
        ends.append((kind, records.tolist(), (decoder.sequence, decoder.instrument)))
    assert ends[0] == ends[1]
    return ends[0][0], records


@pytest.mark.parametrize("version", ["FIX.4.2", "FIX.4.4"])
def test_a_snapshot_begins_with_clear(version: str) -> None:
    kind, records = decoded(framed(SNAPSHOT, version))
    assert kind is FrameKind.SNAPSHOT
    assert records["kind"].tolist() == [RecordKind.CLEAR, RecordKind.LEVEL, RecordKind.LEVEL, RecordKind.TRADE]
    assert records["price"].tolist() == [0, 6_000_010, 6_000_020, 6_000_020]
    assert records["size"].tolist() == [0, 50_000_000, 100_000_000, 200_000_000]
    assert records["side"].tolist() == [RecordSide.NONE, RecordSide.BUY, RecordSide.SELL, RecordSide.NONE]
    assert records["flags"].tolist() == [RecordFlag.SNAPSHOT] * 3 + [RecordFlag.LAST]
    assert set(records["ts_event"].tolist()) == {SENT_NS}
    assert set(records["sequence"].tolist()) == {9}


def test_an_update_changes_deletes_and_trades_over_instruments() -> None:
    kind, records = decoded(framed(UPDATE))
    assert kind is FrameKind.DEPTH
    assert records["kind"].tolist() == [RecordKind.LEVEL, RecordKind.LEVEL, RecordKind.TRADE]
    assert records["instrument"].tolist() == [1, 1, 2], "a symbol holds until the next"
    assert records["size"].tolist() == [25_000_000, 0, 100]
    assert records["price"].tolist() == [6_000_010, 6_000_020, 4_012_345]
    day_before = int(datetime.datetime(2026, 11, 22, 23, 59, 59, tzinfo=datetime.UTC).timestamp()) * 10**9
    assert records["ts_event"].tolist() == [day_before + 500_000_000, SENT_NS, SENT_NS]


def test_trades_alone_and_a_book_that_is_empty() -> None:
    kind, records = decoded(framed(f"35=X|{HEAD}268=1|279=0|269=2|55=MSFT|270=1|271=1|"))
    assert (kind, len(records)) == (FrameKind.TRADE, 1)
    kind, records = decoded(framed(f"35=W|{HEAD}55=MSFT|268=0|"))
    assert (kind, records["kind"].tolist()) == (FrameKind.SNAPSHOT, [RecordKind.CLEAR])


def test_entries_of_other_types_are_passed_over() -> None:
    _, records = decoded(framed(f"35=W|{HEAD}55=MSFT|268=2|269=4|270=1|269=0|270=2|271=3|"))
    assert records["price"].tolist() == [0, 20_000]


@pytest.mark.parametrize(
    ("body", "end"),
    [
        (SNAPSHOT.replace("55=BTCUSDT", "55=ETHUSDT"), "UnknownFrame"),
        (SNAPSHOT.replace("35=W", "35=8"), "UnknownFrame"),
        (SNAPSHOT.replace("55=BTCUSDT|", ""), "MalformedFrame"),
        (SNAPSHOT.replace("268=3", "268=2"), "MalformedFrame"),
        (SNAPSHOT.replace("268=3", "268=4"), "MalformedFrame"),
        (SNAPSHOT.replace("268=3", "268=50001"), "MalformedFrame"),
        (SNAPSHOT.replace("268=3", "268=1000000000000000000000"), "MalformedFrame"),
        (SNAPSHOT.replace("268=3", "268=3|268=3"), "MalformedFrame"),
        (SNAPSHOT.replace("268=3|", ""), "MalformedFrame"),
        (SNAPSHOT.replace("270=60000.10", "270=60000.101"), "MalformedFrame"),
        (SNAPSHOT.replace("270=60000.10", "270=1e5"), "MalformedFrame"),
        (SNAPSHOT.replace("271=0.5", "271=-1"), "MalformedFrame"),
        (SNAPSHOT.replace("270=60000.10|", ""), "MalformedFrame"),
        (SNAPSHOT.replace("271=0.5|", ""), "MalformedFrame"),
        (SNAPSHOT.replace("290=1", "290=x"), "MalformedFrame"),
        (SNAPSHOT.replace(SENT, "20260230-10:20:30"), "MalformedFrame"),
        (SNAPSHOT.replace(SENT, "20260228-24:20:30"), "MalformedFrame"),
        (UPDATE.replace("279=1", "279=7"), "MalformedFrame"),
        (UPDATE.replace("55=BTCUSDT|", ""), "MalformedFrame"),
        (UPDATE.replace("272=20261122", "272=20261322"), "MalformedFrame"),
        (UPDATE.replace("273=23:59:59.5", "273=23:59:59.1234567890"), "MalformedFrame"),
        (UPDATE.replace("279=1|269=0", "279=1"), "MalformedFrame"),
        ("35=W|268=1|269=0|", "MalformedFrame"),
        ("268=0|35=W|", "MalformedFrame"),
        ("34=1|", "MalformedFrame"),
    ],
)
def test_what_is_refused_leaves_nothing(body: str, end: str) -> None:
    kind, records = decoded(framed(body))
    assert (kind, len(records)) == (end, 0)


def test_every_truncation_and_every_wrong_checksum_is_refused() -> None:
    whole = framed(UPDATE)
    for length in range(len(whole)):
        assert decoded(whole[:length])[0] == "MalformedFrame"
    assert decoded(whole.replace(b"60000.10", b"60000.11"))[0] == "MalformedFrame"
    assert decoded(whole.replace(b"\x019=", b"\x019=1", 1))[0] == "MalformedFrame"


@given(
    st.lists(
        st.sampled_from(
            ["35=W", "35=X", "34=9", "52=20240229-01:02:03", "55=MSFT", "55=BTCUSDT", "268=1", "268=2", "269=0",
             "269=1", "269=2", "269=9", "269=00", "279=0", "279=1", "279=2", "279=3", "270=1.5",
             "270=-2", "271=3", "271=0.1",
             "272=20200101", "273=01:02:03.004", "290=2", "290=999", "58=x", "=", "0=1", ""]
        ) | st.text("0123456789=.|-:", max_size=12),
        max_size=20,
    )
)  # fmt: skip
def test_both_say_the_same_of_any_fields(fields: list[str]) -> None:
    decoded(framed("|".join([*fields, ""])))
