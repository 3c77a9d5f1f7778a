"""What company costs the order path: open pages, and traces. The whole platform is one process, so nothing is hidden.

Rounds with and without follow each other in one run of ``tradewind demo``; traces need a start of their own each time.
What is told is the median, over the orders of all rounds of a kind, of command taken to first byte towards the venue,
and beside it how far the first and the second half of a kind's rounds lie apart: less than that is nothing.

python -m tests.bench.order_path_company
"""

import asyncio
import contextlib
import dataclasses
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
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import psutil  # type: ignore[import-untyped]
import websockets

TOKEN: Final = "bench-0123456789abcdef0123456789abcdef"
VIEW: Final = {"type": "view", "parts": ["prices", "book", "trades", "bars", "orders", "fills", "alerts"], "depth": 20}
BUSY: Final = {
    "TRADEWIND_STRATEGY_MARKET_MAKER_REQUOTE_PPM": "0",
    "TRADEWIND_STRATEGY_MARKET_MAKER_MIN_LIFE_S": "0",
}
"""A strategy that moves its quotes at once sends enough orders for a median."""
PAGES: Final = (0, 1, 0, 20)
ROUNDS: Final = 4
ROUND_S: Final = 15.0
STARTS: Final = 3
WARM_UP_S: Final = 10.0
START_S: Final = 60.0
_BUCKET: Final = re.compile(r'^tradewind_command_to_venue_seconds_bucket\{.*?le="([^"]+)".*?\} (\S+)$', re.MULTILINE)
Buckets = dict[float, float]
"""How many orders took at most so many seconds."""


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

    def orders(self) -> Buckets:
        """All orders since the start."""
        found: Buckets = {}
        for bound, count in _BUCKET.findall(self.get("/metrics")):
            found[float(bound)] = found.get(float(bound), 0.0) + float(count)
        return found

    def cpu_s(self) -> float:
        """CPU seconds of the process since its start."""
        spent = self._process.cpu_times()
        return float(spent.user + spent.system)

    def round(self, seconds: float = ROUND_S) -> "Round":
        """The order path during so many seconds."""
        begun_s, cpu_s, before = time.monotonic(), self.cpu_s(), self.orders()
        time.sleep(seconds)
        after = self.orders()
        cpu = (self.cpu_s() - cpu_s) / (time.monotonic() - begun_s)
        return Round({bound: count - before.get(bound, 0.0) for bound, count in after.items()}, cpu)


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One round: its orders, and the share of a core that the process took."""

    orders: Buckets
    cpu: float


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
            **BUSY,
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
            if any(running.orders().values()):
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


def with_pages() -> dict[int, list[Round]]:
    """Rounds by the number of open pages."""
    rounds: dict[int, list[Round]] = {count: [] for count in PAGES}
    with demo() as running:
        for count in itertools.chain.from_iterable([PAGES] * ROUNDS):
            with pages(running.port, count):
                rounds[count].append(running.round())
    return rounds


def with_traces() -> dict[bool, list[Round]]:
    """Rounds by whether every order is traced."""
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    with collector() as url:
        for is_traced in [False, True] * STARTS:
            with demo(**({"TRADEWIND_TRACING_OTLP_URL": url} if is_traced else {})) as running:
                rounds[is_traced] += [running.round() for _ in range(2)]
    return rounds


def figures(rounds: dict[Any, list[Round]]) -> dict[Any, dict[str, float]]:
    """Of each kind: median in us, how far its halves lie apart as a part of it, share of a core, number of orders."""
    found = {}
    for kind, ones in rounds.items():
        middle = median_us(ones)
        halves = median_us(ones[::2]), median_us(ones[1::2])
        found[kind] = {
            "us": middle,
            "apart": abs(halves[0] - halves[1]) / middle,
            "cpu": statistics.median(one.cpu for one in ones),
            "orders": sum(max(one.orders.values()) for one in ones),
        }
    return found


def median_us(rounds: Sequence[Round]) -> float:
    """Of all orders of the rounds; within a bucket orders are taken to lie evenly."""
    whole: Counter[float] = Counter()
    for one in rounds:
        whole.update(one.orders)
    half = max(whole.values()) / 2
    lower, below = 0.0, 0.0
    for bound, count in sorted(whole.items()):
        if count >= half:
            return (lower + (bound - lower) * (half - below) / (count - below)) * 1e6
        lower, below = bound, count
    raise ValueError("no order was sent")


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
