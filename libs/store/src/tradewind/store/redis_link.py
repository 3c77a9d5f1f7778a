"""Calls to Redis or Valkey that never wait long and never raise for its absence.

While it is away a call returns None at once; after ``retry_after_s`` the next call tries again. Going and coming back
are said once each in the log.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_log: Final = logging.getLogger(__name__)
# uvloop says RuntimeError when it is told to write to a connection that was reset, and the driver passes that on.
_AWAY: Final = (RedisError, OSError, RuntimeError)


class RedisLink:
    """A small pool of connections to one server, and whether it answers. Making it does no I/O."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 0.5,
        retry_after_s: float = 0.5,
        max_connections: int = 8,
        log: Any = _log,
        without: str = "going on without it",
    ) -> None:
        """``url`` is ``redis://``, ``rediss://`` or ``unix://``; ``log`` has ``info`` and ``warning``.

        ``without`` is said when the server goes away: what its absence means.

        Raises:
            ValueError: the URL has another form.
        """
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._log = log
        self._without = without
        self._away_until = 0.0
        self._away = False
        self.failed = 0
        """Calls that were not answered, those skipped while the server is away included."""
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self.client = redis.asyncio.Redis.from_pool(pool)

    @property
    def available(self) -> bool:
        """The last call was answered, or none was made yet."""
        return not self._away

    async def attempt(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The call's answer, or None: no call is made while the server is known to be away."""
        if time.monotonic() < self._away_until:
            self.failed += 1
            return None
        cancellations = task.cancelling() if (task := asyncio.current_task()) is not None else 0
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call()
        except _AWAY as error:
            self._note_failure(error)
            return None
        if task is not None and task.cancelling() > cancellations:
            # Before Python 3.12 the driver's asyncio.wait_for may swallow a cancellation: the caller would never end.
            raise asyncio.CancelledError
        if self._away:
            self._away = False
            self._log.info("Redis is available again")
        return answer

    async def close(self) -> None:
        """Close all connections; it may be used again afterwards."""
        try:
            await self._disconnect()
        except asyncio.CancelledError:
            # The client closes its connections in tasks; one that is cancelled before it begins closes nothing.
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.client.aclose()
                await self.client.connection_pool.disconnect()
        except _AWAY as error:
            self._log.info(f"Redis did not take the end of our connections: {error}")

    def _note_failure(self, error: Exception) -> None:
        self.failed += 1
        self._away_until = time.monotonic() + self._retry_after_s
        if not self._away:
            self._away = True
            self._log.warning(f"Redis is unavailable: {str(error) or type(error).__name__}; {self._without}")
