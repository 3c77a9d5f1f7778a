"""Which processes of a deployment are there, in Redis or Valkey: one short-lived value per process, and an index.

A process tells of itself again and again; what it does not repeat within its time to live is forgotten by the server.
Reading is bounded in rows and bytes, and what cannot be read, whoever wrote it, is counted and left out.
"""

import logging
import time
from typing import Any, Final

import msgspec
from redis.exceptions import RedisError, ResponseError

from tradewind.store.redis_link import RedisLink

TTL_S: Final = 6.0
MOST_PROCESSES: Final = 1_000
LARGEST_ROW_BYTES: Final = 65_536
LONGEST_TEXT: Final = 200
_INDEX_TTL_MS: Final = 3_600_000

_log: Final = logging.getLogger(__name__)


class ServicePresence(msgspec.Struct, frozen=True, kw_only=True):
    """One service of a process; ``since_ns`` is when its state began, ns UTC."""

    name: str
    kind: str
    state: str
    reason: str
    restarts: int
    since_ns: int


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """How a process does: its loop's latest lag, the longest backlog and the fullest queue of its bus readers (0 to 1),
    gaps that they were told of."""

    loop_lag_s: float
    bus_lag: int
    queue_fill: float
    gaps: int


class ProcessPresence(msgspec.Struct, frozen=True, kw_only=True):
    """One process; ``since_ns`` is when it started, ns UTC."""

    process_id: str
    host: str
    pid: int
    version: str
    since_ns: int
    services: tuple[ServicePresence, ...]
    vitals: Vitals | None = None


class PresenceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: processes by host and pid, and how many rows were none."""

    processes: tuple[ProcessPresence, ...]
    unreadable: int


_decoder: Final = msgspec.msgpack.Decoder(ProcessPresence)


class Presence:
    """Presence below one namespace. Nothing raises for an absent Redis; making it does no I/O."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "tradewind",
        timeout_s: float = 0.5,
        retry_after_s: float = 0.5,
        log: Any = _log,
    ) -> None:
        """Raises ValueError: the URL has another form than ``redis://``, ``rediss://`` or ``unix://``."""
        self._prefix = f"{namespace}:presence:"
        self._index = f"{namespace}:presence-index"
        self._link = RedisLink(
            url,
            timeout_s=timeout_s,
            retry_after_s=retry_after_s,
            max_connections=2,
            log=log,
            without="nobody sees from elsewhere that this process is there",
        )
        self._client = self._link.client

    async def tell(self, row: ProcessPresence, ttl_s: float = TTL_S) -> bool:
        """Say that a process is there, for ``ttl_s`` seconds; False when Redis did not take it.

        Raises:
            ValueError: the row is larger than LARGEST_ROW_BYTES.
        """
        packed = msgspec.msgpack.encode(row)
        if len(packed) > LARGEST_ROW_BYTES:
            raise ValueError(f"a process of {len(packed)} bytes is more than the {LARGEST_ROW_BYTES} that are read")

        async def write() -> bool:
            now_ms = time.time_ns() // 1_000_000
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.set(self._prefix + row.process_id, packed, px=max(1, round(ttl_s * 1_000)))
                pipeline.zadd(self._index, {row.process_id: now_ms})
                pipeline.zremrangebyscore(self._index, "-inf", now_ms - _INDEX_TTL_MS)
                pipeline.zremrangebyrank(self._index, 0, -MOST_PROCESSES - 1)
                pipeline.pexpire(self._index, _INDEX_TTL_MS)
                await pipeline.execute()
            return True

        return bool(await self._link.attempt(lambda: self._mended(write)))

    async def forget(self, process_id: str) -> bool:
        """Say that a process has ended; False when Redis did not take it."""

        async def remove() -> bool:
            await self._client.delete(self._prefix + process_id)
            await self._client.zrem(self._index, process_id)
            return True

        return bool(await self._link.attempt(lambda: self._mended(remove)))

    async def read(self) -> PresenceSeen | None:
        """The processes that are there now, at most MOST_PROCESSES; None when Redis is away."""

        async def fetch() -> list[tuple[bytes, Any]]:
            names: Any = await self._client.zrevrange(self._index, 0, MOST_PROCESSES - 1)
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.getrange(self._prefix.encode() + name, 0, LARGEST_ROW_BYTES)
                values = await pipeline.execute(raise_on_error=False) if names else []
            return list(zip(names, values, strict=True))

        found = await self._link.attempt(lambda: self._mended(fetch))
        if found is None:
            return None
        rows = [_row(name, value) for name, value in found if value != b""]
        processes = sorted((row for row in rows if row is not None), key=lambda row: (row.host, row.pid))
        return PresenceSeen(processes=tuple(processes), unreadable=len(rows) - len(processes))

    async def close(self) -> None:
        """Close all connections; it may be used again afterwards."""
        await self._link.close()

    async def _mended(self, call: Any) -> Any:
        """The call's answer; an index that is none is deleted first: it is of no use to anyone."""
        try:
            return await call()
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        await self._client.delete(self._index)
        return await call()


def _row(name: bytes, value: bytes | RedisError) -> ProcessPresence | None:
    """The row of a value that anyone may have written; None when it is none."""
    if not isinstance(value, bytes) or len(value) > LARGEST_ROW_BYTES:
        return None
    try:
        row = _decoder.decode(value)
        same = row.process_id.encode() == name
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return _shown(row) if same else None


def _shown(row: ProcessPresence) -> ProcessPresence:
    """The row with texts that a terminal and a page can show."""
    services = tuple(
        msgspec.structs.replace(
            one, name=_text(one.name), kind=_text(one.kind), state=_text(one.state), reason=_text(one.reason)
        )
        for one in row.services
    )
    return msgspec.structs.replace(row, host=_text(row.host), version=_text(row.version), services=services)


def _text(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text[:LONGEST_TEXT])
