"""Watches how late the event loop runs what is due: the liveness of a process."""

import asyncio
import contextlib
import time
from typing import Final

from tradewind.runtime.logging import RateLimitedLog, get_logger
from tradewind.runtime.loop_stalls import StallWatch
from tradewind.runtime.metrics import Metrics

_INTERVAL_S: Final = 0.25
_WARN_LAG_S: Final = 0.5
_MS_PER_S: Final = 1_000
START_S: Final = 3.0
"""A process that starts loads and builds its code: that blocks, and nobody waits for it yet."""


async def watch_loop(metrics: Metrics, stall_ms: int = 0) -> None:
    """Set the gauges ``loop_lag`` (the latest) and ``loop_lag_max`` (since the start), in seconds, until cancelled.

    ``stall_ms`` is how long the loop may be blocked before its stack is looked at, once the start is over; 0 does not
    look.
    """
    latest = metrics.gauge("loop_lag", "How late the event loop ran its latest timer", "seconds")
    most = metrics.gauge("loop_lag_max", "The largest loop lag since the start", "seconds")
    limited = RateLimitedLog(get_logger(metrics.service))
    most_s = 0.0
    watch = StallWatch(metrics, stall_ms / _MS_PER_S) if stall_ms else contextlib.nullcontext()
    begun_s = time.monotonic()
    with contextlib.ExitStack() as watches:
        is_starting = True
        while True:
            due_s = time.monotonic() + _INTERVAL_S
            await asyncio.sleep(_INTERVAL_S)
            lag_s = max(time.monotonic() - due_s, 0.0)
            latest.set(lag_s)
            if lag_s > most_s:
                most_s = lag_s
                most.set(most_s)
            if is_starting:
                is_starting = time.monotonic() - begun_s < START_S
                if not is_starting:
                    watches.enter_context(watch)
            elif lag_s > _WARN_LAG_S:
                limited.warning("loop-lag", "the event loop was blocked", lag_s=round(lag_s, 3))
