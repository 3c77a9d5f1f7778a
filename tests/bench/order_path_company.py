"""What company costs the order path: open pages, and traces. The whole platform is one process, so nothing is hidden.

Rounds with and without follow each other in one run of ``tradewind demo``; traces need a start of their own each time.
A round's figure is the mean, over its orders, of command taken to first byte towards the venue; what is told is the
median of the rounds of a kind, and beside it how far the rounds without company lie apart: less than that is nothing.

python -m tests.bench.order_path_company
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil  # type: ignore[import-untyped]
import websockets

TOKEN: Final = "bench-0123456789abcdef0123456789abcdef"
VIEW: Final = {"type": "view", "parts": ["prices", "book", "trades", "bars", "orders", "fills", "alerts"], "depth": 20}
PAGES: Final = (0, 1, 0, 20)
ROUNDS: Final = 4
ROUND_S: Final = 15.0
STARTS: Final = 3
WARM_UP_S: Final = 10.0
START_S: Final = 60.0
_SUM: Final = re.compile(r"^tradewind_command_to_venue_seconds_(sum|count)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Demo:
    """A running demo: its process and its page's address."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
        self._process = process

    def get(self, path: str) -> str:
        """The body of what is at a path."""
        asked = Request(f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        with urlopen(asked, timeout=10) as answer:
            return str(answer.read().decode())

    def counts(self) -> tuple[float, float, float]:
        """Seconds of all orders from command to venue, their number, and CPU seconds of the process."""
        found = dict.fromkeys(("sum", "count"), 0.0)
        for name, value in _SUM.findall(self.get("/metrics")):
            found[name] += float(value)
        cpu = self._process.cpu_times()
        return found["sum"], found["count"], cpu.user + cpu.system

    def round(self, seconds: float = ROUND_S) -> dict[str, float]:
        """The order path during so many seconds."""
        begun_s = time.monotonic()
        before = self.counts()
        time.sleep(seconds)
        took_s, orders, cpu = (b - a for a, b in zip(before, self.counts(), strict=True))
        return {"us": took_s / orders * 1e6, "orders": orders, "cpu": cpu / (time.monotonic() - begun_s)}


@contextlib.contextmanager
def demo(**settings: str) -> Iterator[Demo]:
    """``tradewind demo`` in a folder of its own, warm."""
    ports = [_free_port(), _free_port()]
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        own = {
            "TRADEWIND_API_PORT": str(ports[0]),
            "TRADEWIND_SIM_VENUE_PORT": str(ports[1]),
            "TRADEWIND_API_OPERATOR_TOKENS": f"bench:viewer:{TOKEN}",
            "TRADEWIND_LOG_LEVEL": "error",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tradewind.runtime", "demo", "--data-dir", folder],
            env=os.environ | own | settings,
            stdout=subprocess.DEVNULL,
        )
        try:
            running = Demo(ports[0], psutil.Process(process.pid))
            _wait_for(running)
            yield running
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(running: Demo) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            if running.counts()[1] > 0:
                break
        except URLError:
            pass
        if time.monotonic() > until_s:
            raise TimeoutError("the demo sent no order within a minute; start it by hand to see why")
        time.sleep(0.5)
    time.sleep(WARM_UP_S)


@contextlib.contextmanager
def pages(port: int, count: int) -> Iterator[None]:
    """So many clients of the stream, in a process of their own."""
    if not count:
        yield
        return
    readers = subprocess.Popen([sys.executable, "-m", "tests.bench.order_path_company", str(port), str(count)])
    try:
        time.sleep(3)
        yield
    finally:
        readers.terminate()
        readers.wait(10)


async def read(port: int, count: int) -> None:
    """Be so many pages until ended."""

    async def one() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"ws://127.0.0.1:{port}/api/v1/stream"
        async with websockets.connect(url, additional_headers=headers, max_size=None, compression=None) as connection:
            await connection.send(json.dumps(VIEW))
            async for _ in connection:
                pass

    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(one())


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """An address that takes spans and forgets them."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()


def with_pages() -> dict[int, list[dict[str, float]]]:
    """Rounds by the number of open pages."""
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in PAGES}
    with demo() as running:
        for count in itertools.chain.from_iterable([PAGES] * ROUNDS):
            with pages(running.port, count):
                rounds[count].append(running.round())
    return rounds


def with_traces() -> dict[bool, list[dict[str, float]]]:
    """Rounds by whether every order is traced."""
    rounds: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    with collector() as url:
        for is_traced in [False, True] * STARTS:
            with demo(**({"TRADEWIND_TRACING_OTLP_URL": url} if is_traced else {})) as running:
                rounds[is_traced] += [running.round() for _ in range(2)]
    return rounds


def figures(rounds: dict[Any, list[dict[str, float]]]) -> dict[Any, dict[str, float]]:
    """The median of each kind's rounds, and how far they lie apart, as a part of it."""
    found = {}
    for kind, ones in rounds.items():
        took = [one["us"] for one in ones]
        middle = statistics.median(took)
        found[kind] = {
            "us": middle,
            "spread": (max(took) - min(took)) / middle,
            "cpu": statistics.median(one["cpu"] for one in ones),
            "orders": sum(one["orders"] for one in ones),
        }
    return found


def run() -> dict[str, dict[Any, dict[str, float]]]:
    """Both parts."""
    return {"pages": figures(with_pages()), "traces": figures(with_traces())}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asyncio.run(read(int(sys.argv[1]), int(sys.argv[2])))
    else:
        print(json.dumps(run(), indent=2))
