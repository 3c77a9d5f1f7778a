"""The platform as separate processes that meet only at a real broker: the same figures as in one process, also when
a process is killed on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil  # type: ignore[import-untyped]
import pytest
from replay_kit import COMMAND, environment, free_port, needs_capture, recorded_lines, replay, write_capture

from tradewind.runtime.service_registry import services_to_run

pytestmark = [needs_capture, pytest.mark.timeout(600)]
BROKERS = ("kafka_url", "rabbitmq_url")
LINES = 6_000
RUN_TIMEOUT_S = 240.0
UNFINISHED = {"SUBMITTED", "ACCEPTED", "PENDING_CANCEL", "PARTIALLY_FILLED"}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(request.param)
    return url


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Some 50 s of recorded traffic."""
    return write_capture(tmp_path / "cut.gz", recorded_lines()[:LINES])


def folder(path: Path) -> Path:
    path.mkdir()
    return path


class Demo:
    """A running headless replay in processes."""

    def __init__(self, process: "subprocess.Popen[str]", venue_port: int, health_port: int, report: Path) -> None:
        self.process = process
        self._venue = f"http://127.0.0.1:{venue_port}/sim/v1/status"
        self._health = f"http://127.0.0.1:{health_port}/state"
        self._report = report

    def frames(self) -> int:
        """How far the venue is."""
        return int(_get(self._venue)["frames"])

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in _get(self._health)["services"]}

    def reasons(self) -> dict[str, str]:
        return {row["name"]: row["reason"] for row in _get(self._health)["services"]}

    def restarts(self) -> dict[str, int]:
        return {row["name"]: row["restarts"] for row in _get(self._health)["services"]}

    def child(self, service: str) -> psutil.Process:
        """The process of a service."""
        [found] = [one for one in self.children() if one.cmdline()[-2:] == ["run", service]]
        return found

    def children(self) -> list[psutil.Process]:
        return list(psutil.Process(self.process.pid).children())

    def end(self) -> dict[str, Any]:
        """The report, once it has ended by itself."""
        output, _ = self.process.communicate(timeout=RUN_TIMEOUT_S)
        assert self.process.returncode == 0, output
        report: dict[str, Any] = json.loads(self._report.read_bytes())
        return report


def _get(url: str) -> Any:
    with urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


def until(condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except OSError:
            pass  # not up yet
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.05)


@contextmanager
def running(path: Path, capture: Path, broker: str, *arguments: str, **variables: str) -> Iterator[Demo]:
    """A replay at a pace that leaves time to do something to it."""
    venue_port, health_port, report = free_port(), free_port(), path / "report.json"
    ports = {"TRADEWIND_SIM_VENUE_PORT": str(venue_port), "TRADEWIND_HEALTH_PORT": str(health_port)}
    options = ("--processes", "--headless", "--replay", str(capture), "--report", str(report))
    process = subprocess.Popen(
        [*COMMAND, "demo", *options, "--data-dir", str(path / "data"), *arguments],
        env=environment(path, **ports, TRADEWIND_BUS_URL=broker, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Demo(process, venue_port, health_port, report)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        print((output or "")[-6000:])


def check_exact(report: dict[str, Any]) -> None:
    """Whatever happened on the way: the books are right, and no order was forgotten."""
    assert report["ledger"]["books_equal_account"], report["ledger"]
    assert report["ledger"]["account_equals_venue"], report["ledger"]
    assert not UNFINISHED & set(report["orders"]), report["orders"]
    assert report["db"]["orders"] == report["outcome"]["orders"]["rows"] == sum(report["orders"].values())


def test_the_replay_gives_the_same_in_processes(tmp_path: Path, capture: Path, broker: str) -> None:
    one = replay(folder(tmp_path / "one"), capture)
    # Not at full speed: there a broker is often still on its way to the strategies when the capture has ended.
    many = replay(folder(tmp_path / "many"), capture, "--processes", "--bus", broker, "--speed", "10")
    assert many["input"] == one["input"]
    for name in ("trades", "quotes"):
        assert many[name] == many["db"][name] == one[name]
    # At full speed more of the replay passes until the first snapshot is there: fewer books, none of them wrong.
    assert 0 < many["book"]["compared"] == many["book"]["equal"]
    assert many["book"]["gaps"] == 0
    check_exact(many)
    assert many["fills"] == many["db"]["fills"]
    assert many["latency_us"]["tick_to_command"]["n"] > 0
    assert many["latency_us"]["command_to_venue"]["n"] > 0


def test_in_lockstep_orders_and_fills_are_the_same_too(tmp_path: Path, capture: Path, broker: str) -> None:
    one = replay(folder(tmp_path / "one"), capture, "--lockstep")
    many = replay(folder(tmp_path / "many"), capture, "--lockstep", "--processes", "--bus", broker)
    for name in ("input", "book", "trades", "quotes", "orders", "strategies", "outcome", "db"):
        assert many[name] == one[name], name
    assert many["outcome"]["fills"]["rows"] > 0
    check_exact(many)


def test_killed_processes_come_back_and_nothing_is_lost(tmp_path: Path, capture: Path, broker: str) -> None:
    killed = ("execution", "recorder", "strategy-market-maker")
    with running(tmp_path, capture, broker, "--speed", "2") as demo:
        for number, service in enumerate(killed, start=1):
            until(lambda frames=number * 500: demo.frames() > frames)  # type: ignore[misc]
            demo.child(service).kill()
        until(lambda: all(demo.restarts()[one] == 1 and demo.states()[one] == "ready" for one in killed))
        assert demo.frames() < LINES, "they came back too late to say anything"
        report = demo.end()
    assert report["db"]["trades"] == report["trades"] > 0
    assert report["db"]["quotes"] == report["quotes"] > 0
    assert report["book"]["compared"] == report["book"]["equal"] > 0
    assert report["fills"] <= report["db"]["fills"]  # what was counted since the last look before the kill is not known
    check_exact(report)


def test_a_killed_feed_comes_back_with_right_books(tmp_path: Path, capture: Path, broker: str) -> None:
    with running(tmp_path, capture, broker, "--speed", "2") as demo:
        until(lambda: demo.frames() > 1_000)
        demo.child("market-data").kill()
        until(lambda: demo.restarts()["market-data"] == 1 and demo.states()["market-data"] == "ready")
        assert demo.frames() < LINES, "it came back too late to say anything"
        report = demo.end()
    # What passed while nobody listened was never here; what was published is stored, and no book is wrong.
    assert report["db"]["trades"] >= report["trades"] > 0
    assert report["book"]["compared"] == report["book"]["equal"] > 0
    check_exact(report)


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_is_exact(
    tmp_path: Path, capture: Path, kafka_url: str
) -> None:
    with running(tmp_path, capture, kafka_url, "--speed", "2") as demo:
        until(lambda: demo.frames() > 1_000)
        services = [one for one in demo.children() if "run" in one.cmdline()]
        assert len(services) == len(services_to_run()) - 1  # the venue is in the supervisor
        os.kill(demo.process.pid, signal.SIGKILL)
        until(lambda: not [one for one in services if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])
    report = replay(tmp_path, capture, "--processes", "--bus", kafka_url)
    check_exact(report)


def test_ctrl_c_in_the_middle_stops_in_order_and_cancels_what_rests(
    tmp_path: Path, capture: Path, kafka_url: str
) -> None:
    with running(tmp_path, capture, kafka_url, "--speed", "2") as demo:
        until(lambda: demo.frames() > 1_000)
        os.killpg(demo.process.pid, signal.SIGINT)
        output, _ = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 0, output
    assert "Traceback" not in output
    assert "is killed" not in output
    report = replay(tmp_path, capture, "--processes", "--bus", kafka_url)
    check_exact(report)
