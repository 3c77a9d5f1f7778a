"""Alerts as the page meets them: rows, an acknowledgement with its audit line, tests of channels, the stream."""

import time
from typing import Any

import pytest
from api_platform import RunningApi, bearer

from tradewind.services.api.view_model.alert_views import MOST_ROWS, AlertBoard
from tradewind.services.api.view_model.changes import Revisions
from tradewind.store.alert_deliveries import AlertDeliveries, Channel
from tradewind.store.alerts import Alert, AlertRepository, AlertState, Severity
from tradewind.store.audit import AuditFilter, AuditRepository
from tradewind.store.database import Database
from tradewind.wire.events import AlertChanged
from tradewind.wire.topics import OPS_ALERTS

WHY = {"why": "looking at it"}
ROW = {
    "alert_id",
    "name",
    "severity",
    "summary",
    "subject",
    "page",
    "state",
    "first_at",
    "last_at",
    "count",
    "acknowledged_by",
    "resolved_at",
}


async def made(database: Database, subject: str, **changes: Any) -> Alert:
    now = time.time_ns()
    values: dict[str, Any] = {
        "name": "ServiceAway",
        "subject": subject,
        "severity": Severity.CRITICAL,
        "summary": f"no process tells of {subject}",
        "page": "docs/operating/alerts.md",
        "state": AlertState.OPEN,
        "first_at": now,
        "last_at": now,
        "openings": (now,),
    }
    stored = await AlertRepository(database).save(Alert(**{**values, **changes}), None, now)
    assert stored is not None
    return stored


async def test_a_page_of_alerts_and_the_next(stored_api: RunningApi, database: Database) -> None:
    for number in range(5):
        await made(database, f"s-{number}", last_at=1_000 + number)
    over = {"state": AlertState.RESOLVED, "resolved_at": 5}
    await made(database, "over", last_at=2_000, **over)
    status, first = await stored_api.get("/api/v1/alerts?limit=3")
    assert status == 200
    assert [row["subject"] for row in first["rows"]] == ["s-4", "s-3", "s-2"]
    assert set(first["rows"][0]) == ROW
    _, second = await stored_api.get(f"/api/v1/alerts?limit=3&cursor={first['next_cursor']}")
    assert [row["subject"] for row in second["rows"]] == ["s-1", "s-0"]
    assert second["next_cursor"] is None
    _, everything = await stored_api.get("/api/v1/alerts?state=all")
    assert everything["rows"][0]["subject"] == "over"
    assert everything["rows"][0]["resolved_at"] == "5"


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=MTpub25l", "state=half", "limit=0", "limit=501"])
async def test_a_wrong_question_is_refused_in_words(stored_api: RunningApi, query: str) -> None:
    status, body = await stored_api.get(f"/api/v1/alerts?{query}")
    assert status == 422
    assert body["detail"]


async def test_an_acknowledgement_is_stored_audited_and_told(stored_api: RunningApi, database: Database) -> None:
    alert = await made(database, "execution")
    path = f"/api/v1/alerts/{alert.alert_id}/acknowledge"
    status, row = await stored_api.post(path, WHY, headers=bearer("rita"))
    assert (status, row["state"], row["acknowledged_by"]) == (200, "ACKNOWLEDGED", "rita")
    # Twice is once.
    status, again = await stored_api.post(path, WHY)
    assert (status, again["acknowledged_by"]) == (200, "rita")
    wanted = AuditFilter(action="alert.acknowledge", actor="rita")
    [(_, line)] = await AuditRepository(database).page(wanted, 10)
    assert (line.actor, line.subject, line.before, line.why) == ("rita", "ServiceAway:execution", "OPEN", WHY["why"])
    told = [one.payload for one in await stored_api.bus.replay(OPS_ALERTS, from_offset=0)]
    assert [(one.state, one.acknowledged_by) for one in told if isinstance(one, AlertChanged)] == [
        ("ACKNOWLEDGED", "rita")
    ]


async def test_what_cannot_be_acknowledged(stored_api: RunningApi, database: Database) -> None:
    over = await made(database, "over", state=AlertState.RESOLVED, resolved_at=5)
    answers = {
        path: (await stored_api.post(f"/api/v1/alerts/{path}/acknowledge", WHY))[0]
        for path in (str(over.alert_id), "999", "0", "x")
    }
    assert answers == {str(over.alert_id): 409, "999": 404, "0": 422, "x": 422}
    open_one = await made(database, "execution")
    for body in ({}, {"why": ""}, {"why": "ok enough", "actor": "eve"}):
        assert (await stored_api.post(f"/api/v1/alerts/{open_one.alert_id}/acknowledge", body))[0] == 422


@pytest.mark.parametrize(("name", "allowed"), [("anna", True), ("rita", True), ("tom", False), ("vera", False)])
async def test_only_risk_and_admin_acknowledge_and_test(
    stored_api: RunningApi, database: Database, name: str, allowed: bool
) -> None:
    alert = await made(database, "execution")
    acknowledged, _ = await stored_api.post(f"/api/v1/alerts/{alert.alert_id}/acknowledge", WHY, headers=bearer(name))
    tested, _ = await stored_api.post("/api/v1/alerts/test", {}, headers=bearer(name))
    read, _ = await stored_api.get("/api/v1/alerts", headers=bearer(name))
    assert (acknowledged, tested, read) == ((200, 202, 200) if allowed else (403, 403, 200))


async def test_a_test_is_queued_for_each_channel_there_is(stored_api: RunningApi, database: Database) -> None:
    queue = AlertDeliveries(database)
    await queue.register([Channel(channel="old", minimum=Severity.INFO)], 1)
    now_there = [Channel(channel="email", minimum=Severity.CRITICAL), Channel(channel="webhook", minimum=Severity.INFO)]
    await queue.register(now_there, 2)
    status, made_rows = await stored_api.post("/api/v1/alerts/test", {})
    assert status == 202
    assert sorted(row["channel"] for row in made_rows["rows"]) == ["email", "webhook"]
    _, channels = await stored_api.get("/api/v1/alerts/channels")
    assert [(row["channel"], row["configured"], row["pending"]) for row in channels["rows"]] == [
        ("email", True, 1),
        ("old", False, 0),
        ("webhook", True, 1),
    ]
    delivery = await queue.claim("webhook", time.time_ns(), time.time_ns() + 10**9)
    assert delivery is not None
    await queue.failed(delivery, "given up: answered 404", time.time_ns(), retry_at=None)
    _, notifications = await stored_api.get("/api/v1/alerts/notifications")
    outcomes = {row["channel"]: (row["kind"], row["state"], row["outcome"]) for row in notifications["rows"]}
    assert outcomes["webhook"] == ("TEST", "FAILED", "given up: answered 404")
    assert outcomes["email"] == ("TEST", "PENDING", "")


async def test_without_the_store_it_says_so(api: RunningApi) -> None:
    for path in ("alerts", "alerts/channels", "alerts/notifications"):
        status, body = await api.get(f"/api/v1/{path}")
        assert status == 503
        assert body["detail"]


async def test_the_stream_shows_what_is_stored_and_what_is_told(stored_api: RunningApi, database: Database) -> None:
    async with stored_api.http.ws_connect(f"{stored_api.origin}/api/v1/stream", headers=bearer("vera")) as socket:
        await socket.send_json({"type": "view", "parts": ["alerts"]})
        alert = await made(database, "execution")
        message = AlertChanged(
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
            count=1,
            **stored_api.publisher.identity(),
        )
        await stored_api.publisher.send(OPS_ALERTS, message, str(alert.alert_id))
        rows: list[Any] = []
        while not rows:
            frame = await socket.receive_json(timeout=10)
            rows = frame["data"].get("alerts", [])
    assert [(row["subject"], row["state"]) for row in rows] == [("execution", "OPEN")]
    assert set(rows[0]) == ROW


def test_the_board_keeps_the_newest_word_and_a_bound() -> None:
    board = AlertBoard(Revisions())
    newer = told(1, 5, "ACKNOWLEDGED")
    board.take(newer)
    seen = board.revision
    board.take(told(1, 4, "OPEN"))
    assert board.revision == seen
    assert [row["state"] for row in board.rows()] == ["ACKNOWLEDGED"]
    for number in range(2, 2 * MOST_ROWS):
        board.take(told(number, 1, "RESOLVED"))
    rows = board.rows()
    assert rows[0]["alert_id"] == "1"
    assert len(rows) < MOST_ROWS


def told(alert_id: int, revision: int, state: str) -> AlertChanged:
    return AlertChanged(
        event_id="e",
        correlation_id="e",
        causation_id="",
        ts_event=1,
        ts_init=1,
        alert_id=alert_id,
        revision=revision,
        name="ServiceAway",
        severity="critical",
        summary="away",
        subject=f"s-{alert_id}",
        page="",
        state=state,
        first_at=alert_id,
        last_at=alert_id,
        count=1,
        resolved_at=1 if state == "RESOLVED" else None,
    )
