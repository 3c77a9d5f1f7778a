"""What is to be told of alerts, and what became of it: a queue in the database, one message at a time per channel.

A message is claimed for a time, in which nobody else sends it. Whoever dies with it leaves it to the next, so each is
delivered at least once; its ``delivery_id`` stays the same over all attempts.
"""

import secrets
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.store.alerts import NotificationKind, Severity
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit

if TYPE_CHECKING:
    from tradewind.store.database import Connection

MOST_IN_ONE: Final = 50
"""Notifications that one message may hold; the rest is the next message."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One notification of a message, with its alert as it is now. Times in ns; a test has no alert."""

    kind: NotificationKind
    severity: Severity
    name: str = ""
    subject: str = ""
    first_at: int = 0
    resolved_at: int | None = None
    count: int = 0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one channel. ``attempts`` counts this one; ``created_at`` (ns) is of the oldest notification."""

    delivery_id: str
    channel: str
    attempts: int
    created_at: int
    told: tuple[Told, ...]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A way to people. ``failing_since`` (ns): attempts have failed since then, for the reason ``problem``."""

    channel: str
    minimum: Severity
    configured: bool = True
    failing_since: int | None = None
    failures: int = 0
    problem: str = ""
    sent_at: int | None = None
    pending: int = 0


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One notification as a person looks at it. Times in ns."""

    notification_id: int
    channel: str
    alert_id: int | None
    kind: NotificationKind
    severity: Severity
    state: str
    attempts: int
    outcome: str
    created_at: int
    ended_at: int | None


class AlertDeliveries:
    """The tables ``alert_notifications`` and ``alert_channels``. Every method raises DatabaseUnavailable when the store
    is away; then a change may have happened or not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, channels: list[Channel], now: int) -> None:
        """Say which channels there are; what waits for one that is no more is dropped."""
        names = [one.channel for one in channels]
        async with self._database.transaction() as connection:
            await connection.execute(_UNCONFIGURE, names)
            await connection.executemany(_CONFIGURE, [(one.channel, one.minimum) for one in channels])
            await connection.execute(_DROP, names, now)

    async def channels(self) -> list[Channel]:
        """All channels that there ever were, by name."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CHANNELS)
        return [msgspec.convert({**row}, Channel) for row in rows]

    async def claim(self, channel: str, now: int, until: int) -> Delivery | None:
        """The channel's next message that is due, for this caller alone until ``until`` (ns); None when none is.

        A message that waits for its next attempt holds up those after it: an end is never told before its beginning.
        """
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('alerts ' || $1, 0))", channel)
            first = await connection.fetchrow(_FIRST, channel)
            if first is None or first["claimed_until"] > now or first["due_at"] > now:
                return None
            if first["delivery_id"] is None:
                await connection.execute(_BUNDLE, channel, secrets.token_hex(12), first["is_test"], MOST_IN_ONE)
            rows = await connection.fetch(_CLAIM, channel, until)
        return _delivery(rows) if rows else None

    async def sent(self, delivery: Delivery, now: int) -> None:
        """It was taken by the channel."""
        async with self._database.transaction() as connection:
            await _end(connection, delivery, "SENT", "sent", now)
            await connection.execute(_CHANNEL_WORKS, delivery.channel, now)

    async def failed(self, delivery: Delivery, problem: str, now: int, *, retry_at: int | None) -> None:
        """An attempt failed; the next is at ``retry_at`` (ns), or there is none."""
        async with self._database.transaction() as connection:
            if retry_at is None:
                await _end(connection, delivery, "FAILED", problem, now)
            else:
                await connection.execute(_POSTPONE, delivery.delivery_id, retry_at, problem)
            await connection.execute(_CHANNEL_FAILS, delivery.channel, problem, now)

    async def give_back(self, delivery: Delivery) -> None:
        """The attempt was cut off: the next claim has it again at once."""
        async with self._database.connection() as connection:
            await connection.execute(_GIVE_BACK, delivery.delivery_id)

    async def ask_for_test(self, now: int) -> list[Notification]:
        """Queue a test message for each channel that is configured."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_TEST, now)
        return [msgspec.convert({**row}, Notification) for row in rows]

    async def notifications(self, *, ids: list[int] | None = None, limit: int = 100) -> list[Notification]:
        """The newest, or those of ``ids``, newest first.

        Raises:
            ValueError: the limit is out of range.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_NOTIFICATIONS, ids, checked_limit(limit))
        return [msgspec.convert({**row}, Notification) for row in rows]

    async def marks(self) -> dict[str, tuple[int, int]]:
        """What was remembered: mark -> value, when it changed (ns)."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT mark, value, changed_at FROM alert_marks")
        return {row["mark"]: (row["value"], row["changed_at"]) for row in rows}

    async def remember(self, marks: dict[str, tuple[int, int]], forget: list[str]) -> None:
        """Change some marks and forget others."""
        async with self._database.transaction() as connection:
            await connection.executemany(_MARK, [(mark, *value) for mark, value in marks.items()])
            await connection.execute("DELETE FROM alert_marks WHERE mark = ANY($1)", forget)


_UNCONFIGURE: Final = "UPDATE alert_channels SET configured = false WHERE channel <> ALL($1)"
_CONFIGURE: Final = """
INSERT INTO alert_channels (channel, minimum, configured) VALUES ($1, $2, true)
ON CONFLICT (channel) DO UPDATE SET minimum = EXCLUDED.minimum, configured = true
"""
_DROP: Final = """
UPDATE alert_notifications SET state = 'DROPPED', ended_at = $2, outcome = 'the channel is not configured any more'
WHERE state = 'PENDING' AND channel <> ALL($1)
"""
_CHANNELS: Final = """
SELECT c.*, (SELECT count(*) FROM alert_notifications n WHERE n.channel = c.channel AND n.state = 'PENDING') AS pending
FROM alert_channels c ORDER BY channel
"""
# What was bundled before comes first: it may have gone out.
_FIRST: Final = """
SELECT delivery_id, claimed_until, due_at, kind = 'TEST' AS is_test FROM alert_notifications
WHERE channel = $1 AND state = 'PENDING' ORDER BY (delivery_id IS NULL), notification_id LIMIT 1
"""
_BUNDLE: Final = """
UPDATE alert_notifications SET delivery_id = $2 WHERE notification_id IN (
    SELECT notification_id FROM alert_notifications
    WHERE channel = $1 AND state = 'PENDING' AND (kind = 'TEST') = $3 ORDER BY notification_id LIMIT $4
)
"""
_CLAIM: Final = """
WITH claimed AS (
    UPDATE alert_notifications SET claimed_until = $2, attempts = attempts + 1
    WHERE channel = $1 AND state = 'PENDING' AND delivery_id IS NOT NULL RETURNING *
)
SELECT n.delivery_id, n.channel, n.attempts, n.created_at, n.kind, n.severity, a.name, a.subject, a.first_at,
       a.resolved_at, a.count
FROM claimed n LEFT JOIN alerts a USING (alert_id) ORDER BY n.notification_id
"""
_END: Final = """
UPDATE alert_notifications SET state = $2, outcome = $3, ended_at = $4, claimed_until = 0
WHERE delivery_id = $1 AND state = 'PENDING'
"""
_POSTPONE: Final = """
UPDATE alert_notifications SET due_at = $2, outcome = $3, claimed_until = 0 WHERE delivery_id = $1 AND state = 'PENDING'
"""
_GIVE_BACK: Final = "UPDATE alert_notifications SET claimed_until = 0 WHERE delivery_id = $1 AND state = 'PENDING'"
_CHANNEL_WORKS: Final = """
UPDATE alert_channels SET failing_since = NULL, failures = 0, problem = '', sent_at = $2 WHERE channel = $1
"""
_CHANNEL_FAILS: Final = """
UPDATE alert_channels SET failing_since = COALESCE(failing_since, $3), failures = failures + 1, problem = $2
WHERE channel = $1
"""
_NOTIFIED: Final = "notification_id, channel, alert_id, kind, severity, state, attempts, outcome, created_at, ended_at"
_TEST: Final = f"""
INSERT INTO alert_notifications (channel, opening, kind, severity, state, created_at, due_at)
SELECT channel, 0, 'TEST', 'info', 'PENDING', $1, $1 FROM alert_channels WHERE configured
RETURNING {_NOTIFIED}
"""  # noqa: S608 - our own words
_NOTIFICATIONS: Final = f"""
SELECT {_NOTIFIED} FROM alert_notifications
WHERE $1::bigint[] IS NULL OR notification_id = ANY($1) ORDER BY notification_id DESC LIMIT $2
"""  # noqa: S608 - our own words
_MARK: Final = """
INSERT INTO alert_marks (mark, value, changed_at) VALUES ($1, $2, $3)
ON CONFLICT (mark) DO UPDATE SET value = EXCLUDED.value, changed_at = EXCLUDED.changed_at
"""


async def _end(connection: "Connection", delivery: Delivery, state: str, outcome: str, now: int) -> None:
    await connection.execute(_END, delivery.delivery_id, state, outcome, now)


def _delivery(rows: list[Any]) -> Delivery:
    first = rows[0]
    return Delivery(
        delivery_id=first["delivery_id"],
        channel=first["channel"],
        attempts=first["attempts"],
        created_at=min(row["created_at"] for row in rows),
        told=tuple(_told(row) for row in rows),
    )


def _told(row: Any) -> Told:
    values = {name: row[name] for name in Told.__struct_fields__ if row[name] is not None}
    return msgspec.convert(values, Told)
