"""The RabbitMQ transport on a real broker: the contract."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Final

import pytest
from bus_contract import BusContract

from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus

pytestmark = pytest.mark.brokers

SETTLE_S: Final = 2.5
"""RabbitMQ writes its list of queues about a second late."""


class RabbitMQTransport:
    """Connections to a broker under a prefix that no other test has."""

    order_capacity: int | None = None
    survives_restart = True

    def __init__(self, url: str, broker: RabbitMQBroker | None = None) -> None:
        self.url = f"{url}?prefix=t{secrets.token_hex(4)}."
        self._broker = broker
        self._opened: list[Bus] = []

    async def open(self) -> Bus:
        self._opened.append(await connect(self.url))
        return self._opened[-1]

    async def restart(self) -> Bus:
        assert self._broker is not None
        await asyncio.sleep(SETTLE_S)
        await asyncio.to_thread(self._broker.kill)
        await asyncio.to_thread(self._broker.start)
        return await self.open()

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


class TestRabbitMQBusContract(BusContract):
    @pytest.fixture
    async def transport(self, request: pytest.FixtureRequest) -> AsyncIterator[RabbitMQTransport]:
        """On the session's broker, except for the test that restarts it."""
        if request.function.__name__.endswith("survives_a_restart"):
            broker: RabbitMQBroker = request.getfixturevalue("own_rabbitmq")
            transport = RabbitMQTransport(broker.url, broker)
        else:
            transport = RabbitMQTransport(request.getfixturevalue("rabbitmq_url"))
        yield transport
        await transport.close()
