"""An api service under load, in a process of its own: 5,000 market records and 200 orders a second on its bus.

python services/api/benches/load.py        prints the address, and serves until its standard input ends
"""

import asyncio
import itertools
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from api_platform import BTCUSDT, Publisher, api_settings, away_database, running_api, snapshot

from tradewind.model.enums import OrderSide
from tradewind.services.api.settings import ApiSettings
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide, empty_records, instrument_number

RECORDS_PER_S: Final = 5_000
ORDERS_PER_S: Final = 200
BATCH: Final = 10
"""Market records that come together, as from one read of a socket."""
MID: Final = 6_000_000
LIVE: Final = ApiSettings()
_DEPTH: Final = 50


async def market(publisher: Publisher) -> None:
    """Prints, tops and levels around a price that wanders."""
    steps = itertools.count()
    rng = np.random.default_rng(1)
    due_s = time.monotonic()
    while True:
        due_s += BATCH / RECORDS_PER_S
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        await publisher.records(_batch(rng, next(steps)))


def _batch(rng: np.random.Generator, step: int) -> RecordArray:
    records = empty_records(BATCH)
    records["ts_event"] = records["ts_recv"] = time.time_ns()
    records["instrument"] = instrument_number(BTCUSDT)
    records["kind"] = [RecordKind.TRADE] * 2 + [RecordKind.TOP_OF_BOOK] * 2 + [RecordKind.LEVEL] * 6
    records["side"] = [RecordSide.BUY, RecordSide.SELL] * 5
    away = rng.integers(1, _DEPTH, BATCH) * np.where(records["side"] == RecordSide.BUY, -100, 100)
    records["price"] = MID + away
    records["price"][2:4] = (MID - 100, MID + 100)
    records["size"] = rng.integers(1, 10**8, BATCH)
    records["order_id"] = step * BATCH + np.arange(BATCH)
    return records


async def orders(publisher: Publisher) -> None:
    """Orders from their first event to their end."""
    due_s = time.monotonic()
    for number in itertools.count():
        due_s += 1 / ORDERS_PER_S
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        name = f"market-maker-1-{number}"
        await publisher.order(name, OrderSide.BUY, MID - 100, 100_000)
        if number % 3:
            await publisher.canceled(name)
        else:
            await publisher.filled(name, OrderSide.BUY, MID - 100, 100_000)


async def serve() -> None:
    """Serve until the standard input ends."""
    settings = api_settings(
        stream_interval_ms=LIVE.stream_interval_ms,
        ingest_interval_ms=LIVE.ingest_interval_ms,
        chart_interval_ms=LIVE.chart_interval_ms,
        max_stream_clients=200,
    )
    async with running_api(away_database(), settings) as api, asyncio.TaskGroup() as tasks:
        await api.publisher.instrument()
        levels = range(1, _DEPTH)
        await api.publisher.records(
            *snapshot([(MID - 100 * n, 10**8) for n in levels], [(MID + 100 * n, 10**8) for n in levels])
        )
        load = [tasks.create_task(market(api.publisher)), tasks.create_task(orders(api.publisher))]
        print(f"ready {api.port}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        for task in load:
            task.cancel()


if __name__ == "__main__":
    uvloop.run(serve())
