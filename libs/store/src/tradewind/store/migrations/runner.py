"""Bring a database to the newest revision. Safe when several processes do it at once, quick when nothing is missing.

Each SQL file ``sql/NNNN_name.sql`` has its Alembic revision ``versions/NNNN_name.py``. All missing steps run in one
transaction: a step that fails leaves the database as it was.
"""

import asyncio
import io
from pathlib import Path
from typing import Final

import asyncpg

from tradewind.store.database import translated_errors

HERE: Final = Path(__file__).parent
SQL: Final = HERE / "sql"

_LOCK: Final = 0x7472_6164_6577_6E64  # "tradewnd": any number that nobody else locks
_CONNECT_TIMEOUT_S: Final = 5.0
_STEP_TIMEOUT_S: Final = 600.0  # a step over a table that has grown for months


class MigrationError(RuntimeError):
    """The database's schema and this version of the platform do not go together; the message says what to do."""


def revisions() -> list[str]:
    """All revisions that this version knows, oldest first: the numbers of the SQL files."""
    return sorted(path.name.split("_", 1)[0] for path in SQL.glob("[0-9]*.sql"))


def head_revision() -> str:
    """The newest revision that this version knows."""
    return revisions()[-1]


async def current_revision(dsn: str) -> str | None:
    """The revision that a database is at; None when it has never been migrated.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    with translated_errors():
        connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_CONNECT_TIMEOUT_S)
        try:
            return await _revision_of(connection)
        finally:
            await connection.close(timeout=_CONNECT_TIMEOUT_S)


async def migrate(dsn: str) -> list[str]:
    """Apply every step that is missing; returns their revisions, oldest first, empty when there was none.

    Raises:
        DatabaseUnavailable: it does not answer.
        MigrationError: it was written by a newer version of the platform.
        asyncpg.PostgresError: a step failed; nothing was changed.
    """
    before = await current_revision(dsn)
    known = revisions()
    if before == known[-1]:
        return []
    if before is not None and before not in known:
        raise MigrationError(
            f"the database is at revision {before}, this version knows only up to {known[-1]}; "
            "start the newer version that wrote it, or use another database"
        )
    with translated_errors():
        return await _upgrade(dsn)


async def _revision_of(connection: "asyncpg.Connection[asyncpg.Record]") -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


async def _upgrade(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_STEP_TIMEOUT_S)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            # Read again: another process may have applied the steps while this one waited for the lock.
            before = await _revision_of(connection)
            missing = [revision for revision in revisions() if before is None or revision > before]
            if missing:
                await connection.execute(await asyncio.to_thread(_script, before))
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)
    return missing


def _script(before: str | None) -> str:
    """All missing steps, and Alembic's own bookkeeping, as SQL."""
    # Imported here: together they take longer than all the rest of a start, and most starts have nothing to do.
    from alembic import command
    from alembic.config import Config

    output = io.StringIO()
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, f"{before or 'base'}:head", sql=True)
    return output.getvalue()
