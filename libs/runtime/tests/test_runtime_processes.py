"""Services as processes: started, watched, started again, stopped in order; none is ever left behind."""

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from command_kit import PATIENCE_S, Launcher, Platform, free_port

from tradewind.store.testing import dsn_of

SERVICES = """
import asyncio
import os
import signal
import sys
import time
from tradewind.bus.connecting import TRANSPORTS
from tradewind.bus.memory import MemoryBus
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import Service, ServiceKind

async def nowhere(url):
    return MemoryBus()

TRANSPORTS["nowhere"] = nowhere  # a bus that needs no broker, because these services say nothing to each other

def again(context):
    mark = context.platform.data_dir / context.name
    found = mark.exists()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return found

async def serve(context):
    context.metrics.counter("coins", "Coins").inc(2)
    context.metrics.latency("work", "Work").record(5_000)
    context.health.set_ready()
    context.log.info("at work", pid=os.getpid())
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        context.log.info("done")

async def die_once(context):
    if not again(context):
        os.kill(os.getpid(), signal.SIGKILL)
    await serve(context)

async def fail_once(context):
    if not again(context):
        raise ValueError("first time")
    await serve(context)

async def refuse(context):
    raise StartRefused("put a coin in")

async def block(context):
    context.health.set_ready()
    context.log.info("at work", pid=os.getpid())
    try:
        await asyncio.Event().wait()
    finally:
        while True:
            time.sleep(0.01)

async def chat(context):
    context.health.set_ready()
    line = "x" * 10_000 + chr(10)
    while True:
        for _ in range(100):
            sys.stdout.write(line)
        await asyncio.sleep(0)

async def brief(context):
    print("no event, only words", flush=True)

STRATEGY = Service(name="fake-strategy", kind=ServiceKind.STRATEGY, run=serve)
FEED = Service(name="fake-feed", kind=ServiceKind.FEED, run=serve)
BOOKS = Service(name="fake-books", kind=ServiceKind.BOOKS, run=serve)
DIER = Service(name="fake-dier", kind=ServiceKind.FEED, run=die_once)
FAILER = Service(name="fake-failer", kind=ServiceKind.FEED, run=fail_once)
REFUSER = Service(name="fake-refuser", kind=ServiceKind.FEED, run=refuse)
BLOCKER = Service(name="fake-blocker", kind=ServiceKind.FEED, run=block, stop_budget_s=0.1)
CHATTER = Service(name="fake-chatter", kind=ServiceKind.FEED, run=chat)
BRIEF = Service(name="fake-brief", kind=ServiceKind.FEED, run=brief)
"""
NAMES = ("STRATEGY", "FEED", "BOOKS", "DIER", "FAILER", "REFUSER", "BLOCKER", "CHATTER", "BRIEF")
ENTRY_POINTS = "[tradewind.services]\n" + "".join(f"fake-{name.lower()} = fake_services:{name}\n" for name in NAMES)


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, SERVICES, ENTRY_POINTS)


@pytest.fixture
def variables(stores: dict[str, str]) -> dict[str, str]:
    return stores | {"TRADEWIND_BUS_URL": "nowhere://", "TRADEWIND_LOG_FORMAT": "json"}


def events(platform: Platform) -> list[dict[str, Any]]:
    """Every line of the log; all are whole JSON objects."""
    return [json.loads(line) for line in platform.lines if line.startswith("{")]


def places(platform: Platform, event: str) -> dict[str, int]:
    """Where in the log each service says ``event`` for the first time."""
    found: dict[str, int] = {}
    for place, one in enumerate(events(platform)):
        if one["event"] == event:
            found.setdefault(one["service"], place)
    return found


def children_of(platform: Platform) -> list[psutil.Process]:
    return list(psutil.Process(platform.process.pid).children(recursive=True))


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not come to pass"
        time.sleep(0.02)


def gone(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def at_work(platform: Platform, *services: str) -> None:
    """Wait until these services say that they work."""
    while not set(services) <= places(platform, "at work").keys():
        platform.until_line()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_processes_in_order_and_leaves_with_0(
    launch: Launcher, variables: dict[str, str], number: signal.Signals
) -> None:
    with launch("up", "--processes", "fake-books", "fake-strategy", "fake-feed", **variables) as platform:
        at_work(platform, "fake-books", "fake-strategy", "fake-feed")
        children = children_of(platform)
        assert len(children) == 3
        os.killpg(platform.process.pid, number)  # the whole group, as a terminal does
        assert platform.end() == 0
    done = places(platform, "done")
    assert done["fake-strategy"] < done["fake-feed"] < done["fake-books"]
    assert platform.output.count("stopped\n") == 1
    assert platform.output.count("Orders go to the simulated venue") == 1
    assert gone(children)
    assert "Traceback" not in platform.output


def test_no_process_outlives_a_supervisor_that_was_killed(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-books", "fake-blocker", **variables) as platform:
        at_work(platform, "fake-books", "fake-blocker")
        children = children_of(platform)
        os.kill(platform.process.pid, signal.SIGKILL)
        until(lambda: gone(children))


def test_a_process_that_is_still_starting_does_not_outlive_it_either(
    launch: Launcher, variables: dict[str, str]
) -> None:
    with launch("up", "--processes", "fake-books", "fake-feed", **variables) as platform:
        until(lambda: len(children_of(platform)) == 2)
        children = children_of(platform)
        os.kill(platform.process.pid, signal.SIGKILL)
        until(lambda: gone(children))


def test_the_second_ctrl_c_ends_all_at_once(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-blocker", **variables) as platform:
        at_work(platform, "fake-blocker")
        children = children_of(platform)
        platform.process.send_signal(signal.SIGINT)
        platform.until("once more ends at once")
        platform.process.send_signal(signal.SIGINT)
        assert platform.end() == 130
        until(lambda: gone(children))


def test_a_process_that_does_not_end_is_killed_and_named(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-blocker", "fake-books", **variables) as platform:
        at_work(platform, "fake-blocker", "fake-books")
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    killed = places(platform, "process did not end after SIGTERM; it is killed")
    assert killed.keys() == {"fake-blocker"}
    assert killed["fake-blocker"] < places(platform, "done")["fake-books"]


def test_a_process_that_dies_is_started_again_and_the_others_go_on(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-dier", "fake-books", **variables) as platform:
        at_work(platform, "fake-dier", "fake-books")
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    [failed] = [one for one in events(platform) if one["event"] == "service failed; it is started again"]
    assert (failed["service"], failed["reason"]) == ("fake-dier", "its process was killed by SIGKILL")
    assert len([one for one in events(platform) if one["event"] == "at work"]) == 2


def test_a_service_that_fails_is_started_again_inside_its_process(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-failer", **variables) as platform:
        at_work(platform, "fake-failer")
        [child] = children_of(platform)
        assert child.pid == events(platform)[-1]["pid"]
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    [failed] = [one for one in events(platform) if one["event"] == "service failed; it is started again"]
    assert failed["exception"][0]["exc_value"] == "first time"


def test_a_service_that_refuses_ends_everything_with_its_one_line(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-refuser", "fake-books", **variables) as platform:
        assert platform.end() == 2
    assert [line for line in platform.lines if line.startswith("tradewind: ")] == ["tradewind: put a coin in\n"]
    assert "Traceback" not in platform.output


def test_it_ends_when_the_last_process_has_ended(launch: Launcher, variables: dict[str, str]) -> None:
    with launch("up", "--processes", "fake-brief", **variables) as platform:
        assert platform.end() == 0
    assert {one["event"] for one in events(platform)} >= {"no event, only words", "service ended"}
    assert {one.get("process", one["service"]) for one in events(platform)} == {"fake-brief", "supervisor"}


def test_the_log_for_people_names_the_service_on_every_line(launch: Launcher, variables: dict[str, str]) -> None:
    console = variables | {"TRADEWIND_LOG_FORMAT": "console"}
    with launch("up", "--processes", "fake-failer", **console) as platform:
        platform.until("at work")
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    [failed] = [line for line in platform.lines if "it is started again" in line]
    assert "service=fake-failer" in failed
    # A traceback is whole, under its line.
    place = platform.lines.index(failed)
    assert platform.lines[place + 1] == "Traceback (most recent call last):\n"
    assert "ValueError: first time\n" in platform.lines[place:]


def test_a_chatty_process_blocks_nobody_and_its_flood_is_bounded(launch: Launcher, variables: dict[str, str]) -> None:
    port = free_port()
    with launch(
        *("up", "--processes", "fake-chatter", "fake-books"), **variables, TRADEWIND_HEALTH_PORT=str(port)
    ) as platform:
        # Nobody reads the log here: its pipe is full at once.
        until(lambda: health(port) == {"fake-chatter": "ready", "fake-books": "ready"})
        time.sleep(1.0)
        assert psutil.Process(platform.process.pid).memory_info().rss < 400_000_000
        assert health(port) == {"fake-chatter": "ready", "fake-books": "ready"}
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    assert [one for one in events(platform) if one["event"].startswith("log lines were left out")]
    assert max(len(line) for line in platform.lines) < 11_000


def health(port: int) -> dict[str, str]:
    """State by service, from the supervisor's own health port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
    except OSError:
        return {}
    return {row["name"]: row["state"] for row in json.loads(body)["services"]}


def test_status_reads_the_supervisors_health(launch: Launcher, variables: dict[str, str]) -> None:
    port = free_port()
    with launch("up", "--processes", "fake-books", **variables, TRADEWIND_HEALTH_PORT=str(port)) as platform:
        until(lambda: health(port) == {"fake-books": "ready"})
        with launch("status", "--url", f"http://127.0.0.1:{port}") as asked:
            assert asked.end() == 0
        assert "fake-books" in asked.output
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0


def test_a_killed_process_is_seen_in_the_health_and_comes_back(launch: Launcher, variables: dict[str, str]) -> None:
    port = free_port()
    with launch("up", "--processes", "fake-books", **variables, TRADEWIND_HEALTH_PORT=str(port)) as platform:
        until(lambda: health(port) == {"fake-books": "ready"})
        [child] = children_of(platform)
        child.kill()
        until(lambda: health(port) != {"fake-books": "ready"})
        until(lambda: health(port) == {"fake-books": "ready"})
        [second] = children_of(platform)
        assert second.pid != child.pid
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0


def test_embedded_stores_are_started_once_for_all(launch: Launcher) -> None:
    with launch("up", "--processes", "fake-books", "fake-feed", TRADEWIND_BUS_URL="nowhere://") as platform:
        platform.until("fake-books", "fake-feed")
        servers = [one for one in children_of(platform) if "valkey" in one.name()]
        assert len(servers) == 1
        platform.process.send_signal(signal.SIGINT)
        assert platform.end() == 0
    assert gone(servers)


@pytest.mark.parametrize("name", ["TRADEWIND_BUS_URL", "TRADEWIND_MARKET_DATA_URL", "TRADEWIND_ORDERS_URL"])
def test_the_memory_bus_is_refused_with_what_to_set(launch: Launcher, name: str) -> None:
    with launch("up", "--processes", "fake-books", **{name: "memory://"}) as platform:
        assert platform.end() == 2
    [line] = platform.lines
    assert f"{name} is memory://" in line
    assert "kafka://127.0.0.1:9092 or amqp://" in line


def test_a_taken_port_is_said_before_any_process_starts(launch: Launcher, variables: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with launch("up", "--processes", "api", **variables, TRADEWIND_API_PORT=str(port)) as platform:
            assert platform.end() == 2
    assert f"port {port} is taken" in platform.output


def test_no_address_shows_in_the_list_of_processes(launch: Launcher, stores: dict[str, str]) -> None:
    secret = {"TRADEWIND_BUS_URL": "nowhere://me:hunter2@broker"}
    with launch("up", "--processes", "fake-books", **stores, **secret) as platform:
        platform.until("at work")
        lines = [" ".join(one.cmdline()) for one in children_of(platform)]
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0
    assert lines
    assert not any("hunter2" in line or "postgresql:" in line for line in lines)
    assert "hunter2" not in platform.output


def test_a_database_that_refuses_is_said_by_the_supervisor_alone(launch: Launcher, variables: dict[str, str]) -> None:
    wrong = variables | {"TRADEWIND_POSTGRES_DSN": dsn_of(variables["TRADEWIND_POSTGRES_DSN"], "no_such_database")}
    with launch("up", "--processes", "fake-books", **wrong) as platform:
        assert platform.end() == 2
    assert "TRADEWIND_POSTGRES_DSN: PostgreSQL refuses: " in platform.lines[-1]
    assert not places(platform, "at work")
