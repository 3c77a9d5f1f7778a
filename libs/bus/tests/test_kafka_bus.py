"""The Kafka transport on a real broker: the contract."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from bus_contract import BusContract

from tradewind.bus.brokers.kafka_broker import KafkaBroker
from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus


class KafkaTransport:
    """Connections to a broker under a prefix that no other test has."""

    order_capacity: int | None = None

    def __init__(self, url: str, broker: KafkaBroker | None = None) -> None:
        self.url = f"{url}?prefix=t{secrets.token_hex(4)}.{'&session_ms=2000' if broker else ''}"
        self.survives_restart = broker is not None
        self._broker = broker
        self._opened: list[Bus] = []

    async def open(self) -> Bus:
        self._opened.append(await connect(self.url))
        return self._opened[-1]

    async def restart(self) -> Bus:
        assert self._broker is not None, "the session's broker is shared"
        await asyncio.to_thread(self._broker.kill)
        await asyncio.to_thread(self._broker.start)
        return await self.open()

    async def close(self) -> None:
        for bus in self._opened:
            await bus.close()


class TestKafkaBusContract(BusContract):
    @pytest.fixture
    async def transport(self, kafka_url: str) -> AsyncIterator[KafkaTransport]:
        transport = KafkaTransport(kafka_url)
        yield transport
        await transport.close()


async def test_what_was_published_and_committed_survives_a_restart(own_kafka: KafkaBroker) -> None:
    transport = KafkaTransport(own_kafka.url, own_kafka)
    try:
        bus = await transport.open()
        await BusContract().test_what_was_published_and_committed_survives_a_restart(bus, transport)
    finally:
        await transport.close()
