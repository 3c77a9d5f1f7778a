"""From a publisher over a real Kafka into a real PostgreSQL, through kills of the recorder and an outage."""

import asyncio
import functools
import random
import secrets
from collections.abc import AsyncIterator

import pytest
from recorder_kit import VENUE, levels, metric, publish, quotes, stored, trades, until

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.testing import running, service_context
from tradewind.services.recorder import service
from tradewind.services.recorder.service import SERVICE
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.recorder_positions import RecorderPositionRepository
from tradewind.wire.topics import market_events

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def bus(kafka_url: str) -> AsyncIterator[Bus]:
    """A connection to topics that no other test has."""
    opened = await connect(f"{kafka_url}?prefix=recorder-{secrets.token_hex(4)}.")
    yield opened
    await opened.close()


async def kept(bus: Bus) -> int:
    """Messages that have reached the broker."""
    return sum(part.end for part in (await bus.describe(market_events(VENUE))).partitions)


async def test_kills_lose_and_double_nothing(bus: Bus, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        return

    monkeypatch.setattr(service, "_write_the_rest", nothing)
    settings = RecorderSettings(chunk_records=40, flush_interval_s=0.005)
    choose = random.Random(3)
    published = 0
    async with service_context(SERVICE.name, SERVICE.kind, settings, database, bus=bus) as context:
        for _ in range(6):
            async with running(SERVICE, context):
                for _ in range(choose.randrange(20, 60)):
                    first = 1 + 10 * published
                    await publish(context, trades(first, 10), quotes(first, 10), levels(first, 10))
                    published += 1
                    await asyncio.sleep(choose.choice([0, 0.001, 0.02]))
        async with running(SERVICE, context):
            async with asyncio.timeout(60):
                while await stored(context) != (10 * published,) * 3:
                    await asyncio.sleep(0.05)
        assert (metric(context, "recorder_duplicate_rows"), metric(context, "recorder_gaps")) == (0, 0)
        assert metric(context, "recorder_written_records") <= 50 * published
        position = (await RecorderPositionRepository(database).load(market_events(VENUE).name))[0]
        assert position.next_offset == await kept(bus) == 3 * published


async def test_an_outage_longer_than_the_buffer_is_kept_by_the_broker(bus: Bus, own_server: PostgresServer) -> None:
    settings = RecorderSettings(capacity_records=5_000, chunk_records=1_000, flush_interval_s=0.05)
    async with Database(own_server.dsn) as database:
        making = service_context(SERVICE.name, SERVICE.kind, settings, database, bus=bus)
        async with making as context, running(SERVICE, context):
            await until(lambda: context.health.ready)
            await asyncio.to_thread(own_server.stop)
            most = await _publish_much(context, batches=3_000)
            await until(functools.partial(_is_full, context))
            await asyncio.to_thread(own_server.start)
            async with asyncio.timeout(60):
                while await stored(context) != (300_000, 0, 0):
                    await asyncio.sleep(0.1)
            assert metric(context, "recorder_gaps") == 0
        # What one reading brings may come on top; a batch here has 100 records.
        assert most <= 5_000 + 256 * 100


async def _publish_much(context: ServiceContext, batches: int) -> float:
    """Publish batches of 100 trades; returns the largest backlog that the recorder had meanwhile."""
    most = 0.0
    for number in range(batches):
        await publish(context, trades(1 + 100 * number, 100))
        if number % 20 == 0:
            await asyncio.sleep(0.005)
        most = max(most, metric(context, "recorder_backlog"))
    return most


def _is_full(context: ServiceContext) -> bool:
    return metric(context, "recorder_backlog") >= 5_000
