"""A SoupBinTCP server: login, replay from any number, live messages, heartbeats. Source: SoupBinTCP 3.00 and 4.0.

Each client reads the session at its own pace, so nothing is queued for it: it holds one slice of the session and what
the system buffers. One that takes no slice within ``slow_client_s`` is dropped, and so is one that says nothing, not
even a heartbeat, for ``DEAD_AFTER_S``, sends what is no SoupBinTCP, or does not log in. ``run`` owns the listening
socket and ends all clients with it.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from tradewind.runtime.refusals import PortTaken, StartRefused, is_address_in_use
from tradewind.services.sim_venue.soup.message_store import SoupSession
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.soupbintcp import FROM_CLIENT, LoginAccepted, LoginRequest, PacketType, RejectReason

LOGIN_WITHIN_S: Final = 5.0
MOST_CLIENTS: Final = 64
SLICE_BYTES: Final = 64 * 1024
MOST_CLIENT_PAYLOAD_BYTES: Final = 1_024
"""Clients say logins and orders: nothing of theirs is longer."""
_READ_BYTES: Final = 16 * 1024


class SoupLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a client, in seconds."""

    slow_client_s: float = 10.0
    dead_after_s: float = soup.DEAD_AFTER_S
    heartbeat_s: float = soup.HEARTBEAT_INTERVAL_S
    login_within_s: float = LOGIN_WITHIN_S


class Dropped(Exception):
    """The client must go; the text says why."""


class _Over(Exception):
    """The regular end: a logout, or the end of the session."""


class SoupClient:
    """One connection that has logged in or may yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = False

    def cut(self) -> None:
        """End the connection at once. What was received of it and not yet taken up is not taken up any more."""
        self.gone = True
        self.writer.transport.abort()


Take = Callable[[SoupClient, bytes], Awaitable[None]]
"""Takes a client's unsequenced message. Raises Dropped."""


class SoupServer:
    """One port. ``session`` answers which session is active."""

    def __init__(
        self,
        variable: str,
        credentials: tuple[str, str],
        session: Callable[[], SoupSession],
        log: FilteringBoundLogger,
        limits: SoupLimits,
        *,
        take: Take | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``variable``: the setting of the port, for messages. With ``settle`` one client is in at a time: a login
        ends the one before it and is accepted after ``settle``, so nothing of the old one can take effect later."""
        self.port = 0
        self.dropped = 0
        self.listening = asyncio.Event()
        self._variable = variable
        self._credentials = credentials
        self._session = session
        self._log = log.bind(port_of=variable)
        self._limits = limits
        self._take = take
        self._settle = settle
        self._clients: set[SoupClient] = set()

    @property
    def clients(self) -> int:
        """How many connections there are."""
        return len(self._clients)

    async def run(self, host: str, port: int) -> None:
        """Listen until cancelled.

        Raises:
            StartRefused: the port is taken or the host is not this machine's.
        """
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=_READ_BYTES)
        except OSError as error:
            if is_address_in_use(error):
                raise PortTaken(port, self._variable) from error
            raise StartRefused(f"{self._variable}={port}: cannot listen on {host}: {error}") from error
        self.port = int(server.sockets[0].getsockname()[1])
        self._log.info("simulated venue listens", port=self.port)
        self.listening.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            for client in tuple(self._clients):
                client.cut()

    def cut_all(self) -> None:
        """End all connections at once, as a network does."""
        for client in tuple(self._clients):
            client.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = SoupClient(reader, writer)
        if len(self._clients) >= MOST_CLIENTS:
            client.cut()
            return
        self._clients.add(client)
        try:
            await self._follow(client)
        except _Over:
            self._log.info("client has left")
        except (Dropped, soup.SoupError) as reason:
            self.dropped += 1
            self._log.warning("client dropped", reason=str(reason))
            client.cut()
        except OSError as error:
            self._log.info("client is gone", reason=str(error) or type(error).__name__)
        finally:
            client.gone = True
            self._clients.discard(client)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _follow(self, client: SoupClient) -> None:
        packets = soup.PacketReader(FROM_CLIENT, MOST_CLIENT_PAYLOAD_BYTES)
        request, early = await self._login(client, packets)
        session = self._session()
        if (reason := self._refusal(request, session)) is not None:
            client.writer.write(soup.login_rejected(reason))
            await self._drain(client)
            return
        if self._settle is not None:
            for other in tuple(self._clients - {client}):
                other.cut()
            await self._settle()
        start = min(request.sequence or session.next_sequence, session.next_sequence)
        client.writer.write(soup.login_accepted(LoginAccepted(session.name, start)))
        dead_after_s = (request.timeout_ms or self._limits.dead_after_s * 1_000) / 1_000
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._hear(client, packets, early, dead_after_s), name="sim-venue.soup.hear")
                tasks.create_task(self._tell(client, session, start), name="sim-venue.soup.tell")
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _login(
        self, client: SoupClient, packets: soup.PacketReader
    ) -> tuple[LoginRequest, list[soup.SoupPacket]]:
        try:
            async with asyncio.timeout(self._limits.login_within_s):
                while not (came := packets.feed(await self._bytes(client))):
                    continue
        except TimeoutError:
            raise Dropped(f"no login within {self._limits.login_within_s:g} s") from None
        if came[0].kind is not PacketType.LOGIN_REQUEST:
            raise Dropped(f"a packet of type {chr(came[0].kind)!r} before the login")
        return soup.read_login_request(came[0].payload), came[1:]

    def _refusal(self, request: LoginRequest, session: SoupSession) -> RejectReason | None:
        given = (request.user, request.password)
        both = zip(self._credentials, given, strict=True)
        known = [hmac.compare_digest(ours.encode(), said.encode()) for ours, said in both]
        if not all(known):
            return RejectReason.NOT_AUTHORIZED
        return None if request.session in ("", session.name) else RejectReason.NO_SUCH_SESSION

    async def _hear(
        self, client: SoupClient, packets: soup.PacketReader, early: list[soup.SoupPacket], dead_after_s: float
    ) -> None:
        came = early
        while True:
            for packet in came:
                if packet.kind is PacketType.LOGOUT_REQUEST or client.gone:
                    raise _Over
                await self._heard(client, packet)
            try:
                async with asyncio.timeout(dead_after_s):
                    came = packets.feed(await self._bytes(client))
            except TimeoutError:
                raise Dropped(f"the client said nothing for {dead_after_s:g} s") from None

    async def _heard(self, client: SoupClient, packet: soup.SoupPacket) -> None:
        if packet.kind is PacketType.LOGIN_REQUEST:
            raise Dropped("a second login")
        if packet.kind is PacketType.UNSEQUENCED:
            if self._take is None:
                raise Dropped("this port takes no messages")
            await self._take(client, packet.payload)

    async def _bytes(self, client: SoupClient) -> bytes:
        if data := await client.reader.read(_READ_BYTES):
            return data
        raise ConnectionError("the client closed the connection")

    async def _tell(self, client: SoupClient, session: SoupSession, sequence: int) -> None:
        until_s: float | None = None
        while True:
            data, sequence = await session.read(sequence, SLICE_BYTES)
            if not data and session.ended:
                client.writer.write(soup.END_OF_SESSION)
                await self._drain(client)
                raise _Over
            if session.ended:
                until_s = until_s or time.monotonic() + self._limits.slow_client_s
                if time.monotonic() > until_s:
                    raise Dropped(f"a slow client: {session.next_sequence - sequence} messages behind an ended session")
            if not data and await self._idle(session, sequence):
                data = soup.SERVER_HEARTBEAT
            client.writer.write(data)
            await self._drain(client)

    async def _idle(self, session: SoupSession, sequence: int) -> bool:
        """Whether nothing came for as long as a heartbeat waits."""
        try:
            async with asyncio.timeout(self._limits.heartbeat_s):
                await session.more(sequence)
        except TimeoutError:
            return True
        return False

    async def _drain(self, client: SoupClient) -> None:
        try:
            async with asyncio.timeout(self._limits.slow_client_s):
                await client.writer.drain()
        except TimeoutError:
            raise Dropped(
                f"a slow client: it took no {SLICE_BYTES} bytes in {self._limits.slow_client_s:g} s"
            ) from None
