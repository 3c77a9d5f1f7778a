"""The service ``market-data``: one venue's public streams onto the bus.

Tasks of one TaskGroup: the adapter's connection, the ticker, one that registers the instruments in the database and
ends, and in lockstep one that marks the steps. Batches are published in the order in which they came; bounds are the
adapter's and the bus's. On cancel the connection is closed and every book is declared void on the bus.
"""

import asyncio
import time
from collections.abc import Sequence

from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.venue_connecting import feed_client_of, venue_limits
from tradewind.runtime.waiting import until_there
from tradewind.services.market_data.feeding import VenueFeed
from tradewind.services.market_data.settings import MarketDataSettings
from tradewind.services.market_data.stepping import mark_steps
from tradewind.store.instruments import InstrumentNumberTaken, InstrumentRepository
from tradewind.venue.adapter import VenueError
from tradewind.venue.adapters import FeedClient
from tradewind.wire.events import InstrumentDefined
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import REF_INSTRUMENTS


async def run(context: ServiceContext) -> None:
    """Feed the bus until cancelled.

    Raises:
        StartRefused: no adapter can do it, the venue does not know a symbol, or a setting has a wrong form.
    """
    async with venue_limits(context, for_orders=False) as limits:
        client = feed_client_of(context.platform, limits, context.settings.stale_after_s)
        try:
            instruments = await _instruments(context, client)
            await _define(context, instruments)
            await _feed(context, client, instruments)
        finally:
            await client.close()


async def _feed(context: ServiceContext, client: FeedClient, instruments: Sequence[Instrument]) -> None:
    settings: MarketDataSettings = context.settings
    feed = VenueFeed(context, client, instruments)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.run(instruments, feed), name="market-data.connection")
            tasks.create_task(_tick(feed, settings.update_interval_s), name="market-data.ticker")
            tasks.create_task(_register(context, instruments), name="market-data.registration")
            if context.platform.lockstep:
                ids = [instrument.instrument_id for instrument in instruments]
                tasks.create_task(mark_steps(context, client, ids), name="market-data.steps")
    finally:
        feed.count()


async def _tick(feed: VenueFeed, interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await feed.tick()


async def _instruments(context: ServiceContext, client: FeedClient) -> Sequence[Instrument]:
    context.health.set_not_ready(f"waiting for the venue at {context.platform.venue_rest_url}")
    try:
        return await until_there("the venue", client.instruments, context.log)
    except VenueError as error:
        raise StartRefused(f"the venue refuses the symbols of TRADEWIND_SYMBOLS: {error}") from error


async def _define(context: ServiceContext, instruments: Sequence[Instrument]) -> None:
    """Say on the bus what can be traded in which steps; each start says it again."""
    ids = EventIds()

    async def publish() -> None:
        for instrument in instruments:
            await context.order_bus.publish(REF_INSTRUMENTS, instrument.instrument_id, _defined(instrument, ids))

    context.health.set_not_ready("publishing the instruments")
    await until_there("the orders bus", publish, context.log)


def _defined(instrument: Instrument, ids: EventIds) -> InstrumentDefined:
    now = time.time_ns()
    return InstrumentDefined(
        event_id=ids(),
        correlation_id=_story(instrument.instrument_id),
        causation_id="",
        ts_event=now,
        ts_init=now,
        instrument=instrument,
    )


def _story(instrument_id: InstrumentId) -> str:
    return f"instrument:{instrument_id}"


async def _register(context: ServiceContext, instruments: Sequence[Instrument]) -> None:
    """The database may be away for as long as it likes: data does not wait for it."""
    repository = InstrumentRepository(context.database)
    try:
        await until_there("the database", lambda: repository.register(instruments), context.log)
    except InstrumentNumberTaken as error:
        raise StartRefused(str(error)) from error


SERVICE = Service(name="market-data", kind=ServiceKind.FEED, run=run, settings=MarketDataSettings)
