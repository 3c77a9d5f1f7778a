"""Last values in Redis or Valkey: small msgpack values for late joiners and the page.

Losing them loses nothing: who writes them writes all of them again and again. While Redis is away every call returns at
once or within ``timeout_s``, says so in its result and in the counters, and never raises.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tradewind.store.redis_link import RedisLink

LARGEST_VALUE_BYTES: Final = 1_000_000

_log = logging.getLogger(__name__)


class LastValueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start."""

    written: int = 0
    read: int = 0
    failed: int = 0  # calls that Redis did not answer, those skipped while it is away included
    unreadable: int = 0  # values that somebody else must have written


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
        self.url = url
        """Where it is; it may hold a password, so never log it."""
        self._prefix = f"{namespace}:"
        self._link = RedisLink(
            url, timeout_s=timeout_s, retry_after_s=retry_after_s, max_connections=max_connections, log=log
        )
        self._client = self._link.client
        self._written = self._read = self._unreadable = 0

    @property
    def available(self) -> bool:
        """The last call was answered, or none was made yet."""
        return self._link.available

    @property
    def counts(self) -> LastValueCounts:
        """Counters since the start."""
        return LastValueCounts(
            written=self._written, read=self._read, failed=self._link.failed, unreadable=self._unreadable
        )

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

        done = await self._link.attempt(write) or False
        self._written += len(packed) if done else 0
        return done

    async def get(self, key: str) -> Any:
        """The value of a key; None when there is none, or Redis is away."""
        return (await self.get_many([key])).get(key)

    async def get_many(self, keys: list[str]) -> dict[str, Any]:
        """The values of those keys that have one, in one round trip; empty when Redis is away.

        A value that is no msgpack is counted and left out.
        """
        if not keys:
            return {}
        found = await self._link.attempt(lambda: self._client.mget([self._prefix + key for key in keys]))
        if found is None:
            return {}
        self._read += len(keys)
        values = {}
        for key, value in zip(keys, found, strict=True):
            if value is None:
                continue
            try:
                values[key] = msgspec.msgpack.decode(value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._unreadable += 1
        return values

    async def delete(self, *keys: str) -> bool:
        """Forget values; False when Redis did not."""
        if not keys:
            return True
        return await self._link.attempt(lambda: self._client.delete(*(self._prefix + key for key in keys))) is not None

    async def ping(self) -> bool:
        """One empty round trip; False when Redis is away."""
        return await self._link.attempt(self._client.ping) is not None

    async def close(self) -> None:
        """Close all connections; it may be used again afterwards."""
        await self._link.close()

    async def __aenter__(self) -> "LastValues":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


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
