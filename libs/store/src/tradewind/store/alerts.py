"""Alerts: one row per condition and subject, opened, acknowledged, resolved, opened again.

Who evaluates works out what a row becomes and saves it with what is to be told of that, in one transaction that
succeeds only on the revision that was read. So two writers never make the same change, nor tell it, twice.
"""

import enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit

if TYPE_CHECKING:
    from tradewind.store.database import Connection


class Severity(enum.StrEnum):
    """How bad it is; they compare by ``rank``."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 is the least."""
        return list(Severity).index(self)


class AlertState(enum.StrEnum):
    """Where an alert is. ACKNOWLEDGED: somebody works on it, nobody is reminded."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


class NotificationKind(enum.StrEnum):
    """Why a notification was made."""

    OPENED = "OPENED"
    ESCALATED = "ESCALATED"
    REPEATED = "REPEATED"
    FLAPPING = "FLAPPING"
    RESOLVED = "RESOLVED"
    TEST = "TEST"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Times in ns UTC; ``alert_id`` and ``revision`` are 0 before it is stored."""

    name: str
    subject: str
    severity: Severity
    summary: str
    page: str
    state: AlertState
    first_at: int
    last_at: int
    openings: tuple[int, ...]
    alert_id: int = 0
    revision: int = 0
    count: int = 1
    flapping_since: int | None = None
    told_at: int | None = None
    acknowledged_by: str | None = None
    acknowledged_why: str | None = None
    acknowledged_at: int | None = None
    resolved_at: int | None = None

    @property
    def fingerprint(self) -> str:
        """What it is known by."""
        return fingerprint_of(self.name, self.subject)


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """What a change is told as. ``channels``: who is told. RESOLVED goes to those of them that were told something
    since ``since`` (ns), and takes back what has not gone out yet. Not before ``due_at`` (ns)."""

    kind: NotificationKind
    channels: tuple[str, ...]
    due_at: int
    since: int = 0


class AlertRefused(ValueError):
    """It cannot be acknowledged; the message says why."""


Cursor = tuple[int, int]
"""``last_at`` and ``alert_id`` of the last row of a page."""


def fingerprint_of(name: str, subject: str) -> str:
    """The key of one condition about one subject."""
    return f"{name}:{subject}"


class AlertRepository:
    """The table ``alerts``. Every method raises DatabaseUnavailable when the store is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unresolved(self) -> list[Alert]:
        """All that are OPEN or ACKNOWLEDGED, oldest first."""
        return await self._fetch("WHERE state <> 'RESOLVED' ORDER BY alert_id")

    async def flapping(self) -> list[Alert]:
        """All that were told of as going up and down, and have not held still since."""
        return await self._fetch("WHERE flapping_since IS NOT NULL ORDER BY alert_id")

    async def find(self, alert_id: int) -> Alert | None:
        """One by its number."""
        rows = await self._fetch("WHERE alert_id = $1", alert_id)
        return rows[0] if rows else None

    async def find_all(self, fingerprints: list[str]) -> list[Alert]:
        """Those of ``fingerprints`` that there were ever."""
        return await self._fetch("WHERE fingerprint = ANY($1)", fingerprints)

    async def newest(self, *, unresolved: bool, after: Cursor | None = None, limit: int = 100) -> list[Alert]:
        """A page, the last seen first.

        Raises:
            ValueError: the limit is out of range.
        """
        last_at, alert_id = after or (None, None)
        return await self._fetch(
            "WHERE ($1 = false OR state <> 'RESOLVED') AND ($2::bigint IS NULL OR (last_at, alert_id) < ($2, $3))"
            " ORDER BY last_at DESC, alert_id DESC LIMIT $4",
            unresolved,
            last_at,
            alert_id,
            checked_limit(limit),
        )

    async def save(self, alert: Alert, telling: Telling | None, now: int) -> Alert | None:
        """Store what an alert has become, with the notifications of that. ``alert.revision`` is what was read.

        Returns the row as stored, or None: somebody else was quicker, read it again.
        """
        values = _stored(alert)
        async with self._database.transaction() as connection:
            if alert.alert_id:
                row = await connection.fetchrow(_UPDATE, *values, alert.alert_id, alert.revision)
            else:
                row = await connection.fetchrow(_INSERT, *values, alert.fingerprint, alert.name, alert.subject)
            if row is None:
                return None
            stored = _alert(row)
            if telling is not None:
                await _tell(connection, stored, telling, now)
        return stored

    async def acknowledge(self, alert_id: int, *, actor: str, why: str, now: int) -> Alert | None:
        """Say that somebody knows; None when there is no such alert. Saying it again changes nothing.

        Raises:
            AlertRefused: it is resolved.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("SELECT * FROM alerts WHERE alert_id = $1 FOR UPDATE", alert_id)
            if row is None:
                return None
            if row["state"] == AlertState.RESOLVED:
                raise AlertRefused(f"alert {alert_id} is RESOLVED; there is nothing to acknowledge")
            if row["state"] == AlertState.OPEN:
                row = await connection.fetchrow(_ACKNOWLEDGE, alert_id, actor, why, now)
        return _alert(row)

    async def forget_before(self, moment: int) -> int:
        """Delete what was resolved before ``moment`` (ns); returns how many rows that were."""
        async with self._database.connection() as connection:
            gone = await connection.fetchval(_FORGET, moment)
        return int(gone)

    async def _fetch(self, where: str, *arguments: Any) -> list[Alert]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(f"SELECT * FROM alerts {where}", *arguments)  # noqa: S608 - our own words
        return [_alert(row) for row in rows]


_COLUMNS: Final = (
    "severity",
    "summary",
    "page",
    "state",
    "count",
    "first_at",
    "last_at",
    "openings",
    "flapping_since",
    "told_at",
    "acknowledged_by",
    "acknowledged_why",
    "acknowledged_at",
    "resolved_at",
)
_PLACES: Final = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
_NEXT: Final = len(_COLUMNS) + 1
_UPDATE: Final = f"""
UPDATE alerts SET ({", ".join(_COLUMNS)}) = ({_PLACES}), revision = revision + 1
WHERE alert_id = ${_NEXT} AND revision = ${_NEXT + 1} RETURNING *
"""  # noqa: S608 - our own words
_INSERT: Final = f"""
INSERT INTO alerts ({", ".join(_COLUMNS)}, fingerprint, name, subject)
VALUES ({_PLACES}, ${_NEXT}, ${_NEXT + 1}, ${_NEXT + 2})
ON CONFLICT (fingerprint) DO NOTHING RETURNING *
"""  # noqa: S608 - our own words
_ACKNOWLEDGE: Final = """
UPDATE alerts SET state = 'ACKNOWLEDGED', acknowledged_by = $2, acknowledged_why = $3, acknowledged_at = $4,
    revision = revision + 1
WHERE alert_id = $1 RETURNING *
"""
_FORGET: Final = """
WITH gone AS (
    DELETE FROM alerts WHERE state = 'RESOLVED' AND flapping_since IS NULL AND resolved_at < $1 RETURNING alert_id
), notified AS (
    DELETE FROM alert_notifications WHERE state <> 'PENDING' AND ended_at < $1
)
SELECT count(*) FROM gone
"""
_TAKE_BACK: Final = """
UPDATE alert_notifications SET state = 'DROPPED', ended_at = $2, outcome = 'it was over before this was told'
WHERE alert_id = $1 AND state = 'PENDING' AND delivery_id IS NULL
"""
_TOLD: Final = """
SELECT DISTINCT channel FROM alert_notifications
WHERE alert_id = $1 AND channel = ANY($2) AND created_at >= $3 AND kind <> 'RESOLVED' AND state IN ('PENDING', 'SENT')
"""
_NOTIFY: Final = """
INSERT INTO alert_notifications (channel, alert_id, opening, kind, severity, state, created_at, due_at)
SELECT channel, $2, $3, $4, $5, 'PENDING', $6, $7 FROM unnest($1::text[]) channel
"""


async def _tell(connection: "Connection", alert: Alert, telling: Telling, now: int) -> None:
    channels = list(telling.channels)
    if telling.kind is NotificationKind.RESOLVED:
        await connection.execute(_TAKE_BACK, alert.alert_id, now)
        told = await connection.fetch(_TOLD, alert.alert_id, channels, telling.since)
        channels = [row["channel"] for row in told]
    if channels:
        await connection.execute(
            _NOTIFY,
            channels,
            alert.alert_id,
            alert.count,
            telling.kind,
            alert.severity,
            now,
            telling.due_at,
        )


def _stored(alert: Alert) -> list[Any]:
    values = [getattr(alert, name) for name in _COLUMNS]
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _alert(row: Any) -> Alert:
    return msgspec.convert({**row}, Alert)
