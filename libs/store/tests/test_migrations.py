"""Migrations on a real PostgreSQL: from nothing, again, at the same time, and against a database from the future."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tradewind.store import migrations
from tradewind.store.database import Database, DatabaseUnavailable
from tradewind.store.migrations import MigrationError, current_revision, head_revision, migrate
from tradewind.store.migrations.runner import revisions

FOLDER = Path(migrations.__file__).parent


def test_each_sql_file_has_one_revision_and_each_revision_its_sql_file() -> None:
    sql = sorted(path.stem for path in (FOLDER / "sql").glob("*.sql"))
    versions = sorted(path.stem for path in (FOLDER / "versions").glob("*.py"))
    assert sql == versions
    assert [name.split("_")[0] for name in sql] == [f"{number:04}" for number in range(1, len(sql) + 1)]


async def test_an_empty_database_gets_every_revision_once(empty_database_dsn: str) -> None:
    assert await current_revision(empty_database_dsn) is None
    assert await migrate(empty_database_dsn) == revisions()
    assert await current_revision(empty_database_dsn) == head_revision()
    assert await migrate(empty_database_dsn) == []


async def test_two_at_once_apply_each_revision_once(empty_database_dsn: str) -> None:
    results = await asyncio.gather(*(migrate(empty_database_dsn) for _ in range(4)))
    assert sorted(results, key=len) == [[], [], [], revisions()]
    assert await current_revision(empty_database_dsn) == head_revision()


async def test_a_failed_step_leaves_nothing_behind(empty_database_dsn: str) -> None:
    async with Database(empty_database_dsn) as database, database.connection() as connection:
        await connection.execute("CREATE TABLE audit (mine int)")  # stands in the way of 0001
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty_database_dsn)
    assert await current_revision(empty_database_dsn) is None
    async with Database(empty_database_dsn) as database, database.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass('trades')") is None


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(MigrationError, match=r"revision 9999.*start the newer version"):
        await migrate(database.dsn)


async def test_a_database_that_is_away_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="unavailable"):
        await migrate(f"postgresql://postgres@/postgres?host={tmp_path}")


async def test_views_exist_and_the_audit_refuses_changes(database: Database) -> None:
    async with database.connection() as connection:
        for view in ("bars_1s", "bars_1m"):
            assert await connection.fetch(f"SELECT * FROM {view}") == []
        await connection.execute("INSERT INTO audit (actor, action, before, after, why) VALUES ('a','b','','','')")
        for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(statement)
