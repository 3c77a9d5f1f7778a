"""Shows what the buses of a process count of themselves as metrics: how far each reader is behind, and what was lost.

Owner: the supervisor, one task. The lag of a reader that has gone is 0 from then on; what it had lost stays counted.
"""

import asyncio
import collections
from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter

from tradewind.bus.interface import Bus
from tradewind.runtime.metrics import Metrics

LAG: Final = "bus_lag"
"""Gauge by topic and group: messages published and not yet received."""
_INTERVAL_S: Final = 0.25
_NO_GROUP: Final = "-"


async def watch_buses(metrics: Metrics, buses: Iterable[Bus]) -> None:
    """Keep the gauges up to date until cancelled. A bus that carries both planes may be named twice."""
    gauges = _BusGauges(metrics, list({id(bus): bus for bus in buses}.values()))
    while True:
        gauges.update()
        await asyncio.sleep(_INTERVAL_S)


class _BusGauges:
    def __init__(self, metrics: Metrics, buses: list[Bus]) -> None:
        self._metrics = metrics
        self._buses = buses
        self._seen: set[tuple[str, str]] = set()
        self._fill = metrics.gauge("bus_queue_fill", "Share of the fullest reader's queue that is used", "ratio")
        self._published = _Grown(metrics.counter("bus_published", "Messages published"))
        self._waits = _Grown(metrics.counter("bus_publish_waits", "Times that a full order topic held up a publisher"))
        self._dropped = _Grown(metrics.counter("bus_dropped_records", "Market records dropped before slow readers"))
        self._gaps = _Grown(metrics.counter("bus_gaps", "Gaps that readers were told of"))
        self._dead_lettered = _Grown(metrics.counter("bus_dead_lettered", "Messages put aside by readers"))

    def update(self) -> None:
        statistics = [bus.statistics() for bus in self._buses]
        readers = [reader for one in statistics for reader in one.subscriptions]
        lags: collections.Counter[tuple[str, str]] = collections.Counter()
        for reader in readers:
            lags[reader.topic, reader.group or _NO_GROUP] += reader.lag
        self._seen |= lags.keys()
        for topic, group in self._seen:
            gauge = self._metrics.gauge(LAG, "Messages published and not yet received", topic=topic, group=group)
            gauge.set(lags[topic, group])
        self._fill.set(max((min(one.lag / one.capacity, 1.0) for one in readers if one.capacity), default=0.0))
        self._published.reach(sum(one.published for one in statistics))
        self._waits.reach(sum(one.publish_waits for one in statistics))
        self._dropped.reach(sum(reader.dropped_records for reader in readers))
        self._gaps.reach(sum(reader.gaps for reader in readers))
        self._dead_lettered.reach(sum(reader.dead_lettered for reader in readers))


class _Grown:
    """A counter of what the readers there are now add up to; that sum falls when one of them goes."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._before = 0

    def reach(self, now: int) -> None:
        """Count what has come since the last call."""
        if now > self._before:
            self._counter.inc(now - self._before)
        self._before = now
