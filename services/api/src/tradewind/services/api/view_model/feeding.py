"""Keeps the view model up to date from the bus, and fills it from the store when the service starts.

Market data is taken in a few gulps a second, so that the cost does not grow with the number of messages. Order-plane
topics are read without a group: every replica of this service sees everything, and nothing is ever committed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import numpy as np
from structlog.typing import FilteringBoundLogger

from tradewind.bus.interface import Delivery, Start, Subscription
from tradewind.model.identifiers import ClientOrderId, Venue
from tradewind.runtime.service import ServiceContext
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.view_model.queries import StoreQueries
from tradewind.services.api.view_model.state import ViewState
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import MARKET_RECORD, RecordArray
from tradewind.wire.topics import (
    ACCOUNT_EVENTS,
    MD_STATUS,
    ORDERS_EVENTS,
    REF_INSTRUMENTS,
    RISK_LIMITS,
    RISK_STATE,
    STRATEGY_LOGS,
    STRATEGY_STATE,
    Topic,
    market_events,
)

MARKET_CAPACITY: Final = 16_384
RECEIVE_LIMIT: Final = 4_096
STATE_TOPICS: Final = (REF_INSTRUMENTS, RISK_STATE, RISK_LIMITS, MD_STATUS, STRATEGY_STATE, STRATEGY_LOGS)
"""Topics whose last message per key is the state: read from their beginning."""
STORY_TOPICS: Final = (ORDERS_EVENTS, ACCOUNT_EVENTS)
"""Topics that only grow: the store knows the past, the bus a short overlap with it."""
OVERLAP_NS: Final = 60_000_000_000
OVERLAP_LIMIT: Final = 10_000
RESTORE_RETRY_S: Final = 2.0
MISSING_CHECK_S: Final = 1.0


class Feeder:
    """The readers of one view model."""

    def __init__(self, context: ServiceContext, state: ViewState, queries: StoreQueries, settings: ApiSettings) -> None:
        self._context = context
        self._state = state
        self._queries = queries
        self._settings = settings
        self._log: FilteringBoundLogger = context.log
        self.restored = asyncio.Event()
        self.store_problem = "the store has not been read yet"

    async def run(self) -> None:
        """Read everything until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for topic in (*STATE_TOPICS, *STORY_TOPICS):
                tasks.create_task(self._read_messages(topic))
            tasks.create_task(self._read_market(market_events(Venue(self._context.platform.venue))))
            tasks.create_task(self._restore())

    async def _read_messages(self, topic: Topic) -> None:
        start = Start.EARLIEST if topic in STATE_TOPICS else Start.LATEST
        async with self._subscription(topic, start) as subscription:
            if topic in STORY_TOPICS:
                since_ns = time.time_ns() - OVERLAP_NS
                bus = self._context.bus_for(topic)
                self._apply(await bus.replay(topic, from_time_ns=since_ns, limit=OVERLAP_LIMIT))
            while True:
                self._apply(await subscription.receive(limit=RECEIVE_LIMIT))
                # Others must run, however fast the topic is.
                await asyncio.sleep(0)

    def _apply(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if not isinstance(delivery.payload, MarketBatch):
                self._state.apply(delivery.payload)

    async def _read_market(self, topic: Topic) -> None:
        interval_s = self._settings.ingest_interval_ms / 1_000
        async with self._subscription(topic, Start.LATEST) as subscription:
            while True:
                deliveries = await subscription.receive(limit=RECEIVE_LIMIT)
                batches = [d.payload.records for d in deliveries if isinstance(d.payload, MarketBatch)]
                if batches:
                    self._state.apply_records(_joined(batches))
                if len(deliveries) < RECEIVE_LIMIT:
                    await asyncio.sleep(interval_s)

    @asynccontextmanager
    async def _subscription(self, topic: Topic, start: Start) -> AsyncIterator[Subscription]:
        subscription = await self._context.bus_for(topic).subscribe(topic, start=start, capacity=MARKET_CAPACITY)
        try:
            yield subscription
        finally:
            await subscription.close()

    async def _restore(self) -> None:
        """Read the past from the store, as soon as it answers; later whatever orders an event named and nobody knew."""
        while not self.restored.is_set():
            try:
                await self._restore_all()
            except DatabaseUnavailable as error:
                if self.store_problem != str(error):
                    self._log.warning("the past is not shown yet", reason=str(error))
                self.store_problem = str(error)
                await asyncio.sleep(RESTORE_RETRY_S)
        while True:
            await asyncio.sleep(MISSING_CHECK_S)
            if missing := sorted(self._state.ledger.missing):
                await self._restore_missing(missing)

    async def _restore_all(self) -> None:
        settings, ledger = self._settings, self._state.ledger
        for instrument in await self._queries.instruments():
            self._state.define(instrument)
        self._state.restore_trading_states(await self._queries.trading_states())
        fills = await self._queries.fills(limit=settings.fills_kept // 2)
        newest = await self._queries.orders(limit=settings.orders_kept // 4)
        unfinished = await self._queries.unfinished_orders(limit=settings.orders_kept // 2)
        positions = await self._queries.positions()
        curve = await self._queries.equity_curve(None, limit=settings.chart_points)
        ledger.add_fills(reversed(fills))
        ledger.restore(reversed(newest))
        ledger.restore(reversed(unfinished))
        self._state.restore_positions(positions)
        self._state.restore_equity(curve)
        self.restored.set()
        self.store_problem = ""
        self._log.info("restored from the store", orders=len(ledger.orders), fills=len(ledger.fills))

    async def _restore_missing(self, missing: Sequence[ClientOrderId]) -> None:
        try:
            self._state.ledger.restore(await self._queries.orders_by_id(missing))
        except DatabaseUnavailable as error:
            self._log.warning("orders of earlier runs are not shown yet", reason=str(error), orders=len(missing))
            await asyncio.sleep(RESTORE_RETRY_S)
            return
        # What the store does not know either is not asked for again until the next event names it.
        self._state.ledger.missing.difference_update(missing)


def _joined(batches: Sequence[RecordArray]) -> RecordArray:
    """All batches as one array."""
    if len(batches) == 1:
        return batches[0]
    # Not numpy.concatenate: it compares the fields of the record type anew for each batch, 20 us each.
    return np.frombuffer(b"".join(np.ascontiguousarray(batch).data for batch in batches), dtype=MARKET_RECORD)
