"""What all processes have counted, as one: the figures of each child, also of one that has ended or began anew."""

import asyncio
import collections
from typing import Final

from tradewind.runtime.health import HealthBoard, ServiceHealth, process_health
from tradewind.runtime.metrics import LatencySummary, ProcessMetrics, process_metrics, sum_of
from tradewind.runtime.process_state import LatencySamples, ProcessState, own_peak_rss_bytes
from tradewind.runtime.processes.asking import ProcessAsker

_Place = tuple[str, tuple[tuple[str, str], ...]]


class ChildFigures:
    """The figures of one service's processes, one after another: counters go on where the last process ended."""

    def __init__(self) -> None:
        self._state: ProcessState | None = None
        self._carried: collections.Counter[_Place] = collections.Counter()
        self._samples: dict[str, LatencySamples] = {}
        self.peak_rss_bytes = 0

    def take(self, state: ProcessState) -> None:
        """The newest state of the process."""
        self._state = state
        self.peak_rss_bytes = max(self.peak_rss_bytes, state.peak_rss_bytes)

    def latencies(self) -> list[str]:
        """The latencies that the process measures."""
        return self._state.latencies if self._state is not None else []

    def keep_samples(self, name: str, samples: LatencySamples) -> None:
        """The last samples of a process that is about to end."""
        self._samples[name] = self.kept_samples(name) + samples

    def kept_samples(self, name: str) -> LatencySamples:
        """Samples of processes that have ended."""
        return self._samples.get(name, LatencySamples.none())

    def process_ended(self) -> None:
        """What it had counted stays; what it had measured, its gauges, is gone with it."""
        if self._state is None:
            return
        for name in self._state.counters:
            for labels, value in self._state.values.get(name, ()):
                self._carried[name, tuple(sorted(labels.items()))] += value  # type: ignore[assignment]
        self._state = None

    def total(self, name: str, labels: dict[str, str]) -> float:
        """As ``ProcessMetrics.total``."""
        now = self._state.values.get(name, []) if self._state is not None else []
        before = [(dict(place), value) for (carried, place), value in self._carried.items() if carried == name]
        return sum_of([*now, *before], labels)


class ProcessesView:
    """All services, each in its own process; see ``PlatformView``."""

    poll_s: Final = 0.2
    still_s: Final = 1.0  # a child's own copies, a look at it, and its neighbour's answer to it

    def __init__(self, board: HealthBoard = process_health, metrics: ProcessMetrics = process_metrics) -> None:
        self._board = board
        self._own = metrics
        self._figures: dict[str, ChildFigures] = {}
        self._running: dict[str, ProcessAsker] = {}

    def attach(self, service: str, asker: ProcessAsker) -> None:
        """A process of the service has begun."""
        self._figures.setdefault(service, ChildFigures())
        self._running[service] = asker

    def detach(self, service: str) -> None:
        """It has ended."""
        self._running.pop(service, None)
        self._figures[service].process_ended()

    async def look(self, service: str) -> ProcessState | None:
        """Ask a service's process for its state; None when it does not answer, or there is none."""
        asker = self._running.get(service)
        state = await asker.state() if asker is not None else None
        if state is not None and self._running.get(service) is asker:
            self._figures[service].take(state)
        return state

    async def keep_last(self, service: str) -> None:
        """Take everything from a process that is about to be stopped. Never longer than one question may take."""
        asker = self._running.get(service)
        if asker is None or await self.look(service) is None:
            return
        figures = self._figures[service]
        names = figures.latencies()
        for name, samples in zip(names, await asyncio.gather(*map(asker.samples, names)), strict=True):
            figures.keep_samples(name, samples)

    def rows(self) -> list[ServiceHealth]:
        return self._board.rows()

    async def refresh(self) -> None:
        await asyncio.gather(*(self.look(service) for service in list(self._running)))

    def total(self, name: str, **labels: str) -> float:
        return self._own.total(name, **labels) + sum(one.total(name, labels) for one in self._figures.values())

    async def latency(self, name: str) -> LatencySummary:
        samples = LatencySamples.none()
        for kept in self._figures.values():
            samples += kept.kept_samples(name)
        for found in await asyncio.gather(*(asker.samples(name) for asker in self._running.values())):
            samples += found
        return samples.summary()

    def peak_rss_bytes(self) -> int:
        return own_peak_rss_bytes() + sum(one.peak_rss_bytes for one in self._figures.values())
