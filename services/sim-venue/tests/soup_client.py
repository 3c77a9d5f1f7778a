"""A SoupBinTCP client for tests: logs in, reads packets, may misbehave."""

import asyncio
import socket
from typing import Any

from tradewind.services.sim_venue.server import SOUP_PASSWORD_LENGTH
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.soupbintcp import LoginRequest, PacketType, SoupPacket
from tradewind.venue.ouch.messages import Inbound, Outbound, read_outbound, write_inbound

PASSWORD = "test-secret"[:SOUP_PASSWORD_LENGTH]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SoupTestClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._packets = soup.PacketReader(soup.FROM_SERVER)
        self._came: list[SoupPacket] = []

    @classmethod
    async def connect(cls, port: int) -> "SoupTestClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    async def log_in(cls, port: int, sequence: int = 1, **given: Any) -> "SoupTestClient":
        client = await cls.connect(port)
        request = LoginRequest(**{"user": "DEMO", "password": PASSWORD, "sequence": sequence, **given})
        client.writer.write(soup.login_request(request))
        answer = await client.packet()
        assert answer.kind is PacketType.LOGIN_ACCEPTED
        accepted = soup.read_login_accepted(answer.payload)
        client.session, client.sequence = accepted.session, accepted.sequence
        return client

    session = ""
    sequence = 0

    async def packet(self) -> SoupPacket:
        while not self._came:
            data = await asyncio.wait_for(self.reader.read(65_536), 20)
            if not data:
                raise EOFError
            self._came = self._packets.feed(data)
        return self._came.pop(0)

    async def message(self) -> bytes:
        """The next sequenced message."""
        while True:
            packet = await self.packet()
            if packet.kind is PacketType.SEQUENCED:
                return packet.payload

    async def until_quiet(self) -> list[bytes]:
        """All messages up to the next heartbeat or the end of the session."""
        messages = []
        while True:
            packet = await self.packet()
            if packet.kind is PacketType.SEQUENCED:
                messages.append(packet.payload)
            elif packet.kind in (PacketType.SERVER_HEARTBEAT, PacketType.END_OF_SESSION):
                return messages

    async def ended(self) -> bool:
        """Whether the server closes the connection, whatever it says before."""
        try:
            while True:
                await self.packet()
        except (EOFError, ConnectionError):
            return True

    def send(self, *messages: Inbound) -> None:
        self.writer.write(b"".join(soup.unsequenced(write_inbound(each)) for each in messages))

    async def told(self) -> Outbound:
        return read_outbound(await self.message())

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return
