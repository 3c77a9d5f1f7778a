"""``tradewind fix-acceptor`` under QuickFIX's acceptance scenarios, and what it says when it cannot start."""

import concurrent.futures
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tradewind.runtime.fix_echo import AcceptorPlan, serve
from tradewind.store.testing import missing

_DATA: Final = Path(
    os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data")
)
_SCENARIOS: Final = _DATA / "fix" / "definitions" / "server"
_PLAYER: Final = _DATA.parent / "tools" / "fix_acceptance.py"
_KNOWN: Final = 58
_NEW_IN_44: Final = {
    # The Symbol of an order is not required any more, so the one that is missing is its ClOrdID.
    "14b": ((b"21=3\x0111=id\x01", b"21=3\x0155=MSFT\x01"), (b"371=55\x01", b"371=11\x01")),
    # SessionRejectReason has more values.
    "14g": ((b"9=108\x01", b"9=115\x01"), (b"372=D\x01", b"372=D\x01373=14\x01")),
    "14h": ((b"9=99\x01", b"9=106\x01"), (b"372=D\x01", b"372=D\x01373=13\x01")),
    "14i": ((b"9=120\x01", b"9=127\x01"), (b"372=D\x01", b"372=D\x01373=16\x01")),
    # A security has alternative names, and no longer an underlying in each of them; "OPT" is none of its types.
    "21": (
        (b"167=OPT\x01336=ONE_MAIN\x0158=No Products found for this Class Symbol\x01393=0\x01146=0\x01",
         b"167=CS\x01336=ONE_MAIN\x0158=No Products found for this Class Symbol\x01454=0\x01"),
        (b"9=184\x01", b"9=177\x01"),
        (b"22=8\x0155=TBS\x0158=No Products found for this Class Symbol\x01146=0\x01167=OPT\x01",
         b"22=8\x0155=TBS\x0158=No Products found for this Class Symbol\x01167=CS\x01"),
        (b"336=ONE_MAIN\x01393=0\x01", b"336=ONE_MAIN\x01454=0\x01"),
    ),
    # An ExecutionReport has no ExecTransType.
    "2r": ((b"20=0\x01", b""),),
}  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scenarios(version: str, folder: Path) -> list[str]:
    """The scenarios; those of FIX 4.4 are the ones of 4.2 with what the version changes: none of its own are here."""
    paths = sorted((_SCENARIOS / "fix42").glob("*.def"))
    if version == "FIX.4.2":
        return [str(path) for path in paths]
    for path in paths:
        text = path.read_bytes().replace(b"FIX.4.2", b"FIX.4.4").replace(b"TW42", b"TW44")
        for old, new in _NEW_IN_44.get(path.name.partition("_")[0], ()):
            assert old in text, f"{path.name} has changed: {old!r} is not in it"
            text = text.replace(old, new)
        (folder / path.name).write_bytes(text)
    return [str(folder / path.name) for path in paths]


@pytest.fixture
def needs_quickfix() -> None:
    """QuickFIX and the scenarios are here."""
    try:
        import tradewind_native.fix_sessions  # noqa: F401
    except ImportError as error:
        missing("quickfix", str(error))
    if not _SCENARIOS.is_dir() or not _PLAYER.is_file():
        pytest.skip(f"no FIX acceptance scenarios in {_SCENARIOS}: set TRADEWIND_TEST_DATA")


@contextlib.contextmanager
def acceptor(version: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, until it listens; ended by its own id."""
    command = [sys.executable, "-m", "tradewind.runtime", "fix-acceptor", "--echo"]
    command += ["--port", str(port), "--begin-string", version]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "listens" in line:
                break
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()


def played(version: str, folder: Path) -> str:
    """What the player says of all scenarios of a version."""
    port = free_port()
    files = scenarios(version, folder)
    assert len(files) == _KNOWN
    with acceptor(version, port) as process:
        command = [sys.executable, "-W", "ignore", str(_PLAYER), "127.0.0.1", str(port), *files]
        player = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert process.poll() is None
    return player.stdout + player.stderr


@pytest.mark.usefixtures("needs_quickfix")
@pytest.mark.timeout(600)
def test_every_acceptance_scenario_passes_in_both_versions(tmp_path: Path) -> None:
    """58 of 58, twice; at the same time, as most of it is waiting."""
    with concurrent.futures.ThreadPoolExecutor() as players:
        for said in players.map(lambda version: played(version, tmp_path), ["FIX.4.2", "FIX.4.4"]):
            assert said.endswith(f"{_KNOWN} passed, 0 failed\n"), said


def test_a_version_that_it_does_not_speak_is_one_line() -> None:
    """It names those that it does."""
    said: list[str] = []
    assert serve(AcceptorPlan(free_port(), "FIX.5.0", "ISLD", "TW50"), said.append) == 1
    assert said == ["the FIX version is one of FIX.4.2, FIX.4.4, not 'FIX.5.0'"]
