"""Rows that recovery adds to a transaction of the order path, and the results of earlier comparisons."""

from typing import TYPE_CHECKING

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId
from tradewind.store.audit import AuditEntry
from tradewind.store.database import Database
from tradewind.wire.events import BalanceDifference

if TYPE_CHECKING:
    import asyncpg


class ClaimRow(msgspec.Struct, frozen=True, kw_only=True):
    """An order that belongs to another strategy from now on."""

    client_order_id: ClientOrderId
    strategy_id: StrategyId


class ReconciliationRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison said: ``ts`` in ns; ``details`` counts what was looked at."""

    ts: int
    differences: tuple[BalanceDifference, ...]
    details: dict[str, int]


class RecoveryRows(msgspec.Struct, kw_only=True):
    """What stands in one transaction with the orders it is about."""

    claims: list[ClaimRow] = []
    audit: list[AuditEntry] = []
    reconciliations: list[ReconciliationRow] = []


class ReconciliationRepository:
    """The table ``reconciliations``; the order path writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, account_id: AccountId, limit: int = 1) -> list[ReconciliationRow]:
        """The last results that differed from the one before, newest first.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT ts, differences, details FROM reconciliations WHERE account_id = $1 ORDER BY id DESC LIMIT $2",
                account_id,
                limit,
            )
        return [_row(row) for row in rows]


def _row(row: "asyncpg.Record") -> ReconciliationRow:
    differences = msgspec.json.decode(row["differences"], type=tuple[BalanceDifference, ...])
    return ReconciliationRow(ts=row["ts"], differences=differences, details=msgspec.json.decode(row["details"]))
