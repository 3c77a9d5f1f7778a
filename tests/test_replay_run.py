"""The whole platform as one process on recorded exchange traffic: the figures of its report are true and exact."""

import gzip
import json
import subprocess
from pathlib import Path

import pytest
from replay_kit import CAPTURE, COMMAND, environment, needs_capture, recorded_lines, replay, run_demo, write_capture

from tradewind.store.testing import missing

pytestmark = [needs_capture, pytest.mark.timeout(180)]


def test_the_recorded_session_is_traded_exactly(tmp_path: Path) -> None:
    report = replay(tmp_path, CAPTURE)
    assert report["input"] == {"frames": 41_249, "malformed": 0, "feed": {"malformed": 0, "unknown": 0}}
    assert report["book"] == {"compared": 564, "equal": 564, "gaps": 0}
    assert report["trades"] == report["db"]["trades"] == 9_757
    assert report["quotes"] == report["db"]["quotes"] == 28_040
    assert report["ledger"]["books_equal_account"]
    assert report["ledger"]["account_equals_venue"]
    for strategy in ("ema-cross", "market-maker"):
        assert report["strategies"][strategy]["fills"] > 0, report["strategies"]
    assert sum(report["orders"].values()) == report["db"]["orders"]
    assert report["fills"] == report["db"]["fills"]
    assert not {"SUBMITTED", "ACCEPTED", "PENDING_CANCEL", "PARTIALLY_FILLED"} & set(report["orders"])
    assert report["latency_us"]["tick_to_command"]["n"] > 0
    assert report["latency_us"]["command_to_venue"]["n"] > 0


def test_over_fix_the_platform_trades_and_the_books_are_the_venues(tmp_path: Path) -> None:
    try:
        import tradewind_native.fix_sessions  # noqa: F401
    except ImportError as error:
        missing("quickfix", str(error))
    report = replay(tmp_path, CAPTURE, "--venue", "fix")
    assert report["book"] == {"compared": 564, "equal": 564, "gaps": 0}
    assert report["ledger"]["books_equal_account"]
    assert report["ledger"]["account_equals_venue"]
    assert report["fills"] == report["db"]["fills"] > 0
    assert not {"SUBMITTED", "ACCEPTED", "PENDING_CANCEL", "PARTIALLY_FILLED", "UNKNOWN"} & set(report["orders"])
    [log] = (tmp_path / "data" / "fix").glob("FIX.4.4-TRADEWIND-SIM.messages*.log")
    told = log.read_text("latin-1")
    assert told.count("\x0135=D\x01") == report["db"]["orders"] > 0
    assert told.count("\x0143=Y\x01") == 0


def test_a_second_run_in_the_same_folder_stores_nothing_twice_and_stays_exact(tmp_path: Path) -> None:
    lines = recorded_lines()[:6_000]
    capture = write_capture(tmp_path / "short.gz", lines)
    first = replay(tmp_path, capture)
    second = replay(tmp_path, capture)
    assert second["db"]["trades"] == first["db"]["trades"] == first["trades"]
    assert second["db"]["orders"] >= first["db"]["orders"]
    assert second["ledger"]["books_equal_account"]
    assert second["ledger"]["account_equals_venue"]


def test_malformed_unknown_and_missing_frames_are_counted_and_survived(tmp_path: Path) -> None:
    lines = recorded_lines()[:8_000]
    depth = [n for n, line in enumerate(lines) if b'"depthUpdate"' in line]
    lost, after = depth[len(depth) // 2], depth[len(depth) // 2 + 1]
    # What the lost update changed is in the one after it: the exchange whose recording this is knows its own book.
    lines[after] = with_levels_of(lines[lost], lines[after])
    bad = [b"not a line\n", b"1723161253937085768 {broken\n", lines[10][:-40] + b"\n"]
    unknown = lines[3].replace(b'"e":"trade"', b'"e":"strange"')
    lines[lost] = b""
    lines[200:200] = [*bad, unknown]
    report = replay(tmp_path, write_capture(tmp_path / "bad.gz", lines))
    assert report["book"]["gaps"] >= 1
    assert report["book"]["equal"] == report["book"]["compared"] > 0
    assert report["input"]["malformed"] >= 1
    assert report["ledger"]["books_equal_account"]
    assert report["ledger"]["account_equals_venue"]


def with_levels_of(earlier: bytes, later: bytes) -> bytes:
    """The later depth update, with the levels of the earlier one that it does not set itself."""
    received, _, frame = later.partition(b" ")
    update, before = json.loads(frame), json.loads(earlier.partition(b" ")[2])
    for side in ("b", "a"):
        levels = dict(before["data"][side]) | dict(update["data"][side])
        update["data"][side] = [list(level) for level in levels.items()]
    return received + b" " + json.dumps(update, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("kind", ["truncated", "a-text", "empty"])
def test_a_capture_that_cannot_be_read_ends_with_one_clear_line(tmp_path: Path, kind: str) -> None:
    whole = CAPTURE.read_bytes()
    content = {"truncated": whole[: len(whole) // 3], "a-text": b"a text\n", "empty": b""}[kind]
    capture = tmp_path / "bad.gz"
    capture.write_bytes(content)
    done = run_demo(tmp_path, "--headless", "--replay", str(capture), "--speed", "max")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "capture" in done.stderr
    assert str(capture) in done.stderr


def test_what_came_before_the_break_of_a_capture_is_kept(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(recorded_lines()[:5_000]))
    capture = tmp_path / "cut.gz"
    capture.write_bytes(whole[: len(whole) * 9 // 10])
    out = tmp_path / "report.json"
    done = run_demo(tmp_path, "--headless", "--replay", str(capture), "--speed", "max", "--report", str(out))
    assert done.returncode == 2
    report = json.loads(out.read_bytes())
    assert 0 < report["input"]["frames"] < 5_000
    assert report["db"]["trades"] == report["trades"] > 0


def test_a_missing_capture_is_said_before_anything_starts(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--headless", "--replay", str(tmp_path / "none.gz"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no such file" in done.stderr


def test_a_speed_that_is_no_speed_is_refused(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--replay", str(CAPTURE), "--speed", "fast")
    assert done.returncode == 2
    assert "--speed fast" in done.stderr


def test_a_real_address_is_refused_by_the_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--headless"],
        env=environment(tmp_path, TRADEWIND_VENUE_REST_URL="https://exchange.example"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "simulated venue" in done.stderr
