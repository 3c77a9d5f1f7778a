"""Redis loses everything while the platform trades close to the venue's limits: nothing else is lost by it.

The simulated venue allows few orders, so that the limits are always felt; it counts whom it had to throttle.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

import pytest
import redis
from replay_kit import COMMAND, ask_api, environment, free_port

from tradewind.store.last_values import LastValues
from tradewind.store.presence import Presence, PresenceSeen
from tradewind.store.valkey_server import ValkeyServer

pytestmark = pytest.mark.timeout(240)

DURATION_S: Final = 35
FLUSHES: Final = 8
FEW_ORDERS: Final = 15
"""Per 10 s; the strategies would send some thirty."""
TIGHT_WEIGHT: Final = 1_500
BOUND_S: Final = 15.0
"""Everything that lives in Redis is there again so soon; by its own intervals it is two seconds."""
MARKET: Final = "market:BTCUSDT.BINANCE"
MID: Final = "mid:BTCUSDT.BINANCE"


class Run:
    """A running ``tradewind demo`` with its page, a report at its end, and a venue whose limits are near."""

    def __init__(self, folder: Path, url: str, **more: str) -> None:
        self.url = url
        self.report_file = folder / "report.json"
        self.api_port, self.venue_port = free_port(), free_port()
        self.log_file = folder / "log"
        variables = {
            "TRADEWIND_REDIS_URL": url,
            "TRADEWIND_API_PORT": str(self.api_port),
            "TRADEWIND_SIM_VENUE_PORT": str(self.venue_port),
            "TRADEWIND_SIM_VENUE_ORDERS_PER_10_S": str(FEW_ORDERS),
            "TRADEWIND_SIM_VENUE_REQUEST_WEIGHT_PER_MINUTE": str(TIGHT_WEIGHT),
        }
        self.environment = environment(folder, **variables, **more)
        options = ("--duration", str(DURATION_S), "--data-dir", str(folder / "data"), "--report", str(self.report_file))
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "demo", *options],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def venue(self) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self.venue_port}/sim/v1/status", timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def fills(self) -> int:
        return len(ask_api(self.api_port, "/fills?limit=200")["fills"])

    def flush(self) -> None:
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            client.flushall()

    def status(self) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, "status", "--url", f"http://127.0.0.1:{self.api_port}"],
            env={**self.environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def end(self) -> dict[str, Any]:
        """Its report."""
        self.process.wait(DURATION_S + 60)
        assert self.process.returncode == 0, self.log_file.read_text()[-4_000:]
        report: dict[str, Any] = json.loads(self.report_file.read_bytes())
        return report


@pytest.fixture
def run(tmp_path: Path, own_redis: ValkeyServer) -> Iterator[Run]:
    made = Run(tmp_path, own_redis.url)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.send_signal(signal.SIGINT)
            try:
                made.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(made.process.pid, signal.SIGKILL)
                made.process.wait()
        print(made.log_file.read_text()[-4_000:])


async def look(url: str) -> tuple[dict[str, Any], PresenceSeen | None, set[bytes]]:
    """What Redis holds of each part: last values, presence, the names of its keys."""
    async with LastValues(url, timeout_s=5) as values:
        found = await values.get_many([MARKET, MID])
    presence = Presence(url, timeout_s=5)
    seen = await presence.read()
    await presence.close()
    async with redis.asyncio.from_url(url, socket_timeout=5) as client:
        keys: Any = await client.keys("tradewind:rate:*")
    return found, seen, set(keys)


def is_whole(url: str) -> bool:
    """Whether last values, presence and the rate limits are all there."""
    found, seen, buckets = asyncio.run(look(url))
    if seen is None or {MARKET, MID} - set(found) or not {"bid_price", "trade_price"} <= set(found[MARKET]):
        return False
    services = {one.name: one.state for process in seen.processes for one in process.services}
    ready = {"execution": "ready", "market-data": "ready", "portfolio": "ready", "recorder": "ready"}
    return ready.items() <= services.items() and any(b":account:" in key for key in buckets)


def until_whole(run: Run, bound_s: float) -> None:
    deadline = time.monotonic() + bound_s
    while not is_whole(run.url):
        assert run.process.poll() is None, run.log_file.read_text()[-4_000:]
        assert time.monotonic() < deadline, f"not there again: {asyncio.run(look(run.url))}"
        time.sleep(0.1)


def check_nothing_was_lost(report: dict[str, Any], throttled: int, fills: int) -> None:
    assert throttled == 0
    assert report["ledger"]["books_equal_account"]
    assert report["ledger"]["account_equals_venue"]
    assert report["db"]["fills"] == report["fills"] >= fills > 0
    assert sum(report["orders"].values()) == report["db"]["orders"]
    # Every order came to an end that is known, and the limits were felt: some were held back, none by the venue.
    assert set(report["orders"]) <= {"FILLED", "CANCELED", "REJECTED", "DENIED", "EXPIRED"}
    assert report["orders"]["REJECTED"] > 0
    assert report["book"]["compared"] == report["book"]["equal"]


@pytest.mark.parametrize("own_redis", ["redis-server"], indirect=True)
def test_flushes_in_mid_run_lose_nothing(run: Run) -> None:
    until_whole(run, 60)
    fills = throttled = 0
    for _ in range(FLUSHES):
        run.flush()
        until_whole(run, BOUND_S)
        fills, throttled = run.fills(), run.venue()["throttled"]
    shown = run.status()
    assert "execution" in shown.stdout
    assert str(run.process.pid) in shown.stdout
    report = run.end()
    check_nothing_was_lost(report, throttled, fills)


@pytest.mark.parametrize("own_redis", ["valkey"], indirect=True)
def test_redis_away_in_mid_run_loses_nothing(run: Run, own_redis: ValkeyServer) -> None:
    until_whole(run, 60)
    for _ in range(2):
        own_redis.stop()
        before = run.venue()["requests"]
        while run.venue()["requests"] < before + 5:  # it goes on trading
            assert run.process.poll() is None
            time.sleep(0.1)
        assert "Redis does not answer" in run.status().stdout
        own_redis.start()
        until_whole(run, BOUND_S)
    fills, throttled = run.fills(), run.venue()["throttled"]
    with contextlib.suppress(OSError):  # until the venue is gone
        while True:
            throttled = run.venue()["throttled"]
            time.sleep(0.2)
    report = run.end()
    check_nothing_was_lost(report, throttled, fills)
    log = run.log_file.read_text()
    assert log.count("rate limits are counted by each process alone") <= 4  # two parts of this process, two outages
