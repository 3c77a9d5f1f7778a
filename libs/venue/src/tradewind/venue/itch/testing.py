"""Servers on loopback for tests of whoever reads ITCH (SoupBinTCP, MoldUDP64 requests), and messages to send.

Source: Nasdaq "SoupBinTCP" 3.00, "MoldUDP64" 1.00 and "Nasdaq TotalView-ITCH 5.0".
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from tradewind.venue.itch import moldudp64 as mold
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.decoding import LENGTHS
from tradewind.venue.itch.soupbintcp import FROM_CLIENT, LoginAccepted, LoginRequest, PacketReader, PacketType


class SoupPlayer:
    """Sends ``messages`` from the number that is asked for; what is set below takes effect at once."""

    def __init__(self, messages: list[bytes] | None = None, session: str = "DAY1") -> None:
        self.messages = messages if messages is not None else []
        self.session = session
        self.password = "secret"  # noqa: S105 - of a server of tests
        self.port = 0
        self.logins: list[LoginRequest] = []
        self.received: list[PacketType] = []
        self.heartbeat_s = 0.05
        """0: no heartbeats."""
        self.answers = True
        """Whether a login is answered at all."""
        self.accept: Callable[[LoginRequest], bytes] = self._accept
        """Bytes of the answer to a login."""
        self.burst = 1_000
        """Messages of one write."""
        self.tail = b""
        """Bytes behind the last message."""
        self.cut_at = 0
        """Close the connection behind this message, within the next; 0: never."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, on a free port the first time and on the same one later."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        self.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """Kill all connections."""
        for writer in self._writers:
            writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Bytes to all who are connected."""
        for writer in self._writers:
            writer.write(data)

    def _accept(self, request: LoginRequest) -> bytes:
        if request.password != self.password:
            return soup.login_rejected(soup.RejectReason.NOT_AUTHORIZED)
        if request.session not in ("", self.session):
            return soup.login_rejected(soup.RejectReason.NO_SUCH_SESSION)
        return soup.login_accepted(LoginAccepted(self.session, self._first(request)))

    def _first(self, request: LoginRequest) -> int:
        return min(request.sequence or len(self.messages) + 1, len(self.messages) + 1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except* ConnectionError:
            pass  # the client left, or was hung up on
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = PacketReader(FROM_CLIENT)
        arrived = packets.feed(await reader.read(4096))
        request = soup.read_login_request(arrived[0].payload)
        self.logins.append(request)
        if self.answers:
            answer = self.accept(request)
            writer.write(answer)
            if answer[2] == PacketType.LOGIN_ACCEPTED:
                async with asyncio.TaskGroup() as group:
                    sending = group.create_task(self._send(writer, soup.read_login_accepted(answer[3:33]).sequence))
                    while data := await reader.read(4096):
                        self.received += [packet.kind for packet in packets.feed(data)]
                    sending.cancel()
                return
        while await reader.read(4096):
            pass

    async def _send(self, writer: asyncio.StreamWriter, number: int) -> None:
        loop = asyncio.get_running_loop()
        beat_s = loop.time()
        tail_sent = b""
        while True:
            last = min(len(self.messages), number - 1 + self.burst)
            cut = 0 < self.cut_at <= last
            last = self.cut_at if cut else last
            writer.write(b"".join(map(soup.sequenced, self.messages[number - 1 : last])))
            number = max(number, last + 1)
            if cut:
                self.cut_at = 0
                writer.write(soup.sequenced(b"cut off")[:-1])
                await writer.drain()
                writer.close()
                return
            if number > len(self.messages) and self.tail != tail_sent:
                tail_sent = self.tail
                writer.write(tail_sent)
            await writer.drain()
            if self.heartbeat_s and loop.time() - beat_s > self.heartbeat_s:
                beat_s = loop.time()
                writer.write(soup.SERVER_HEARTBEAT)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def soup_player(messages: list[bytes] | None = None, session: str = "DAY1") -> AsyncIterator[SoupPlayer]:
    """A server that runs."""
    player = SoupPlayer(messages, session)
    await player.start()
    try:
        yield player
    finally:
        await player.stop()


def messages_of(path: Path) -> Iterator[bytes]:
    """The messages of an ITCH file, each behind its length."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + size]
        at += 2 + size


def itch_message(kind: str, body: bytes = b"", locate: int = 1, at: int = 77) -> bytes:
    """A message with the fields behind the time of ``at`` ns, filled to its length."""
    text = kind.encode() + struct.pack(">HH", locate, 0) + at.to_bytes(6, "big") + body
    return text.ljust(LENGTHS.get(kind, len(text)))


def directory(symbol: str, locate: int = 1) -> bytes:
    """Type R: a stock and the number that stands for it."""
    return itch_message("R", symbol.ljust(8).encode(), locate)


def add_order(reference: int, side: str, shares: int, price: int, locate: int = 1) -> bytes:
    """Type A."""
    return itch_message("A", struct.pack(">QcI8sI", reference, side.encode(), shares, b"", price), locate)


def execute_order(reference: int, shares: int, locate: int = 1) -> bytes:
    """Type E."""
    return itch_message("E", struct.pack(">QIQ", reference, shares, 1), locate)


class MoldRequestServer(asyncio.DatagramProtocol):
    """Answers requests for ``messages`` but those with a number in ``lost``; ``asked`` lists what came."""

    def __init__(self, session: bytes, messages: list[bytes]) -> None:
        self.session = session
        self.messages = messages
        self.lost: set[int] = set()
        self.asked: list[tuple[int, int]] = []
        self.at_most = 20
        """Messages of one answer; the rest must be asked for again."""
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Close the port."""
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """One request."""
        session, first, total = mold.read_request(data)
        self.asked.append((first, total))
        chosen: list[bytes] = []
        for number in range(first, min(first + min(total, self.at_most), len(self.messages) + 1)):
            if number in self.lost:
                break
            chosen.append(self.messages[number - 1])
        if chosen and self._transport is not None:
            self._transport.sendto(mold.downstream(session, first, chosen), addr)
