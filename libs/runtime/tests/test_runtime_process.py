"""The command as a real process: signals, exit codes, stores that are there, away, or its own."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from command_kit import PATIENCE_S, Launcher, free_port

from tradewind.store.testing import dsn_of

SERVICES = """
import asyncio
import time
import msgspec
from tradewind.runtime.service import Service, ServiceKind

async def serve(context):
    await context.database.ping()
    context.health.set_ready()
    print(context.name, "ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        print(context.name, "done", flush=True)

async def block(context):
    print(context.name, "ready", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print(context.name, "blocks", flush=True)
        while True:
            time.sleep(0.01)

async def brief(context):
    print(context.name, "ready", flush=True)

STRATEGY = Service(name="fake-strategy", kind=ServiceKind.STRATEGY, run=serve)
BOOKS = Service(name="fake-books", kind=ServiceKind.BOOKS, run=serve)
BLOCKER = Service(name="fake-blocker", kind=ServiceKind.FEED, run=block)
BRIEF = Service(name="fake-brief", kind=ServiceKind.FEED, run=brief)

class PortSettings(msgspec.Struct):
    port: int = 0

PORT = Service(name="fake-port", kind=ServiceKind.EDGE, run=serve, settings=PortSettings)
"""
ENTRY_POINTS = """[tradewind.services]
fake-strategy = fake_services:STRATEGY
fake-books = fake_services:BOOKS
fake-blocker = fake_services:BLOCKER
fake-brief = fake_services:BRIEF
fake-port = fake_services:PORT
"""


@pytest.fixture
def launch(tmp_path: Path) -> Launcher:
    return Launcher(tmp_path, SERVICES, ENTRY_POINTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_order_and_leaves_with_0(
    launch: Launcher, stores: dict[str, str], number: signal.Signals
) -> None:
    with launch("up", "fake-books", "fake-strategy", **stores) as platform:
        platform.until("Orders go to the simulated venue", "fake-books ready", "fake-strategy ready")
        platform.process.send_signal(number)
        assert platform.end() == 0
    words = [line.strip() for line in platform.lines]
    assert words.index("fake-strategy done") < words.index("fake-books done") < words.index("stopped")
    assert "Traceback" not in platform.output


def test_ctrl_c_of_a_terminal_reaches_the_whole_group_and_still_ends_clean(launch: Launcher) -> None:
    with launch("up", "fake-books") as platform:
        platform.until("fake-books ready")
        children = psutil.Process(platform.process.pid).children(recursive=True)
        assert children, "the embedded servers are children of the command"
        os.killpg(platform.process.pid, signal.SIGINT)
        assert platform.end() == 0
    assert "fake-books done" in platform.output
    assert "Traceback" not in platform.output
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_second_start_finds_its_embedded_data_again(launch: Launcher) -> None:
    for expected in ("applied: ", "nothing to do"):
        with launch("db", "migrate") as platform:
            assert platform.end() == 0
            assert expected in platform.output


def test_the_second_ctrl_c_ends_at_once_even_when_a_service_blocks_the_loop(
    launch: Launcher, stores: dict[str, str]
) -> None:
    with launch("up", "fake-blocker", **stores) as platform:
        platform.until("fake-blocker ready")
        platform.process.send_signal(signal.SIGINT)
        platform.until("fake-blocker blocks")
        platform.process.send_signal(signal.SIGINT)
        assert platform.end() == 130
    assert "ended at once" in platform.output


def test_a_service_that_blocks_the_loop_is_ended_by_force_without_a_second_signal(
    launch: Launcher, stores: dict[str, str]
) -> None:
    with launch("up", "fake-blocker", **stores) as platform:
        platform.until("fake-blocker ready")
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 70
    assert "ended by force" in platform.output


def test_the_command_ends_when_its_last_service_has_ended(launch: Launcher, stores: dict[str, str]) -> None:
    with launch("run", "fake-brief", **stores) as platform:
        assert platform.end() == 0
    assert "service ended" in platform.output


def test_an_absent_database_is_waited_for_in_words_said_once(launch: Launcher, stores: dict[str, str]) -> None:
    dsn = f"postgresql://127.0.0.1:{free_port()}/tradewind"
    with launch("up", "fake-books", **{**stores, "TRADEWIND_POSTGRES_DSN": dsn}) as platform:
        platform.until("PostgreSQL does not answer; waiting for it")
        with pytest.raises(subprocess.TimeoutExpired):
            platform.process.wait(1.0)  # several tries: 0.1, 0.2, 0.4 s apart
        platform.process.send_signal(signal.SIGINT)
        assert platform.end() == 0
    assert platform.output.count("waiting for it") == 1
    assert "Traceback" not in platform.output


def test_without_redis_the_services_run(launch: Launcher, stores: dict[str, str]) -> None:
    away = {**stores, "TRADEWIND_REDIS_URL": f"redis://127.0.0.1:{free_port()}"}
    with launch("up", "fake-books", **away) as platform:
        platform.until("fake-books ready")
        platform.process.send_signal(signal.SIGINT)
        assert platform.end() == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["up", "fake-brief"], {"TRADEWIND_LOG_LEVEL": "loud"}, "TRADEWIND_LOG_LEVEL='loud': it takes one of debug, "),
        (["up", "fake-brief"], {"TRADEWIND_VENUE_REST_URL": "https://api.binance.com"}, "REAL exchange"),
        (["up", "fake-brief"], {"TRADEWIND_REDIS_URL": "ftp://:hunter2@x"}, "TRADEWIND_REDIS_URL takes an address"),
        (["up", "fake-brief"], {"TRADEWIND_ORDERS_URL": "pigeon://x"}, "TRADEWIND_ORDERS_URL: no broker's address"),
        (["up", "fake-brief"], {"TRADEWIND_DATA_DIR": "/dev/null/x"}, "/dev/null/x"),
        (["run", "fake"], {}, "there is no service 'fake'"),
        (["run", "fake-port"], {"TRADEWIND_FAKE_PORT_PORT": "far"}, "TRADEWIND_FAKE_PORT_PORT='far': it takes a whole"),
    ],
)
def test_what_the_user_must_change_is_one_line_and_exit_code_2(
    launch: Launcher, arguments: list[str], variables: dict[str, str], message: str
) -> None:
    with launch(*arguments, **variables) as platform:
        assert platform.end() == 2
    [line] = [line for line in platform.lines if line.startswith("tradewind: ")]
    assert message in line
    assert "Traceback" not in platform.output
    assert "hunter2" not in platform.output


def test_a_taken_port_is_one_line_and_exit_code_2(launch: Launcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with launch("run", "fake-port", TRADEWIND_FAKE_PORT_PORT=str(port)) as platform:
            assert platform.end() == 2
    message = f"tradewind: port {port} is taken by another program; stop it or set TRADEWIND_FAKE_PORT_PORT\n"
    assert platform.lines[-1] == message


def test_a_database_that_refuses_is_said_and_not_waited_on(launch: Launcher, stores: dict[str, str]) -> None:
    wrong = dsn_of(stores["TRADEWIND_POSTGRES_DSN"], "no_such_database")
    with launch("db", "migrate", TRADEWIND_POSTGRES_DSN=wrong) as platform:
        assert platform.end() == 2
    assert "TRADEWIND_POSTGRES_DSN: PostgreSQL refuses: " in platform.output
    assert "no_such_database" in platform.output


def test_one_service_answers_health_and_metrics_on_its_port(launch: Launcher, stores: dict[str, str]) -> None:
    port = free_port()

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    with launch("run", "fake-books", TRADEWIND_HEALTH_PORT=str(port), **stores) as platform:
        platform.until("fake-books ready")
        assert get("/healthz") == (200, "alive\n")
        assert get("/readyz")[0] == 200
        assert "process_resident_memory_bytes" in get("/metrics")[1]
        with launch("run", "fake-strategy", TRADEWIND_HEALTH_PORT=str(port), **stores) as second:
            assert second.end() == 2
        assert f"port {port} is taken by another program; stop it or set TRADEWIND_HEALTH_PORT" in second.output
        platform.process.send_signal(signal.SIGTERM)
        assert platform.end() == 0


def test_the_module_is_the_same_command(launch: Launcher) -> None:
    result: Any = subprocess.run(
        [sys.executable, "-m", "tradewind.runtime", "--version"], capture_output=True, text=True, env=launch.environ
    )
    assert (result.returncode, result.stdout.split()[0]) == (0, "tradewind")
