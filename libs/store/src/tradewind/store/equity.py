"""The equity curve: profit and loss of each strategy over time."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.timestamps import to_ns, to_timestamp


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the curve, ``ts`` in ns (kept to the microsecond), amounts in ``currency``."""

    ts: int
    account_id: AccountId
    strategy_id: StrategyId
    currency: str
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal


class EquityRepository:
    """The table ``equity``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, points: Sequence[EquityPoint]) -> None:
        """Add points; one that is there already stays as it is.

        Raises:
            ValueError: an amount is not a finite number.
            DatabaseUnavailable: not added, or the answer was lost; the call may be repeated.
        """
        for point in points:
            if not (point.realized_pnl.is_finite() and point.unrealized_pnl.is_finite() and point.fees.is_finite()):
                raise ValueError(f"equity of {point.strategy_id} is not a finite number: {point}")
        async with self._database.connection() as connection:
            await connection.executemany(
                "INSERT INTO equity (ts, account_id, strategy_id, currency, realized_pnl, unrealized_pnl, fees) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                [(to_timestamp(point.ts), *msgspec.structs.astuple(point)[1:]) for point in points],
            )

    async def curve(
        self,
        account_id: AccountId,
        strategy_id: StrategyId | None = None,
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1_000,
    ) -> list[EquityPoint]:
        """The newest ``limit`` points with ``start_ns <= ts < end_ns``, oldest first; all strategies if none is named.

        Raises:
            ValueError: the limit is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT * FROM equity WHERE account_id = $1 AND ($2::text IS NULL OR strategy_id = $2) "
                "AND ($3::timestamptz IS NULL OR ts >= $3) AND ($4::timestamptz IS NULL OR ts < $4) "
                "ORDER BY ts DESC, strategy_id DESC, currency DESC LIMIT $5",
                account_id,
                strategy_id,
                None if start_ns is None else to_timestamp(start_ns),
                None if end_ns is None else to_timestamp(end_ns),
                checked_limit(limit),
            )
        return [EquityPoint(**{**row, "ts": to_ns(row["ts"])}) for row in reversed(rows)]
