"""The door: what clients connect to. QuickFIX stands behind it, on loopback, and bounds nothing itself.

Before a byte goes further: the address may connect, the first message is a whole Logon within the time, of a client
that comes from its own network with its own password. After that: messages have a size, so many a second are read (a
client that sends more is held up by TCP, nothing is refused), and who does not read is cut off. A new Logon of a client
ends its older connection, which may be half-open.

Tasks: asyncio's server owns one per connection, which owns two in a TaskGroup: one each way. ``max_connections`` bounds
them. On cancel all connections are closed.
"""

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from tradewind.runtime.service import ServiceContext
from tradewind.services.fix_gateway.framing import FixReader, FramingError, has_right_checksum
from tradewind.services.fix_gateway.handling import Desk
from tradewind.services.fix_gateway.sessions import Sessions
from tradewind.services.fix_gateway.settings import Client, GatewaySettings
from tradewind.venue.fix_fields import fields_of

if TYPE_CHECKING:
    from tradewind_native.fix_sessions import FixEngine

READ_BYTES: Final = 16_384
LOOPBACK: Final = "127.0.0.1"
_REPLACED_S: Final = 5.0
_LOOK_S: Final = 0.02
_LOGON: Final = "A"


class Refused(Exception):
    """The connection is closed; the message is for our log, the peer gets none."""


class Pace:
    """So many messages a second, and as many at once after a pause."""

    def __init__(self, messages_per_s: int) -> None:
        self._per_s = messages_per_s
        self._left = float(messages_per_s)
        self._at_s = time.monotonic()

    def wait_s(self, messages: int) -> float:
        """How long to wait after reading these."""
        now_s = time.monotonic()
        self._left = min(self._per_s, self._left + (now_s - self._at_s) * self._per_s) - messages
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)


class Guard:
    """The listening socket and its connections."""

    def __init__(
        self, context: ServiceContext, settings: GatewaySettings, sessions: Sessions, engine: "FixEngine", inner: int
    ) -> None:
        """``inner`` is QuickFIX's port on loopback."""
        self._context = context
        self._settings = settings
        self._sessions = sessions
        self._engine = engine
        self._inner = inner
        self._connections: set[asyncio.Task[None]] = set()
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._refused = context.metrics.counter(
            "fix_connections_refused", "FIX connections that were closed at the door"
        )
        self._held_up = context.metrics.counter("fix_clients_held_up", "Times that a FIX client sent too much a second")

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Let clients in; yields the port.

        Raises:
            OSError: the port cannot be listened on.
        """
        server = await asyncio.start_server(self._meet, self._settings.host, self._settings.port, limit=READ_BYTES)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._connections:
                task.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        if (task := asyncio.current_task()) is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            self._check_address(address)
            desk, messages, frames = await self._logon(reader, address)
            await self._replace(desk, writer)
            await self._carry(desk, messages, frames, reader, writer)
        except Refused as error:
            self._refused.inc()
            self._context.log.warning("FIX connection closed", address=address, reason=str(error))
        except OSError as error:
            self._context.log.info("FIX connection lost", address=address, reason=str(error) or type(error).__name__)
        finally:
            writer.close()

    def _check_address(self, address: str) -> None:
        if len(self._connections) > self._settings.max_connections:
            raise Refused(f"there are {self._settings.max_connections} connections already")
        if not any(desk.client.may_come_from(address) for desk in self._sessions.desks):
            raise Refused("no client may come from this address; `networks` of a client says from where")

    async def _logon(self, reader: asyncio.StreamReader, address: str) -> tuple[Desk, list[bytes], FixReader]:
        frames = FixReader(self._settings.max_message_bytes)
        messages: list[bytes] = []
        try:
            async with asyncio.timeout(self._settings.logon_timeout_s):
                while not messages:
                    if not (data := await reader.read(READ_BYTES)):
                        raise Refused("it ended before a Logon")
                    messages = frames.feed(data)
        except TimeoutError:
            raise Refused("no Logon came in time") from None
        except FramingError as error:
            raise Refused(str(error)) from None
        return self._desk_of(messages[0], address), messages, frames

    def _desk_of(self, message: bytes, address: str) -> Desk:
        """Who logs on. A peer that is not known is not told what was wrong."""
        fields = fields_of(message)
        if fields.get(35) != _LOGON or not has_right_checksum(message):
            raise Refused("the first message is no Logon")
        name, version = fields.get(49, ""), fields.get(8, "")
        desk = self._sessions.find(version, name)
        if desk is None or fields.get(56) != self._settings.comp_id:
            raise Refused(f"no client logs on with {version!r}, 49={name[:32]!r}, 56={fields.get(56, '')[:32]!r}")
        if not desk.client.may_come_from(address):
            raise Refused(f"client {name} may not come from this address")
        if not knows_password(desk.client, fields):
            raise Refused(f"client {name} gave a wrong username or password")
        return desk

    async def _replace(self, desk: Desk, writer: asyncio.StreamWriter) -> None:
        older = self._writers.get(desk.session_id)
        self._writers[desk.session_id] = writer
        if older is None:
            return
        older.transport.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPLACED_S):
                while self._engine.state(desk.session_id).logged_on:
                    await asyncio.sleep(_LOOK_S)

    async def _carry(
        self,
        desk: Desk,
        messages: list[bytes],
        frames: FixReader,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        answers, inner = await asyncio.open_connection(LOOPBACK, self._inner, limit=READ_BYTES)
        ended: Exception | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                outward = tasks.create_task(self._outward(answers, writer), name="fix-gateway.outward")
                await self._inward(desk, messages, frames, reader, inner)
                inner.close()
                outward.cancel()
        except* (Refused, OSError) as errors:
            # Raised here it would be in a group again.
            ended = errors.exceptions[0]
        finally:
            inner.close()
            if self._writers.get(desk.session_id) is writer:
                del self._writers[desk.session_id]
        if ended is not None:
            raise ended

    async def _inward(
        self,
        desk: Desk,
        messages: list[bytes],
        frames: FixReader,
        reader: asyncio.StreamReader,
        inner: asyncio.StreamWriter,
    ) -> None:
        """From the client to QuickFIX, until the client ends."""
        pace = Pace(desk.client.messages_per_s)
        while True:
            inner.writelines(messages)
            await inner.drain()
            if wait_s := pace.wait_s(len(messages)):
                self._held_up.inc()
                await asyncio.sleep(wait_s)
            if not (data := await reader.read(READ_BYTES)):
                return
            try:
                messages = frames.feed(data)
            except FramingError as error:
                raise Refused(f"client {desk.client.comp_id}: {error}") from None

    async def _outward(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From QuickFIX to the client, until QuickFIX ends the connection."""
        while data := await answers.read(READ_BYTES):
            writer.write(data)
            try:
                async with asyncio.timeout(self._settings.slow_client_s):
                    await writer.drain()
            except TimeoutError:
                writer.transport.abort()
                raise Refused("the client does not read") from None
        # The client's side of the loop ends with its connection.
        writer.close()


def knows_password(client: Client, fields: dict[int, str]) -> bool:
    """Whether a Logon proves who sends it; takes as long for a wrong password as for the right one."""
    if client.begin_string == "FIX.4.2":
        return _same(fields.get(96, ""), client.password)
    return _same(fields.get(553, ""), client.user) & _same(fields.get(554, ""), client.password)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1", "replace"), wanted.encode())
