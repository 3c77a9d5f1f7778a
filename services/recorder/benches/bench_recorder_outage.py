"""The database is stopped while market data comes at full rate: how large the recorder gets, and what is missing after.

Run: python services/recorder/benches/bench_recorder_outage.py [seconds [records per second]]

Kafka, PostgreSQL and the recorder are processes of their own; this one publishes. A tenth of the records are trades,
two tenths best bids and asks, the rest price levels in events of 40. ``missing_*`` is published less stored, ``*_mb``
the recorder's resident memory: before the outage, the most of it during the outage, the most until all was stored.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil  # type: ignore[import-untyped]

from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus
from tradewind.model.identifiers import Venue
from tradewind.runtime.testing import running, service_context
from tradewind.services.recorder.service import SERVICE
from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.market_data import MarketDataRepository
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import PostgresServer
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, empty_records, read_only
from tradewind.wire.topics import market_events

VENUE: Final = Venue("BINANCE")
TOPIC: Final = market_events(VENUE)
T0: Final = 1_700_000_000_000_000_000
BATCH: Final = 400  # records: 40 trades, 40 quotes of two, 7 events of 40 levels
TRADES, QUOTES, EVENTS, LEVELS = 40, 40, 7, 40
SECONDS: Final = 60
RATE: Final = 200_000
_BATCHES_A_TURN: Final = 5
_POLL_S: Final = 0.2
_CATCH_UP_S: Final = 900.0


def batch(number: int) -> RecordArray:
    """Records that no other batch has."""
    records = empty_records(BATCH)
    records["ts_event"] = records["ts_recv"] = T0 + number * 1_000_000 + np.arange(BATCH) * 1_000
    records["instrument"], records["price"] = 7, 6_000_000 + np.arange(BATCH)
    records["size"] = 1 + np.arange(BATCH) % 77
    trades, quotes, levels = np.split(records, [TRADES, TRADES + 2 * QUOTES])
    trades["kind"], trades["side"] = RecordKind.TRADE, RecordSide.BUY
    trades["order_id"] = number * TRADES + np.arange(TRADES)
    quotes["kind"] = RecordKind.TOP_OF_BOOK
    quotes["side"] = np.tile([RecordSide.BUY, RecordSide.SELL], QUOTES)
    quotes["sequence"] = number * QUOTES + np.arange(2 * QUOTES) // 2
    levels["kind"] = RecordKind.LEVEL
    levels["ts_event"] = np.repeat(levels["ts_event"][::LEVELS], LEVELS)
    levels["side"] = np.tile(np.repeat([RecordSide.BUY, RecordSide.SELL], LEVELS // 2), EVENTS)
    levels["sequence"] = number * EVENTS + np.arange(EVENTS * LEVELS) // LEVELS
    levels["flags"][LEVELS - 1 :: LEVELS] = RecordFlag.LAST
    return records


async def publish(bus: Bus, seconds: float, rate: int, first: int) -> int:
    """Publish batches from number ``first`` on at ``rate`` records a second; returns the number after the last."""
    number, began = first, time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        while (number - first) * BATCH < elapsed * rate:
            for _ in range(_BATCHES_A_TURN):
                await bus.publish(TOPIC, VENUE, MarketBatch(VENUE, read_only(batch(number))))
                number += 1
            await asyncio.sleep(0)
        await asyncio.sleep(0.001)
    return number


async def stored(dsn: str) -> tuple[int, int, int]:
    """Rows of trades, quotes and level events."""
    async with Database(dsn) as database:
        repository = MarketDataRepository(database)
        return await repository.count_trades(), await repository.count_quotes(), await repository.count_book_events()


async def until_stored(dsn: str, batches: int) -> tuple[int, int, int]:
    """What is stored when everything is, or when waiting any longer makes no sense."""
    deadline = time.monotonic() + _CATCH_UP_S
    while True:
        found = await stored(dsn)
        if found >= (batches * TRADES, batches * QUOTES, batches * EVENTS) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(1)


class Memory:
    """The most that a process had, looked at all the time."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.most = 0.0

    def now(self) -> float:
        """Resident memory in MB."""
        return float(self._process.memory_info().rss) / 1e6

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            self.most = max(self.most, self.now())
            await asyncio.sleep(_POLL_S)


async def measure(bus_url: str, server: PostgresServer, recorder: psutil.Process, seconds: float, rate: int) -> Any:
    """All figures of one outage."""
    bus, memory = await connect(bus_url), Memory(recorder)
    watching = asyncio.ensure_future(memory.watch())
    try:
        number = await publish(bus, 5, rate, 0)
        await until_stored(server.dsn, number)
        before = memory.now()
        await asyncio.to_thread(server.stop)
        memory.most, outage_began = 0.0, time.monotonic()
        number = await publish(bus, seconds, rate, number)
        outage_s, during = time.monotonic() - outage_began, memory.most
        await asyncio.to_thread(server.start)
        began = time.monotonic()
        found = await until_stored(server.dsn, number)
        took_s = time.monotonic() - began
    finally:
        watching.cancel()
        await bus.close()
    expected = (number * TRADES, number * QUOTES, number * EVENTS)
    missing = [want - have for want, have in zip(expected, found, strict=True)]
    return {
        "published_records": number * BATCH,
        "records_per_s": int(seconds * rate / outage_s),
        "outage_s": round(outage_s, 1),
        "dropped_by_publisher": bus.statistics().dropped_records,
        "before_mb": round(before, 1),
        "during_mb": round(during, 1),
        "most_mb": round(memory.most, 1),
        "catch_up_s": round(took_s, 1),
        "missing_trades": missing[0],
        "missing_quotes": missing[1],
        "missing_level_events": missing[2],
    }


async def record(bus_url: str, dsn: str) -> None:
    """The recorder's own process."""
    bus = await connect(bus_url)
    async with Database(dsn) as database:
        making = service_context(SERVICE.name, SERVICE.kind, SERVICE.settings(), database, bus=bus)
        async with making as context, running(SERVICE, context):
            print("recording", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    await bus.close()


def run(seconds: float = SECONDS, rate: int = RATE) -> dict[str, Any]:
    """Figures of one outage."""
    with contextlib.ExitStack() as started, tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        path = Path(folder).resolve()
        kafka = KafkaBroker(make_folder(path / "kafka"))
        started.callback(kafka.kill)
        kafka.start()
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path))
        started.callback(server.stop)
        server.start()
        asyncio.run(migrate(server.dsn))
        command = [sys.executable, __file__, "--record", kafka.url, server.dsn]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as recorder:
            process = psutil.Process(recorder.pid)
            result: dict[str, Any] = asyncio.run(measure(kafka.url, server, process, seconds, rate))
        return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        asyncio.run(record(*sys.argv[2:4]))
    else:
        given = [float(argument) for argument in sys.argv[1:]]
        print(json.dumps(run(*given[:1], *map(int, given[1:2])), indent=2))
