"""REST: alerts. They are read from the store; the acknowledgement is written there and told on ``ops.alerts``."""

import time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from tradewind.services.api.by_hand.order_entry import Sentence
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import NOT_ALLOWED, ReadRight, RiskRight, audit
from tradewind.services.api.routes.orders import STORE_AWAY, CursorText, PageLimit
from tradewind.services.api.routes.publishing import NOT_TAKEN, publish
from tradewind.services.api.store_bounds import bounded
from tradewind.services.api.view_model.alert_views import AlertView, alert_view
from tradewind.services.api.view_model.queries import BadCursor, decode_cursor, encode_cursor
from tradewind.services.api.view_model.views import Problem
from tradewind.store.alert_deliveries import AlertDeliveries, Channel, Notification
from tradewind.store.alerts import Alert, AlertRefused, AlertRepository, AlertState
from tradewind.store.alerts import Cursor as AlertCursor
from tradewind.wire.events import AlertChanged
from tradewind.wire.topics import OPS_ALERTS

router: Final = APIRouter(tags=["alerts"], responses={**NOT_ALLOWED})
AlertNumber = Annotated[str, Path(pattern=r"^[1-9][0-9]{0,17}$", examples=["12"])]


class NewAcknowledgement(BaseModel):
    """Say that somebody knows of an alert and works on it: nobody is reminded of it any more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    why: Sentence


class AlertPage(TypedDict):
    """Alerts, the last seen first. ``next_cursor`` continues; null at the end."""

    rows: list[AlertView]
    next_cursor: str | None


class ChannelView(TypedDict):
    """A way to people: from which severity on it is told, how many messages wait, since when attempts fail and why."""

    channel: str
    minimum: str
    configured: bool
    pending: int
    failing_since: str | None
    failures: int
    problem: str
    sent_at: str | None


class NotificationView(TypedDict):
    """One notification: PENDING, SENT, FAILED (given up) or DROPPED (not needed any more), and what was last said."""

    notification_id: str
    channel: str
    alert_id: str | None
    kind: str
    severity: str
    state: str
    attempts: int
    outcome: str
    created_at: str
    ended_at: str | None


class Channels(TypedDict):
    """All channels that there ever were."""

    rows: list[ChannelView]


class Notifications(TypedDict):
    """The newest first."""

    rows: list[NotificationView]


@router.get("/alerts", responses=STORE_AWAY)
async def alerts(
    access: Accessed,
    who: ReadRight,
    state: Annotated[Literal["open", "all"], Query()] = "open",
    limit: PageLimit = 100,
    cursor: CursorText = None,
) -> AlertPage:
    """``open``: those that are not resolved; ``all``: also those of the last 30 days that are."""
    after = _after(cursor)
    async with bounded(access.settings.query_timeout_s):
        found = await AlertRepository(access.context.database).newest(
            unresolved=state == "open", after=after, limit=limit + 1
        )
    last = found[limit - 1] if len(found) > limit else None
    return AlertPage(
        rows=[alert_view(one) for one in found[:limit]],
        next_cursor=encode_cursor((last.last_at, str(last.alert_id))) if last else None,
    )


@router.post(
    "/alerts/{alert_id}/acknowledge",
    responses={404: {"model": Problem}, 409: {"model": Problem}, **NOT_TAKEN, **STORE_AWAY},
)
async def acknowledge(
    access: Accessed, who: RiskRight, request: Request, alert_id: AlertNumber, wanted: NewAcknowledgement
) -> AlertView:
    """Take an alert on. It stays until what it is about has ended; if it gets worse, it is OPEN again."""
    repository = AlertRepository(access.context.database)
    async with bounded(access.settings.query_timeout_s):
        before = await repository.find(int(alert_id))
    if before is None:
        raise HTTPException(404, f"there is no alert {alert_id}")
    if before.state is AlertState.RESOLVED:
        raise HTTPException(409, f"alert {alert_id} is RESOLVED; there is nothing to acknowledge")
    await audit(
        access,
        who,
        action="alert.acknowledge",
        subject=before.fingerprint,
        before=before.state,
        after=AlertState.ACKNOWLEDGED,
        why=wanted.why,
    )
    try:
        async with bounded(access.settings.query_timeout_s):
            stored = await repository.acknowledge(int(alert_id), actor=who.name, why=wanted.why, now=time.time_ns())
    except AlertRefused as error:
        raise HTTPException(409, str(error)) from error
    if stored is None:
        raise HTTPException(404, f"there is no alert {alert_id}")
    if stored.revision != before.revision:
        await publish(access, request, OPS_ALERTS, alert_id, _changed(access, stored))
    return alert_view(stored)


@router.get("/alerts/channels", responses=STORE_AWAY)
async def channels(access: Accessed, who: ReadRight) -> Channels:
    """The ways to people, and how each does."""
    async with bounded(access.settings.query_timeout_s):
        found = await AlertDeliveries(access.context.database).channels()
    return Channels(rows=[_channel(one) for one in found])


@router.get("/alerts/notifications", responses=STORE_AWAY)
async def notifications(access: Accessed, who: ReadRight, limit: PageLimit = 100) -> Notifications:
    """What was told last, and what became of it."""
    async with bounded(access.settings.query_timeout_s):
        found = await AlertDeliveries(access.context.database).notifications(limit=limit)
    return Notifications(rows=[_notification(one) for one in found])


@router.post("/alerts/test", status_code=202, responses=STORE_AWAY)
async def test(access: Accessed, who: RiskRight) -> Notifications:
    """Send a test message to every configured channel; what becomes of each is among the notifications."""
    await audit(access, who, action="alert.test", subject="channels")
    async with bounded(access.settings.query_timeout_s):
        made = await AlertDeliveries(access.context.database).ask_for_test(time.time_ns())
    return Notifications(rows=[_notification(one) for one in made])


def _after(cursor: str | None) -> AlertCursor | None:
    if not cursor:
        return None
    last_at, text = decode_cursor(cursor)
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadCursor("the cursor was not given out by this server; begin again without one")
    return last_at, int(text)


def _changed(access: Access, alert: Alert) -> AlertChanged:
    now_ns = time.time_ns()
    return AlertChanged(
        event_id=access.event_ids(),
        correlation_id=f"alert:{alert.alert_id}",
        causation_id="",
        ts_event=now_ns,
        ts_init=now_ns,
        alert_id=alert.alert_id,
        revision=alert.revision,
        name=alert.name,
        severity=alert.severity,
        summary=alert.summary,
        subject=alert.subject,
        page=alert.page,
        state=alert.state,
        first_at=alert.first_at,
        last_at=alert.last_at,
        count=alert.count,
        acknowledged_by=alert.acknowledged_by,
        resolved_at=alert.resolved_at,
    )


def _channel(one: Channel) -> ChannelView:
    return ChannelView(
        channel=one.channel,
        minimum=one.minimum,
        configured=one.configured,
        pending=one.pending,
        failing_since=_time(one.failing_since),
        failures=one.failures,
        problem=one.problem,
        sent_at=_time(one.sent_at),
    )


def _notification(one: Notification) -> NotificationView:
    return NotificationView(
        notification_id=str(one.notification_id),
        channel=one.channel,
        alert_id=None if one.alert_id is None else str(one.alert_id),
        kind=one.kind,
        severity=one.severity,
        state=one.state,
        attempts=one.attempts,
        outcome=one.outcome,
        created_at=str(one.created_at),
        ended_at=_time(one.ended_at),
    )


def _time(ns: int | None) -> str | None:
    return None if ns is None else str(ns)
