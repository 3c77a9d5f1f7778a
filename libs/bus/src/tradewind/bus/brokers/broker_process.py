"""One broker as a child process: started in a session of its own, watched until it answers, ended whatever happens.

A second small process, the watcher, holds the read end of a pipe and kills the broker's process group when that pipe
breaks. So no broker outlives us, however we end, and it does not matter which thread started it.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_POLL_S: Final = 0.02
_LOG_TAIL_BYTES: Final = 3_000
_KILL_PATIENCE_S: Final = 10.0
_PORTS: Final = range(15_000, 30_000)
"""Below every system's ephemeral ports: else a client that calls a stopped broker may be connected to itself."""
_WATCHER: Final = 'read _; kill -9 "-$0"'
"""Without ``--``, which the kill of Debian's sh does not know."""


class BrokerUnavailable(RuntimeError):
    """The broker is not installed here, or does not start; the message says what to do."""


class BrokerNotInstalled(BrokerUnavailable):
    """The broker, or what it needs to run, is not on this machine."""


class BrokerProcess:
    """A running broker. All calls block."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Starts ``arguments`` in ``folder``; what it prints is added to ``log``.

        Raises:
            BrokerUnavailable: the program cannot be started.
        """
        self._name = name
        self._log = log
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
        except OSError as error:
            raise BrokerUnavailable(f"{name} cannot be started: {error}") from error
        self._watcher = subprocess.Popen(  # noqa: S603 - a fixed script and a number
            ["/bin/sh", "-c", _WATCHER, str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id of the broker, which is that of its process group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """The process has not ended."""
        return self._process.poll() is None

    def wait_ready(self, answers: Callable[[], bool], timeout_s: float) -> None:
        """Return as soon as ``answers`` says so; end the broker when it does not.

        Raises:
            BrokerUnavailable: it ended, or does not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        while not answers():
            if not self.running or time.monotonic() > deadline:
                what = f"does not answer after {timeout_s:.0f} s" if self.running else "ended while starting"
                self.stop(())
                raise BrokerUnavailable(f"{self._name} {what}; its log {self._log} ends with:\n{self.output()}")
            time.sleep(_POLL_S)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the broker and its children."""
        if self.running:
            os.killpg(self._process.pid, number)

    def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal and give it its seconds to work; then SIGKILL. Returns when the broker has ended."""
        for number, patience_s in (*steps, (signal.SIGKILL, _KILL_PATIENCE_S)):
            self.send(number)
            try:
                self._process.wait(patience_s)
                break
            except subprocess.TimeoutExpired:
                continue
        # After the broker is gone, so that there is no moment in which nobody would end it.
        self._watcher.kill()
        self._watcher.wait()
        if self._watcher.stdin is not None:
            self._watcher.stdin.close()

    def output(self) -> str:
        """The end of what it printed."""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback interface that nobody listens on now."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found
