"""The audit: who did what, from what to what, and why. Rows are only added; the database refuses the rest."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.timestamps import to_ns, to_timestamp

if TYPE_CHECKING:
    from tradewind.store.database import Connection


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``ts`` in ns, by the caller's clock.

    ``role``, ``subject`` and ``client`` (an address) are empty for what a service did by itself. A line with an
    ``entry_id`` may be added again and stays one.
    """

    ts: int
    actor: str
    action: str
    before: str
    after: str
    why: str
    role: str = ""
    subject: str = ""
    client: str = ""
    entry_id: str | None = None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines; None is any. ``since`` (from) and ``until`` (before) in ns; ``action`` is a beginning."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None


class AuditRepository:
    """The table ``audit``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, entry: AuditEntry) -> None:
        """Add one line.

        Raises:
            DatabaseUnavailable: it was not added, or the answer was lost; repeating may add it twice.
        """
        async with self._database.connection() as connection:
            await append_audit(connection, entry)

    async def newest(self, limit: int = 100) -> list[AuditEntry]:
        """The last ``limit`` lines, newest first.

        Raises:
            ValueError: the limit is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT ts, actor, action, before, after, why FROM audit ORDER BY id DESC LIMIT $1",
                checked_limit(limit),
            )
        return [AuditEntry(**{**row, "ts": to_ns(row["ts"])}) for row in rows]

    async def page(self, wanted: AuditFilter, limit: int, before_id: int | None = None) -> list[tuple[int, AuditEntry]]:
        """Lines with their numbers, newest first, those before a number.

        Raises:
            ValueError: the limit is out of range.
            DatabaseUnavailable: no answer.
        """
        since, until = (None if ns is None else to_timestamp(ns) for ns in (wanted.since, wanted.until))
        arguments = (wanted.actor, wanted.action, wanted.subject, since, until, before_id, checked_limit(limit))
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PAGE, *arguments)
        return [(row["id"], _entry(row)) for row in rows]


async def append_audit(connection: "Connection", entry: AuditEntry) -> None:
    """Add one line in the transaction of what it tells about."""
    await connection.execute(
        "INSERT INTO audit (ts, actor, action, before, after, why, role, subject, client, entry_id) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (entry_id) DO NOTHING",
        to_timestamp(entry.ts),
        entry.actor,
        entry.action,
        entry.before,
        entry.after,
        entry.why,
        entry.role,
        entry.subject,
        entry.client,
        entry.entry_id,
    )


def _entry(row: Any) -> AuditEntry:
    fields = {name: value for name, value in row.items() if name != "id"}
    return AuditEntry(**{**fields, "ts": to_ns(row["ts"])})


_PAGE: Final = """
SELECT id, ts, actor, action, before, after, why, role, subject, client, entry_id FROM audit
WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR starts_with(action, $2))
  AND ($3::text IS NULL OR subject = $3) AND ($4::timestamptz IS NULL OR ts >= $4)
  AND ($5::timestamptz IS NULL OR ts < $5) AND ($6::bigint IS NULL OR id < $6)
ORDER BY id DESC LIMIT $7
"""
