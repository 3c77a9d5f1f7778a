"""The same platform on RabbitMQ: one other file, the same services."""

import pytest
from containers.engine_kit import SERVICES, Platform, until
from containers.ledger_kit import check_ledger, resume

pytestmark = pytest.mark.timeout(600)


def test_orders_flow_on_rabbitmq(rabbitmq_platform: Platform) -> None:
    rabbitmq_platform.wait_for_fills("market-maker", more=3)
    assert rabbitmq_platform.inspect("broker")["Config"]["Image"].startswith("rabbitmq:")
    assert "amqp://" in (rabbitmq_platform.secrets / "rabbitmq_url").read_text()


def test_the_broker_may_be_killed_and_the_ledger_is_right(rabbitmq_platform: Platform) -> None:
    started = rabbitmq_platform.inspect("broker")["State"]["StartedAt"]
    rabbitmq_platform.kill("broker")
    until(lambda: rabbitmq_platform.inspect("broker")["State"]["StartedAt"] != started, "it is started again")
    until(lambda: rabbitmq_platform.is_healthy("broker"), "the broker is healthy")
    until(lambda: all(rabbitmq_platform.is_healthy(name) for name in SERVICES), "all services are healthy")
    rabbitmq_platform.wait_for_fills("market-maker", more=2)
    check_ledger(rabbitmq_platform)
    resume(rabbitmq_platform)
