"""The RabbitMQ that tests start: its own in everything, and gone with whoever started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewind.bus.brokers.broker_process import BrokerUnavailable
from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker

WAIT_S = 30.0

STARTER = """
import os, sys
from pathlib import Path
from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker
broker = RabbitMQBroker(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
os._exit(1)
"""


def group_is_gone(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return True
    return all(_is_zombie(each) for each in _group(pid))


def _group(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,pgid="], capture_output=True, text=True, check=True).stdout
    return [int(each) for each, group in (line.split() for line in listed.splitlines()) if int(group) == pid]


def _is_zombie(pid: int) -> bool:
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not listed or listed.startswith("Z")


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while not group_is_gone(pid):
        assert time.monotonic() < deadline, "the broker's processes outlive it"
        time.sleep(0.05)


def test_a_stopped_broker_leaves_nothing_and_comes_back_on_its_port(own_rabbitmq: RabbitMQBroker) -> None:
    first, address = own_rabbitmq.pid, own_rabbitmq.address
    assert first is not None
    own_rabbitmq.stop()
    wait_until_gone(first)
    assert own_rabbitmq.pid is None
    own_rabbitmq.start()
    assert own_rabbitmq.address == address
    second = own_rabbitmq.pid
    assert second is not None
    own_rabbitmq.kill()
    wait_until_gone(second)


@pytest.mark.usefixtures("rabbitmq_url")
def test_a_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    started = subprocess.run(
        [sys.executable, "-c", STARTER, str(tmp_path)], capture_output=True, text=True, check=False, timeout=50
    )
    assert started.returncode == 1, started.stderr
    wait_until_gone(int(started.stdout))


def test_a_missing_server_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_RABBITMQ_SERVER", str(tmp_path / "rabbitmq-server"))
    with pytest.raises(BrokerUnavailable, match="not found"):
        RabbitMQBroker(tmp_path / "broker").start()
