"""Pytest fixtures with a real PostgreSQL and a real Valkey for the tests of any package.

Loaded by the ``conftest.py`` at the root. A server is started when the first test asks for it, in a temporary folder,
and stopped with the test session. ``TRADEWIND_TEST_POSTGRES_DSN`` and ``TRADEWIND_TEST_REDIS_URL`` name servers to use
instead: the first needs the right to create databases, and the second loses all that it holds.

========================  ===================================================================================
``postgres_dsn``          DSN of the test session's server, its maintenance database: read only, please
``empty_database_dsn``    DSN of a fresh database without any table
``database_dsn``          DSN of a fresh database at the newest revision
``database``              the same, as an open ``Database``
``own_server``            a migrated PostgreSQL of this test alone, which it may stop and start
``redis_url``             URL of the test session's server, emptied before the test
``any_redis_url``         the same twice: on our Valkey and on the machine's ``redis-server``
``own_redis``             a server of this test alone, which it may stop and start; of both kinds too
``timescale_dsn``         DSN of a migrated database with TimescaleDB, of this test module alone
``timescale_database``    the same, emptied, as an open ``Database``
``either_database``       the test runs twice: on plain PostgreSQL and with TimescaleDB; ``either_dsn`` is its DSN
========================  ===================================================================================

A test whose component is missing is skipped with the reason (``missing``). ``TRADEWIND_TEST_REQUIRE`` makes that a
failure: it is ``all``, or names of components separated by commas.

TimescaleDB is the one of ``TRADEWIND_TEST_TIMESCALE_DSN``, which needs the right to create databases, or the one in
WebAssembly of ``tradewind.store.timescale_for_tests``.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import redis.asyncio

from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.database import Database
from tradewind.store.migrations import migrate
from tradewind.store.postgres_server import VOLATILE, PostgresServer
from tradewind.store.timescale_for_tests import TimescaleMissing, running
from tradewind.store.valkey_server import ValkeyServer

_numbers: Final = itertools.count(1)
_TIMEOUT_S: Final = 30.0


def dsn_of(dsn: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


def missing(component: str, reason: str, *, whole_module: bool = False) -> NoReturn:
    """Skip the test (or, while it is imported, its module) for want of a component, or fail it where it is required."""
    required = {name.strip() for name in os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")}
    if required & {"all", component}:
        pytest.fail(f"{reason} (TRADEWIND_TEST_REQUIRE asks for {component})", pytrace=False)
    pytest.skip(reason, allow_module_level=whole_module)


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """DSN of the session's PostgreSQL."""
    if given := os.environ.get("TRADEWIND_TEST_POSTGRES_DSN"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="tradewind-test-") as folder:
        path = Path(folder).resolve()
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path), settings=VOLATILE)
        server.start()
        try:
            yield server.dsn
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_dsn: str) -> Iterator[str]:
    """Name of a migrated database that others are copied from."""
    name = f"tradewind_template_{os.getpid()}"
    asyncio.run(_execute(postgres_dsn, f'CREATE DATABASE "{name}"'))
    try:
        asyncio.run(_migrate(dsn_of(postgres_dsn, name)))
        yield name
    finally:
        asyncio.run(_execute(postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def empty_database_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """DSN of a fresh database without any table."""
    async for dsn in _fresh_database(postgres_dsn, "template1"):
        yield dsn


@pytest.fixture
async def database_dsn(postgres_dsn: str, template_database: str) -> AsyncIterator[str]:
    """DSN of a fresh database at the newest revision."""
    async for dsn in _fresh_database(postgres_dsn, template_database):
        yield dsn


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    """An open Database on a fresh database at the newest revision."""
    async with Database(database_dsn, application_name="tradewind-test") as opened:
        yield opened


@pytest.fixture
async def own_server() -> AsyncIterator[PostgresServer]:
    """A migrated server that the test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="tradewind-test-") as folder:
        path = Path(folder)
        server = PostgresServer(make_folder(path / "postgres"), socket_folder(path), settings=VOLATILE)
        await asyncio.to_thread(server.start)
        try:
            await migrate(server.dsn)
            yield server
        finally:
            await asyncio.to_thread(server.stop)


@pytest.fixture(scope="module")
def timescale_dsn() -> Iterator[str]:
    """DSN of a migrated database with TimescaleDB. A new server for each module: a fault of the one in WebAssembly
    ends with its module."""
    with contextlib.ExitStack() as stack:
        if given := os.environ.get("TRADEWIND_TEST_TIMESCALE_DSN"):
            name = f"test_{os.getpid()}_{next(_numbers)}"
            asyncio.run(_execute(given, f'CREATE DATABASE "{name}"'))
            stack.callback(lambda: asyncio.run(_execute(given, f'DROP DATABASE "{name}" WITH (FORCE)')))
            dsn = dsn_of(given, name)
        else:
            try:
                dsn = stack.enter_context(running())
            except TimescaleMissing as error:
                missing("timescaledb", str(error))
        asyncio.run(_execute(dsn, "CREATE EXTENSION IF NOT EXISTS timescaledb"))
        asyncio.run(_migrate(dsn))
        yield dsn


@pytest.fixture
async def empty_timescale_dsn(timescale_dsn: str) -> str:
    """``timescale_dsn`` after its tables have been emptied."""
    await _empty(timescale_dsn)
    return timescale_dsn


@pytest.fixture
async def timescale_database(empty_timescale_dsn: str) -> AsyncIterator[Database]:
    """An open Database on TimescaleDB whose tables are empty."""
    async with Database(empty_timescale_dsn, application_name="tradewind-test", max_connections=4) as opened:
        yield opened


@pytest.fixture(params=["postgresql", "timescaledb"])
def either_dsn(request: pytest.FixtureRequest) -> str:
    """DSN of a migrated database with empty tables, with and without TimescaleDB."""
    dsn: str = request.getfixturevalue("database_dsn" if request.param == "postgresql" else "empty_timescale_dsn")
    return dsn


@pytest.fixture
async def either_database(either_dsn: str) -> AsyncIterator[Database]:
    """An open Database on empty tables, with and without TimescaleDB."""
    async with Database(either_dsn, application_name="tradewind-test", max_connections=4) as opened:
        yield opened


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """URL of the session's Valkey."""
    if given := os.environ.get("TRADEWIND_TEST_REDIS_URL"):
        yield given
        return
    with _redis_server() as server:
        yield server.url


@pytest.fixture(scope="session")
def machine_redis_url() -> Iterator[str]:
    """URL of a server that is the machine's own ``redis-server``."""
    with _redis_server(_machine_redis()) as server:
        yield server.url


@pytest.fixture
async def redis_url(valkey_url: str) -> str:
    """URL of the session's Valkey, emptied."""
    return await _emptied(valkey_url)


@pytest.fixture(params=["valkey", "redis-server"])
async def any_redis_url(request: pytest.FixtureRequest) -> str:
    """URL of an emptied server, of both kinds in turn."""
    name = "valkey_url" if request.param == "valkey" else "machine_redis_url"
    return await _emptied(request.getfixturevalue(name))


@pytest.fixture(params=["valkey", "redis-server"])
def own_redis(request: pytest.FixtureRequest) -> Iterator[ValkeyServer]:
    """A server that the test may stop and start, of both kinds in turn."""
    with _redis_server(_machine_redis() if request.param == "redis-server" else None) as server:
        yield server


def _machine_redis() -> Path:
    found = shutil.which("redis-server")
    if found is None:
        missing("redis", "there is no redis-server on this machine; install the package redis-server")
    return Path(found)


@contextlib.contextmanager
def _redis_server(binary: Path | None = None) -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="tradewind-test-") as folder:
        path = Path(folder).resolve()
        server = ValkeyServer(make_folder(path / "valkey"), socket_folder(path), binary)
        server.start()
        try:
            yield server
        finally:
            server.stop()


async def _emptied(url: str) -> str:
    async with redis.asyncio.from_url(url, socket_timeout=_TIMEOUT_S) as client:
        await client.flushall()
    return url


async def _fresh_database(server_dsn: str, template: str) -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _execute(server_dsn, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield dsn_of(server_dsn, name)
    finally:
        await _execute(server_dsn, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _empty(dsn: str) -> None:
    """Take all rows out of all tables and out of the continuous aggregates.

    Not of those that migrations fill, nor of the append-only ones, which refuse it.
    """
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        tables = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND tablename NOT IN ('alembic_version', 'storage_policies') AND NOT EXISTS (SELECT FROM pg_trigger t "
            "JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = tablename::regclass AND p.proname = 'refuse_change')"
        )
        bars = await connection.fetch("SELECT view_name FROM timescaledb_information.continuous_aggregates")
        for (name,) in [*tables, *bars]:
            await connection.execute(f'TRUNCATE "{name}" CASCADE')
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def _migrate(dsn: str) -> None:
    await migrate(dsn)
