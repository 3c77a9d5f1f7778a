"""`tradewind kill engage --past-api` as a process of its own, on a real Kafka and a real RabbitMQ."""

import asyncio
import os
import secrets
import subprocess
from typing import Final

import pytest
from command_kit import COMMAND

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Start
from tradewind.runtime.broker_urls import with_topic_prefix
from tradewind.wire.commands import EngageKillSwitch
from tradewind.wire.topics import RISK_COMMANDS

WAIT_S: Final = 45


@pytest.mark.brokers
@pytest.mark.parametrize("broker", ["kafka_url", "rabbitmq_url"])
async def test_the_risk_service_gets_what_the_command_hands_over(broker: str, request: pytest.FixtureRequest) -> None:
    url = with_topic_prefix(request.getfixturevalue(broker), f"killed-{secrets.token_hex(6)}.")
    bus = await connect(url)
    try:
        risk = await bus.subscribe(RISK_COMMANDS, group="risk", start=Start.EARLIEST)
        arguments = [COMMAND, "kill", "engage", "firm", "--flatten", "--yes", "--past-api", "--why", "drill"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
        done = await asyncio.to_thread(
            subprocess.run,
            [*arguments, "--actor", "anna"],
            env={**environ, "TRADEWIND_BUS_URL": url},
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [delivery] = await risk.receive(timeout_s=WAIT_S)
        command = delivery.payload
        assert isinstance(command, EngageKillSwitch)
        assert (command.scope, command.flatten, command.actor, command.why) == ("firm", True, "anna", "drill")
    finally:
        await bus.close()
