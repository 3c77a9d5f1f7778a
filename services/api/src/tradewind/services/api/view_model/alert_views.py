"""An alert as REST and the stream show it, and the newest of them in memory for the stream."""

import asyncio
from typing import Final, Literal

from typing_extensions import TypedDict

from tradewind.bus.interface import Start
from tradewind.runtime.service import ServiceContext
from tradewind.services.api.store_bounds import bounded
from tradewind.services.api.view_model.changes import Revisions
from tradewind.store.alerts import Alert, AlertRepository, AlertState
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.events import AlertChanged
from tradewind.wire.topics import OPS_ALERTS

MOST_ROWS: Final = 700
MOST_SHOWN: Final = 200
RESTORE_RETRY_S: Final = 2.0


class AlertView(TypedDict):
    """One alert. ``first_at``: when it was opened last; ``last_at``: when it was last seen so; ``count``: how often it
    was opened; ``page``: what to do."""

    alert_id: str
    name: str
    severity: Literal["info", "warning", "critical"]
    summary: str
    subject: str
    page: str
    state: Literal["OPEN", "ACKNOWLEDGED", "RESOLVED"]
    first_at: str
    last_at: str
    count: int
    acknowledged_by: str | None
    resolved_at: str | None


def alert_view(alert: Alert | AlertChanged) -> AlertView:
    """The row of an alert, of the store or of the bus."""
    return AlertView(
        alert_id=str(alert.alert_id),
        name=alert.name,
        severity=alert.severity,  # type: ignore[typeddict-item]
        summary=alert.summary,
        subject=alert.subject,
        page=alert.page,
        state=alert.state,  # type: ignore[typeddict-item]
        first_at=str(alert.first_at),
        last_at=str(alert.last_at),
        count=alert.count,
        acknowledged_by=alert.acknowledged_by,
        resolved_at=None if alert.resolved_at is None else str(alert.resolved_at),
    )


class AlertBoard:
    """The alerts that the stream shows: all that are not resolved, and the last that were.

    One task, ``run``, owned by the service. ``revision`` rises with every change that a client must be told.
    """

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._alerts: dict[int, Alert | AlertChanged] = {}
        self.revision = 0

    def rows(self) -> list[AlertView]:
        """The worst that is open first, then what was acknowledged, then what is over, the newest first."""
        order = {"critical": 0, "warning": 1, "info": 2}
        states = list(AlertState)
        found = sorted(
            self._alerts.values(),
            key=lambda one: (states.index(AlertState(one.state)), order.get(one.severity, 3), -one.first_at),
        )
        return [alert_view(one) for one in found[:MOST_SHOWN]]

    def take(self, alert: Alert | AlertChanged) -> None:
        """Keep an alert as it is now, unless what is known of it is newer."""
        known = self._alerts.get(alert.alert_id)
        if known is not None and known.revision >= alert.revision:
            return
        self._alerts[alert.alert_id] = alert
        if len(self._alerts) > MOST_ROWS:
            over = [one for one in self._alerts.values() if one.state == AlertState.RESOLVED]
            gone = min(over or self._alerts.values(), key=lambda one: one.last_at)
            del self._alerts[gone.alert_id]
        self.revision = self._revisions.next()

    async def run(self, context: ServiceContext) -> None:
        """Read the store once it answers, and follow the bus, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._restore(context))
            tasks.create_task(self._follow(context))

    async def _restore(self, context: ServiceContext) -> None:
        repository = AlertRepository(context.database)
        while True:
            try:
                async with bounded(context.settings.query_timeout_s):
                    found = [
                        *await repository.newest(unresolved=False, limit=MOST_SHOWN // 2),
                        *await repository.newest(unresolved=True, limit=MOST_ROWS // 2),
                    ]
            except DatabaseUnavailable:
                await asyncio.sleep(RESTORE_RETRY_S)
                continue
            for alert in found:
                self.take(alert)
            return

    async def _follow(self, context: ServiceContext) -> None:
        subscription = await context.bus_for(OPS_ALERTS).subscribe(OPS_ALERTS, start=Start.EARLIEST)
        try:
            while True:
                for delivery in await subscription.receive():
                    if isinstance(delivery.payload, AlertChanged):
                        self.take(delivery.payload)
        finally:
            await subscription.close()
