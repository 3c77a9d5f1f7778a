"""The whole platform on the path of a stock exchange: market data over ITCH, orders over OUCH; lines may break."""

import json
import socket
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from replay_kit import COMMAND, environment, free_port, run_demo, write_capture

from tradewind.runtime.demo.venue_paths import VenuePath, path_environment
from tradewind.venue.itch import soupbintcp as soup

pytestmark = pytest.mark.timeout(180)
CUTS = 4
UNDECIDED = {"SUBMITTED", "ACCEPTED", "PENDING_CANCEL", "PARTIALLY_FILLED", "UNKNOWN"}


def options(folder: Path, seconds: int) -> tuple[str, ...]:
    report = str(folder / "report.json")
    return ("--headless", "--duration", str(seconds), "--report", report, "--data-dir", str(folder / "data"))


def check(folder: Path) -> dict[str, Any]:
    """The report, whose books are the venue's; the venue's own record has the same executions."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_bytes())
    assert report["ledger"]["books_equal_account"], report["ledger"]
    assert report["ledger"]["account_equals_venue"], report["ledger"]
    assert report["trades"] > 0
    assert report["fills"] == report["db"]["fills"] > 0
    record = sqlite3.connect(f"file:{folder / 'data' / 'sim-venue.sqlite3'}?mode=ro", uri=True)
    executions, orders, tokens = (
        record.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("trades", "orders", "ouch_tokens WHERE order_id > 0")
    )
    record.close()
    assert executions == report["fills"]
    assert orders == tokens
    return report


def test_the_demo_trades_over_itch_and_ouch(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--venue", "itch", *options(tmp_path, 12), TRADEWIND_SIM_VENUE_PORT=str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    report = check(tmp_path)
    assert not UNDECIDED & set(report["orders"]), report["orders"]


def cut(port: int, user: str, password: str) -> None:
    """Log in as the platform does: the venue then ends the platform's connection, whatever is under way on it."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(soup.login_request(soup.LoginRequest(user=user, password=password)))
        assert connection.recv(65_536)[2:3] == b"A"


def test_lines_that_break_while_it_trades_leave_every_order_known(tmp_path: Path) -> None:
    given = path_environment(VenuePath.ITCH, tmp_path / "data", lambda _: free_port())
    port = int(given["TRADEWIND_SIM_VENUE_OUCH_PORT"])
    login = given["TRADEWIND_VENUE_OUCH_USER"], given["TRADEWIND_VENUE_OUCH_PASSWORD"]
    running = subprocess.Popen(
        [*COMMAND, "demo", *options(tmp_path, 20)],
        env=environment(tmp_path, TRADEWIND_SIM_VENUE_PORT=str(free_port()), **given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert running.stdout is not None
        while "services are up" not in (line := running.stdout.readline()):
            assert line, "the demo has ended"
        for _ in range(CUTS):
            time.sleep(4)
            cut(port, *login)
        said, _ = running.communicate(timeout=90)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, said
    report = check(tmp_path)
    assert sum(report["orders"].values()) > CUTS
    assert not UNDECIDED & set(report["orders"]), report["orders"]


def test_a_recording_has_no_orders_to_tell(tmp_path: Path) -> None:
    line = (
        b'1 {"stream":"btcusdt@trade","data":{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true}}\n'
    )
    capture = write_capture(tmp_path / "one.gz", [line])
    done = run_demo(tmp_path, "--venue", "itch", "--replay", str(capture), "--headless")
    assert done.returncode != 0
    assert "--venue itch needs the venue's own flow" in done.stdout + done.stderr
