"""Trading states by scope, each change with its audit line in the same transaction."""

import time

import msgspec

from tradewind.model.enums import TradingState
from tradewind.store.audit import AuditEntry, append_audit
from tradewind.store.database import Database
from tradewind.store.timestamps import to_ns, to_timestamp


class StoredTradingState(msgspec.Struct, frozen=True, kw_only=True):
    """What a scope may do, who said so, why, and when (ns)."""

    scope: str
    state: TradingState
    actor: str
    why: str
    ts: int


class TradingStateRepository:
    """The table ``trading_states``. A scope that has no row is ACTIVE."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, StoredTradingState]:
        """Every scope that was ever set.

        Raises:
            DatabaseUnavailable: no answer; the caller must then act as if everything were HALTED.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT scope, state, actor, why, ts FROM trading_states ORDER BY scope")
        return {
            row["scope"]: StoredTradingState(
                scope=row["scope"],
                state=TradingState(row["state"]),
                actor=row["actor"],
                why=row["why"],
                ts=to_ns(row["ts"]),
            )
            for row in rows
        }

    async def set(self, scope: str, state: TradingState, *, actor: str, why: str) -> TradingState:
        """Make ``state`` the scope's, with an audit line; returns the state before.

        Raises:
            DatabaseUnavailable: it was not set, or the answer was lost; the call may be repeated.
        """
        now = time.time_ns()
        async with self._database.transaction() as connection:
            # A scope without a row has nothing to lock, so the table's writers wait for each other.
            await connection.execute("LOCK TABLE trading_states IN SHARE ROW EXCLUSIVE MODE")
            found = await connection.fetchval("SELECT state FROM trading_states WHERE scope = $1", scope)
            before = TradingState(found or TradingState.ACTIVE)
            await connection.execute(
                "INSERT INTO trading_states (scope, state, actor, why, ts) VALUES ($1, $2, $3, $4, $5) "
                "ON CONFLICT (scope) DO UPDATE SET state = EXCLUDED.state, actor = EXCLUDED.actor, "
                "why = EXCLUDED.why, ts = EXCLUDED.ts",
                scope,
                state.value,
                actor,
                why,
                to_timestamp(now),
            )
            await append_audit(
                connection,
                AuditEntry(
                    ts=now, actor=actor, action=f"trading state of {scope}", before=before, after=state, why=why
                ),
            )
        return before
