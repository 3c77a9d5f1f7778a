"""How the platform does, for an operator: services with the vitals of their processes, leases, feeds, books against the
venue, and the buses of this process. Looked at again every ``LOOK_S``; the store at most so often for all who ask.
"""

import asyncio
import os
import socket
import time
from importlib.metadata import version
from typing import Final

from typing_extensions import TypedDict

from tradewind.runtime.health import HealthBoard, ServiceHealth
from tradewind.runtime.metrics import ProcessMetrics
from tradewind.runtime.presence import vitals_of
from tradewind.runtime.service import ServiceContext
from tradewind.services.api.view_model.market_view import MarketView
from tradewind.services.api.view_model.neighbours import Neighbours
from tradewind.services.api.view_model.queries import StoreQueries
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.views import BusView, SubscriptionView
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.leases import HeldLease
from tradewind.store.presence import ServicePresence, Vitals
from tradewind.store.recovery_rows import ReconciliationRow
from tradewind.wire.topics import Plane

LOOK_S: Final = 1.0
MOST_FEEDS: Final = 200


class SystemServiceView(TypedDict):
    """One service and its process. ``queue_fill`` is 0 to 1; vitals are null where a process does not tell them."""

    name: str
    kind: str
    state: str
    ready: bool
    reason: str
    since: str
    restarts: int
    host: str
    pid: int
    version: str
    loop_lag_ms: float | None
    bus_lag: int | None
    queue_fill: float | None
    gaps: int | None


class LeaseView(TypedDict):
    """Who may write. ``expires_at`` is null where nobody holds it."""

    name: str
    holder: str
    epoch: int
    expires_at: str | None


class FeedView(TypedDict):
    """Market data of one instrument; ``last_record_at`` is the venue's time, null before the first record."""

    venue: str
    instrument_id: str
    state: str
    detail: str
    synced: bool
    gaps: int
    last_record_at: str | None


class DifferenceView(TypedDict):
    """One currency of which venue and books say another total."""

    currency: str
    at_venue: str
    in_books: str
    difference: str


class ComparisonView(TypedDict):
    """The last comparison of books and venue that said something new."""

    at: str
    differences: list[DifferenceView]


class SystemView(TypedDict):
    """Everything. ``store_away`` says why leases and comparison are old."""

    services: list[SystemServiceView]
    leases: list[LeaseView]
    feeds: list[FeedView]
    reconciliation: ComparisonView | None
    buses: list[BusView]
    store_away: str


class SystemBoard:
    """Looks, and tells the stream when something is new. One task: ``run``."""

    def __init__(
        self,
        context: ServiceContext,
        state: ViewState,
        queries: StoreQueries,
        neighbours: Neighbours,
        board: HealthBoard,
        metrics: ProcessMetrics,
    ) -> None:
        self._context = context
        self._state = state
        self._queries = queries
        self._neighbours = neighbours
        self._board = board
        self._metrics = metrics
        self._version = version("tradewind-runtime")
        self._leases: list[HeldLease] = []
        self._leases_ns = 0
        self._compared: ReconciliationRow | None = None
        self._store_away = "the store has not been read yet"
        self.revision = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._look_at_store()
            self.revision = self._state.revisions.next()
            await asyncio.sleep(LOOK_S)

    async def _look_at_store(self) -> None:
        try:
            self._leases, self._leases_ns = await self._queries.leases(), time.time_ns()
            self._compared = await self._queries.reconciliation()
            self._store_away = ""
        except DatabaseUnavailable as error:
            self._store_away = str(error)

    def view(self) -> SystemView:
        """How it is now."""
        feeds = [feed_view(market) for market in self._state.markets.values()]
        return SystemView(
            services=self._services(),
            leases=[lease_view(one, self._leases_ns) for one in self._leases],
            feeds=sorted(feeds, key=lambda feed: (feed["synced"], feed["instrument_id"]))[:MOST_FEEDS],
            reconciliation=None if self._compared is None else comparison_view(self._compared),
            buses=bus_views(self._context),
            store_away=self._store_away,
        )

    def _services(self) -> list[SystemServiceView]:
        own = vitals_of(self._metrics)
        host, pid = socket.gethostname(), os.getpid()
        found = [_service(row, host, pid, self._version, own) for row in self._board.rows()]
        for process in self._neighbours.processes:
            found += [
                _service(row, process.host, process.pid, process.version, process.vitals) for row in process.services
            ]
        return sorted(found, key=lambda row: (row["name"], row["host"], row["pid"]))


def _service(
    row: ServiceHealth | ServicePresence, host: str, pid: int, program: str, vitals: Vitals | None
) -> SystemServiceView:
    return SystemServiceView(
        name=row.name,
        kind=row.kind,
        state=str(row.state),
        ready=str(row.state) == "ready",
        reason=row.reason,
        since=str(row.since_ns),
        restarts=row.restarts,
        host=host,
        pid=pid,
        version=program,
        loop_lag_ms=None if vitals is None else round(vitals.loop_lag_s * 1_000, 1),
        bus_lag=None if vitals is None else vitals.bus_lag,
        queue_fill=None if vitals is None else round(vitals.queue_fill, 3),
        gaps=None if vitals is None else vitals.gaps,
    )


def lease_view(lease: HeldLease, read_ns: int) -> LeaseView:
    """A lease as it was read at ``read_ns``."""
    expires_at = str(read_ns + int(lease.expires_s * 1_000_000_000)) if lease.expires_s > 0 else None
    return LeaseView(name=lease.name, holder=lease.holder, epoch=lease.epoch, expires_at=expires_at)


def feed_view(market: MarketView) -> FeedView:
    """The feed of one instrument."""
    return FeedView(
        venue=market.instrument.venue,
        instrument_id=market.instrument.instrument_id,
        state=market.feed,
        detail=market.feed_detail,
        synced=market.synced,
        gaps=market.gaps,
        last_record_at=str(market.ts_event) if market.ts_event else None,
    )


def comparison_view(row: ReconciliationRow) -> ComparisonView:
    """A comparison as text."""
    return ComparisonView(
        at=str(row.ts),
        differences=[
            DifferenceView(
                currency=one.currency,
                at_venue=f"{one.at_venue:f}",
                in_books=f"{one.in_books:f}",
                difference=f"{one.at_venue - one.in_books:f}",
            )
            for one in row.differences
        ],
    )


def bus_views(context: ServiceContext) -> list[BusView]:
    """Counters of this process's buses; a bus that carries both planes comes once."""
    is_one = context.market_bus is context.order_bus
    buses = (
        (("both", context.market_bus),)
        if is_one
        else ((Plane.MARKET_DATA.value, context.market_bus), (Plane.ORDERS.value, context.order_bus))
    )
    return [
        BusView(
            plane=plane,
            published=counters.published,
            publish_waits=counters.publish_waits,
            subscriptions=[
                SubscriptionView(
                    topic=one.topic,
                    group=one.group,
                    delivered=one.delivered,
                    lag=one.lag,
                    dropped_records=one.dropped_records,
                    gaps=one.gaps,
                    dead_lettered=one.dead_lettered,
                )
                for one in counters.subscriptions
            ],
        )
        for plane, counters in ((plane, bus.statistics()) for plane, bus in buses)
    ]
