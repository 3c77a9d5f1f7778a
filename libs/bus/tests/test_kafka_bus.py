"""The Kafka transport on a real broker: the contract."""

import secrets
from collections.abc import AsyncIterator

import pytest
from bus_contract import BusContract

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus


class KafkaTransport:
    """Connections to the session's broker under a prefix that no other test has."""

    order_capacity: int | None = None
    survives_restart = False

    def __init__(self, url: str) -> None:
        self.url = f"{url}?prefix=t{secrets.token_hex(4)}."
        self._opened: list[Bus] = []

    async def open(self) -> Bus:
        self._opened.append(await connect(self.url))
        return self._opened[-1]

    async def restart(self) -> Bus:
        raise NotImplementedError("the session's broker is shared")

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


class TestKafkaBusContract(BusContract):
    @pytest.fixture
    async def transport(self, kafka_url: str) -> AsyncIterator[KafkaTransport]:
        transport = KafkaTransport(kafka_url)
        yield transport
        await transport.close()
