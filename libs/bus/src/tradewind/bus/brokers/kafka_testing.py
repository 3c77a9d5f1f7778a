"""Pytest fixtures with a real Kafka for the tests of any package; loaded by the ``conftest.py`` at the root.

``kafka_url`` is the broker of the test session, started when the first test asks for it, or the one that
``TRADEWIND_TEST_KAFKA_URL`` names. Tests share it, so each takes a ``prefix`` of its own. ``own_kafka`` is a broker of
one test alone, which it may stop, kill, freeze and start again. ``kafka_of`` makes one with settings of the test's own.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tradewind.bus.brokers.broker_process import BrokerNotInstalled
from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.brokers.required import missing

KafkaFactory = Callable[..., KafkaBroker]


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    """URL of the session's broker."""
    if given := os.environ.get("TRADEWIND_TEST_KAFKA_URL"):
        yield given
        return
    with _brokers() as make:
        yield make().url


@pytest.fixture
def own_kafka() -> Iterator[KafkaBroker]:
    """A running broker of this test alone."""
    with _brokers() as make:
        yield make()


@pytest.fixture
def kafka_of() -> Iterator[KafkaFactory]:
    """Makes running brokers of this test alone; takes what ``KafkaBroker`` takes."""
    with _brokers() as make:
        yield make


@contextlib.contextmanager
def _brokers() -> Iterator[KafkaFactory]:
    with tempfile.TemporaryDirectory(prefix="tradewind-kafka-") as folder, contextlib.ExitStack() as started:

        def make(**arguments: object) -> KafkaBroker:
            broker = KafkaBroker(Path(tempfile.mkdtemp(dir=folder)), **arguments)  # type: ignore[arg-type]
            started.callback(broker.kill)
            try:
                broker.start()
            except BrokerNotInstalled as error:
                missing("kafka", str(error))
            return broker

        yield make
