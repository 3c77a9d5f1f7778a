"""`tradewind topics` as a process of its own: Ctrl-C, a pipe that closes or is not read, and SIGTERM."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

STANDIN: Final = Path(__file__).with_name("topics_standin.py")
WAIT_S: Final = 30
PAGE: Final = 4_096
"""The smallest size of a pipe."""
Process = subprocess.Popen[bytes]


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def run(*arguments: str, url: str = "standin://here") -> Process:
        environ = {**os.environ, "TRADEWIND_BUS_URL": url, "PYTHONIOENCODING": "ascii"}
        command = [sys.executable, str(STANDIN), "topics", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def _lines(process: Process, count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_tail_follows_until_ctrl_c_and_ends_well(start: Callable[..., Process]) -> None:
    process = start("tail", "orders.events", "--json")
    for line in _lines(process, 300):
        assert json.loads(line)["type"] == "OrderFilled"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, errors) == (0, b"")


def test_a_reader_that_leaves_ends_tail_without_a_word(start: Callable[..., Process]) -> None:
    process = start("tail", "orders.events")
    _lines(process, 10)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


def test_ctrl_c_ends_tail_also_when_nobody_reads_its_output(start: Callable[..., Process]) -> None:
    process = start("tail", "md.events.binance")
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PAGE)
    while _unread(pipe) < PAGE:  # One write is longer, so when the page is full somebody waits.
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_S) == 0


def _unread(pipe: int) -> int:
    found = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(found, sys.byteorder)


def test_a_stopped_replay_leaves_no_file(start: Callable[..., Process], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    process = start("replay", "orders.events", "--to", str(path), url="standin://here?endless=yes")
    while not any(part.stat().st_size for part in tmp_path.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
