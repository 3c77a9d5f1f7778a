"""What the shared rate limits cost an order and a question, against an empty round trip to the same server.

``python libs/store/benches/bench_rate_limits.py``. An order spends what is held ahead and does no I/O; a question is
one run of the script. Nothing here passes or fails.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import redis.asyncio
import uvloop

from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.rate_limits import SharedRateLimits
from tradewind.store.valkey_server import ValkeyServer

CALLS: Final = 3_000
RULES: Final = [
    ("weight", 60, 10**9, (10**9,) * 4),
    ("orders", 10, 10**9, (10**9,) * 4),
    ("orders", 86_400, 10**9, (10**9,) * 4),
]


async def run() -> dict[str, float]:
    """Medians in microseconds."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        path = Path(folder)
        server = ValkeyServer(make_folder(path / "valkey"), socket_folder(path))
        await asyncio.to_thread(server.start)
        try:
            return await _measure(server.url)
        finally:
            await asyncio.to_thread(server.stop)


async def _measure(url: str) -> dict[str, float]:
    limits = SharedRateLimits(url, venue="V", address="a", account="b", timeout_s=5)
    limits.configure(RULES)
    async with redis.asyncio.from_url(url) as client:
        ping_us = await _median_us(client.ping)
    question_us = await _median_us(lambda: limits.take(3, 1, 0))
    keeper = asyncio.ensure_future(limits.keep())
    spend_us: list[float] = []
    while len(spend_us) < CALLS:
        began_ns = time.perf_counter_ns()
        if limits.spend(1, 1):
            spend_us.append((time.perf_counter_ns() - began_ns) / 1_000)
        else:
            await asyncio.sleep(0.001)
            limits._wake.set()
    keeper.cancel()
    await asyncio.wait({keeper})
    await limits.close()
    return {
        "order_spends_us": sorted(spend_us)[CALLS // 2],
        "question_takes_us": question_us,
        "empty_round_trip_us": ping_us,
        "question_over_round_trip": question_us / ping_us,
    }


async def _median_us(call: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(CALLS):
        began_ns = time.perf_counter_ns()
        await call()
        times.append((time.perf_counter_ns() - began_ns) / 1_000)
    return sorted(times)[CALLS // 2]


if __name__ == "__main__":
    print(json.dumps({name: round(value, 2) for name, value in uvloop.run(run()).items()}, indent=2))
