"""REST: health, statistics, metrics, probes."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from tradewind.services.api.routes.access import Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight
from tradewind.services.api.view_model.system_board import SystemView, bus_views
from tradewind.services.api.view_model.views import HealthView, StatisticsView

router: Final = APIRouter(tags=["system"], responses=NOT_ALLOWED)
probes: Final = APIRouter(include_in_schema=False)


@router.get("/health")
async def health(access: Accessed, who: ReadRight) -> HealthView:
    """Every service of the deployment, and where orders go."""
    return access.composer.health()


@router.get("/system")
async def system(access: Accessed, who: ReadRight) -> SystemView:
    """Services and their vitals, leases, feeds, the last comparison of books and venue, buses."""
    return access.system.view()


@router.get("/statistics")
async def statistics(access: Accessed, who: ReadRight) -> StatisticsView:
    """Counters of the buses, of the view model and of every metric."""
    context = access.context
    return StatisticsView(
        market_records=access.state.market_records,
        order_events=access.state.ledger.events_seen,
        stream=access.hub.counters,
        buses=bus_views(context),
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
