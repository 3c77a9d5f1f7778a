"""Pytest fixtures with a real RabbitMQ for the tests of any package; loaded by the ``conftest.py`` at the root.

``rabbitmq_url`` is the broker of the test session, started when the first test asks for it, or the one that
``TRADEWIND_TEST_RABBITMQ_URL`` names. Tests share it, so each takes a ``prefix`` of its own. ``own_rabbitmq`` is a
broker of one test alone, which it may stop, kill, freeze and start again. ``rabbitmq_of`` makes one with settings of
the test's own.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tradewind.bus.brokers.broker_process import BrokerUnavailable
from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker
from tradewind.bus.brokers.required import missing

RabbitMQFactory = Callable[..., RabbitMQBroker]


@pytest.fixture(scope="session")
def rabbitmq_url() -> Iterator[str]:
    """URL of the session's broker."""
    if given := os.environ.get("TRADEWIND_TEST_RABBITMQ_URL"):
        yield given
        return
    with _brokers() as make:
        yield make().url


@pytest.fixture
def own_rabbitmq() -> Iterator[RabbitMQBroker]:
    """A running broker of this test alone."""
    with _brokers() as make:
        yield make()


@pytest.fixture
def rabbitmq_of() -> Iterator[RabbitMQFactory]:
    """Makes running brokers of this test alone; takes what ``RabbitMQBroker`` takes."""
    with _brokers() as make:
        yield make


@contextlib.contextmanager
def _brokers() -> Iterator[RabbitMQFactory]:
    with tempfile.TemporaryDirectory(prefix="tradewind-rabbitmq-") as folder, contextlib.ExitStack() as started:

        def make(**arguments: object) -> RabbitMQBroker:
            broker = RabbitMQBroker(Path(tempfile.mkdtemp(dir=folder)), **arguments)  # type: ignore[arg-type]
            started.callback(broker.kill)
            try:
                broker.start()
            except BrokerUnavailable as error:
                missing("rabbitmq", str(error))
            return broker

        yield make
