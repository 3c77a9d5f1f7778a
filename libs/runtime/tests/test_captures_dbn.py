"""DBN: every sample's records say what databento-dbn's own decode says; damaged files end in order."""

import os
import random
import struct
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tradewind.runtime.captures.items import CaptureBroken, CaptureRefused
from tradewind.runtime.captures.opening import open_capture
from tradewind.store.testing import missing
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordFlag, RecordKind, RecordSide, instrument_number

try:
    import databento_dbn as _databento_dbn
except ImportError:
    missing("databento-dbn", "tradewind-runtime[dbn] is not installed", whole_module=True)
databento_dbn: Any = _databento_dbn

DATA = Path(os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data"))
SAMPLES = sorted((DATA / "dbn" / "samples").glob("*.dbn*"))
NAMES = [path.name for path in SAMPLES]
WITH_RECORDS = {"MBOMsg", "TradeMsg", "MBP1Msg", "MBP10Msg", "BBOMsg", "CMBP1Msg", "CBBOMsg"}
RECORD_BYTES = 56  # of mbo
BUY, SELL = int(RecordSide.BUY), int(RecordSide.SELL)
_SIDES = {"B": BUY, "A": SELL, "N": 0}

needs_samples = pytest.mark.skipif(not SAMPLES, reason=f"no DBN samples in {DATA}: set TRADEWIND_TEST_DATA")


def own_decode(path: Path) -> list[Any]:
    content = path.read_bytes()
    packed = databento_dbn.Compression.ZSTD if path.suffix == ".zst" else databento_dbn.Compression.NONE
    decoder = databento_dbn.DBNDecoder(compression=packed)
    decoder.write(content)
    return [record for record in decoder.decode() if not isinstance(record, databento_dbn.Metadata)]


def ours(path: Path) -> tuple[list[Any], Any]:
    reader = open_capture(path)
    return [record for _, item in reader if isinstance(item, MarketBatch) for record in item.records], reader.counts


def wanted(record: Any) -> list[tuple[int, int, int, int, int]]:
    """(kind, side, price, size, order id) of what a record must make."""
    name, action = type(record).__name__, str(getattr(record, "action", ""))
    trade = (int(RecordKind.TRADE), _SIDES[str(record.side)] if action else 0, 0, 0, 0)
    if name == "TradeMsg" or action == "T":
        trade = (*trade[:2], record.price, record.size, 0)
    if name == "TradeMsg" or (name == "MBOMsg" and action == "T"):
        return [trade]
    if name == "MBOMsg":
        kind = {"A": RecordKind.ORDER_ADD, "C": RecordKind.ORDER_CANCEL, "M": RecordKind.ORDER_MODIFY}[action]
        return [(int(kind), _SIDES[str(record.side)], record.price, record.size, record.order_id)]
    before = [trade] if action == "T" else []
    if name == "MBP10Msg":
        level = int(RecordKind.LEVEL)
        bids = [(level, BUY, one.bid_px, one.bid_sz, 0) for one in record.levels]
        return [*before, (int(RecordKind.CLEAR), 0, 0, 0, 0), *bids] + [
            (level, SELL, one.ask_px, one.ask_sz, 0) for one in record.levels
        ]
    top, best = int(RecordKind.TOP_OF_BOOK), record.levels[0]
    return [*before, (top, BUY, best.bid_px, best.bid_sz, 0), (top, SELL, best.ask_px, best.ask_sz, 0)]


@needs_samples
@pytest.mark.parametrize("path", SAMPLES, ids=NAMES)
def test_a_sample_says_what_databento_says(path: Path) -> None:
    theirs = own_decode(path)
    records, counts = ours(path)
    assert counts.messages == len(theirs)
    kinds = Counter(type(one).__name__ for one in theirs)
    assert counts.details == {
        name if name in WITH_RECORDS else f"{name} without a market record": count for name, count in kinds.items()
    }
    expected = [
        (*row, one.ts_event, getattr(one, "ts_recv", one.ts_event), getattr(one, "sequence", 0))
        for one in theirs
        if type(one).__name__ in WITH_RECORDS
        for row in wanted(one)
    ]
    fields = ("kind", "side", "price", "size", "order_id", "ts_event", "ts_recv", "sequence")
    got = [tuple(int(record[field]) for field in fields) for record in records]
    undefined = databento_dbn.UNDEF_TIMESTAMP
    assert got == [(*row[:5], row[6] if row[5] == undefined else row[5], *row[6:]) for row in expected]


@needs_samples
def test_instruments_have_the_numbers_of_their_symbols() -> None:
    records, counts = ours(DATA / "dbn" / "samples" / "test_data.mbo.v3.dbn.zst")
    assert {int(record["instrument"]) for record in records} == {instrument_number("ESH1.GLBX.MDP3")}  # type: ignore[arg-type]
    assert all(record["flags"] & RecordFlag.LAST for record in records)
    assert counts.first_ns == 1_609_160_400_000_704_060


@needs_samples
def test_only_the_last_record_of_a_book_says_that_it_is_whole() -> None:
    records, _ = ours(DATA / "dbn" / "samples" / "test_data.mbp-10.v3.dbn.zst")
    lasts = [number for number, record in enumerate(records) if record["flags"] & RecordFlag.LAST]
    assert lasts == [20, 41]


@needs_samples
@pytest.mark.parametrize("name", ["test_data.mbo.v3.dbn", "test_data.mbo.v3.dbn.zst"])
def test_a_cut_off_file_is_said(tmp_path: Path, name: str) -> None:
    whole = (DATA / "dbn" / "samples" / name).read_bytes()
    for size in range(5, len(whole), 11):
        path = tmp_path / name
        path.write_bytes(whole[:size])
        header = 8 + struct.unpack("<I", whole[4:8])[0]
        if name.endswith("dbn") and size > header and (size - header) % RECORD_BYTES == 0:
            continue  # cut between two records: nothing in the file says that more should come
        with pytest.raises(CaptureBroken, match="cannot be read after record"):
            ours(path)


@needs_samples
def test_mutated_and_lying_files_end_in_order(tmp_path: Path) -> None:
    samples = [DATA / "dbn" / "samples" / name for name in ("test_data.mbo.v3.dbn", "test_data.mbp-10.v3.dbn.zst")]
    chance, ends = random.Random(3), Counter[str]()
    lies = [b"DBN\x03" + struct.pack("<I", 1 << 30) + b"x" * 64, b"DBN\x03" + struct.pack("<I", 0)]
    for number in range(400):
        content = bytearray(samples[number % 2].read_bytes())
        start = 0 if number % 3 else max(0, len(content) - 112)
        for _ in range(3):
            content[chance.randrange(start, len(content))] = chance.randrange(256)
        lies.append(bytes(content))
    for lie in lies:
        path = tmp_path / "mutant"
        path.write_bytes(lie)
        try:
            ours(path)
            ends["read"] += 1
        except (CaptureBroken, CaptureRefused) as error:
            ends[type(error).__name__] += 1
    assert ends["read"] > 0
    assert ends["CaptureBroken"] > 2


def test_without_databento_one_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    path = tmp_path / "any.dbn"
    path.write_bytes(b"DBN\x03")
    with pytest.raises(CaptureRefused, match=r"^DBN files need the package databento-dbn"):
        open_capture(path)
