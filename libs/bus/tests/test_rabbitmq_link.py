"""The connection to RabbitMQ, over servers that are none."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.rabbitmq_link import LinkLost, RabbitMQLink, losses
from tradewind.bus.rabbitmq_settings import settings_from


@pytest.fixture(params=[b"", b"\x01\x00", b"AMQP\x00\x00\x09\x01"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """A proxy whose broker is away: it lets everybody in, reads the greeting, says little and ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(request.param)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_connection_that_ends_in_its_handshake_is_a_lost_one(port: int) -> None:
    tasks = OwnedTasks("test")
    link = RabbitMQLink(settings_from(f"amqp://guest:guest@127.0.0.1:{port}/"), "test", tasks)
    with pytest.raises(ConnectionError):
        await link.open()
    await link.close()
    await tasks.close()


def test_the_library_s_word_for_a_connection_that_had_ended_before_its_first_frame_is_a_loss() -> None:
    with pytest.raises(LinkLost), losses():
        raise StopAsyncIteration
