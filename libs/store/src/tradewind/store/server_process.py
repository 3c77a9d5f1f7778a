"""One child process that serves: started in a session of its own, watched until it is ready, stopped step by step.

Its own session keeps the terminal's Ctrl-C from it: the platform shuts down first and then stops its servers.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from tradewind.store.data_dir import EmbeddedServerError, disk_full, folder_error

_POLL_S: Final = 0.01
_LOG_TAIL_BYTES: Final = 2_000
_LARGEST_LOG_BYTES: Final = 5_000_000
_LEAST_FREE_BYTES: Final = 1_000_000

StopStep = tuple[signal.Signals, float]
"""A signal, and how long it is given to work, in seconds."""


class ServerProcess:
    """A running server of this process."""

    def __init__(self, name: str, arguments: Sequence[str], *, folder: Path, log: Path) -> None:
        """Starts ``arguments`` with ``folder`` as its working directory and ``log`` for what it prints.

        Raises:
            EmbeddedServerError: the program or the log file cannot be opened.
        """
        self._name = name
        self._folder = folder
        self._log = log
        try:
            _keep_log_small(log)
            with log.open("ab") as output:
                self._log_start = output.tell()
                self._process = subprocess.Popen(  # noqa: S603 - our own binaries, no shell
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env=_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise folder_error(folder, error) from error

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self._process.poll() is None

    def wait_ready(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return as soon as ``ready`` says so.

        Raises:
            EmbeddedServerError: the server ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise self.failure("did not start")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready in {timeout_s:.0f} s")
            time.sleep(_POLL_S)

    def wait_end(self, timeout_s: float) -> int:
        """The exit status of a process that ends by itself.

        Raises:
            EmbeddedServerError: it takes too long.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.wait()
            raise self.failure(f"took more than {timeout_s:.0f} s") from error

    def stop(self, steps: Sequence[StopStep]) -> None:
        """Send each signal in turn until the process has ended."""
        for number, patience_s in steps:
            if not self.running:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            return

    def output(self) -> str:
        """The end of what the server has printed since it was started."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
                return log.read().decode(errors="replace").strip()
        except OSError as error:
            return f"(its log {self._log} cannot be read: {error.strerror})"

    def failure(self, what: str) -> EmbeddedServerError:
        """An error that tells ``what`` happened and what the server itself said."""
        said = self.output()
        # A full disk takes not even the log line that would tell of it.
        if "No space left on device" in said or shutil.disk_usage(self._folder).free < _LEAST_FREE_BYTES:
            return disk_full(self._folder)
        return EmbeddedServerError(f"the embedded {self._name} {what}; its log {self._log} ends with:\n{said}")


def processes_in(folder: Path, names: frozenset[str]) -> list[psutil.Process]:
    """Running processes of these names whose working directory is ``folder``: servers that an earlier owner left."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] in names and process.info["cwd"] == str(folder):
            found.append(process)
    return found


def stop_orphan(process: psutil.Process, steps: Sequence[StopStep]) -> None:
    """Stop a server that is not our child."""
    for number, patience_s in steps:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if _has_ended(process):
                return
            time.sleep(_POLL_S)


def _has_ended(process: psutil.Process) -> bool:
    # In a container the first process may never collect the dead: one that has ended can stay in the table for ever.
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def wait_gone(folder: Path, names: frozenset[str], timeout_s: float) -> bool:
    """Wait until no process of these names works in ``folder``; False when some still does."""
    deadline = time.monotonic() + timeout_s
    while processes_in(folder, names):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S * 5)
    return True


def _environment() -> dict[str, str]:
    """Ours without what would change a server's mind: its own variables, and the language of its messages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _keep_log_small(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LARGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
