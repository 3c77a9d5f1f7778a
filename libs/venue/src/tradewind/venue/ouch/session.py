"""One account's OUCH session over SoupBinTCP: orders written once, all that the venue says kept and handed on.

Runs in callbacks of the event loop; there is no task here. A lost connection is made again by who reads
``next_happenings``, and the session goes on at the number of the next message. The replay is over with the first
heartbeat of the server: it sends one when it has had nothing to send for a second (SoupBinTCP 1.3). Only then is the
link ``live``. Bound: ``MOST_WAITING`` happenings; when nobody reads them they are thrown away and the reader is told
that it was interrupted.
"""

import asyncio
import collections
import dataclasses
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, cast

import msgspec

from tradewind.venue.adapter import OutcomeUnknown, VenueError, VenueRejected, VenueUnavailable
from tradewind.venue.backoff import Backoff
from tradewind.venue.itch import soupbintcp as soup
from tradewind.venue.itch.soupbintcp import FROM_SERVER, LoginRequest, PacketReader, PacketType, RejectReason, SoupError
from tradewind.venue.ouch.messages import OuchError, Outbound, SystemEvent
from tradewind.venue.ouch.record import OuchRecord

_log: Final = logging.getLogger(__name__)

MOST_WAITING: Final = 65_536
MOST_UNSENT_BYTES: Final = 64 * 1024
FIRST_RECONNECT_S: Final = 0.1
LONGEST_RECONNECT_S: Final = 10.0


class OuchAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the port is, and who we are there."""

    host: str
    port: int
    user: str
    password: str

    def __repr__(self) -> str:
        """Without the password."""
        return f"OuchAddress({self.host}:{self.port}, user {self.user!r})"


@dataclasses.dataclass(frozen=True, slots=True)
class OuchTimes:
    """Bounds of a connection, in seconds. ``replay``: from the login to the end of the replay."""

    connect: float = 5.0
    replay: float = 30.0
    heartbeat: float = soup.HEARTBEAT_INTERVAL_S
    silent: float = soup.DEAD_AFTER_S


class Up(NamedTuple):
    """Logged in, and the replay is over."""


class Down(NamedTuple):
    """Not so, or what came was thrown away."""

    reason: str


Happening = Up | Down | Outbound


class OuchLink:
    """See the module."""

    def __init__(self, address: OuchAddress, times: OuchTimes | None = None) -> None:
        self.address = address
        self.times = times or OuchTimes()
        self.record = OuchRecord()
        self._wire: _Wire | None = None
        self._connecting = asyncio.Lock()
        self._answers: dict[str, tuple[asyncio.Future[Outbound], Callable[[Outbound], bool]]] = {}
        self._happenings: collections.deque[Happening] = collections.deque()
        self._woken = asyncio.Event()
        self._backoff = Backoff(FIRST_RECONNECT_S, LONGEST_RECONNECT_S)
        self._was_up = False
        self._renewals = 0
        self._closed = False

    @property
    def live(self) -> bool:
        """Logged in, and all that was said before is in the record."""
        return self._wire is not None and self._wire.caught_up.done() and not self._wire.is_over

    @property
    def connecting(self) -> bool:
        """A login or its replay is under way."""
        return self._connecting.locked()

    async def open(self) -> None:
        """Log in and take the replay, unless that is done. Raises VenueUnavailable, VenueRejected."""
        async with self._connecting:
            if not self.live:
                await self._connect(tell=True)

    async def renew(self) -> None:
        """Log in anew: with the answer nothing that was sent before can still arrive, and all of it is in the record.

        Raises:
            VenueUnavailable, VenueRejected: this is not known.
        """
        begun = self._renewals
        async with self._connecting:
            if self._renewals > begun and self.live:
                return  # somebody else's login, made after this question
            self._renewals += 1
            was_live = self.live
            if self._wire is not None:
                self._wire.end(None)
            try:
                await self._connect(tell=not was_live)
            except VenueError as error:
                if was_live:
                    self._lost(str(error))
                raise

    async def close(self) -> None:
        """Log out."""
        self._closed = True
        if self._wire is not None:
            self._wire.log_out()
        self._wire = None
        self._woken.set()

    async def ask(
        self,
        token: str,
        message: bytes,
        on_first_byte: Callable[[], None],
        timeout_s: float,
        what: str,
        enough: Callable[[Outbound], bool] = lambda _: True,
    ) -> Outbound:
        """Write a message once and await the first word about its token that is enough; a new connection may bring it.

        Raises:
            VenueUnavailable: nothing was written.
            OutcomeUnknown: written, and no answer in time.
        """
        wire = self._wire
        if wire is None or not self.live or wire.unsent_bytes > MOST_UNSENT_BYTES:
            raise VenueUnavailable("the OUCH session is not logged in or does not take more; try again later")
        if token in self._answers:
            raise VenueUnavailable(f"{token} is being asked about already; wait for that answer")
        answer: asyncio.Future[Outbound] = asyncio.get_running_loop().create_future()
        self._answers[token] = (answer, enough)
        try:
            on_first_byte()
            wire.write(soup.unsequenced(message))
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise OutcomeUnknown(f"no answer to the {what} within {timeout_s} s; ask for the order's status") from None
        finally:
            del self._answers[token]
            answer.cancel()

    async def next_happenings(self) -> list[Happening]:
        """Wait for what happened since the last call, oldest first; logs in again when that is needed."""
        while not self._happenings and not self._closed:
            self._woken.clear()
            if not self.live and not self._connecting.locked():
                await self._open_or_wait()
                continue
            await self._woken.wait()
        happened = list(self._happenings)
        self._happenings.clear()
        return happened

    async def _open_or_wait(self) -> None:
        try:
            await self.open()
            self._backoff.reset()
        except VenueError as error:
            _log.warning("OUCH: %s", error)
            await asyncio.sleep(self._backoff.next_s())

    async def _connect(self, *, tell: bool) -> None:
        """``tell``: the private stream was down until now. One that goes on without a hole is not interrupted."""
        address, times = self.address, self.times
        where = f"{address.host}:{address.port}"
        wire = _Wire(self, times)
        self._wire = wire
        try:
            async with asyncio.timeout(times.connect):
                await asyncio.get_running_loop().create_connection(lambda: wire, address.host, address.port)
            wire.write(soup.login_request(self._login()))
            async with asyncio.timeout(times.replay):
                await asyncio.shield(wire.caught_up)
        except TimeoutError:
            wire.end(f"{where} did not answer in time")
            raise VenueUnavailable(f"OUCH at {where}: no login and replay in time") from None
        except _NoSuchSession:
            self.record = OuchRecord()
            raise VenueUnavailable(f"OUCH at {where}: our session is over there; the next login begins anew") from None
        except (OSError, SoupError, OuchError) as error:
            wire.end(str(error))
            raise VenueUnavailable(f"OUCH at {where}: {error or type(error).__name__}") from None
        except BaseException:
            wire.end(None)
            raise
        self._was_up = True
        if tell:
            self._tell(Up())

    def _login(self) -> LoginRequest:
        record, address = self.record, self.address
        return LoginRequest(
            user=address.user, password=address.password, session=record.session, sequence=record.next_sequence
        )

    # -- called by the wire ----------------------------------------------------------------------------------------

    def accepted(self, accepted: soup.LoginAccepted) -> None:
        """The server let us in. Raises SoupError when it does not go on where the record ends."""
        if accepted.sequence != self.record.next_sequence:
            wanted = self.record.next_sequence
            self.record = OuchRecord()
            raise SoupError(f"the session begins at {accepted.sequence}, not at {wanted}; the next login begins anew")
        self.record.session = accepted.session

    def take(self, payload: bytes) -> None:
        """The next message of the session. Raises OuchError."""
        message = self.record.take(payload)
        waiting = self._answers.get("" if isinstance(message, SystemEvent) else message.token)
        if waiting is not None and not waiting[0].done() and waiting[1](message):
            waiting[0].set_result(message)
        if self._was_up:
            self._tell(message)

    def over(self, wire: "_Wire", reason: str | None) -> None:
        """A connection has ended; None: we wanted it so."""
        if wire is self._wire and wire.caught_up.done() and reason is not None:
            self._lost(reason)
        self._woken.set()

    def _lost(self, reason: str) -> None:
        if not self._closed:
            self._tell(Down(f"OUCH: {reason}"))

    def _tell(self, happening: Happening) -> None:
        if len(self._happenings) >= MOST_WAITING:
            self._happenings.clear()
            self._happenings.append(Down("nobody read the private stream in time"))
            if self.live:
                self._happenings.append(Up())
        self._happenings.append(happening)
        self._woken.set()


class _NoSuchSession(Exception):
    """The server has another session now."""


class _Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self, link: OuchLink, times: OuchTimes) -> None:
        loop = asyncio.get_running_loop()
        self._link = link
        self._times = times
        self._loop = loop
        self._packets = PacketReader(FROM_SERVER)
        self._transport: asyncio.Transport | None = None
        self._logged_in = False
        self._heard_s = loop.time()
        self._beat: asyncio.TimerHandle | None = None
        self.is_over = False
        self.caught_up: asyncio.Future[None] = loop.create_future()

    @property
    def unsent_bytes(self) -> int:
        """What the system has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and not self.is_over:
            self._transport.write(data)

    def log_out(self) -> None:
        """The regular end."""
        self.write(soup.LOGOUT_REQUEST)
        self._end(None, None)
        if self._transport is not None:
            self._transport.close()

    def end(self, reason: str | None) -> None:
        """The other end."""
        self._end(None, reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._heard_s = self._loop.time()
        self._tick()

    def data_received(self, data: bytes) -> None:
        """One read."""
        if self.is_over:
            return
        try:
            packets = self._packets.feed(data)
            if packets:
                self._heard_s = self._loop.time()
            for packet in packets:
                self._take(packet)
        except Exception as error:  # whatever it is, the owner must hear it, not the event loop
            self._end(error, str(error) or type(error).__name__)
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Gone."""
        reason = str(error or "") or "the venue closed the connection"
        self._end(error or ConnectionError(reason), reason)

    def _take(self, packet: soup.SoupPacket) -> None:
        kind = packet.kind
        if kind is PacketType.DEBUG:
            _log.info("OUCH: the venue says: %s", packet.payload[:200].decode("ascii", "replace"))
        elif not self._logged_in:
            self._take_login(packet)
        elif kind is PacketType.SEQUENCED:
            self._link.take(packet.payload)
        elif kind is PacketType.SERVER_HEARTBEAT:
            if not self.caught_up.done():
                self.caught_up.set_result(None)
        elif kind is PacketType.END_OF_SESSION:
            raise ConnectionError("the venue says that the session is over")
        elif kind is not PacketType.UNSEQUENCED:
            raise SoupError(f"a packet of type {chr(kind)!r} after the login")

    def _take_login(self, packet: soup.SoupPacket) -> None:
        if packet.kind is PacketType.LOGIN_ACCEPTED:
            self._link.accepted(soup.read_login_accepted(packet.payload))
            self._logged_in = True
        elif packet.kind is PacketType.LOGIN_REJECTED:
            if soup.read_login_rejected(packet.payload) is RejectReason.NO_SUCH_SESSION:
                raise _NoSuchSession
            raise VenueRejected(0, "the venue refuses the OUCH login: check the user and the password")
        else:
            raise SoupError(f"a packet of type {chr(packet.kind)!r} before the login was answered")

    def _tick(self) -> None:
        if self.is_over:
            return
        if self._loop.time() - self._heard_s > self._times.silent:
            self.end(f"the venue said nothing for {self._times.silent:g} s")
            return
        if self._logged_in:
            self.write(soup.CLIENT_HEARTBEAT)
        self._beat = self._loop.call_later(self._times.heartbeat, self._tick)

    def _end(self, error: Exception | None, reason: str | None) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._beat is not None:
            self._beat.cancel()
        self._link.over(self, reason)
        if not self.caught_up.done():
            self.caught_up.set_exception(error or ConnectionError(reason or "the connection was given up"))
            self.caught_up.exception()  # who does not wait for it any more has heard enough
