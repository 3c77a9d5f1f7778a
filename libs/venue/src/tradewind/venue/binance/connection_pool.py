"""A few open connections for orders: one is always kept for cancels.

It starts no task. Missing connections are opened by whoever needs one, or by ``refill`` ahead of need. Waiters are
bounded: when too many wait, the next one is refused with nothing written.
"""

import asyncio
import collections
import ssl
from collections.abc import Callable
from typing import Final

from tradewind.venue.adapter import VenueUnavailable
from tradewind.venue.binance.http_connection import (
    ConnectionUnusable,
    HttpAddress,
    HttpAnswer,
    HttpConnection,
    connect,
)

POOL_SIZE: Final = 4
CANCEL_RESERVE: Final = 1
MAX_WAITERS: Final = 64
CONNECT_TIMEOUT_S: Final = 2.0

_Waiter = asyncio.Future[None]


class ConnectionPool:
    """Connections to one address. ``urgent`` is for cancels, which go before new orders."""

    def __init__(
        self,
        address: HttpAddress,
        size: int = POOL_SIZE,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        if size <= CANCEL_RESERVE:
            raise ValueError(f"a pool needs more than {CANCEL_RESERVE} connections, not {size}")
        self.address = address
        self._size = size
        self._connect_timeout_s = connect_timeout_s
        self._ssl_context = ssl_context
        if address.secure and ssl_context is None:
            self._ssl_context = ssl.create_default_context()
        self._open: set[HttpConnection] = set()
        self._idle: list[HttpConnection] = []
        self._opening = 0
        self._waiters: dict[bool, collections.deque[_Waiter]] = {True: collections.deque(), False: collections.deque()}
        self._closed = False

    @property
    def missing(self) -> int:
        """How many connections are neither open nor being opened."""
        return self._size - len(self._open) - self._opening

    @property
    def idle(self) -> int:
        """How many could take a request now."""
        return len(self._idle)

    def take_now(self, *, urgent: bool) -> HttpConnection | None:
        """A free connection without waiting, or None. It is the caller's until its answer has come."""
        while len(self._idle) > (0 if urgent else CANCEL_RESERVE):
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def take(self, *, urgent: bool, timeout_s: float) -> HttpConnection:
        """A free connection; opens one or waits for one up to ``timeout_s``.

        Raises:
            VenueUnavailable: none can be had; nothing was written.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while (connection := self.take_now(urgent=urgent)) is None:
                    if self.missing > 0:
                        await self._open_one()
                    else:
                        await self._wait(urgent=urgent)
                return connection
        except VenueUnavailable:
            raise
        except OSError as error:  # TimeoutError is one
            raise VenueUnavailable(
                f"no connection to {self.address.host} port {self.address.port} "
                f"({type(error).__name__}); nothing was sent"
            ) from error

    async def refill(self) -> None:
        """Open what is missing.

        Raises:
            OSError: the address does not answer.
        """
        while self.missing > 0 and not self._closed:
            await self._open_one()

    def fire(self, request: bytes, timeout_s: float, done: Callable[[HttpAnswer | None], None]) -> bool:
        """Send a request that nobody waits for; ``done`` gets the answer, or None. False when none is free now."""
        connection = self.take_now(urgent=False)
        if connection is None:
            return False
        try:
            future = connection.start(request)
        except ConnectionUnusable:
            return False
        timer = asyncio.get_running_loop().call_later(timeout_s, connection.abort)

        def finished(answer: asyncio.Future[HttpAnswer]) -> None:
            timer.cancel()
            failed = answer.cancelled() or answer.exception() is not None
            done(None if failed else answer.result())

        future.add_done_callback(finished)
        return True

    def longest_idle(self, since_s: float) -> bool:
        """Whether a free connection was last used before ``since_s``; it is then the next one that is taken."""
        for index, connection in enumerate(self._idle):
            if connection.idle_since_s < since_s:
                self._idle.append(self._idle.pop(index))
                return True
        return False

    async def close(self) -> None:
        """Close all connections; answers that are still awaited are lost."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        for waiters in self._waiters.values():
            while waiters:
                _wake(waiters.popleft())
        await asyncio.sleep(0)  # the event loop's turn in which the transports really close

    async def _open_one(self) -> None:
        if self._closed:
            raise VenueUnavailable("the client is closed; nothing was sent")
        self._opening += 1
        try:
            connection = await connect(
                self.address, self._on_idle, self._on_closed, self._connect_timeout_s, self._ssl_context
            )
        finally:
            self._opening -= 1
        if not connection.is_open:
            raise ConnectionError("the connection was closed as soon as it was open")
        self._open.add(connection)
        self._on_idle(connection)

    async def _wait(self, *, urgent: bool) -> None:
        waiters = self._waiters[urgent]
        if len(waiters) >= MAX_WAITERS:
            raise VenueUnavailable(f"{MAX_WAITERS} requests wait for a connection already; nothing was sent")
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in waiters:
                waiters.remove(waiter)
            else:
                self._wake_next()
            raise

    def _on_idle(self, connection: HttpConnection) -> None:
        self._idle.append(connection)
        self._wake_next()

    def _on_closed(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_next()

    def _wake_next(self) -> None:
        """Let the next waiter look again: cancels first."""
        for urgent in (True, False):
            waiters = self._waiters[urgent]
            while waiters and (len(self._idle) > (0 if urgent else CANCEL_RESERVE) or self.missing > 0):
                if _wake(waiters.popleft()):
                    return


def _wake(waiter: _Waiter) -> bool:
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
