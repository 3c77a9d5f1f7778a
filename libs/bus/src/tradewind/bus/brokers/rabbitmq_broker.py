"""A real RabbitMQ of one node, small and quick to start, on loopback only; nothing of it is the machine's own service.

It has its own Erlang port mapper (epmd) in its process group, and its home folder, cookie, data and log in its folder.
"""

import dataclasses
import os
import secrets
import shlex
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from tradewind.bus.brokers.broker_process import BrokerProcess, BrokerUnavailable, free_ports

HOST: Final = "127.0.0.1"

_SERVERS: Final = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),)
_HOW: Final = "install the package rabbitmq-server, or set TRADEWIND_RABBITMQ_SERVER to its script of that name"
_SETTINGS: Final[Mapping[str, str]] = {
    "log.file": "false",
    "log.console": "true",
    "log.console.level": "warning",
    "vm_memory_high_watermark.absolute": "512MB",
    "disk_free_limit.absolute": "50MB",
}
_ERLANG: Final = "-noinput +S 2:2 +A 8 +sbwt none +sbwtdcpu none +sbwtdio none"
_START_TIMEOUT_S: Final = 60.0
_PROBE_TIMEOUT_S: Final = 2.0
_STOP: Final = ((signal.SIGTERM, 20.0),)
_GREETING: Final = b"AMQP\x00\x00\x09\x01"
_CONNECTION_START: Final = bytes((1, 0, 0))
"""The first bytes of the answer: a method frame on channel 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class RabbitMQTls:
    """Certificates with which the broker listens for TLS alone. Clients must show one that ``authority`` signed."""

    authority: Path
    certificate: Path
    key: Path


class RabbitMQBroker:
    """RabbitMQ on ports and in a folder of its own, which stay the same when it is started again. All calls block."""

    def __init__(
        self, folder: Path, *, tls: RabbitMQTls | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """``settings`` are lines of ``rabbitmq.conf`` that replace ours."""
        self._folder = folder.resolve()
        self._port, self._distribution_port, self._epmd_port = free_ports(3)
        self._tls = tls
        self._settings = settings or {}
        self._process: BrokerProcess | None = None

    @property
    def url(self) -> str:
        """How the bus connects to it; over TLS the caller adds its own certificate."""
        if self._tls is None:
            return f"amqp://guest:guest@{self.address}/"
        return f"amqps://guest:guest@{self.address}/?{urlencode({'ca': str(self._tls.authority)})}"

    @property
    def address(self) -> str:
        """``host:port`` of the clients' listener."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.running else None

    def start(self) -> None:
        """Start, on the data of before when there is some, and wait until it answers.

        Raises:
            BrokerUnavailable: it is not installed, or does not start; with what its log says.
        """
        server = _server()
        self._write_files()
        # The port mapper is started before the server, which would else start one that outlives us. It is left alone
        # by the signal that stops the server in order, and ends with the process group.
        script = f"trap '' TERM; {_epmd()} -port {self._epmd_port} -address {HOST} & trap - TERM; exec {server}"
        self._process = BrokerProcess(
            "RabbitMQ",
            ["/bin/sh", "-c", script],
            folder=self._folder,
            log=self._folder / "rabbitmq.log",
            environment=self._environment(),
        )
        self._process.wait_ready(self._answers, _START_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it in order."""
        self._end(_STOP)

    def kill(self) -> None:
        """SIGKILL, as a machine that loses its power."""
        self._end(())

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _end(self, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.stop(steps)
        # What is left of the group, the port mapper, has no other reason to end.
        _kill_group(process.pid)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)

    def _write_files(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = {**_SETTINGS, **self._listeners(), **self._settings}
        (self._folder / "rabbitmq.conf").write_text("".join(f"{k} = {v}\n" for k, v in lines.items()), encoding="utf-8")
        (self._folder / "plugins").write_text("[].\n", encoding="utf-8")
        cookie = self._folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16), encoding="ascii")
            cookie.chmod(0o400)

    def _listeners(self) -> dict[str, str]:
        if self._tls is None:
            return {"listeners.tcp.1": self.address}
        return {
            "listeners.tcp": "none",
            "listeners.ssl.1": self.address,
            "ssl_options.cacertfile": str(self._tls.authority),
            "ssl_options.certfile": str(self._tls.certificate),
            "ssl_options.keyfile": str(self._tls.key),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "true",
        }

    def _environment(self) -> dict[str, str]:
        folder = self._folder
        return {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"tradewind-{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            # Files that do not exist, so that the machine's own configuration is not read.
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            # The script then becomes the server, instead of a shell that passes signals on.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_ERLANG} -kernel inet_dist_use_interface {{127,0,0,1}}",
        }

    def _answers(self) -> bool:
        if self._tls is not None:
            return self._listens()
        try:
            with socket.create_connection((HOST, self._port), _PROBE_TIMEOUT_S) as connection:
                connection.sendall(_GREETING)
                return connection.recv(len(_CONNECTION_START)) == _CONNECTION_START
        except OSError:
            return False

    def _listens(self) -> bool:
        try:
            socket.create_connection((HOST, self._port), _PROBE_TIMEOUT_S).close()
        except OSError:
            return False
        return True


def _server() -> str:
    if given := os.environ.get("TRADEWIND_RABBITMQ_SERVER"):
        return shlex.quote(given)
    # The script of that name in the path is another: it works for root and for the user of the service alone.
    for server in _SERVERS:
        if server.exists():
            return shlex.quote(str(server))
    raise BrokerUnavailable(f"RabbitMQ is not installed on this machine; {_HOW}")


def _epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise BrokerUnavailable("RabbitMQ needs Erlang's epmd, which is not in the path; install the package erlang")
    return shlex.quote(found)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
