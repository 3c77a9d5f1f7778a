"""The audit: who did what, from what to what, and why. Rows are only added; the database refuses the rest."""

from typing import TYPE_CHECKING

import msgspec

from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.timestamps import to_ns, to_timestamp

if TYPE_CHECKING:
    from tradewind.store.database import Connection


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. ``ts`` in ns, by the caller's clock."""

    ts: int
    actor: str
    action: str
    before: str
    after: str
    why: str


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


async def append_audit(connection: "Connection", entry: AuditEntry) -> None:
    """Add one line in the transaction of what it tells about."""
    await connection.execute(
        "INSERT INTO audit (ts, actor, action, before, after, why) VALUES ($1, $2, $3, $4, $5, $6)",
        to_timestamp(entry.ts),
        entry.actor,
        entry.action,
        entry.before,
        entry.after,
        entry.why,
    )
