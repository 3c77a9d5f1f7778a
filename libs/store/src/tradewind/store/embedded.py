"""The servers of a machine that has none: PostgreSQL and Valkey below one data folder, owned by one process.

    <data_dir>/tradewind.lock   held while the servers run
    <data_dir>/postgres/        data and log
    <data_dir>/valkey/          append-only file and log
    <data_dir>/run/             sockets; in the temporary folder where the path would be too long for a socket

They outlive Ctrl-C and even ``kill -9`` of their owner; the next owner stops what it finds and starts its own.
"""

import asyncio
import atexit
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.store.data_dir import DataDirInUse, DataDirLock, EmbeddedServerError, make_folder, socket_folder
from tradewind.store.postgres_server import PostgresServer, postgres_binaries
from tradewind.store.valkey_server import ValkeyServer, valkey_binary

__all__ = ["DataDirInUse", "EmbeddedServerError", "EmbeddedServers"]

_WATCH_S: Final = 0.5
_LONGEST_WAIT_S: Final = 10.0

_log = logging.getLogger(__name__)


class EmbeddedServers:
    """PostgreSQL and Valkey, or the one of them that no DSN replaces."""

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        postgres_settings: Mapping[str, str] | None = None,
        log: Any = _log,
    ) -> None:
        """Does no I/O. ``postgres_settings`` are laid over the server's own; ``log`` has ``info`` and ``warning``."""
        self._data_dir = data_dir.expanduser()
        self._wanted = (postgres, valkey)
        self._settings = postgres_settings
        self._log = log
        self._lock: DataDirLock | None = None
        self._postgres: PostgresServer | None = None
        self._valkey: ValkeyServer | None = None

    @property
    def postgres(self) -> PostgresServer:
        """The PostgreSQL of these servers.

        Raises:
            EmbeddedServerError: they are not started, or it was not wanted.
        """
        if self._postgres is None:
            raise EmbeddedServerError("the embedded PostgreSQL is not running; call EmbeddedServers.start first")
        return self._postgres

    @property
    def valkey(self) -> ValkeyServer:
        """The Valkey of these servers.

        Raises:
            EmbeddedServerError: they are not started, or it was not wanted.
        """
        if self._valkey is None:
            raise EmbeddedServerError("the embedded Valkey is not running; call EmbeddedServers.start first")
        return self._valkey

    @property
    def postgres_dsn(self) -> str:
        """How to connect to PostgreSQL."""
        return self.postgres.dsn

    @property
    def redis_url(self) -> str:
        """How to connect to Valkey."""
        return self.valkey.url

    async def start(self) -> None:
        """Lock the folder and start the servers at the same time; all run, or none does.

        Raises:
            DataDirInUse: another process has the folder.
            EmbeddedServerError: a server cannot run.
        """
        try:
            await asyncio.to_thread(self._prepare)
            results = await asyncio.gather(
                *(asyncio.to_thread(server.start) for server in self._servers()), return_exceptions=True
            )
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop both at the same time and let the folder go. Safe to call at any time and twice."""
        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in self._servers()))
        self._release()

    async def supervise(self) -> None:
        """Start a server again when it has died; runs until cancelled. The caller owns the task."""
        wait_s = _WATCH_S
        while True:
            await asyncio.sleep(wait_s)
            for server in self._servers():
                if server.running:
                    continue
                self._log.warning(f"the embedded {server.name} has died; starting it again")
                try:
                    await asyncio.to_thread(server.start)
                except EmbeddedServerError as error:
                    self._log.warning(str(error))
                    wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
                else:
                    self._log.info(f"the embedded {server.name} runs again")
                    wait_s = _WATCH_S

    async def __aenter__(self) -> "EmbeddedServers":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _servers(self) -> list[PostgresServer | ValkeyServer]:
        return [server for server in (self._postgres, self._valkey) if server is not None]

    def _prepare(self) -> None:
        if self._lock is not None:
            return
        postgres, valkey = self._wanted
        # Before the folder is asked for: who has not installed the servers did not mean to run them.
        if postgres:
            postgres_binaries()
        if valkey:
            valkey_binary()
        data_dir = make_folder(self._data_dir).resolve()
        lock = DataDirLock(data_dir)
        lock.acquire()
        self._lock = lock
        atexit.register(self._stop_at_exit)
        sockets = socket_folder(data_dir)
        if postgres:
            self._postgres = PostgresServer(data_dir / "postgres", sockets, settings=self._settings)
        if valkey:
            self._valkey = ValkeyServer(data_dir / "valkey", sockets)

    def _stop_at_exit(self) -> None:
        for server in self._servers():
            server.stop()
        self._release()

    def _release(self) -> None:
        self._postgres = None
        self._valkey = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
            atexit.unregister(self._stop_at_exit)
