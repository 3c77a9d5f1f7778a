"""What people want of a strategy, over every restart: the present row, and the append-only history of its commands.

Only the host that made the strategy's last start writes: every transaction checks it. Hosts hold no lease, so a start
never waits for one: whoever starts last has the strategy.
"""

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from tradewind.model.identifiers import StrategyId
from tradewind.store.database import Database
from tradewind.store.page_limits import checked_limit

if TYPE_CHECKING:
    from tradewind.store.database import Connection

Wanted = Literal["RUNNING", "STOPPED"]
Action = Literal["START", "STOP", "CONFIGURE"]


class RunSuperseded(Exception):
    """Another host has started the strategy since; this one must not act any more."""


class StrategyControl(msgspec.Struct, frozen=True, kw_only=True):
    """The present row. ``settings`` go before the environment's; ``version`` counts changes of them and of ``policy``.

    ``stop_policy`` is set while a stop is not over, ``start_policy`` is of the next start alone. ``actor`` and ``why``
    are of the last command that was taken, at ``changed_at`` (ns).
    """

    wanted: Wanted = "RUNNING"
    stop_policy: str | None = None
    start_policy: str | None = None
    policy: str | None = None
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    version: int = 0
    actor: str = ""
    why: str = ""
    changed_at: int = 0


class StrategyChange(msgspec.Struct, frozen=True, kw_only=True):
    """One command. ``refusal`` says why it was not taken; ``ts`` in ns."""

    command_id: str
    action: Action
    refusal: str
    before: dict[str, Any]
    after: dict[str, Any]
    actor: str
    why: str
    ts: int


class StrategyControlRepository:
    """The tables ``strategy_control`` and ``strategy_changes`` of one strategy, for the host named ``holder``."""

    def __init__(self, database: Database, strategy_id: StrategyId, holder: str) -> None:
        self._database = database
        self._strategy_id = strategy_id
        self._holder = holder

    async def load(self) -> StrategyControl:
        """The present row; a strategy of which nothing was ever asked is to run.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_LOAD, self._strategy_id)
        if row is None:
            return StrategyControl()
        return StrategyControl(**{**row, "settings": msgspec.json.decode(row["settings"])})

    async def known_commands(self, since_ns: int) -> set[str]:
        """Ids of the commands that were taken or refused since then.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_KNOWN, self._strategy_id, since_ns)
        return {row["command_id"] for row in rows}

    async def take(self, change: StrategyChange, control: StrategyControl | None) -> bool:
        """Write a command into the history and, unless ``control`` is None, the row that follows from it.

        False: the command was written before, and nothing was changed.

        Raises:
            RunSuperseded: another host has started it since.
            DatabaseUnavailable: not written, or the answer was lost; the call may be repeated.
        """
        async with self._database.connection() as connection, connection.transaction():
            await self._check(connection)
            written = await connection.fetchval(
                _ADD,
                self._strategy_id,
                change.command_id,
                change.action,
                change.refusal,
                _text(change.before),
                _text(change.after),
                change.actor,
                change.why,
                change.ts,
            )
            if written is not None and control is not None:
                await self._put(connection, control)
        return written is not None

    async def put(self, control: StrategyControl) -> None:
        """Write the row when a start or a stop is over.

        Raises:
            RunSuperseded: another host has started it since.
            DatabaseUnavailable: not written, or the answer was lost; the call may be repeated.
        """
        async with self._database.connection() as connection, connection.transaction():
            await self._check(connection)
            await self._put(connection, control)

    async def next_run(self) -> int:
        """The number of another start by the same host. It may be used up without a start, which does no harm.

        Raises:
            RunSuperseded: another host has started it since.
            DatabaseUnavailable: no answer; ask again.
        """
        async with self._database.connection() as connection:
            after: int | None = await connection.fetchval(_NEXT_RUN, self._strategy_id, self._holder)
        if after is None:
            raise RunSuperseded(f"another host has started {self._strategy_id}")
        return after

    async def _check(self, connection: "Connection") -> None:
        holder: str | None = await connection.fetchval(_LOCK_RUN, self._strategy_id)
        if holder != self._holder:
            raise RunSuperseded(f"another host has started {self._strategy_id}")

    async def _put(self, connection: "Connection", control: StrategyControl) -> None:
        await connection.execute(
            _PUT,
            self._strategy_id,
            control.wanted,
            control.stop_policy,
            control.start_policy,
            control.policy,
            _text(control.settings),
            control.version,
            control.actor,
            control.why,
            control.changed_at,
        )


class StrategyHistory:
    """Reading what was asked of strategies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, strategy_id: StrategyId, limit: int, before_id: int | None = None
    ) -> list[tuple[int, StrategyChange]]:
        """Commands with their numbers, newest first, those before a number.

        Raises:
            ValueError: the limit is out of range.
            DatabaseUnavailable: no answer.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_PAGE, strategy_id, before_id, checked_limit(limit))
        return [(row["change_id"], _change(row)) for row in rows]


async def newest_runs(database: Database) -> dict[StrategyId, int]:
    """The number of each strategy's last start.

    Raises:
        DatabaseUnavailable: no answer.
    """
    async with database.connection() as connection:
        rows = await connection.fetch(NEWEST_RUNS)
    return {StrategyId(row["strategy_id"]): row["run"] for row in rows}


def _change(row: Any) -> StrategyChange:
    fields = {name: value for name, value in row.items() if name != "change_id"}
    for name in ("before", "after"):
        fields[name] = msgspec.json.decode(fields[name])
    return StrategyChange(**fields)


def _text(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


NEWEST_RUNS: Final = "SELECT strategy_id, run FROM strategy_runs"
_COLUMNS: Final = "wanted, stop_policy, start_policy, policy, settings, version, actor, why, changed_at"
_LOAD: Final = f"SELECT {_COLUMNS} FROM strategy_control WHERE strategy_id = $1"  # noqa: S608 - our own words
_KNOWN: Final = "SELECT command_id FROM strategy_changes WHERE strategy_id = $1 AND ts >= $2"
_LOCK_RUN: Final = "SELECT holder FROM strategy_runs WHERE strategy_id = $1 FOR SHARE"
_NEXT_RUN: Final = "UPDATE strategy_runs SET run = run + 1 WHERE strategy_id = $1 AND holder = $2 RETURNING run"
_ADD: Final = (
    "INSERT INTO strategy_changes (strategy_id, command_id, action, refusal, before, after, actor, why, ts) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (command_id) DO NOTHING RETURNING change_id"
)
_PUT: Final = f"""
INSERT INTO strategy_control (strategy_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (strategy_id) DO UPDATE SET ({_COLUMNS}) = ($2, $3, $4, $5, $6, $7, $8, $9, $10)
"""  # noqa: S608 - our own words
_PAGE: Final = """
SELECT change_id, command_id, action, refusal, before, after, actor, why, ts FROM strategy_changes
WHERE strategy_id = $1 AND ($2::bigint IS NULL OR change_id < $2) ORDER BY change_id DESC LIMIT $3
"""
