"""Live ITCH feeds, recorded packet by packet: SoupBinTCP sessions and MoldUDP64 groups.

Source: Nasdaq "SoupBinTCP" 4.1 (a two-byte length, a type, a payload; both sides send heartbeats each second, and who
is silent for 15 s is gone) and "MoldUDP64 Protocol Specification" 1.0. A SoupBinTCP session that is lost is resumed
after the last message.
"""

import asyncio
import dataclasses
import socket
import time
from typing import Any, Final

from tradewind.runtime.captures.json_feeds import CONNECT_TIMEOUT_S, FeedNotes, Sink
from tradewind.venue.backoff import Backoff
from tradewind.venue.itch.soupbintcp import (
    CLIENT_HEARTBEAT,
    DEAD_AFTER_S,
    HEARTBEAT_INTERVAL_S,
    LOGOUT_REQUEST,
    LoginRequest,
    login_request,
)

_FIRST_RECONNECT_S: Final = 0.25
_LONGEST_RECONNECT_S: Final = 30.0
_RECEIVE_BUFFER_BYTES: Final = 8 * 1024 * 1024
_REASONS: Final = {b"A": "not authorized: check the user and the password", b"S": "no such session"}
_ACCEPTED_BYTES: Final = 31


class LoginRefused(ConnectionError):
    """The server refused the login; trying again would not help."""


@dataclasses.dataclass(frozen=True, slots=True)
class SoupLogin:
    """Who logs in where. An empty session is the one that runs now."""

    host: str
    port: int
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    session: str = ""

    def packet(self, session: str, sequence: int) -> bytes:
        """The login request.

        Raises:
            SoupError: a user of more than 6, a password or session of more than 10 characters, or one not in ASCII.
        """
        return login_request(LoginRequest(user=self.user, password=self.password, session=session, sequence=sequence))


class SoupSource:
    """Records one SoupBinTCP session until it ends or is cancelled; a frame is a packet without its length."""

    def __init__(self, login: SoupLogin, sink: Sink) -> None:
        self.notes = FeedNotes()
        self._login = login
        self._sink = sink
        self._session = login.session
        self._next = 1
        self._ended = False
        self._accepted: bytes = b""
        login.packet(login.session, 1)  # refused before anything is connected

    def begin_file(self) -> None:
        """What follows begins with the session and the number of its next message, as after a login."""
        if self._accepted:
            self._sink(time.time_ns(), b"A" + f"{self._session:>10}{self._next:>20}".encode("ascii"))

    async def run(self) -> None:
        """Log in, record, resume; until the session's end.

        Raises:
            LoginRefused: by the server.
        """
        backoff = Backoff(_FIRST_RECONNECT_S, _LONGEST_RECONNECT_S)
        while True:
            connections = self.notes.connections
            try:
                await self._connection()
            except LoginRefused:
                raise
            except (OSError, EOFError, TimeoutError) as error:
                self.notes.last_error = str(error) or type(error).__name__
            if self._ended:
                return
            if self.notes.connections > connections:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    async def _connection(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(self._login.host, self._login.port)
        try:
            writer.write(self._login.packet(self._session, self._next))
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(_beat(writer))
                try:
                    await self._read(reader)
                finally:
                    beating.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            if not writer.is_closing():
                writer.write(LOGOUT_REQUEST)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while not self._ended:
            async with asyncio.timeout(DEAD_AFTER_S):
                size = int.from_bytes(await reader.readexactly(2), "big")
                now_ns = time.time_ns()
                packet = await reader.readexactly(size)
            self._take(now_ns, packet)

    def _take(self, now_ns: int, packet: bytes) -> None:
        kind = packet[:1]
        if kind == b"J":
            raise LoginRefused(f"the server refused the login: {_REASONS.get(packet[1:2], 'no reason given')}")
        if kind == b"A":
            self._note_login(packet)
        elif not self._accepted or kind not in (b"S", b"H", b"U", b"+", b"Z"):
            raise ConnectionError(f"the server sent {packet[:16]!r}, which is no packet that may come here")
        if kind == b"H":
            return
        self._next += kind == b"S"
        self._sink(now_ns, packet)
        self._ended = kind == b"Z"

    def _note_login(self, packet: bytes) -> None:
        number = packet[11:].strip()
        if len(packet) != _ACCEPTED_BYTES or not number.isdigit() or not packet.isascii():
            raise ConnectionError("the server's answer to the login has a wrong form")
        self.notes.connections += 1
        self._accepted = packet
        self._session, self._next = packet[1:11].decode("ascii").strip(), int(number)


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_INTERVAL_S)
        writer.write(CLIENT_HEARTBEAT)


class MoldSource:
    """Records the datagrams of one address, a multicast group or our own, until it is cancelled."""

    def __init__(self, host: str, port: int, sink: Sink, interface: str = "0.0.0.0") -> None:  # noqa: S104 - the default route
        self.notes = FeedNotes()
        self._sink = sink
        self._address = (host, port)
        self._interface = interface
        self.port = 0
        self.listening = asyncio.Event()

    def begin_file(self) -> None:
        """Every packet says where it belongs: a new file needs nothing."""

    async def run(self) -> None:
        """Receive; until cancelled.

        Raises:
            OSError: the address cannot be bound or the group not be joined.
        """
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._sink, ended), sock=self._socket())
        self.port = transport.get_extra_info("sockname")[1]
        self.notes.connections += 1
        self.listening.set()
        try:
            await ended
        finally:
            transport.close()

    def _socket(self) -> socket.socket:
        host, port = self._address
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            made.setblocking(False)
            made.bind((host, port))
            if 224 <= int(host.split(".")[0] or 0) <= 239:
                member = socket.inet_aton(host) + socket.inet_aton(self._interface)
                made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        except (OSError, ValueError):
            made.close()
            raise
        return made


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, sink: Sink, ended: "asyncio.Future[None]") -> None:
        self._sink = sink
        self._ended = ended

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._sink(time.time_ns(), data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)
