"""Runs the ``tradewind`` command as a user does, on captures made here or on the real one."""

import gzip
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = Path(os.environ.get("TRADEWIND_TEST_DATA", ROOT.parent / "shared" / "data"))
CAPTURE: Final = DATA / "binance-spot" / "btcusdt_20240808.gz"
COMMAND: Final = (sys.executable, "-m", "tradewind.runtime")

OPERATOR_TOKEN: Final = "operator-0123456789abcdef0123456789abcdef"
"""Of the platforms that these tests start; they and the commands that ask them know it."""

needs_capture = pytest.mark.skipif(
    not CAPTURE.exists() and not os.environ.get("TRADEWIND_TEST_REQUIRE"),
    reason=f"no recorded capture at {CAPTURE}; set TRADEWIND_TEST_DATA",
)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A clean environment, so that the tester's own settings change nothing; data under ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
    known = {"TRADEWIND_API_OPERATOR_TOKENS": f"operator:admin:{OPERATOR_TOKEN}", "TRADEWIND_API_TOKEN": OPERATOR_TOKEN}
    return kept | known | {"TRADEWIND_DATA_DIR": str(folder / "data"), **more}


def ask_api(port: int, path: str) -> Any:
    """An answer of the api service that one of these platforms runs."""
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    with urlopen(Request(f"http://127.0.0.1:{port}/api/v1{path}", headers=headers), timeout=5) as answer:
        return json.loads(answer.read())


def run_demo(
    folder: Path, *arguments: str, timeout_s: float = 120.0, **more: str
) -> "subprocess.CompletedProcess[str]":
    """``tradewind demo`` to its end."""
    return subprocess.run(
        [*COMMAND, "demo", *arguments],
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def replay(folder: Path, capture: Path, *arguments: str) -> dict[str, Any]:
    """A headless replay at full speed; gives the report."""
    out = folder / "report.json"
    options = ("--headless", "--replay", str(capture), "--report", str(out), "--data-dir", str(folder / "data"))
    speed = () if "--speed" in arguments else ("--speed", "max")
    # Its own port: the default one may go to somebody else between the choice and the start.
    done = run_demo(folder, *options, *speed, *arguments, TRADEWIND_SIM_VENUE_PORT=str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(out.read_bytes())
    return report


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def recorded_lines() -> list[bytes]:
    """The lines of the real capture."""
    return gzip.decompress(CAPTURE.read_bytes()).splitlines(keepends=True)


def write_capture(path: Path, lines: list[bytes]) -> Path:
    """A capture of these lines."""
    path.write_bytes(gzip.compress(b"".join(lines), compresslevel=1))
    return path
