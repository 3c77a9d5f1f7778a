"""Kill switches: each engagement of a scope with its stage, its proof and its release, and the history of all that.

Every change is one transaction with its line of history; what a hand did has an audit line and the trading state in the
same transaction. Commands are known by their event id: the same one twice is done once.
"""

import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.model.enums import KillStage, TradingState
from tradewind.store.audit import AuditEntry, append_audit
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit
from tradewind.store.timestamps import to_ns, to_timestamp
from tradewind.store.trading_states import lock_trading_states, put_trading_state

if TYPE_CHECKING:
    from tradewind.store.database import Connection


class KillSwitchRefused(ValueError):
    """The switch may not be engaged or released so; the message says what to do instead."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's snapshot that proved a scope flat: when it was asked for (ns), and what it showed.

    ``positions`` are books that were to be kept, ``dust`` what is too small for the venue's smallest order, both as
    `strategy instrument size`; ``balances`` as `currency total`.
    """

    ts: int
    open_orders: int
    positions: tuple[str, ...] = ()
    dust: tuple[str, ...] = ()
    balances: tuple[str, ...] = ()


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """One engagement of a scope's kill switch. Times in ns; ``reason`` is what it waits for."""

    kill_id: int
    scope: str
    flatten: bool
    stage: KillStage
    reason: str
    evidence: Evidence | None
    engaged_by: str
    engaged_why: str
    engaged_at: int
    stage_at: int
    released_by: str | None
    released_why: str | None
    released_at: int | None
    forced: bool


class KillStep(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an engagement's history."""

    stage: KillStage
    reason: str
    actor: str
    ts: int


class KillSwitchRepository:
    """The tables ``kill_switches`` and ``kill_switch_history``. Every method raises DatabaseUnavailable when the store
    is away; then a change may have happened or not, and the same call may be made again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def engaged(self) -> list[KillSwitch]:
        """All that no hand has released, oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT * FROM kill_switches WHERE released_at IS NULL ORDER BY kill_id")
        return [_switch(row) for row in rows]

    async def find(self, kill_id: int) -> KillSwitch | None:
        """One engagement by its number."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT * FROM kill_switches WHERE kill_id = $1", kill_id)
        return None if row is None else _switch(row)

    async def newest(self, limit: int = 20) -> list[KillSwitch]:
        """The engaged ones first, then the last released."""
        query = "SELECT * FROM kill_switches ORDER BY (released_at IS NOT NULL), kill_id DESC LIMIT $1"
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, checked_limit(limit))
        return [_switch(row) for row in rows]

    async def history(self, kill_id: int) -> list[KillStep]:
        """The way of one engagement, oldest first."""
        query = "SELECT stage, reason, actor, ts FROM kill_switch_history WHERE kill_id = $1 ORDER BY id"
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, kill_id)
        return [msgspec.convert({**row, "ts": to_ns(row["ts"])}, KillStep) for row in rows]

    async def engage(
        self, scope: str, *, command_id: str, flatten: bool, actor: str, why: str
    ) -> tuple[KillSwitch, str]:
        """Halt a scope and engage its switch; where it is engaged already, only ``flatten`` may be added to it.

        Returns the switch, and in words what it was before.
        """
        now = time.time_ns()
        async with self._database.transaction() as connection:
            await lock_trading_states(connection)
            if (known := await _of_command(connection, command_id)) is not None:
                return known, known.stage
            await put_trading_state(connection, scope, TradingState.HALTED, actor=actor, why=why, now=now)
            row = await connection.fetchrow(_ENGAGED, scope)
            before = row["stage"] if row is not None else "not engaged"
            if row is None:
                row = await connection.fetchrow(_INSERT, scope, flatten, actor, why, to_timestamp(now))
            elif flatten and not row["flatten"]:
                row = await connection.fetchrow(_ADD_FLATTEN, row["kill_id"], to_timestamp(now))
            switch = _switch(row)
            await _append(connection, switch, actor, now, command_id)
            after = f"{switch.stage}{', flatten' if switch.flatten else ''}"
            await _audit(connection, f"kill switch of {scope} engaged", before, after, actor, why, now)
        return switch, before

    async def move(
        self, known: KillSwitch, stage: KillStage, reason: str, evidence: Evidence | None = None
    ) -> KillSwitch | None:
        """Bring an engagement to another stage; None when it was released, or asked for more, since ``known`` was read.

        A line of history is written when the stage is another one.
        """
        now = time.time_ns()
        document = None if evidence is None else msgspec.json.encode(evidence).decode()
        stage_at = known.stage_at if stage is known.stage else now
        arguments = (known.kill_id, known.flatten, stage.value, reason, document, to_timestamp(stage_at))
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_MOVE, *arguments)
            if row is None:
                return None
            switch = _switch(row)
            if stage is not known.stage:
                await _append(connection, switch, "risk", now)
        return switch

    async def release(
        self, scope: str, *, command_id: str, state: TradingState, force: bool, actor: str, why: str
    ) -> tuple[KillSwitch, str]:
        """Give the scope back to trading in ``state``; returns the switch, and in words what it was before.

        Raises:
            KillSwitchRefused: no switch is engaged there, or it was not proven flat and ``force`` is not given.
        """
        now = time.time_ns()
        async with self._database.transaction() as connection:
            await lock_trading_states(connection)
            if (known := await _of_command(connection, command_id)) is not None:
                return known, known.stage
            row = await connection.fetchrow(_ENGAGED + " FOR UPDATE", scope)
            engaged = check_release(None if row is None else _switch(row), scope, state, force=force)
            forced = engaged.stage is not KillStage.FLAT
            row = await connection.fetchrow(_RELEASE, engaged.kill_id, actor, why, to_timestamp(now), forced)
            switch = _switch(row)
            await put_trading_state(connection, scope, state, actor=actor, why=why, now=now)
            await _append(connection, switch, actor, now, command_id)
            action = f"kill switch of {scope} released{' by force' if forced else ''}"
            await _audit(connection, action, engaged.stage, f"{KillStage.RELEASED}, {state}", actor, why, now)
        return switch, engaged.stage


def check_release(switch: KillSwitch | None, scope: str, state: TradingState, *, force: bool) -> KillSwitch:
    """The engaged switch, if it may be released so.

    Raises:
        KillSwitchRefused: with what to do instead.
    """
    if switch is None:
        raise KillSwitchRefused(f"no kill switch is engaged for {scope}; a plain halt ends with the trading state")
    if state is TradingState.HALTED:
        raise KillSwitchRefused("a release gives the scope back as ACTIVE or REDUCING; HALTED is what it is now")
    if switch.stage is not KillStage.FLAT and not force:
        raise KillSwitchRefused(
            f"the kill switch of {scope} is {switch.stage} and not FLAT ({switch.reason or 'under way'}); "
            "wait for the proof, or look at the venue yourself and release with force"
        )
    return switch


async def _of_command(connection: "Connection", command_id: str) -> KillSwitch | None:
    query = (
        "SELECT k.* FROM kill_switches k JOIN kill_switch_history h ON h.kill_id = k.kill_id WHERE h.command_id = $1"
    )
    row = await connection.fetchrow(query, command_id)
    return None if row is None else _switch(row)


async def _append(
    connection: "Connection", switch: KillSwitch, actor: str, now: int, command_id: str | None = None
) -> None:
    evidence = None if switch.evidence is None else msgspec.json.encode(switch.evidence).decode()
    at = to_timestamp(now)
    await connection.execute(
        _HISTORY, switch.kill_id, command_id, switch.stage.value, switch.reason, evidence, actor, at
    )


async def _audit(
    connection: "Connection", action: str, before: str, after: str, actor: str, why: str, now: int
) -> None:
    entry = AuditEntry(ts=now, actor=actor, action=action, before=before, after=after, why=why)
    await append_audit(connection, entry)


def _switch(row: Any) -> KillSwitch:
    fields = dict(row)
    for name in ("engaged_at", "stage_at", "released_at"):
        fields[name] = None if fields[name] is None else to_ns(fields[name])
    if fields["evidence"] is not None:
        fields["evidence"] = msgspec.json.decode(fields["evidence"], type=Evidence)
    return msgspec.convert(fields, KillSwitch)


_ENGAGED: Final = "SELECT * FROM kill_switches WHERE scope = $1 AND released_at IS NULL"
_INSERT: Final = """
INSERT INTO kill_switches (scope, flatten, stage, reason, engaged_by, engaged_why, engaged_at, stage_at)
VALUES ($1, $2, 'ENGAGED', '', $3, $4, $5, $5) RETURNING *
"""
_ADD_FLATTEN: Final = """
UPDATE kill_switches SET flatten = true, stage = 'ENGAGED', reason = '', evidence = NULL, stage_at = $2
WHERE kill_id = $1 RETURNING *
"""
_MOVE: Final = """
UPDATE kill_switches SET stage = $3, reason = $4, evidence = $5::jsonb, stage_at = $6
WHERE kill_id = $1 AND released_at IS NULL AND flatten = $2 RETURNING *
"""
_RELEASE: Final = """
UPDATE kill_switches
SET stage = 'RELEASED', released_by = $2, released_why = $3, released_at = $4, stage_at = $4, forced = $5
WHERE kill_id = $1 RETURNING *
"""
_HISTORY: Final = """
INSERT INTO kill_switch_history (kill_id, command_id, stage, reason, evidence, actor, ts)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7)
"""
