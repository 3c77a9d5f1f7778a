"""Last values in Redis or Valkey: small msgpack values for late joiners and the page, and the presence of services.

Losing them loses nothing. While Redis is away every call returns at once or within ``timeout_s``, says so in its result
and in the counters, and never raises; after ``retry_after_s`` the next call tries again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

LARGEST_VALUE_BYTES: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000

_log = logging.getLogger(__name__)


class LastValueCounts(msgspec.Struct, kw_only=True):
    """Counters since the start."""

    written: int = 0
    read: int = 0
    failed: int = 0  # calls that Redis did not answer, those skipped while it is away included


class LastValues:
    """Values by key below one prefix. Making it does no I/O."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "tradewind",
        timeout_s: float = 0.5,
        retry_after_s: float = 0.5,
        max_connections: int = 8,
        log: Any = _log,
    ) -> None:
        """``url`` is ``redis://``, ``rediss://`` or ``unix://``; ``log`` has ``info`` and ``warning``.

        Raises:
            ValueError: the URL has another form.
        """
        self._prefix = f"{namespace}:"
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._log = log
        self._away_until = 0.0
        self._away = False
        self.counts = LastValueCounts()
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = redis.asyncio.Redis.from_pool(pool)

    @property
    def available(self) -> bool:
        """The last call was answered, or none was made yet."""
        return not self._away

    async def put(self, key: str, value: object, ttl_s: float | None = None) -> bool:
        """Store one value, for ``ttl_s`` seconds or until it is replaced; False when Redis did not take it.

        Raises:
            TypeError: msgpack cannot hold the value.
            ValueError: it is larger than LARGEST_VALUE_BYTES, or the TTL is not positive.
        """
        return await self.put_many({key: value}, ttl_s)

    async def put_many(self, values: Mapping[str, object], ttl_s: float | None = None) -> bool:
        """Store several values in one round trip; see ``put``."""
        expiry_ms = _milliseconds(ttl_s)
        packed = {self._prefix + key: _pack(key, value) for key, value in values.items()}
        if not packed:
            return True

        async def write() -> bool:
            if expiry_ms is None:
                await self._client.mset(packed)
                return True
            async with self._client.pipeline(transaction=False) as pipeline:
                for key, value in packed.items():
                    pipeline.set(key, value, px=expiry_ms)
                await pipeline.execute()
            return True

        done = await self._attempt(write) or False
        self.counts.written += len(packed) if done else 0
        return done

    async def get(self, key: str) -> Any:
        """The value of a key; None when there is none, or Redis is away."""
        return (await self.get_many([key])).get(key)

    async def get_many(self, keys: list[str]) -> dict[str, Any]:
        """The values of those keys that have one, in one round trip; empty when Redis is away."""
        if not keys:
            return {}
        found = await self._attempt(lambda: self._client.mget([self._prefix + key for key in keys]))
        if found is None:
            return {}
        self.counts.read += len(keys)
        return {key: msgspec.msgpack.decode(value) for key, value in zip(keys, found, strict=True) if value is not None}

    async def delete(self, *keys: str) -> bool:
        """Forget values; False when Redis did not."""
        if not keys:
            return True
        return await self._attempt(lambda: self._client.delete(*(self._prefix + key for key in keys))) is not None

    async def set_presence(self, service: str, state: str, ttl_s: float) -> bool:
        """Say that a service is there in some state, for ``ttl_s`` seconds; False when Redis did not take it.

        Raises:
            ValueError: the TTL is not positive.
        """
        expiry_ms = _milliseconds(ttl_s) or 0
        value = msgspec.msgpack.encode((state, time.time_ns() + expiry_ms * 1_000_000))
        done = await self._attempt(lambda: self._client.hset(self._presence, service, value))
        self.counts.written += done is not None
        return done is not None

    async def presence(self) -> dict[str, str]:
        """State by service, of those that have said so lately by their own clocks; empty when Redis is away."""
        found = await self._attempt(lambda: self._client.hgetall(self._presence))
        if not found:
            return {}
        now = time.time_ns()
        states = {name.decode(): msgspec.msgpack.decode(value, type=tuple[str, int]) for name, value in found.items()}
        expired = [name for name, (_, until) in states.items() if until <= now]
        if expired:
            await self._attempt(lambda: self._client.hdel(self._presence, *expired))
        return {name: state for name, (state, until) in states.items() if until > now}

    async def ping(self) -> bool:
        """One empty round trip; False when Redis is away."""
        return await self._attempt(self._client.ping) is not None

    async def close(self) -> None:
        """Close all connections; it may be used again afterwards."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.aclose()
                await self._client.connection_pool.disconnect()
        except (RedisError, OSError) as error:
            self._log.info(f"Redis did not take the end of our connections: {error}")

    async def __aenter__(self) -> "LastValues":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def _presence(self) -> str:
        return f"{self._prefix}presence"

    async def _attempt(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The call's answer, or None: no call is made while Redis is known to be away."""
        if time.monotonic() < self._away_until:
            self.counts.failed += 1
            return None
        cancellations = task.cancelling() if (task := asyncio.current_task()) is not None else 0
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await call()
        except (RedisError, OSError) as error:
            self._note_failure(error)
            return None
        if task is not None and task.cancelling() > cancellations:
            # Before Python 3.12 the driver's asyncio.wait_for may swallow a cancellation: the caller would never end.
            raise asyncio.CancelledError
        if self._away:
            self._away = False
            self._log.info("Redis is available again")
        return answer

    def _note_failure(self, error: Exception) -> None:
        self.counts.failed += 1
        self._away_until = time.monotonic() + self._retry_after_s
        if not self._away:
            self._away = True
            self._log.warning(f"Redis is unavailable: {str(error) or type(error).__name__}; going on without it")


def _pack(key: str, value: object) -> bytes:
    packed = msgspec.msgpack.encode(value)
    if len(packed) > LARGEST_VALUE_BYTES:
        raise ValueError(f"the value of {key} has {len(packed)} bytes, at most {LARGEST_VALUE_BYTES} are kept")
    return packed


def _milliseconds(ttl_s: float | None) -> int | None:
    if ttl_s is None:
        return None
    if not ttl_s > 0:
        raise ValueError(f"a time to live of {ttl_s} s is not positive")
    return max(1, round(ttl_s * 1_000))
