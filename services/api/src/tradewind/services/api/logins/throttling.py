"""Requests per second of one address or one person: a bucket each, bounded in number."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST: Final = 10_000
BURST_S: Final = 2.0


class Throttle:
    """Buckets that hold ``BURST_S`` seconds' worth and refill at a rate."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """Take one; 0 when there was one, else seconds until there is."""
        now = self._clock()
        full = self._per_second * BURST_S
        held, since = self._buckets.pop(key, (full, now))
        held = min(held + (now - since) * self._per_second, full)
        taken = held >= 1.0
        self._buckets[key] = (held - 1.0 if taken else held, now)
        if len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - held) / self._per_second
