"""One connection to RabbitMQ that comes back for ever.

The library's own robust connection is not used: it replays acknowledgements and consumers onto new channels by itself,
where a tag of a channel that is gone means another message, and a stream would begin again where it first did.
"""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, TypeVar, cast

import aio_pika
import aiormq.abc
from aiormq.channel import Channel
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ConnectionNotAllowed,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from tradewind.bus.interface import BusClosed
from tradewind.bus.owned_tasks import OwnedTasks
from tradewind.bus.rabbitmq_settings import RabbitMQSettings

RPC_TIMEOUT_S: Final = 30.0
"""How long the broker may take for one answer; declaring a queue on a busy disk is the slowest."""
PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
"""Between two tries of something that a lost connection interrupted; a broker that comes back needs a while for its
queues."""

_CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 5.0
_FIRST_DELAY_S: Final = 0.05
_LONGEST_DELAY_S: Final = 5.0
_BUS_CLOSED: Final = "the bus is closed; connect again"

T = TypeVar("T")
_log: Final = logging.getLogger(__name__)

for _chatty in map(logging.getLogger, ("aiormq", "aio_pika")):
    if _chatty.level == logging.NOTSET:
        # What they report as errors, with tracebacks, is what this module expects, reports and repairs.
        _chatty.setLevel(logging.CRITICAL)


class LinkLost(ConnectionError):
    """The connection or the channel broke while it was used; what was begun on it is begun again on the next."""


class RefusedByBroker(PermissionError):
    """The broker knows the user and does not let it do this; the message says what to do."""


@contextlib.contextmanager
def losses() -> Iterator[None]:
    """What the library says when a connection or channel is gone, as ``LinkLost``; a rejected message is not that."""
    try:
        yield
    except (DeliveryError, RefusedByBroker):
        raise
    except ChannelAccessRefused as error:
        raise RefusedByBroker(f"{error}; give the user of the bus configure, write and read permissions") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: that is how the library ends those who wait on a connection that was closed.
        raise LinkLost("the connection to RabbitMQ was closed") from error
    except (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, StopAsyncIteration) as error:
        # The last one is what the library says of a connection that ends in its handshake: behind a proxy they do.
        raise LinkLost(f"the connection to RabbitMQ broke: {error!r}") from error


def stop_if_cancelled() -> None:
    """For loops that go on after errors: a task group that is cancelled while one of its tasks fails tells the failure
    alone, and the cancellation would be forgotten."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class RabbitMQLink:
    """The connection. ``keep`` must run in a task while the link is open."""

    def __init__(self, settings: RabbitMQSettings, purpose: str, tasks: OwnedTasks) -> None:
        self.settings = settings
        self.declared: set[str] = set()
        """Topics whose exchange and queues were declared on this connection."""
        self._purpose = purpose
        self._tasks = tasks
        self._connection: aio_pika.abc.AbstractConnection | None = None
        self._underlay: aiormq.abc.AbstractConnection | None = None
        self.major_version = 0
        """Of the broker that is connected now."""
        self._up = asyncio.Event()
        self._closed = False

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            ConnectionError: the broker does not answer, refuses the password or does not have the vhost.
        """
        try:
            await self._connect()
        except LinkLost as error:
            raise ConnectionError(_why(self.settings, error.__cause__ or error)) from error

    async def keep(self) -> None:
        """Connect again whenever the connection is lost, for ever."""
        while True:
            if self._underlay is not None:
                await asyncio.wait([self._underlay.closing])
            self._up.clear()
            _log.warning("connection to RabbitMQ at %s lost (%s)", self.settings.address, self._purpose)
            await self._forget()
            await self._connect_again()
            _log.warning("connection to RabbitMQ at %s is back (%s)", self.settings.address, self._purpose)

    async def channel(self, *, confirms: bool = False) -> Channel:
        """A new channel, as soon as there is a connection.

        Raises:
            BusClosed: the link was closed, before or while waiting.
            LinkLost: the connection broke meanwhile.
        """
        await self._up.wait()
        if self._closed or self._underlay is None:
            raise BusClosed(_BUS_CLOSED)
        if self._underlay.is_closed:
            raise LinkLost("the connection to RabbitMQ was closed")
        # Not in the caller's task: a channel that is cancelled while it is opened leaves the library and the broker of
        # different minds about which numbers are free, and the broker then closes the connection.
        opening = self._tasks.spawn(self._opened(self._underlay, confirms), "channel")
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._close_unwanted)
            stop_if_cancelled()
            # Nobody cancelled us: the bus ends its tasks when it is closed.
            raise BusClosed(_BUS_CLOSED) from None
        if isinstance(opened, LinkLost):
            raise opened
        return opened

    @contextlib.asynccontextmanager
    async def short_channel(self, *, confirms: bool = False) -> AsyncIterator[Channel]:
        """A channel for a few calls; what breaks inside is ``LinkLost``."""
        channel = await self.channel(confirms=confirms)
        try:
            with losses():
                yield channel
        finally:
            await close_channel(channel)

    async def retrying(self, action: Callable[[], Awaitable[T]]) -> T:
        """The result of ``action``, which is begun again whenever the connection breaks.

        Raises:
            BusClosed: the link was closed.
        """
        pause_s = PAUSE_S
        while True:
            try:
                return await action()
            except LinkLost as error:
                _log.info("beginning again after %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Close the connection; everyone who waits for one gets BusClosed."""
        self._closed = True
        await self._forget()
        self._up.set()

    @staticmethod
    async def _opened(underlay: aiormq.abc.AbstractConnection, confirms: bool) -> Channel | LinkLost:
        try:
            with losses():
                channel = await underlay.channel(publisher_confirms=confirms, timeout=RPC_TIMEOUT_S)
            return cast(Channel, channel)
        except LinkLost as error:
            return error

    def _close_unwanted(self, opening: asyncio.Task[Channel | LinkLost]) -> None:
        if not opening.cancelled() and isinstance(channel := opening.result(), Channel):
            self._tasks.spawn(close_channel(channel), "unwanted")

    async def _connect(self) -> None:
        settings = self.settings
        with losses():
            connection = await aio_pika.connect(
                host=settings.host,
                port=settings.port,
                login=settings.user,
                password=settings.password,
                virtualhost=settings.vhost,
                ssl=settings.tls is not None,
                ssl_context=settings.tls,
                timeout=_CONNECT_TIMEOUT_S,
                heartbeat=settings.heartbeat_s,
                client_properties={"connection_name": f"tradewind {self._purpose}"},
            )
        if connection.transport is None:
            raise LinkLost("the connection to RabbitMQ was closed")
        self._connection, self._underlay = connection, connection.transport.connection
        version = self._underlay.server_properties.get("version", "")
        self.major_version = int(found.group()) if (found := re.match(r"\d+", str(version))) else 0
        self.declared.clear()
        self._up.set()

    async def _connect_again(self) -> None:
        delay = _FIRST_DELAY_S
        while True:
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            try:
                return await self._connect()
            except LinkLost as error:
                delay = min(delay * 2, _LONGEST_DELAY_S)
                _log.info("RabbitMQ at %s does not answer yet: %s", self.settings.address, error)

    async def _forget(self) -> None:
        connection, self._connection, self._underlay = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(LinkLost), losses():
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await connection.close()


async def close_channel(channel: Channel) -> None:
    """Close a channel, or let it be when its connection is gone."""
    with contextlib.suppress(LinkLost), losses():
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await channel.close()


def _why(settings: RabbitMQSettings, error: BaseException) -> str:
    where = f"RabbitMQ at {settings.address}"
    if isinstance(error, AuthenticationError | ProbableAuthenticationError):
        return f"{where} refuses user {settings.user!r} with that password; correct the URL of the bus"
    # The library expected the vhost to be opened, and the broker closed the connection instead.
    if isinstance(error, ConnectionNotAllowed) or (isinstance(error, InvalidFrameError) and "OpenOk" in str(error)):
        return f"{where} has no vhost {settings.vhost!r} for user {settings.user!r}; correct the URL of the bus"
    return f"{where} does not answer ({error}); start it, or correct the URL of the bus"
