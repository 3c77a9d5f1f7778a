"""The embedded servers as a person meets them: first start, next start, two at once, killed owners, awkward folders."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tradewind.store.data_dir import SOCKET_PATH_LIMIT, DataDirInUse, EmbeddedServerError, socket_folder
from tradewind.store.database import Database
from tradewind.store.embedded import EmbeddedServers
from tradewind.store.last_values import LastValues

OWNER = """
import asyncio, signal, sys
from pathlib import Path
from tradewind.store.embedded import EmbeddedServers, EmbeddedServerError

async def main():
    async with EmbeddedServers(Path(sys.argv[1])) as servers:
        print(servers.postgres.pid, servers.valkey.pid, flush=True)
        await asyncio.to_thread(sys.stdin.read)

signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    asyncio.run(main())
except EmbeddedServerError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        yield Path(name).resolve()


def owner_of(data_dir: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OWNER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def server_pids(owner: "subprocess.Popen[str]") -> list[int]:
    assert owner.stdout is not None
    line = owner.stdout.readline()
    assert line, owner.communicate()[1]
    return [int(pid) for pid in line.split()]


def end(owner: "subprocess.Popen[str]") -> str:
    return owner.communicate("", timeout=20)[1]


async def remember(servers: EmbeddedServers, word: str) -> None:
    async with Database(servers.postgres_dsn) as database, database.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", word)


async def remembered(servers: EmbeddedServers) -> list[str]:
    async with Database(servers.postgres_dsn) as database, database.connection() as connection:
        return [row["word"] for row in await connection.fetch("SELECT word FROM kept")]


async def test_what_is_written_is_there_after_a_stop(folder: Path) -> None:
    async with EmbeddedServers(folder / "new" / "data") as servers:
        await remember(servers, "one")
        async with LastValues(servers.redis_url) as values:
            assert await values.put("kept", 1)
        pids = [servers.postgres.pid, servers.valkey.pid]
    assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)
    async with EmbeddedServers(folder / "new" / "data") as servers:
        assert await remembered(servers) == ["one"]
        async with LastValues(servers.redis_url) as values:
            assert await values.get("kept") == 1


async def test_durable_settings_and_no_network(folder: Path) -> None:
    wanted = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": "64MB",
        "max_connections": "60",
        "jit": "off",
        "listen_addresses": "",
        "data_checksums": "on",
    }
    async with EmbeddedServers(folder) as servers, Database(servers.postgres_dsn) as database:
        async with database.connection() as connection:
            found = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in wanted}
        assert found == wanted
        for pid in (servers.postgres.pid, servers.valkey.pid):
            listening = [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
            assert listening == []


async def test_one_of_the_two_alone(folder: Path) -> None:
    async with EmbeddedServers(folder, postgres=False) as servers:
        with pytest.raises(EmbeddedServerError, match="PostgreSQL is not running"):
            _ = servers.postgres_dsn
        async with LastValues(servers.redis_url) as values:
            assert await values.ping()
    with pytest.raises(EmbeddedServerError, match="Valkey is not running"):
        _ = servers.redis_url


async def test_start_and_stop_twice_are_harmless(folder: Path) -> None:
    servers = EmbeddedServers(folder)
    await servers.stop()
    await servers.start()
    pid = servers.postgres.pid
    await servers.start()
    assert servers.postgres.pid == pid
    await servers.stop()
    await servers.stop()


async def test_a_second_process_gets_one_clear_error_and_harms_nothing(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        second = owner_of(folder)
        said = await asyncio.to_thread(end, second)
        assert second.returncode == 1
        assert said == f"another tradewind (pid {os.getpid()}) uses {folder}; stop it or pass --data-dir\n"
        with pytest.raises(DataDirInUse):
            await EmbeddedServers(folder).start()
        await remember(servers, "still here")


async def test_a_plain_start_and_stop_say_nothing(folder: Path) -> None:
    owner = owner_of(folder)
    await asyncio.to_thread(server_pids, owner)
    assert await asyncio.to_thread(end, owner) == ""
    assert owner.returncode == 0


async def test_kill_9_of_the_owner_leaves_a_folder_that_starts_again(folder: Path) -> None:
    owner = owner_of(folder)
    orphans = await asyncio.to_thread(server_pids, owner)
    owner.kill()
    await asyncio.to_thread(owner.communicate)
    assert all(psutil.pid_exists(pid) for pid in orphans)
    async with EmbeddedServers(folder) as servers:
        assert not any(is_alive(pid) for pid in orphans)
        await remember(servers, "mine")
        assert await remembered(servers) == ["mine"]


async def test_kill_9_of_owner_and_servers_loses_nothing_committed(folder: Path) -> None:
    async with EmbeddedServers(folder, valkey=False) as servers:
        await remember(servers, "committed")
    owner = owner_of(folder)
    postgres, valkey = await asyncio.to_thread(server_pids, owner)
    for pid in (owner.pid, postgres, valkey):
        os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(owner.communicate)
    async with EmbeddedServers(folder) as servers:
        assert await remembered(servers) == ["committed"]


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_ctrl_c_at_the_terminal_does_not_reach_the_servers(folder: Path) -> None:
    owner = owner_of(folder)
    pids = await asyncio.to_thread(server_pids, owner)
    os.killpg(owner.pid, signal.SIGINT)
    await asyncio.sleep(0.3)
    assert all(is_alive(pid) for pid in pids)
    assert await asyncio.to_thread(end, owner) == ""
    assert not any(is_alive(pid) for pid in pids)


async def test_an_old_pid_file_that_names_a_living_stranger_is_no_obstacle(folder: Path) -> None:
    async with EmbeddedServers(folder, valkey=False) as servers:
        await remember(servers, "one")
        pid_file = folder / "postgres" / "data" / "postmaster.pid"
        text = pid_file.read_text()
    stranger = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    try:
        pid_file.write_text(text.replace(text.split("\n", 1)[0], str(stranger.pid), 1))
        async with EmbeddedServers(folder, valkey=False) as servers:
            assert await remembered(servers) == ["one"]
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_an_interrupted_first_start_is_begun_anew(folder: Path) -> None:
    unfinished = folder / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    async with EmbeddedServers(folder, valkey=False) as servers:
        await remember(servers, "one")
    assert not unfinished.exists()


async def test_a_cancelled_start_leaves_no_server_and_no_lock(folder: Path) -> None:
    starting = asyncio.create_task(EmbeddedServers(folder).start())
    await asyncio.sleep(0.2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])] == []
    async with EmbeddedServers(folder) as servers:
        await remember(servers, "one")


async def test_data_of_another_postgresql_is_refused(folder: Path) -> None:
    async with EmbeddedServers(folder, valkey=False):
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match=r"was written by PostgreSQL 9.*--data-dir"):
        await EmbeddedServers(folder, valkey=False).start()


async def test_a_damaged_database_is_said_with_the_servers_own_words(folder: Path) -> None:
    async with EmbeddedServers(folder, valkey=False):
        pass
    (folder / "postgres" / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL did not start(.|\n)*pg_control"):
        await EmbeddedServers(folder, valkey=False).start()


async def test_a_folder_that_cannot_be_made_is_one_clear_error(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedServerError, match=r"cannot use the data folder .*Not a directory.*--data-dir"):
        await EmbeddedServers(folder / "file" / "data").start()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    command = ["mount", "-t", "tmpfs", "-o", options, "tradewind-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a disk of its own needs root and the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_read_only_folder_is_one_clear_error(folder: Path) -> None:
    with mounted(folder, "ro,size=1m"):
        for data_dir in (folder, folder / "below"):
            with pytest.raises(EmbeddedServerError, match=r"cannot use the data folder .*--data-dir"):
                await EmbeddedServers(data_dir).start()


async def test_a_full_disk_is_one_clear_error(folder: Path) -> None:
    with (
        mounted(folder, "size=3m,mode=700"),
        pytest.raises(EmbeddedServerError, match=f"the disk of the data folder {folder}.* is full; free some space"),
    ):
        await EmbeddedServers(folder).start()


async def test_a_path_too_long_for_a_socket_works(folder: Path) -> None:
    data_dir = folder / ("long-" * 30) / ("name-" * 30)
    async with EmbeddedServers(data_dir) as servers:
        await remember(servers, "one")
        async with LastValues(servers.redis_url) as values:
            assert await values.ping()
    outside = socket_folder(data_dir)
    assert len(os.fsencode(outside)) < SOCKET_PATH_LIMIT
    assert stat.S_IMODE(outside.stat().st_mode) == 0o700
    outside.chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="not a private folder of this user"):
        await EmbeddedServers(data_dir).start()
    outside.rmdir()


async def test_odd_characters_in_the_path_work(folder: Path) -> None:
    async with EmbeddedServers(folder / "o'dd & 100% naïve?#") as servers:
        await remember(servers, "one")
        async with LastValues(servers.redis_url) as values:
            assert await values.ping()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that only root may enter")
async def test_as_root_below_a_private_folder_no_permission_is_widened(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    before = [(path, path.stat().st_mode, path.stat().st_uid) for path in (folder, private, Path("/"))]
    async with EmbeddedServers(private / "data") as servers:
        await remember(servers, "one")
        assert psutil.Process(servers.postgres.pid).uids().real != 0
    assert [(path, path.stat().st_mode, path.stat().st_uid) for path, _, _ in before] == before


async def test_a_server_that_dies_is_started_again(folder: Path) -> None:
    async with EmbeddedServers(folder) as servers:
        await remember(servers, "one")
        supervising = asyncio.create_task(servers.supervise())
        first = [servers.postgres.pid, servers.valkey.pid]
        for pid in first:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(wait_for_others, servers, first)
        assert await remembered(servers) == ["one"]
        supervising.cancel()
        await asyncio.gather(supervising, return_exceptions=True)


def wait_for_others(servers: EmbeddedServers, first: list[int | None]) -> None:
    while servers.postgres.pid in (*first, None) or servers.valkey.pid in (*first, None):
        time.sleep(0.02)
