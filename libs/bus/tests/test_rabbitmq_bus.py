"""The RabbitMQ transport on a real broker: the contract."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from bus_contract import BusContract

from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus


class RabbitMQTransport:
    """Connections to a broker under a prefix that no other test has."""

    order_capacity: int | None = None
    survives_restart = False

    def __init__(self, url: str, broker: RabbitMQBroker | None = None) -> None:
        self.url = f"{url}?prefix=t{secrets.token_hex(4)}."
        self._broker = broker
        self._opened: list[Bus] = []

    async def open(self) -> Bus:
        self._opened.append(await connect(self.url))
        return self._opened[-1]

    async def restart(self) -> Bus:
        assert self._broker is not None
        await asyncio.to_thread(self._broker.kill)
        await asyncio.to_thread(self._broker.start)
        return await self.open()

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


class TestRabbitMQBusContract(BusContract):
    @pytest.fixture
    async def transport(self, rabbitmq_url: str) -> AsyncIterator[RabbitMQTransport]:
        transport = RabbitMQTransport(rabbitmq_url)
        yield transport
        await transport.close()
