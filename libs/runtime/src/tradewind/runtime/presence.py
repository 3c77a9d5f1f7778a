"""Tells through Redis that this process is there, with its services and their states; and reads who is.

The one task belongs to the block of ``telling_presence``. It tells every REFRESH_S, at once when a state has changed;
a process that dies is forgotten within ``TTL_S`` of the store. Without Redis it goes on trying, and nothing else is
touched by that.
"""

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from tradewind.runtime.bus_watching import LAG
from tradewind.runtime.health import HealthBoard, process_health
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import ProcessMetrics, process_metrics
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.tasks import TaskNursery
from tradewind.store.presence import LONGEST_TEXT, Presence, PresenceSeen, ProcessPresence, ServicePresence, Vitals
from tradewind.store.valkey_server import url_of_running

REFRESH_S: Final = 2.0
LOOK_S: Final = 0.2
READ_TIMEOUT_S: Final = 3.0
MOST_SERVICES: Final = 32
"""More services of one process are not told: the row has a bound."""


@contextlib.asynccontextmanager
async def telling_presence(redis_url: str, board: HealthBoard = process_health) -> AsyncIterator[str]:
    """Tell of this process while the block runs; gives the id that it goes by.

    Raises:
        ValueError: ``redis_url`` is no address of a Redis.
    """
    presence = Presence(redis_url, log=get_logger("presence"))
    host = socket.gethostname()
    row = ProcessPresence(
        process_id=f"{host}:{os.getpid()}:{secrets.token_hex(4)}",
        host=host,
        pid=os.getpid(),
        version=importlib.metadata.version("tradewind-runtime"),
        since_ns=time.time_ns(),
        services=(),
    )
    async with TaskNursery("presence") as nursery:
        try:
            nursery.spawn(_keep_telling(presence, row, board), "teller")
            yield row.process_id
        finally:
            await nursery.close()
            await presence.forget(row.process_id)
            await presence.close()


class NoRedis(Exception):
    """There is no Redis that could be asked who is there; the message says why."""


async def processes_seen(platform: PlatformSettings) -> PresenceSeen:
    """All processes that use the Redis of these settings, or the embedded one of their data folder.

    Raises:
        NoRedis: none answers.
    """
    url = platform.redis_url or url_of_running(platform.data_dir.expanduser())
    if url is None:
        raise NoRedis(f"no Redis runs in {platform.data_dir}, and TRADEWIND_REDIS_URL names none")
    log = logging.getLogger(__name__)
    log.addHandler(logging.NullHandler())  # what it would say of an absent Redis is in the exception
    log.propagate = False
    try:
        presence = Presence(url, timeout_s=READ_TIMEOUT_S, log=log)
    except ValueError as error:
        # Never the URL itself: it may hold a password.
        raise NoRedis("TRADEWIND_REDIS_URL takes an address like redis://127.0.0.1:6379/0") from error
    try:
        seen = await presence.read()
    finally:
        await presence.close()
    if seen is None:
        raise NoRedis("Redis does not answer")
    return seen


async def _keep_telling(presence: Presence, row: ProcessPresence, board: HealthBoard) -> None:
    told: tuple[ServicePresence, ...] | None = None
    told_s = 0.0
    while True:
        services = _services(board)
        if services != told or time.monotonic() - told_s >= REFRESH_S:
            taken = await presence.tell(msgspec.structs.replace(row, services=services, vitals=vitals_of()))
            told = services if taken else None
            told_s = time.monotonic()
        await asyncio.sleep(LOOK_S)


def vitals_of(metrics: ProcessMetrics = process_metrics) -> Vitals:
    """How this process does now."""
    return Vitals(
        loop_lag_s=metrics.largest("loop_lag"),
        bus_lag=int(metrics.largest(LAG)),
        queue_fill=metrics.largest("bus_queue_fill"),
        gaps=int(metrics.total("bus_gaps")),
    )


def _services(board: HealthBoard) -> tuple[ServicePresence, ...]:
    return tuple(
        ServicePresence(
            name=one.name,
            kind=one.kind,
            state=str(one.state),
            reason=one.reason[:LONGEST_TEXT],
            restarts=one.restarts,
            since_ns=one.since_ns,
        )
        for one in board.rows()[:MOST_SERVICES]
    )
