"""Waits until another process has brought the database to a schema that this version can work with.

Where processes of different versions share a database, as in a cluster, one of them migrates and the others must not:
they wait for it, and those of the version before go on working. So a newer schema is no error here: a migration may
add, and takes away only what the version before has stopped using.
"""

from typing import Final

import asyncpg

from tradewind.runtime.logging import get_logger
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PREFIX
from tradewind.runtime.waiting import until_there
from tradewind.store.migrations import current_revision, head_revision

_DSN: Final = f"{PREFIX}POSTGRES_DSN"


class _SchemaBehind(OSError):
    """The database answers, and its schema is still an older one."""


async def until_schema(dsn: str) -> None:
    """Return once the database has the schema of this version, or a newer one.

    Raises:
        StartRefused: the database answers and refuses us.
    """
    needed = head_revision()

    async def look() -> None:
        found = await current_revision(dsn)
        if found is None or found < needed:
            raise _SchemaBehind(
                f"it is at revision {found or 'none'}, {needed} is needed: `tradewind db migrate` brings it"
            )

    try:
        await until_there("the database's schema", look, get_logger("platform"))
    except (asyncpg.PostgresError, ValueError) as error:
        # Never the DSN itself: it may hold a password.
        raise StartRefused(f"{_DSN}: PostgreSQL refuses: {error}") from error
