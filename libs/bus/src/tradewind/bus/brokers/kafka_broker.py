"""A real Kafka of one node (KRaft: broker and controller in one), small and quick to start, on loopback only."""

import base64
import dataclasses
import os
import signal
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tradewind.bus.brokers.broker_process import BrokerProcess, BrokerUnavailable, free_ports
from tradewind.bus.brokers.kafka_install import ARCHIVE, class_path, java, kafka_home

HOST: Final = "127.0.0.1"

_JVM: Final = (
    *("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Xlog:all=error:stderr"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
    "-Djava.net.preferIPv4Stack=true",
)
_SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "INTERNAL",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "auto.create.topics.enable": "false",
    # Short, so that a test of retention or compaction need not wait for minutes.
    "log.retention.check.interval.ms": "500",
    "log.initial.task.delay.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "2097152",
}
_START_TIMEOUT_S: Final = 60.0
_FORMAT_TIMEOUT_S: Final = 60.0
_PROBE_TIMEOUT_S: Final = 2.0
_STOP: Final = ((signal.SIGTERM, 20.0),)
_API_VERSIONS: Final = 18


@dataclasses.dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How clients must come in: over TLS with the key and certificate in ``pem``, and with a name and password.

    ``mechanism`` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; without users anybody may come in over TLS.
    """

    pem: Path
    mechanism: str = "SCRAM-SHA-512"
    users: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """Kafka's name for it."""
        return "SASL_SSL" if self.users else "SSL"


class KafkaBroker:
    """Kafka on ports and in a folder of its own, which stay the same when it is started again. All calls block."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        home: Path | None = None,
        security: KafkaSecurity | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``settings`` are lines of ``server.properties`` that replace ours."""
        free = free_ports(3)
        self._folder = folder
        self._port = port or free[0]
        self._internal_port, self._controller_port = free[1:]
        self._home = home or kafka_home()
        self._security = security
        self._settings = settings or {}
        self._process: BrokerProcess | None = None

    @property
    def url(self) -> str:
        """How the bus connects to it; with users or certificates the caller adds its own."""
        return f"{'kafkas' if self._security else 'kafka'}://{self.address}"

    @property
    def address(self) -> str:
        """``host:port`` of the clients' listener."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.running else None

    def start(self, *, archive: Path | None = None) -> None:
        """Start, on the data of before when there is some, and wait until it answers.

        ``archive`` is where Java shall write the class data archive when this broker stops.

        Raises:
            BrokerUnavailable: Java or the jars are missing, or it does not start; with what its log says.
        """
        command = self._java()
        existing = self._home / ARCHIVE
        if archive is not None:
            command.append(f"-XX:ArchiveClassesAtExit={archive}")
        elif existing.exists():
            command.append(f"-XX:SharedArchiveFile={existing}")
        self._format()
        self._process = BrokerProcess(
            "Kafka",
            [*command, "kafka.Kafka", str(self._properties)],
            folder=self._folder,
            log=self._folder / "kafka.log",
            environment={},
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

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    def _end(self, steps: tuple[tuple[signal.Signals, float], ...]) -> None:
        if self._process is not None:
            self._process.stop(steps)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)

    def _java(self) -> list[str]:
        return [java(), *_JVM, "-cp", class_path(self._home)]

    def _format(self) -> None:
        data = self._folder / "data"
        formatted = data.exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = {**_SETTINGS, **self._listeners(), "log.dirs": str(data), **self._settings}
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()), encoding="utf-8")
        if formatted:
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        command = [*self._java(), "kafka.tools.StorageTool", "format", f"--config={self._properties}"]
        result = subprocess.run(  # noqa: S603 - our own command line, no shell
            # In one word: an id may begin with a minus.
            [*command, f"--cluster-id={cluster}", *self._scram_users()],
            capture_output=True,
            text=True,
            check=False,
            timeout=_FORMAT_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode:
            raise BrokerUnavailable(f"Kafka's storage cannot be formatted:\n{result.stdout[-1_000:]}{result.stderr}")

    def _listeners(self) -> dict[str, str]:
        client = f"CLIENT://{self.address}"
        internal = f"INTERNAL://{HOST}:{self._internal_port}"
        controller = f"{HOST}:{self._controller_port}"
        protocol = self._security.protocol if self._security else "PLAINTEXT"
        return {
            "listeners": f"{client},{internal},CONTROLLER://{controller}",
            "advertised.listeners": f"{client},{internal}",
            "listener.security.protocol.map": f"CLIENT:{protocol},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
            **(self._secured(self._security) if self._security else {}),
        }

    @staticmethod
    def _secured(security: KafkaSecurity) -> dict[str, str]:
        result = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(security.pem)}
        if security.users:
            kind = "plain.PlainLoginModule" if security.mechanism == "PLAIN" else "scram.ScramLoginModule"
            users = " ".join(f'user_{name}="{password}"' for name, password in security.users.items())
            known = f" {users}" if security.mechanism == "PLAIN" else ""
            name = f"listener.name.client.{security.mechanism.lower()}.sasl.jaas.config"
            result[name] = f"org.apache.kafka.common.security.{kind} required{known};"
            result["sasl.enabled.mechanisms"] = security.mechanism
        return result

    def _scram_users(self) -> list[str]:
        if self._security is None or self._security.mechanism == "PLAIN":
            return []
        return [
            argument
            for name, password in self._security.users.items()
            for argument in ("--add-scram", f"{self._security.mechanism}=[name={name},password={password}]")
        ]

    def _answers(self) -> bool:
        # An ApiVersions request, version 0: the broker refuses all of them until it has joined its own cluster.
        request = struct.pack(">hhih", _API_VERSIONS, 0, 1, -1)
        try:
            with socket.create_connection((HOST, self._internal_port), _PROBE_TIMEOUT_S) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                answer = connection.recv(10)
        except OSError:
            return False
        return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)


def archive_classes(home: Path, folder: Path) -> None:
    """Start and stop a broker once to write the class data archive of ``home``; ``folder`` holds it meanwhile.

    Raises:
        BrokerUnavailable: the broker does not start.
    """
    broker = KafkaBroker(folder / "broker", home=home)
    written = home / f"{ARCHIVE}.{os.getpid()}"
    broker.start(archive=written)
    broker.stop()
    if written.exists():
        written.rename(home / ARCHIVE)
