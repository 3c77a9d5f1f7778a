"""What the stores say: one short look, a handful of small queries over one connection."""

from typing import Any, Final

import msgspec

from tradewind.store.database import Database
from tradewind.store.timestamps import to_ns

_UNKNOWN: Final = """
SELECT account_id, count(*) AS orders, min(COALESCE(unknown_since, ts_last)) AS since
FROM orders WHERE outcome = 'UNKNOWN' GROUP BY account_id
"""
_DIFFERING: Final = """
SELECT DISTINCT ON (account_id) account_id, jsonb_array_length(differences) AS differences
FROM reconciliations ORDER BY account_id, id DESC
"""
_SWITCHES: Final = "SELECT scope, stage, reason, engaged_at FROM kill_switches WHERE released_at IS NULL"
_HALTED: Final = "SELECT scope, actor FROM trading_states WHERE state = 'HALTED'"
_LEASES: Final = "SELECT name, epoch FROM leases"


class UnknownOrders(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of an account whose outcome is UNKNOWN; the oldest since ``since``, ns."""

    account_id: str
    orders: int
    since: int


class EngagedSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """A kill switch that no hand has released."""

    scope: str
    stage: str
    reason: str
    engaged_at: int


class StoreSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One look. ``differing``: balances that differ, by account; ``halted``: scope -> who said so; ``epochs`` by
    lease."""

    unknown: tuple[UnknownOrders, ...] = ()
    differing: dict[str, int] = {}
    switches: tuple[EngagedSwitch, ...] = ()
    halted: dict[str, str] = {}
    epochs: dict[str, int] = {}


async def look_at_store(database: Database) -> StoreSeen:
    """What is so now.

    Raises:
        DatabaseUnavailable: no answer.
    """
    async with database.connection() as connection:
        unknown = await connection.fetch(_UNKNOWN)
        differing = await connection.fetch(_DIFFERING)
        switches = await connection.fetch(_SWITCHES)
        halted = await connection.fetch(_HALTED)
        leases = await connection.fetch(_LEASES)
    return StoreSeen(
        unknown=tuple(msgspec.convert({**row}, UnknownOrders) for row in unknown),
        differing={row["account_id"]: row["differences"] for row in differing},
        switches=tuple(_switch(row) for row in switches),
        halted={row["scope"]: row["actor"] for row in halted},
        epochs={row["name"]: row["epoch"] for row in leases},
    )


def _switch(row: Any) -> EngagedSwitch:
    return EngagedSwitch(
        scope=row["scope"], stage=row["stage"], reason=row["reason"], engaged_at=to_ns(row["engaged_at"])
    )
