"""Captures that others made, and the books in them against the venues' own words."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tradewind.runtime.captures.book_proofs import BookProof, BookProofs
from tradewind.runtime.captures.describing import describe
from tradewind.runtime.captures.items import CaptureRefused
from tradewind.runtime.captures.opening import open_capture
from tradewind.runtime.cli import build_app

_DATA: Final = Path(
    os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data")
)
_OKX: Final = _DATA / "okx" / "OKX.ws.1.0"
_KRAKEN: Final = _DATA / "kraken" / "KRAKEN.ws.50.first60"
_BINANCE: Final = _DATA / "binance-spot" / "btcusdt_20240808.gz"
_ITCH: Final = _DATA / "itch50" / "ex20101224.lenfixed.itch50"
_KEYS: Final = st.sampled_from(["arg", "data", "action", "bids", "asks", "s", "stream", "as", "bs", "U", "u", "a", "b"])


@pytest.fixture(autouse=True)
def needs_data() -> None:
    if not _OKX.is_file():
        pytest.skip(f"no captures in {_DATA}: set TRADEWIND_TEST_DATA")


@pytest.mark.parametrize(
    ("path", "books", "compared"), [(_OKX, 3, 290), (_KRAKEN, 10, 36), (_BINANCE, 1, 564)], ids=lambda value: str(value)
)
def test_every_book_is_what_the_venue_says(path: Path, books: int, compared: int) -> None:
    found = describe(open_capture(path))
    assert found.books == BookProof(books, compared, compared)
    assert (found.malformed, found.gaps, found.broken) == (0, 0, "")


def frames(path: Path) -> Iterator[tuple[int, bytes]]:
    for ts_recv, frame in open_capture(path):
        assert isinstance(frame, bytes)
        yield ts_recv, frame


def rewritten(path: Path, old: bytes, new: bytes, to: Path) -> Path:
    """The capture with one text replaced in the first frame that has it, in the form of `tradewind capture`."""
    left = 1
    with to.open("wb") as file:
        for ts_recv, frame in frames(path):
            changed = frame.replace(old, new, 1) if left and old in frame else frame
            left -= changed != frame
            file.write(b"%d %b\n" % (ts_recv, changed))
    assert left == 0
    return to


def test_a_checksum_that_is_wrong_is_told_and_the_book_is_followed_again_from_a_snapshot(tmp_path: Path) -> None:
    path = rewritten(_OKX, b'"action":"update"', b'"action":"update" ', tmp_path / "same")
    assert describe(open_capture(path)).books == BookProof(3, 290, 290)
    sums = [json.loads(frame)["data"][0]["checksum"] for _, frame in frames(_OKX) if b'"action":"update"' in frame]
    path = rewritten(_OKX, b'"checksum":%d' % sums[0], b'"checksum":%d' % (sums[0] ^ 1), tmp_path / "wrong")
    shown = CliRunner().invoke(build_app(), ["capture", "info", str(path)])
    assert shown.exit_code == 1
    assert f"first difference: {json_name(path, sums[0] ^ 1)}: the venue's checksum is {sums[0] ^ 1}" in shown.output
    found = describe(open_capture(path)).books
    assert found.void == 1
    assert found.compared - found.equal == 1


def json_name(path: Path, checksum: int) -> str:
    [name] = {
        str(json.loads(frame)["arg"]["instId"]) for _, frame in frames(path) if b'"checksum":%d' % checksum in frame
    }
    return name


def test_a_missing_update_of_binance_is_a_gap_and_a_void_book(tmp_path: Path) -> None:
    path = tmp_path / "gap"
    depths = 0
    with path.open("wb") as file:
        for ts_recv, frame in frames(_BINANCE):
            depths += b"@depth" in frame[:40]
            if depths != 1_000 or b"@depth" not in frame[:40]:
                file.write(b"%d %b\n" % (ts_recv, frame))
    found = describe(open_capture(path))
    assert found.gaps == 1
    assert (found.books.void, found.books.first_difference) == (1, "")
    assert 0 < found.books.compared < 564


@pytest.mark.parametrize("packed", [False, True])
def test_an_itch_day_has_the_published_counts(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "12242010.NASDAQ_ITCH50"
    path.write_bytes(gzip.compress(_ITCH.read_bytes()) if packed else _ITCH.read_bytes())
    found = describe(open_capture(path))
    assert (found.messages, found.records, found.broken) == (12_012, 12_021, "")
    assert found.details == {
        "ITCH A": 4_997, "ITCH D": 1_745, "ITCH E": 198, "ITCH F": 3, "ITCH H": 3, "ITCH P": 5_000, "ITCH R": 3,
        "ITCH S": 6, "ITCH U": 12, "ITCH X": 45,
    }  # fmt: skip
    assert found.first.startswith("2010-12-24T08:06:42"), "03:06 in New York"


def test_an_itch_day_that_is_cut_off_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.itch"
    path.write_bytes(_ITCH.read_bytes()[:100_000])
    found = describe(open_capture(path))
    assert 0 < found.messages < 12_012
    assert "ends inside a message" in found.broken


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("# a text\n")
    with pytest.raises(CaptureRefused, match="is no capture"):
        open_capture(path)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from([b'{"arg"', b"[", b'{"lastUpdateId"', b'{"stream"', b""]).flatmap(
                lambda start: st.binary(max_size=60).map(lambda rest: start + rest)
            ),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
                max_leaves=20,
            ).map(lambda value: json.dumps(value, separators=(",", ":")).encode()),
        ),
        max_size=20,
    )
)
def test_noise_makes_no_book_and_no_exception(noise: list[bytes]) -> None:
    proofs = BookProofs()
    for frame in noise:
        proofs.take(frame)
    assert proofs.result().equal == 0
