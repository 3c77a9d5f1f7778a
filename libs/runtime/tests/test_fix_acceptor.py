"""``tradewind fix-acceptor`` under QuickFIX's acceptance scenarios, and what it says when it cannot start."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tradewind.runtime.fix_echo import AcceptorPlan, find_dictionary, serve
from tradewind.store.testing import missing

_DATA: Final = Path(
    os.environ.get("TRADEWIND_TEST_DATA", Path(__file__).resolve().parents[3].parent / "shared" / "data")
)
_SCENARIOS: Final = _DATA / "fix" / "definitions" / "server"
_PLAYER: Final = _DATA.parent / "tools" / "fix_acceptance.py"
_KNOWN: Final = 58


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scenarios(version: str, folder: Path) -> list[str]:
    """The scenarios; those of FIX 4.4 are the ones of 4.2 with the version changed, as none of its own are here."""
    paths = sorted((_SCENARIOS / "fix42").glob("*.def"))
    if version == "FIX.4.2":
        return [str(path) for path in paths]
    for path in paths:
        text = path.read_bytes().replace(b"FIX.4.2", b"FIX.4.4").replace(b"TW42", b"TW44")
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


def acceptor(version: str, port: int) -> Iterator[subprocess.Popen[str]]:
    """The command, until it listens; ended by its own id."""
    command = [sys.executable, "-m", "tradewind.runtime", "fix-acceptor", "--echo"]
    command += ["--port", str(port), "--begin-string", version]
    environment = os.environ | {"TRADEWIND_FIX_DICTIONARIES": str(_DATA / "fix"), "PYTHONUNBUFFERED": "1"}
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


@pytest.mark.usefixtures("needs_quickfix")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", ["FIX.4.2"])
def test_every_acceptance_scenario_passes(version: str, tmp_path: Path) -> None:
    """58 of 58."""
    port = free_port()
    files = scenarios(version, tmp_path)
    assert len(files) == _KNOWN
    for process in acceptor(version, port):
        command = [sys.executable, "-W", "ignore", str(_PLAYER), "127.0.0.1", str(port), *files]
        played = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert process.poll() is None
        assert played.stdout.endswith(f"{_KNOWN} passed, 0 failed\n"), played.stdout + played.stderr


def test_no_dictionary_is_one_line(tmp_path: Path) -> None:
    """It says where it looked and what to set."""
    said: list[str] = []
    plan = AcceptorPlan(free_port(), "FIX.4.2", tmp_path, "ISLD", "TW42")
    assert serve(plan, said.append) == 1
    assert said == [
        f"there is no QuickFIX data dictionary FIX42.xml in {tmp_path}: name its folder in TRADEWIND_FIX_DICTIONARIES."
    ]


def test_only_the_two_versions() -> None:
    """Others have no dictionary here."""
    with pytest.raises(ValueError, match=r"FIX\.4\.2, FIX\.4\.4"):
        find_dictionary("FIX.5.0", None)
