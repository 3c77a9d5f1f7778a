"""The pool on a real PostgreSQL that is refused, stopped, killed and filled up under it."""

import asyncio
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from tradewind.store.data_dir import EmbeddedServerError, make_folder, socket_folder
from tradewind.store.database import Database, DatabaseFull, DatabaseUnavailable, translated_errors
from tradewind.store.postgres_server import VOLATILE, PostgresServer


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own folder: its path may be too long for a socket, which test_embedded looks at on its own.
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        yield Path(name).resolve()


@pytest.fixture
def server(folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(make_folder(folder / "postgres"), socket_folder(folder))  # durable, as people have it
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def opened(server: PostgresServer) -> AsyncIterator[Database]:
    async with Database(server.dsn, application_name="here") as opened:
        yield opened


async def ask(database: Database, question: str = "SELECT 1") -> object:
    async with database.connection() as connection:
        return await connection.fetchval(question)


def kill_postmaster(server: PostgresServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


async def test_making_it_does_no_io_and_using_it_closed_says_so() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailable, match=r"call Database\.open first"):
        await ask(database)
    await database.close()


async def test_refused_connections_are_unavailable(tmp_path: Path) -> None:
    for dsn in (f"postgresql://postgres@/postgres?host={tmp_path}", "postgresql://postgres@127.0.0.1:1/postgres"):
        with pytest.raises(DatabaseUnavailable, match="the database is unavailable"):
            await Database(dsn).open()


async def test_a_server_that_never_answers_is_unavailable_after_the_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        database = Database(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout_s=0.2)
        with pytest.raises(DatabaseUnavailable):
            await database.open()
        await database.close()


async def test_a_refused_login_is_not_mistaken_for_an_absent_server(postgres_dsn: str) -> None:
    database = Database(postgres_dsn.replace("/postgres?", "/no_such_database?"))
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncio.wait_for(database.wait_until_available(), 10)
    await database.close()


async def test_application_name_and_transactions(database: Database) -> None:
    assert await ask(database, "SHOW application_name") == "tradewind-test"

    async def fail_half_way() -> None:
        async with database.transaction() as connection:
            await connection.execute("CREATE TABLE t (a int)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_half_way()
    assert await ask(database, "SELECT to_regclass('t')") is None
    async with database.transaction() as connection:
        await connection.execute("CREATE TABLE t (a int)")
    assert await ask(database, "SELECT to_regclass('t')") == "t"


async def test_mistakes_in_sql_are_not_called_unavailable(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        await ask(database, "SELECT * FROM no_such_table")


async def test_a_statement_past_its_time_is_unavailable_and_the_pool_goes_on(database_dsn: str) -> None:
    async with Database(database_dsn, command_timeout_s=0.2) as database:
        with pytest.raises(DatabaseUnavailable, match="no answer in time"):
            await ask(database, "SELECT pg_sleep(30)")
        assert await ask(database) == 1


async def test_an_open_transaction_never_reaches_the_next_user(database_dsn: str) -> None:
    async with Database(database_dsn, max_connections=1) as database:
        async with database.connection() as connection:
            await connection.execute("BEGIN")
            await connection.execute("CREATE TABLE half (a int)")
        assert await ask(database, "SELECT to_regclass('half')") is None


async def test_the_pool_recovers_from_kill_9_in_the_middle_of_a_statement(
    server: PostgresServer, opened: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await ask(opened, "SELECT pg_sleep(0)")
    async with opened.connection() as connection:
        await connection.execute("CREATE TABLE kept (a int)")
        await connection.execute("INSERT INTO kept VALUES (7)")
    sleeping = asyncio.create_task(ask(opened, "SELECT pg_sleep(30)"))
    await asyncio.sleep(0.1)
    kill_postmaster(server)
    with pytest.raises(DatabaseUnavailable):
        await sleeping
    with caplog.at_level(logging.INFO):
        waiting = asyncio.create_task(opened.wait_until_available())
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(server.start)
        await waiting
    assert await ask(opened, "SELECT a FROM kept") == 7
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_transaction_broken_by_kill_9_is_unavailable_and_not_half_there(
    server: PostgresServer, opened: Database
) -> None:
    async def break_half_way() -> None:
        async with opened.transaction() as connection:
            await connection.execute("CREATE TABLE half (a int)")
            kill_postmaster(server)
            await asyncio.sleep(0.3)

    with pytest.raises(DatabaseUnavailable):
        await break_half_way()
    await asyncio.to_thread(server.start)
    await opened.wait_until_available()
    assert await ask(opened, "SELECT to_regclass('half')") is None


async def test_idle_connections_survive_an_orderly_restart(server: PostgresServer, opened: Database) -> None:
    async def restart() -> None:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)

    await asyncio.gather(*(ask(opened, "SELECT pg_sleep(0.05)") for _ in range(5)))
    await restart()
    assert await asyncio.gather(*(ask(opened) for _ in range(5))) == [1] * 5


async def test_while_it_is_away_it_says_so_and_close_does_not_hang(server: PostgresServer) -> None:
    database = Database(server.dsn)
    await database.open()
    await asyncio.to_thread(server.stop)
    with pytest.raises(DatabaseUnavailable):
        await ask(database)
    await asyncio.wait_for(database.close(), 10)


async def test_too_many_connections_are_unavailable_not_a_crash(folder: Path) -> None:
    few = {**VOLATILE, "max_connections": "4", "superuser_reserved_connections": "0", "reserved_connections": "0"}
    server = PostgresServer(make_folder(folder / "postgres"), socket_folder(folder), settings=few)
    await asyncio.to_thread(server.start)
    try:
        async with Database(server.dsn) as database:
            results = await asyncio.gather(
                *(ask(database, "SELECT pg_sleep(0.3)") for _ in range(8)), return_exceptions=True
            )
            assert any(isinstance(result, DatabaseUnavailable) for result in results)
            assert await ask(database) == 1
    finally:
        await asyncio.to_thread(server.stop)


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 90 MB: enough for a new database, soon full."""
    mounted = make_folder(folder / "small")
    command = ["mount", "-t", "tmpfs", "-o", "size=90m,mode=700", "tradewind-test", str(mounted)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small disk needs root and the right to mount")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


async def test_a_full_disk_is_said_in_words_and_ends_by_itself(small_disk: Path) -> None:
    server = PostgresServer(
        small_disk / "postgres", socket_folder(small_disk), settings={**VOLATILE, "autovacuum": "off"}
    )
    await asyncio.to_thread(server.start)
    ballast = small_disk / "ballast"
    try:
        async with Database(server.dsn) as database:
            async with database.connection() as connection:
                await connection.execute("CREATE TABLE kept (a text)")
                await connection.execute("INSERT INTO kept VALUES ('before')")
            fill_up(ballast)
            with pytest.raises(DatabaseFull, match=r"disk is full.*free space"):
                await ask(database, "CREATE TABLE big AS SELECT repeat('x', 1000) FROM generate_series(1, 60000)")
            ballast.unlink()
            await database.wait_until_available()
            assert await ask(database, "SELECT a FROM kept") == "before"
            await ask(database, "INSERT INTO kept VALUES ('after')")
    finally:
        await asyncio.to_thread(server.stop)


async def test_starting_on_a_full_disk_says_so(small_disk: Path) -> None:
    fill_up(small_disk / "ballast", leave=0)
    server = PostgresServer(small_disk / "postgres", small_disk / "run", settings=VOLATILE)
    with pytest.raises(EmbeddedServerError, match=r"disk of the data folder .* is full; free some space"):
        await asyncio.to_thread(server.start)


def fill_up(ballast: Path, leave: int = 1_000_000) -> None:
    space = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, space.f_bavail * space.f_frsize - leave)))


async def test_who_is_frozen_in_a_transaction_does_not_keep_its_locks(database: Database) -> None:
    lock = "SELECT pg_advisory_xact_lock(42)"
    with pytest.raises(DatabaseUnavailable):  # noqa: PT012 - lost while nothing was asked, told at the next statement
        async with database.transaction() as frozen:
            await frozen.execute(lock)
            async with database.transaction() as other:
                await other.execute(lock)  # waits until the server has ended the first session
            await frozen.execute("SELECT 1")


@pytest.mark.parametrize(
    "words", ["connection is closed", "cannot perform operation: another operation is in progress"]
)
def test_what_the_driver_says_of_a_connection_that_died_is_unavailable(words: str) -> None:
    with pytest.raises(DatabaseUnavailable), translated_errors():
        raise asyncpg.InterfaceError(words)


def test_a_mistake_in_the_use_of_the_driver_is_none() -> None:
    with pytest.raises(asyncpg.InterfaceError), translated_errors():
        raise asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed")
