"""A process that may not migrate waits for the schema, answers for its health meanwhile, and works on a newer one."""

import asyncio
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg
import pytest
from command_kit import Launcher, free_port

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.schema_waiting import until_schema
from tradewind.store.migrations import current_revision, migrate
from tradewind.store.testing import dsn_of

SERVICES = """
import asyncio
from tradewind.runtime.service import Service, ServiceKind

async def serve(context):
    context.health.set_ready()
    print(context.name, "ready", flush=True)
    await asyncio.Event().wait()

ONE = Service(name="fake-one", kind=ServiceKind.BOOKS, run=serve)
"""
ENTRY_POINTS = "[tradewind.services]\nfake-one = fake_services:ONE\n"


async def test_it_waits_for_who_migrates(empty_database_dsn: str) -> None:
    waiting = asyncio.create_task(until_schema(empty_database_dsn))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    assert await current_revision(empty_database_dsn) is None, "who waits must not migrate"
    await migrate(empty_database_dsn)
    await waiting


async def test_a_newer_schema_is_worked_with(database_dsn: str) -> None:
    connection = await asyncpg.connect(database_dsn)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    await until_schema(database_dsn)


async def test_a_database_that_refuses_ends_the_start_without_its_password(postgres_dsn: str) -> None:
    dsn = dsn_of(postgres_dsn, "no_such_database")
    with pytest.raises(StartRefused, match="TRADEWIND_POSTGRES_DSN: PostgreSQL refuses") as caught:
        await until_schema(dsn)
    assert dsn not in str(caught.value)


def _status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_a_process_that_waits_is_alive_and_not_ready(
    tmp_path: Path, empty_database_dsn: str, redis_url: str
) -> None:
    launch = Launcher(tmp_path, SERVICES, ENTRY_POINTS)
    port = free_port()
    settings = {
        "TRADEWIND_POSTGRES_DSN": empty_database_dsn,
        "TRADEWIND_REDIS_URL": redis_url,
        "TRADEWIND_SCHEMA": "wait",
        "TRADEWIND_HEALTH_PORT": str(port),
    }
    with launch("run", "fake-one", **settings) as platform:
        platform.until("the database's schema does not answer")
        assert (_status(port, "/healthz"), _status(port, "/readyz")) == (200, 503)
        await migrate(empty_database_dsn)
        platform.until("fake-one ready")
        assert _status(port, "/readyz") == 200
        os.kill(platform.process.pid, signal.SIGTERM)
        assert platform.end() == 0
