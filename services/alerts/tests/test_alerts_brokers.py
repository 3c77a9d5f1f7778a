"""The service on real brokers: it follows feeds, measures what waits and what was put aside, and publishes."""

import secrets
from collections.abc import AsyncIterator

import pytest
from alerts_kit import Deployment, Hook, quick, until

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus, Start
from tradewind.model.enums import TradingState
from tradewind.model.identifiers import Venue
from tradewind.store.alert_deliveries import AlertDeliveries
from tradewind.store.database import Database
from tradewind.store.trading_states import TradingStateRepository
from tradewind.wire.events import AlertChanged, DeadLettered, FeedStatusChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import MD_STATUS, OPS_ALERTS, OPS_AUDIT, dead_letters_of

pytestmark = pytest.mark.timeout(150)
event_ids = EventIds()


def identity() -> dict[str, object]:
    return {"event_id": event_ids(), "correlation_id": "c", "causation_id": "", "ts_event": 1, "ts_init": 1}


@pytest.fixture(params=["kafka_url", "rabbitmq_url"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """A real bus with names of its own."""
    url = request.getfixturevalue(request.param)
    made = await connect(f"{url}?prefix=a{secrets.token_hex(4)}.")
    yield made
    await made.close()


async def test_feeds_lag_and_dead_letters(bus: Bus, database: Database, redis_url: str, hook: Hook) -> None:
    deployment = Deployment(database, redis_url, bus)
    slow = await bus.subscribe(OPS_AUDIT, group="slow", start=Start.EARLIEST)
    live = FeedStatusChanged(venue=Venue("BINANCE"), instrument_id=None, state="LIVE", **identity())  # type: ignore[arg-type]
    await bus.publish(MD_STATUS, "BINANCE", live)
    settings = quick(webhook_url=hook.url, lag_messages=3, measure_every_s=0.5, clear_s=1.0)
    async with deployment.copy(settings) as context:
        await until(lambda: context.health.ready)
        await until(lambda: measured(deployment))
        stale = FeedStatusChanged(venue=Venue("BINANCE"), instrument_id=None, state="STALE", **identity())  # type: ignore[arg-type]
        await bus.publish(MD_STATUS, "BINANCE", stale)
        letter = DeadLettered(
            topic=OPS_AUDIT.name,
            partition=0,
            offset=0,
            key="k",
            message_type="Audited",
            message_version=1,
            reason="no",
            payload=b"",
            **identity(),  # type: ignore[arg-type]
        )
        await bus.publish(dead_letters_of(OPS_AUDIT.name), "k", letter)
        for _ in range(8):
            await bus.publish(OPS_AUDIT, "k", letter)
        await deployment.comes("BookOutOfSync", "OPEN")
        await deployment.comes("MessagePutAside", "OPEN")
        waits = await deployment.comes("OrderMessagesWait", "OPEN")
        assert waits.subject == f"{OPS_AUDIT.name} slow"
        read = 0
        while read < 8:
            read += len(await slow.receive())
        await slow.commit()
        await deployment.comes("OrderMessagesWait", "RESOLVED")
        await TradingStateRepository(database).set("firm", TradingState.HALTED, actor="anna", why="drill")
        await deployment.comes("TradingHalted", "OPEN")
        await until(lambda: published(bus))
    await slow.close()
    await deployment.close()


async def measured(deployment: Deployment) -> bool:
    return f"dead:{OPS_AUDIT.name}" in await AlertDeliveries(deployment.database).marks()


async def published(bus: Bus) -> bool:
    deliveries = await bus.replay(OPS_ALERTS, from_offset=0)
    told = [one.payload for one in deliveries if isinstance(one.payload, AlertChanged)]
    return any((one.name, one.state) == ("TradingHalted", "OPEN") for one in told)
