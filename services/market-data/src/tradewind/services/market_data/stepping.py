"""Lockstep: says on the bus when all market data of a replay's step has been published.

One task, owned by the service. It learns from the venue how many frames a step's end makes, and waits until the adapter
has read as many and has its books: then everything of the step is on the bus before the mark. It looks every
``_LOOK_S``, because nothing on the hot path may know of it.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tradewind.model.identifiers import InstrumentId, Venue
from tradewind.runtime.lockstep import ReplayStep, SteppingVenue
from tradewind.runtime.service import ServiceContext
from tradewind.venue.adapters import FeedClient
from tradewind.wire.events import ReplayStepEnded
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import market_events

_LOOK_S: Final = 0.0005


async def mark_steps(context: ServiceContext, client: FeedClient, instruments: Sequence[InstrumentId]) -> None:
    """Mark the end of every step, until cancelled."""
    venue_name = Venue(context.platform.venue)
    venue = SteppingVenue(context.platform.venue_rest_url)
    ids = EventIds()
    number = 0
    try:
        while True:
            step = await venue.next_step(number)
            while not _has_all(client, step, instruments):
                await asyncio.sleep(_LOOK_S)
            number = step.number
            mark = _mark(venue_name, ids, number)
            context.market_bus.publish_now(market_events(venue_name), str(venue_name), mark)
    finally:
        await venue.close()


def _has_all(client: FeedClient, step: ReplayStep, instruments: Sequence[InstrumentId]) -> bool:
    if client.statistics.frames < step.frames:
        return False
    return not step.snapshot or all(client.in_sync(each) for each in instruments)


def _mark(venue: Venue, ids: EventIds, number: int) -> ReplayStepEnded:
    now = time.time_ns()
    return ReplayStepEnded(
        event_id=ids(),
        correlation_id=f"step:{number}",
        causation_id="",
        ts_event=now,
        ts_init=now,
        venue=venue,
        step=number,
    )
