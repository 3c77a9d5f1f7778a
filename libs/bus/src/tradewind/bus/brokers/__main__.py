"""Real brokers for a first look and for development: ``python -m tradewind.bus.brokers --help``."""

import argparse
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from tradewind.bus.brokers.broker_process import BrokerUnavailable
from tradewind.bus.brokers.kafka_broker import KafkaBroker, archive_classes
from tradewind.bus.brokers.kafka_install import ARCHIVE, install_kafka, kafka_home, kafka_version
from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker


class Broker(Protocol):
    """What this command needs of a broker."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


def _install_kafka() -> None:
    home = kafka_home()
    fetched = install_kafka(home)
    if not (home / ARCHIVE).exists():
        with tempfile.TemporaryDirectory(prefix="tradewind-kafka-") as folder:
            archive_classes(home, Path(folder))
    print(f"Kafka {kafka_version()} {'is now' if fetched else 'was already'} in {home}")


BROKERS: Final[dict[str, Callable[[Path], Broker]]] = {"kafka": KafkaBroker, "rabbitmq": RabbitMQBroker}
"""Name -> what makes a broker in a folder."""
INSTALLERS: Final[dict[str, Callable[[], None]]] = {"kafka": _install_kafka}
"""Name -> what fetches a broker that no distribution packages."""

_POLL_S: Final = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.action == "install":
            for name in dict.fromkeys(options.brokers):
                INSTALLERS[name]()
        else:
            _run(list(dict.fromkeys(options.brokers)), options.data)
    except BrokerUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tradewind.bus.brokers",
        description="Real brokers on this machine, reachable from this machine only. For production use your own.",
        epilog="example: install kafka once, then `run kafka`; give the URL it prints to the platform as its bus.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    install = actions.add_parser("install", help="fetch a broker once (Kafka: its jars, with Maven; 45 MB)")
    install.add_argument("brokers", nargs="+", choices=sorted(INSTALLERS))
    run = actions.add_parser("run", help="start brokers, print their URLs, and stop them at Ctrl-C")
    run.add_argument("brokers", nargs="+", choices=sorted(BROKERS))
    run.add_argument("--data", type=Path, help="keep their data in this folder; without it, it goes when they stop")
    return parser


def _run(names: Sequence[str], data: Path | None) -> None:
    # SIGTERM as Ctrl-C: what was started is stopped in order either way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tradewind-brokers-")))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        for name in names:
            broker = BROKERS[name]((folder / name).resolve())
            stack.callback(broker.stop)
            broker.start()
            print(f"{name}: {broker.url}", flush=True)
        print("Ctrl-C stops.", flush=True)
        while True:
            time.sleep(_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
