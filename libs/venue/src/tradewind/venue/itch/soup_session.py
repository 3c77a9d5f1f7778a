"""One SoupBinTCP connection as a client: log in, read, heartbeats, silence, the end. Runs on asyncio.

Source: Nasdaq "SoupBinTCP" 3.00, sections 1 and 2. A read of the socket goes into one buffer and as a whole to the
``SoupSink``, which takes the sequenced packets at its start; only the other types are looked at here. The buffer holds
one packet that is not whole at most, so memory is bounded.

``run_soup_connection`` owns the connection: it returns or raises when that is over, and nothing of it is left then.
"""

import asyncio
import dataclasses
import time
from typing import Final, Protocol, cast

from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.soupbintcp import (
    FROM_SERVER,
    LoginAccepted,
    PacketReader,
    PacketType,
    RejectReason,
    SoupError,
)

BUFFER_BYTES: Final = 256 * 1024
MOST_UNSENT_BYTES: Final = 64 * 1024
QUIET_S: Final = 0.1
"""After a login the server sends what was before as fast as it can: a pause as long as this says that it is done."""


class SoupSink(Protocol):
    """Who takes what a connection brings. May raise SoupError: the connection then ends with it."""

    def on_login(self, accepted: LoginAccepted) -> None:
        """The server let us in; its next message has this number."""
        ...

    def take(self, data: memoryview, ts_recv: int) -> int:
        """Take whole packets of types S and H at the start of ``data``; answers how many bytes they are."""
        ...

    def flush(self) -> None:
        """The end of what one read brought."""
        ...

    def on_quiet(self) -> None:
        """All that the server has sent so far is handed on. Said again after each pause."""
        ...


class LoginRefused(SoupError):
    """The server's own no; the text says what to do."""

    def __init__(self, reason: RejectReason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class PeerSilent(ConnectionError):
    """Nothing came for too long, not even a heartbeat: the peer or the way to it is dead."""


class SessionEnded(Exception):
    """The server says that the session is over: nothing more will come in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class SoupOptions:
    """Bounds of one connection, in seconds."""

    connect_timeout_s: float = 5.0
    login_timeout_s: float = 5.0
    heartbeat_s: float = soup.HEARTBEAT_INTERVAL_S
    silent_after_s: float = soup.DEAD_AFTER_S


async def run_soup_connection(
    address: tuple[str, int], request: soup.LoginRequest, sink: SoupSink, options: SoupOptions | None = None
) -> None:
    """Connect, log in and read until the connection is over.

    Raises:
        SessionEnded: the regular end.
        LoginRefused: by the server.
        SoupError: bytes that are no SoupBinTCP; the message says which.
        PeerSilent: the login was not answered, or nothing came for too long.
        ConnectionError, OSError: not there, or lost.
    """
    options = options or SoupOptions()
    login = soup.login_request(request)
    where = f"{address[0]}:{address[1]}"
    loop = asyncio.get_running_loop()
    connection = _Connection(sink, request.user)
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            await loop.create_connection(lambda: connection, *address)
    except TimeoutError:
        raise PeerSilent(f"{where} took no connection within {options.connect_timeout_s:g} s") from None
    try:
        connection.write(login)
        await _attend(connection, options, where)
    finally:
        connection.close()


async def _attend(connection: "_Connection", options: SoupOptions, where: str) -> None:
    """Send heartbeats and watch for silence until the connection is over."""
    loop = asyncio.get_running_loop()
    began_s = beat_s = loop.time()
    pause_s = min(QUIET_S, options.heartbeat_s, options.silent_after_s) / 2
    while not await connection.over_within(pause_s):
        now_s = loop.time()
        if not connection.logged_in:
            if now_s - began_s > options.login_timeout_s:
                raise PeerSilent(f"{where} did not answer the login within {options.login_timeout_s:g} s")
            continue
        silent_s = now_s - connection.last_packet_s
        if silent_s > options.silent_after_s:
            raise PeerSilent(f"{where} sent no whole packet for {silent_s:.0f} s, not even a heartbeat")
        if now_s - beat_s >= options.heartbeat_s:
            beat_s = now_s
            connection.write(soup.CLIENT_HEARTBEAT)
        if now_s - connection.last_data_s >= QUIET_S:
            connection.tell_quiet()


class _Connection(asyncio.BufferedProtocol):
    """Reads into one buffer; the sink sees it in place."""

    def __init__(self, sink: SoupSink, user: str) -> None:
        loop = asyncio.get_running_loop()
        self._sink = sink
        self._user = user
        self._time = loop.time
        self._over: asyncio.Future[None] = loop.create_future()
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._filled = 0
        self._transport: asyncio.Transport | None = None
        self.logged_in = False
        self.last_packet_s = self.last_data_s = self._time()
        """When a whole packet came last, and when messages came last, on the event loop's clock."""

    # -- the owner's side ------------------------------------------------------------------------------------------

    async def over_within(self, wait_s: float) -> bool:
        """Wait so long; whether the connection is over without an error. Raises what ended it."""
        await asyncio.wait((self._over,), timeout=wait_s)
        if self._over.done():
            self._over.result()
        return self._over.done()

    def write(self, data: bytes) -> None:
        """Send bytes; a peer that reads nothing ends the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MOST_UNSENT_BYTES:
            self._end(PeerSilent(f"the peer does not read: {MOST_UNSENT_BYTES} bytes wait"))
            return
        self._transport.write(data)

    def tell_quiet(self) -> None:
        """All that came is handed on."""
        if not self._over.done():
            self._guard(self._sink.on_quiet)

    def close(self) -> None:
        """Log out and leave."""
        self.write(soup.LOGOUT_REQUEST if self.logged_in else b"")
        self._end(None)
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()  # a peer that reads nothing would keep the socket for ever
        if self._over.done() and not self._over.cancelled():
            self._over.exception()  # nobody waits for it any more

    # -- the transport's side --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room behind what is not taken yet."""
        return self._buffer[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """One read."""
        if not self._over.done():
            self._filled += nbytes
            self._guard(self._read)

    def eof_received(self) -> None:
        """The peer sends no more."""
        self._end(ConnectionError("the server closed the connection"))

    def connection_lost(self, error: Exception | None) -> None:
        """Gone."""
        self._end(error or ConnectionError("the connection was lost"))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _guard(self, action: "_Action") -> None:
        try:
            action()
        except Exception as error:  # whatever it is, the owner of the connection must hear it, not the event loop
            self._end(error)

    def _read(self) -> None:
        ts_recv, at = time.time_ns(), 0
        try:
            while True:
                if self.logged_in:
                    at += self._taken(self._buffer[at : self._filled], ts_recv)
                waited = not self.logged_in
                size = self._other_packet(at)
                if size == 0:
                    break
                if waited and self.logged_in:
                    ts_recv = time.time_ns()  # the session's beginning was told just now, and time never goes back
                at += size
                self.last_packet_s = self._time()
        finally:
            self._sink.flush()
            self._filled -= at
            self._buffer[: self._filled] = self._buffer[at : at + self._filled]

    def _taken(self, data: memoryview, ts_recv: int) -> int:
        taken = self._sink.take(data, ts_recv)
        if taken:
            self.last_packet_s = self._time()
        if taken > soup.HEADER_BYTES:  # more than one heartbeat
            self.last_data_s = self.last_packet_s
        return taken

    def _other_packet(self, at: int) -> int:
        """Look at the packet at a place of the buffer; answers its bytes, 0 when it is not whole."""
        there = self._buffer[at : self._filled]
        if len(there) < soup.LENGTH_BYTES:
            return 0
        size = soup.LENGTH_BYTES + int.from_bytes(there[: soup.LENGTH_BYTES], "big")
        # The reader checks length and type as soon as they are there, and the payload when it is whole.
        packets = PacketReader(FROM_SERVER).feed(bytes(there[: min(size, len(there))]))
        for packet in packets:
            self._handle(packet)
        return size if packets else 0

    def _handle(self, packet: soup.SoupPacket) -> None:
        kind = packet.kind
        if kind is PacketType.DEBUG:
            return
        if not self.logged_in:
            self._handle_login(packet)
        elif kind is PacketType.END_OF_SESSION:
            self._sink.flush()
            raise SessionEnded("the server says that the session is over")
        elif kind not in (PacketType.SERVER_HEARTBEAT, PacketType.UNSEQUENCED):
            raise SoupError(f"a packet of type {chr(kind)!r} after the login")

    def _handle_login(self, packet: soup.SoupPacket) -> None:
        if packet.kind is PacketType.LOGIN_ACCEPTED:
            accepted = soup.read_login_accepted(packet.payload)
            self.logged_in = True
            self.last_data_s = self._time()
            self._sink.on_login(accepted)
        elif packet.kind is PacketType.LOGIN_REJECTED:
            reason = soup.read_login_rejected(packet.payload)
            raise LoginRefused(reason, _refusal(reason, self._user))
        else:
            raise SoupError(f"a packet of type {chr(packet.kind)!r} before the login was answered")

    def _end(self, error: Exception | None) -> None:
        if not self._over.done():
            if error is None:
                self._over.set_result(None)
            else:
                self._over.set_exception(error)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close() if error is None else self._transport.abort()


class _Action(Protocol):
    def __call__(self) -> None: ...


def _refusal(reason: RejectReason, user: str) -> str:
    if reason is RejectReason.NOT_AUTHORIZED:
        return f"the server refuses the login of user {user!r} (reason A): check the user and the password"
    return "the server has no such session (reason S): ask for the active one with an empty session, or name another"
