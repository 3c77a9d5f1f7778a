"""The platform while parts of it are taken away: what was accepted stays, and it says what is wrong."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from replay_kit import COMMAND, ask_api, environment, free_port

pytestmark = pytest.mark.timeout(150)


class Platform:
    """A running ``tradewind demo`` with its page."""

    def __init__(self, folder: Path, process: "subprocess.Popen[str]", port: int) -> None:
        self.folder = folder
        self.process = process
        self._port = port

    def get(self, path: str) -> Any:
        return ask_api(self._port, path)

    def fills(self) -> int:
        return len(self.get("/fills?limit=200")["fills"])

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.get("/health")["services"]}

    def servers(self, name: str) -> list[psutil.Process]:
        """Embedded servers of this platform, by the data folder in their command line or working folder."""
        found = []
        for process in psutil.process_iter(["name", "cmdline"]):
            line = " ".join(process.info["cmdline"] or ())
            if name in (process.info["name"] or "") and str(self.folder) in line:
                found.append(process)
        return found


def until(condition: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except OSError:
            pass  # not up yet, or the store behind the question is away
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Platform]:
    port = free_port()
    ports = {"TRADEWIND_API_PORT": str(port), "TRADEWIND_SIM_VENUE_PORT": str(free_port())}
    process = subprocess.Popen(
        [*COMMAND, "demo", "--data-dir", str(folder / "data")],
        env=environment(folder, **ports, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        platform = Platform(folder, process, port)
        until(lambda: all(state == "ready" for state in platform.states().values()))
        until(lambda: platform.fills() > 0)
        yield platform
    finally:
        process.send_signal(signal.SIGINT)
        try:
            output, _ = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        print(output[-4000:])


def test_ctrl_c_ends_it_clean_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as platform:
        pass
    assert platform.process.returncode == 0
    assert not platform.servers("postgres")
    assert not platform.servers("valkey")
    with running(tmp_path) as platform:
        statuses = {order["status"] for order in platform.get("/orders?limit=200")["orders"]}
        assert "FILLED" in statuses


def test_a_killed_platform_starts_again_with_an_exact_ledger(tmp_path: Path) -> None:
    with running(tmp_path) as platform:
        os.kill(platform.process.pid, signal.SIGKILL)
        platform.process.wait(10)
    out = tmp_path / "report.json"
    done = subprocess.run(
        [*COMMAND, "demo", "--headless", "--duration", "5", "--data-dir", str(tmp_path / "data"), "--report", str(out)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_bytes())
    assert report["ledger"]["books_equal_account"]
    assert 0 < report["wall_s"] < 1_000  # of this run, not since the epoch
    assert 0 < report["fills"] < report["db"]["fills"]  # the earlier run's are in the database too
    assert report["ledger"]["account_equals_venue"]
    assert not {"SUBMITTED", "ACCEPTED", "PENDING_CANCEL", "PARTIALLY_FILLED"} & set(report["orders"])


def test_the_database_may_die_and_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as platform:
        before = platform.fills()
        for process in platform.servers("postgres"):
            process.kill()
        until(lambda: platform.states()["execution"] == "ready" and platform.fills() > before)


def test_redis_may_die_and_nothing_is_lost(tmp_path: Path) -> None:
    with running(tmp_path) as platform:
        before = platform.fills()
        for process in platform.servers("valkey"):
            process.kill()
        until(lambda: platform.fills() > before + 5)
        assert set(platform.states().values()) == {"ready"}


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "up", "api"],
            env=environment(tmp_path, TRADEWIND_API_PORT=str(port)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_wrong_api_key_is_said_and_nothing_is_traded(tmp_path: Path) -> None:
    port = free_port()
    ports = {"TRADEWIND_API_PORT": str(port), "TRADEWIND_SIM_VENUE_PORT": str(free_port())}
    keys = {"TRADEWIND_SIM_VENUE_API_KEY": "right-key", "TRADEWIND_SIM_VENUE_API_SECRET": "right-secret"}
    process = subprocess.Popen(
        [*COMMAND, "demo", "--data-dir", str(tmp_path / "data")],
        env=environment(tmp_path, **ports, **keys),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    platform = Platform(tmp_path, process, port)  # type: ignore[arg-type]

    def told() -> bool:
        rows = {row["name"]: row for row in platform.get("/health")["services"]}
        return rows["execution"]["state"] == "not-ready" and "key" in rows["execution"]["reason"].lower()

    try:
        until(told)
        assert platform.get("/orders?limit=10")["orders"] == []
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
