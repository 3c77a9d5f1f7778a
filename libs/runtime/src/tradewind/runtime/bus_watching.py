"""Shows what the buses of a process count of themselves as metrics: how far each reader is behind, and what was lost.

Owner: the supervisor, one task. A reader that has gone counts as 0 from then on.
"""

import asyncio
import collections
from collections.abc import Iterable
from typing import Final

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
        self._published = metrics.gauge("bus_published", "Messages published since the start")
        self._waits = metrics.gauge("bus_publish_waits", "Times that a full order topic made a publisher wait")
        self._dropped = metrics.gauge("bus_dropped_records", "Market records dropped by the readers there are now")
        self._gaps = metrics.gauge("bus_gaps", "Gaps that the readers there are now were told of")
        self._dead_lettered = metrics.gauge("bus_dead_lettered", "Messages put aside by the readers there are now")

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
        self._published.set(sum(one.published for one in statistics))
        self._waits.set(sum(one.publish_waits for one in statistics))
        self._dropped.set(sum(reader.dropped_records for reader in readers))
        self._gaps.set(sum(reader.gaps for reader in readers))
        self._dead_lettered.set(sum(reader.dead_lettered for reader in readers))
