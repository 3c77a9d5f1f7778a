"""What the tests of every package share: real databases, Redis and brokers, each started when first asked for."""

import signal
from typing import Final

import pytest

pytest_plugins = [
    "tradewind.store.testing",
    "tradewind.bus.brokers.kafka_testing",
    "tradewind.bus.brokers.rabbitmq_testing",
]

SERVERS: Final = frozenset(
    {
        "kafka_url",
        "own_kafka",
        "kafka_of",
        "rabbitmq_url",
        "own_rabbitmq",
        "rabbitmq_of",
        "timescale_dsn",
        "timescaledb",
        "machine_redis_url",
        "redis-server",
        "installed",
    }
)
"""Fixtures, and parameters of fixtures, that stand for a server which no package of ours brings."""


def pytest_configure() -> None:
    """Let what tests start hear Ctrl-C: a job in a shell's background ignores it, and so would its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need such a server: ``make test-brokers`` runs them."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        wanted = {*getattr(item, "fixturenames", ()), *(value for value in parameters if isinstance(value, str))}
        if SERVERS & wanted:
            item.add_marker("brokers")
