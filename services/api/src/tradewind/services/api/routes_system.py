"""REST: health, statistics, metrics, probes."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from tradewind.bus.interface import Bus
from tradewind.services.api.access import Accessed
from tradewind.services.api.authorization import NOT_ALLOWED, ReadRight
from tradewind.services.api.views import BusView, HealthView, StatisticsView, SubscriptionView
from tradewind.wire.topics import Plane

router: Final = APIRouter(tags=["system"], responses=NOT_ALLOWED)
probes: Final = APIRouter(include_in_schema=False)


@router.get("/health")
async def health(access: Accessed, who: ReadRight) -> HealthView:
    """Every service of the deployment, and where orders go."""
    return access.composer.health()


@router.get("/statistics")
async def statistics(access: Accessed, who: ReadRight) -> StatisticsView:
    """Counters of the buses, of the view model and of every metric."""
    context = access.context
    buses = [_bus_view(Plane.MARKET_DATA, context.market_bus), _bus_view(Plane.ORDERS, context.order_bus)]
    return StatisticsView(
        market_records=access.state.market_records,
        order_events=access.state.ledger.events_seen,
        stream=access.hub.counters,
        buses=buses,
        metrics=access.process_metrics.snapshot(),
    )


@probes.get("/healthz")
async def alive() -> Response:
    """200 whenever the event loop runs."""
    return PlainTextResponse("alive\n")


@probes.get("/readyz")
async def ready(access: Accessed) -> Response:
    """200 while every service of the process is ready, else 503 with the reasons."""
    view = access.composer.own_health()
    return JSONResponse(dict(view), status_code=200 if view["ready"] else 503)


@probes.get("/metrics")
async def metrics(access: Accessed, who: ReadRight) -> Response:
    """The Prometheus text page."""
    return Response(access.process_metrics.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _bus_view(plane: Plane, bus: Bus) -> BusView:
    counters = bus.statistics()
    return BusView(
        plane=plane.value,
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
