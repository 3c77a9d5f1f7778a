"""Decides between the user's own PostgreSQL and Redis and the embedded ones, starts what is wanted, migrates.

An empty ``postgres_dsn`` or ``redis_url`` means an embedded server under ``data_dir``. A store of the user that does
not answer is waited for: PostgreSQL before anything starts, Redis not at all, because nothing is lost without it. Own
servers that die are started again by a task of this module.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from tradewind.runtime.logging import get_logger
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.schema_waiting import until_schema
from tradewind.runtime.settings import PREFIX, PlatformSettings
from tradewind.runtime.supervised import is_supervised
from tradewind.runtime.tasks import TaskNursery
from tradewind.runtime.waiting import until_there
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues
from tradewind.store.migrations import MigrationError, migrate

if TYPE_CHECKING:
    from tradewind.store.embedded import EmbeddedServerError, EmbeddedServers

_CLOSE_TIMEOUT_S: Final = 0.5  # its part of what the stop budget leaves to the stores
_DSN: Final = f"{PREFIX}POSTGRES_DSN"


@dataclasses.dataclass(frozen=True, slots=True)
class Stores:
    """Open stores, and where they are."""

    postgres_dsn: str
    redis_url: str
    database: Database
    last_values: LastValues


@dataclasses.dataclass(frozen=True, slots=True)
class MigratedPostgres:
    """A database at this version's schema, and the revisions that were applied just now."""

    dsn: str
    applied: list[str]


@contextlib.asynccontextmanager
async def open_stores(platform: PlatformSettings) -> AsyncIterator[Stores]:
    """Both stores, started if they are embedded, the schema up to date; closed and stopped at the end of the block.

    Raises:
        StartRefused: an embedded server cannot run, or the database answers and refuses us.
    """
    async with _embedded(platform, valkey=True) as (dsn, redis_url):
        last_values = _last_values(redis_url)
        if not is_supervised():  # else the supervisor has done it before it started this process
            await (until_schema(dsn) if platform.schema == "wait" else _migrate(dsn))
        database = Database(dsn, log=get_logger("database"))
        try:
            await database.wait_until_available()
            yield Stores(dsn, redis_url, database, last_values)
        finally:
            await _close(last_values.close(), "redis")
            await _close(database.close(), "database")


@contextlib.asynccontextmanager
async def open_postgres(platform: PlatformSettings) -> AsyncIterator[MigratedPostgres]:
    """PostgreSQL alone, with its schema up to date.

    Raises:
        StartRefused: as ``open_stores``.
    """
    async with _embedded(platform, valkey=False) as (dsn, _):
        yield MigratedPostgres(dsn, await _migrate(dsn))


async def _close(closing: Coroutine[Any, Any, None], what: str) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await closing
    except TimeoutError:
        get_logger("platform").warning(f"{what}: connections were still in use; they were cut")


def _last_values(url: str) -> LastValues:
    try:
        return LastValues(url, log=get_logger("redis"))
    except ValueError as error:
        # Never the URL itself: it may hold a password.
        raise StartRefused(f"{PREFIX}REDIS_URL takes an address like redis://127.0.0.1:6379/0") from error


async def _migrate(dsn: str) -> list[str]:
    log = get_logger("platform")
    try:
        applied = await until_there("PostgreSQL", lambda: migrate(dsn), log)
    except MigrationError as error:
        raise StartRefused(str(error)) from error
    except (asyncpg.PostgresError, ValueError) as error:
        # Never the DSN itself: it may hold a password.
        raise StartRefused(f"{_DSN}: PostgreSQL refuses: {error}") from error
    if applied:
        log.info("database migrated", revisions=applied)
    return applied


@contextlib.asynccontextmanager
async def _embedded(platform: PlatformSettings, *, valkey: bool) -> AsyncIterator[tuple[str, str]]:
    """The DSN and the Redis URL to use: the user's own, or those of embedded servers that run during the block."""
    own_dsn, own_redis = platform.postgres_dsn, platform.redis_url
    if own_dsn and (own_redis or not valkey):
        yield own_dsn, own_redis
        return
    # Imported late: whoever is told where the stores are, each process of many, starts faster without.
    from tradewind.store.embedded import EmbeddedServers

    servers = EmbeddedServers(
        platform.data_dir.expanduser(), postgres=not own_dsn, valkey=valkey and not own_redis, log=get_logger("stores")
    )
    async with TaskNursery("stores") as nursery:
        try:
            await _start_whole(servers, nursery)
            nursery.spawn(servers.supervise(), "embedded-servers")
            yield own_dsn or servers.postgres_dsn, own_redis or (servers.redis_url if valkey else "")
        finally:
            await nursery.close()
            await servers.stop()


async def _start_whole(servers: "EmbeddedServers", nursery: TaskNursery) -> None:
    """Start the servers; when cancelled, let the start come to its end first, because its threads go on anyway."""
    from tradewind.store.embedded import EmbeddedServerError

    async def start() -> "EmbeddedServerError | None":
        try:
            await servers.start()
        except EmbeddedServerError as error:
            return error
        return None

    starting = nursery.spawn(start(), "start")
    try:
        error = await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting})
        raise
    if error is not None:
        raise StartRefused(str(error)) from error
