"""Trading states by scope, each change with its audit line in the same transaction."""

import time
from typing import TYPE_CHECKING, Final

import msgspec

from tradewind.model.enums import TradingState
from tradewind.store.audit import AuditEntry, append_audit
from tradewind.store.database import Database
from tradewind.store.timestamps import to_ns, to_timestamp

if TYPE_CHECKING:
    from tradewind.store.database import Connection


class KillSwitchEngaged(ValueError):
    """The scope stays HALTED until its kill switch is released."""


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
            KillSwitchEngaged: another state than HALTED, while the scope's kill switch is engaged.
            DatabaseUnavailable: it was not set, or the answer was lost; the call may be repeated.
        """
        now = time.time_ns()
        async with self._database.transaction() as connection:
            await lock_trading_states(connection)
            if state is not TradingState.HALTED and await connection.fetchval(_KILL_ENGAGED, scope):
                raise KillSwitchEngaged(
                    f"the kill switch of {scope} is engaged; end it with: tradewind kill release {scope}"
                )
            return await put_trading_state(connection, scope, state, actor=actor, why=why, now=now)


async def lock_trading_states(connection: "Connection") -> None:
    """Make the table's writers wait for each other: a scope without a row has nothing else to lock."""
    await connection.execute("LOCK TABLE trading_states IN SHARE ROW EXCLUSIVE MODE")


async def put_trading_state(
    connection: "Connection", scope: str, state: TradingState, *, actor: str, why: str, now: int
) -> TradingState:
    """Set a state with its audit line in the caller's transaction, which has the lock; returns the state before."""
    found = await connection.fetchval("SELECT state FROM trading_states WHERE scope = $1", scope)
    before = TradingState(found or TradingState.ACTIVE)
    await connection.execute(_PUT, scope, state.value, actor, why, to_timestamp(now))
    action = f"trading state of {scope}"
    await append_audit(connection, AuditEntry(ts=now, actor=actor, action=action, before=before, after=state, why=why))
    return before


_KILL_ENGAGED: Final = "SELECT true FROM kill_switches WHERE scope = $1 AND released_at IS NULL"
_PUT: Final = """
INSERT INTO trading_states (scope, state, actor, why, ts) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (scope) DO UPDATE
SET state = EXCLUDED.state, actor = EXCLUDED.actor, why = EXCLUDED.why, ts = EXCLUDED.ts
"""
