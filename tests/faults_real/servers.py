"""The servers that the platform needs, each behind a link and open to every fault: broker, PostgreSQL, Valkey.

Where root may mount, the data of PostgreSQL and of Kafka stand on small file systems in memory, which can be filled up.
All calls of the servers block; they are made on threads.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import psutil  # type: ignore[import-untyped]
import redis

from tradewind.bus.brokers.broker_process import free_ports
from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.brokers.rabbitmq_broker import HOST, RabbitMQBroker
from tradewind.store.data_dir import EmbeddedServerError, make_folder, socket_folder
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.valkey_server import ValkeyServer

# What a commit promised survives the death of the server, not of the machine: that is what is tried here.
_POSTGRES: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "128MB", "wal_recycle": "off"}
_DISK: Final = "size=640m"
_FILLED_BYTES: Final = 65_536
_CONTROL_TIMEOUT_S: Final = 60.0
_RESTARTS: Final = 3


class FillImpossible(RuntimeError):
    """This server cannot be filled up here; the message says why."""


class Server(Protocol):
    """What an injection can do to a server."""

    name: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...
    def fill(self) -> None: ...
    def make_room(self) -> None: ...


class Disk:
    """A small file system in memory, or a mere folder where none may be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self._filler = folder / "filler"
        command = ["mount", "-t", "tmpfs", "-o", f"{_DISK},mode=755", "tmpfs", str(folder)]
        self.mounted = os.geteuid() == 0 and shutil.which("mount") is not None and _succeeds(command)

    def fill(self) -> None:
        """Leave no room.

        Raises:
            FillImpossible: it is no file system of its own.
        """
        if not self.mounted:
            raise FillImpossible("a disk is filled only where root may mount a file system in memory")
        with self._filler.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
            while filler.write(b"\0" * _FILLED_BYTES):
                pass

    def make_room(self) -> None:
        """Take the filler away."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.mounted:
            _succeeds(["umount", "-l", str(self.folder)])


def _succeeds(command: list[str]) -> bool:
    done = subprocess.run(command, capture_output=True, timeout=_CONTROL_TIMEOUT_S, check=False)
    return done.returncode == 0


class Postgres:
    """PostgreSQL over its Unix socket."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        self._disk = Disk(folder / "postgres-disk")
        self._server = PostgresServer(
            make_folder(self._disk.folder / "postgres"), socket_folder(folder), settings=_POSTGRES
        )
        self._frozen: list[psutil.Process] = []

    @property
    def dsn(self) -> str:
        """The server itself, past the link."""
        return self._server.dsn

    @property
    def socket(self) -> str:
        """The path of its socket."""
        query = urlsplit(self._server.dsn).query
        return f"{unquote(query.partition('host=')[2])}/.s.PGSQL.5432"

    def start(self) -> None:
        for attempt in range(_RESTARTS):
            try:
                self._server.start()
            except EmbeddedServerError:
                if attempt == _RESTARTS - 1:
                    raise
            else:
                return

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        if self._server.pid is not None:
            os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop()

    def freeze(self) -> None:
        if self._server.pid is not None:
            parent = psutil.Process(self._server.pid)
            self._frozen = [parent, *parent.children(recursive=True)]
        _each(self._frozen, psutil.Process.suspend)

    def thaw(self) -> None:
        _each(self._frozen, psutil.Process.resume)
        self._frozen = []

    def fill(self) -> None:
        self._disk.fill()

    def make_room(self) -> None:
        self._disk.make_room()
        # Without room for its own records it may have ended: it is started again, as its keeper would.
        self.start()

    def close(self) -> None:
        """Stop it, whatever was done to it."""
        self.thaw()
        self._server.stop()
        self._disk.close()


def _each(processes: list[psutil.Process], act: Callable[[psutil.Process], Any]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            act(process)


class Valkey:
    """Valkey over its Unix socket."""

    name = "redis"

    def __init__(self, folder: Path) -> None:
        self._server = ValkeyServer(make_folder(folder / "valkey"), socket_folder(folder))

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return unquote(self._server.url.removeprefix("unix://"))

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._server.stop()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def fill(self) -> None:
        """As if its memory were full: every write is refused."""
        with self._client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)

    def make_room(self) -> None:
        with self._client() as client:
            client.config_set("maxmemory", "128mb")
            client.config_set("maxmemory-policy", "volatile-lru")

    def flush(self) -> None:
        """Lose all that it holds."""
        with self._client() as client:
            client.flushall()

    def close(self) -> None:
        """Stop it, whatever was done to it."""
        self.thaw()
        self._server.stop()

    def _client(self) -> "redis.Redis":
        return redis.Redis(unix_socket_path=self.socket, socket_timeout=10.0)

    def _signal(self, number: signal.Signals) -> None:
        if self._server.pid is not None:
            os.kill(self._server.pid, number)


class _LinkedKafka(KafkaBroker):
    """Kafka that tells its clients to come through the link."""

    def __init__(self, folder: Path, link_port: int) -> None:
        super().__init__(folder)
        self._link_port = link_port

    def _listeners(self) -> dict[str, str]:
        own = super()._listeners()
        told = own["advertised.listeners"].replace(f"CLIENT://{self.address}", f"CLIENT://{HOST}:{self._link_port}")
        return own | {"advertised.listeners": told}


class _OneBroker:
    """What may be done to a broker, whichever it is."""

    name = "broker"

    def __init__(self, broker: KafkaBroker | RabbitMQBroker, url: str) -> None:
        self._broker = broker
        self.url = url
        self.address = broker.address

    def start(self) -> None:
        if self._broker.pid is None:
            self._broker.stop()
            self._broker.start()

    def stop(self) -> None:
        self._broker.stop()

    def kill(self) -> None:
        self._broker.kill()

    def freeze(self) -> None:
        self._broker.freeze()

    def thaw(self) -> None:
        self._broker.thaw()


class Kafka(_OneBroker):
    """One Kafka."""

    def __init__(self, folder: Path, link_port: int) -> None:
        self._disk = Disk(folder / "kafka-disk")
        super().__init__(_LinkedKafka(self._disk.folder / "kafka", link_port), f"kafka://{HOST}:{link_port}")

    def fill(self) -> None:
        self._disk.fill()

    def make_room(self) -> None:
        self._disk.make_room()
        # Kafka gives up a disk that was full until it is started again.
        self._broker.kill()
        self._broker.start()

    def close(self) -> None:
        """Stop it, whatever was done to it."""
        self._broker.kill()
        self._disk.close()


class RabbitMQ(_OneBroker):
    """One RabbitMQ."""

    def __init__(self, folder: Path, link_port: int) -> None:
        self._rabbitmq = RabbitMQBroker(folder / "rabbitmq")
        super().__init__(self._rabbitmq, f"amqp://guest:guest@{HOST}:{link_port}/")

    def fill(self) -> None:
        """Its memory alarm: every publisher is blocked."""
        self._control("absolute", "1MB")

    def make_room(self) -> None:
        self._control("absolute", "512MB")

    def close(self) -> None:
        """Stop it, whatever was done to it."""
        self._broker.kill()

    def _control(self, *arguments: str) -> None:
        environment = self._rabbitmq._environment()
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "-n", environment["RABBITMQ_NODENAME"]]
        done = subprocess.run(
            [*command, "set_vm_memory_high_watermark", *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_CONTROL_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise FillImpossible(f"rabbitmqctl refuses: {(done.stderr or done.stdout).strip()[-300:]}")


Broker = Kafka | RabbitMQ


class Servers:
    """All three, and the ports of their links."""

    def __init__(self, folder: Path, broker: str) -> None:
        self.ports = dict(
            zip(("broker", "postgres", "redis", "venue-rest", "venue-stream"), free_ports(5), strict=True)
        )
        self.broker: Broker = (Kafka if broker == "kafka" else RabbitMQ)(folder, self.ports["broker"])
        self.postgres = Postgres(folder)
        self.redis = Valkey(folder)

    def __getitem__(self, name: str) -> Server:
        found: Server = {"broker": self.broker, "postgres": self.postgres, "redis": self.redis}[name]
        return found

    @contextlib.contextmanager
    def running(self) -> Iterator["Servers"]:
        """Start them for the block; stop them whatever happens."""
        try:
            self.broker.start()
            self.postgres.start()
            self.redis.start()
            yield self
        finally:
            for server in (self.broker, self.postgres, self.redis):
                server.close()


async def on_thread(act: Callable[[], None]) -> None:
    """Make a blocking call without stopping the loop; on cancel it is waited for all the same."""
    await asyncio.shield(asyncio.to_thread(act))
