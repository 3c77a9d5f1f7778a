"""The stream under load: what 1, 20 and 100 open pages cost, and how late a print reaches them.

The service and its load are one process, the clients another. What the load alone costs is measured first, without a
client. The bare limit is the same number of messages of the same length sent to as many clients by ``websockets``.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psutil
import uvloop
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve

LOAD: Final = Path(__file__).with_name("load.py")
TOKEN: Final = "anna-0123456789abcdef0123456789abcdef"
COUNTS: Final = (0, 1, 20, 100)
SECONDS: Final = 10.0
VIEW: Final = {"type": "view", "parts": ["prices", "book", "trades", "bars", "orders", "fills", "alerts"], "depth": 20}
_decoder: Final = msgspec.json.Decoder()


@contextlib.contextmanager
def load() -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a service under load."""
    child = subprocess.Popen([sys.executable, str(LOAD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        line = next(line for line in child.stdout if line.startswith("ready "))
        yield int(line.split()[1]), psutil.Process(child.pid)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()


class Client:
    """One page: what it was told, and when."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.delays_ns: list[int] = []

    async def run(self, connection: ClientConnection, *, decodes: bool) -> None:
        """Read until cancelled. One client decodes what all are told; a hundred decoders would be what is measured."""
        async for text in connection:
            now_ns = time.time_ns()
            self.messages += 1
            self.bytes += len(text)
            if decodes:
                for one in _decoder.decode(text)["data"].get("trades", ()):
                    self.delays_ns.append(now_ns - int(one["ts_event"]))


async def clients_of(port: int, count: int, seconds: float) -> list[Client]:
    """As many clients for so long."""
    clients = [Client() for _ in range(count)]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        readers = []
        for number, client in enumerate(clients):
            url = f"ws://127.0.0.1:{port}/api/v1/stream"
            connection = await stack.enter_async_context(
                websockets.connect(url, additional_headers=headers, max_size=None, compression=None)
            )
            await connection.send(json.dumps(VIEW))
            readers.append(tasks.create_task(client.run(connection, decodes=number == 0)))
        await asyncio.sleep(2)
        for client in clients:
            client.messages = client.bytes = 0
            client.delays_ns.clear()
        await asyncio.sleep(seconds)
        for reader in readers:
            reader.cancel()
    return clients


def measured(port: int, process: psutil.Process, count: int) -> dict[str, Any]:
    """CPU share and memory of the service with so many clients, and what they were told."""
    started = time.monotonic()
    before = process.cpu_times()
    clients = uvloop.run(clients_of(port, count, SECONDS))
    after, wall_s = process.cpu_times(), time.monotonic() - started
    delays = np.array(clients[0].delays_ns if clients else [0]) / 1e6
    return {
        "clients": count,
        "cpu": (after.user + after.system - before.user - before.system) / wall_s,
        "rss_mb": process.memory_info().rss / 1e6,
        "messages_per_s": sum(client.messages for client in clients) / SECONDS,
        "bytes_per_message": sum(client.bytes for client in clients) / max(1, sum(one.messages for one in clients)),
        "p50_ms": float(np.percentile(delays, 50)) if len(delays) else float("nan"),
        "p95_ms": float(np.percentile(delays, 95)) if len(delays) else float("nan"),
    }


async def bare(count: int, messages_per_s: float, length: int) -> float:
    """CPU share of sending the same by ``websockets`` alone, in this process; its readers are in it too."""
    text = "x" * length
    interval_s = count / messages_per_s

    async def tell(connection: ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await connection.send(text)
                await asyncio.sleep(interval_s)

    async with serve(tell, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        reader = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__)), "--read", str(port), str(count), stdin=subprocess.DEVNULL
        )
        await asyncio.sleep(3)
        process, started = psutil.Process(), time.monotonic()
        before = process.cpu_times()
        await asyncio.sleep(5)
        after = process.cpu_times()
        share = (after.user + after.system - before.user - before.system) / (time.monotonic() - started)
        reader.terminate()
        await reader.wait()
    return share


async def read(port: int, count: int) -> None:
    """Read as many bare connections until ended."""

    async def one() -> None:
        async with websockets.connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
            async for _ in connection:
                pass

    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(one())


def run() -> list[dict[str, Any]]:
    """All counts, one after the other, and the bare limit of the largest."""
    with load() as (port, process):
        time.sleep(3)
        rows = [measured(port, process, count) for count in COUNTS]
    last = rows[-1]
    share = uvloop.run(bare(last["clients"], last["messages_per_s"], int(last["bytes_per_message"])))
    return [*rows, {"clients": last["clients"], "bare_cpu": share}]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        uvloop.run(read(int(sys.argv[2]), int(sys.argv[3])))
    else:
        for row in run():
            print({name: round(value, 3) for name, value in row.items()})
