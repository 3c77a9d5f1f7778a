"""Metrics under one naming scheme, ``metric_names``, with the label ``service``.

Counters end in ``_total`` and latencies are in seconds on the Prometheus page, as its conventions want; inside the
process latencies are integers in ns. Services of one process share names and differ by label. All recording happens on
the event loop's thread.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from tradewind.runtime.metric_names import MOST_SERIES, check_meaning, counter_name, gauge_name, latency_name

disable_created_metrics()  # type: ignore[no-untyped-call] # a gauge beside each counter that no base unit names
_OTHER: Final = "other"
RING_SIZE: Final = 65_536
_RING_MASK: Final = RING_SIZE - 1
# Small enough that folding (about 10 us) never shows up as a latency of its own, large enough to cost little a sample.
_FOLD_MASK: Final = 1_023
_BUCKETS_NS: Final = np.array([m * 10**e for e in range(3, 10) for m in (1, 2, 5)] + [10**10], dtype=np.int64)
_NS_PER_S: Final = 1e9
Sample = tuple[dict[str, str], float]
"""Labels, and the value at them."""


@dataclasses.dataclass(frozen=True, slots=True)
class LatencySummary:
    """Exact percentiles over the samples still kept (nearest rank), and how many were ever recorded."""

    p50_ns: int
    p99_ns: int
    n: int

    @classmethod
    def of(cls, kept: np.ndarray[Any, np.dtype[np.int64]], n: int) -> Self:
        """Over these samples, in ns, of ``n`` that there were; zeros when there are none."""
        if not len(kept):
            return cls(0, 0, 0)
        p50, p99 = np.percentile(kept, [50, 99], method="inverted_cdf")
        return cls(int(p50), int(p99), n)

    def as_us(self) -> dict[str, float]:
        """The shape of reports: ``p50`` and ``p99`` in microseconds, ``n``."""
        return {"p50": self.p50_ns / 1_000, "p99": self.p99_ns / 1_000, "n": self.n}


class LatencyRecorder:
    """Latencies of one step of one service: the last 65,536 samples, and a histogram of all."""

    __slots__ = ("_bucket_counts", "_count", "_folded", "_ring", "_sum_ns")

    def __init__(self) -> None:
        self._ring = np.zeros(RING_SIZE, dtype=np.int64)
        self._bucket_counts = np.zeros(len(_BUCKETS_NS) + 1, dtype=np.int64)
        self._count = 0
        self._folded = 0
        self._sum_ns = 0

    def record(self, latency_ns: int) -> None:
        """Add one sample, in ns. Costs well under a microsecond."""
        count = self._count
        self._ring[count & _RING_MASK] = latency_ns
        self._count = count = count + 1
        if not count & _FOLD_MASK:
            self._fold()

    @property
    def n(self) -> int:
        """Samples ever recorded."""
        return self._count

    def samples(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The samples still kept, in no promised order."""
        return self._ring[: min(self._count, RING_SIZE)]

    def summary(self) -> LatencySummary:
        """p50, p99 and n of this recorder alone."""
        return summarize([self])

    def histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative Prometheus buckets and the sum, in seconds."""
        self._fold()
        bounds = [format(bound / _NS_PER_S, "g") for bound in _BUCKETS_NS.tolist()] + ["+Inf"]
        counts = [float(count) for count in np.cumsum(self._bucket_counts).tolist()]
        return list(zip(bounds, counts, strict=True)), self._sum_ns / _NS_PER_S

    def _fold(self) -> None:
        first, last = self._folded & _RING_MASK, self._count & _RING_MASK
        if self._folded == self._count:
            return
        # Folding every 1,024 samples, a divisor of the ring's size: the pending ones never wrap around.
        pending = self._ring[first : last or RING_SIZE]
        places = np.searchsorted(_BUCKETS_NS, pending, side="left")
        self._bucket_counts += np.bincount(places, minlength=len(self._bucket_counts))
        self._sum_ns += int(pending.sum())
        self._folded = self._count


def summarize(recorders: list[LatencyRecorder]) -> LatencySummary:
    """Percentiles over the kept samples of several recorders together; zeros when there are none."""
    kept = [np.empty(0, dtype=np.int64), *(recorder.samples() for recorder in recorders)]
    return LatencySummary.of(np.concatenate(kept), sum(recorder.n for recorder in recorders))


def sum_of(samples: Iterable[Sample], labels: dict[str, str]) -> float:
    """The sum over all samples whose labels have what ``labels`` has."""
    return sum(value for found, value in samples if labels.items() <= found.items())


class ProcessMetrics:
    """All metrics of a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._families: dict[str, Counter | Gauge] = {}
        self._latencies: dict[str, dict[str, LatencyRecorder]] = {}
        self._latency_help: dict[str, str] = {}
        self._series: dict[str, set[tuple[str, ...]]] = {}
        self.registry.register(_LatencyCollector(self))

    def counter(self, name: str, documentation: str, labels: dict[str, str]) -> Counter:
        """The counter ``tradewind_<name>_total`` at these labels; the same object on every call.

        Raises:
            MetricNameRefused: the name, the help text or a label does not fit the scheme.
        """
        family = self._family(Counter, name, counter_name(name), documentation, labels)
        if not isinstance(family, Counter):
            raise TypeError(f"metric {name} is a gauge already")
        return family.labels(**self._bounded(name, labels))

    def gauge(self, name: str, documentation: str, unit: str, labels: dict[str, str]) -> Gauge:
        """The gauge ``tradewind_<name>[_<unit>]`` at these labels; the same object on every call.

        Raises:
            MetricNameRefused: the name, the unit, the help text or a label does not fit the scheme.
        """
        family = self._family(Gauge, name, gauge_name(name, unit), documentation, labels)
        if not isinstance(family, Gauge):
            raise TypeError(f"metric {name} is a counter already")
        return family.labels(**self._bounded(name, labels))

    def latency_recorder(self, name: str, documentation: str, service: str) -> LatencyRecorder:
        """The recorder ``tradewind_<name>_seconds`` of one service; the same object on every call.

        Raises:
            MetricNameRefused: the name or the help text does not fit the scheme.
        """
        if name not in self._latency_help:
            latency_name(name)
            check_meaning(name, documentation, ())
            self._latency_help[name] = documentation
        return self._latencies.setdefault(name, {}).setdefault(service, LatencyRecorder())

    def latency(self, name: str, service: str | None = None) -> LatencySummary:
        """Percentiles of a latency, of one service or merged over all; zeros for an unknown name."""
        recorders = self._latencies.get(name, {})
        return summarize([recorder for of, recorder in recorders.items() if service in (None, of)])

    def latency_recorders(self) -> Iterator[tuple[str, str, dict[str, LatencyRecorder]]]:
        """Name, help text and the recorders by service, of every latency."""
        for name, recorders in self._latencies.items():
            yield name, self._latency_help[name], recorders

    def total(self, name: str, **labels: str) -> float:
        """The sum of a counter or gauge over all label sets that match ``labels``; 0 for an unknown name."""
        return sum_of(self._values(name), labels)

    def largest(self, name: str) -> float:
        """The largest value of a counter or gauge over all its labels; 0 for an unknown name."""
        return max((value for _, value in self._values(name)), default=0.0)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Everything as plain values: counters and gauges by ``service`` and further labels, latencies in us."""
        result: dict[str, dict[str, Any]] = {"counters": {}, "gauges": {}, "latencies_us": {}}
        for name, family in self._families.items():
            section = result["counters" if isinstance(family, Counter) else "gauges"]
            section[name] = {_label_text(labels): value for labels, value in self._values(name)}
        for name, recorders in self._latencies.items():
            by_service = {service: recorder.summary().as_us() for service, recorder in recorders.items()}
            result["latencies_us"][name] = {"all": self.latency(name).as_us(), **by_service}
        return result

    def values(self) -> dict[str, list[Sample]]:
        """Every counter and gauge with its labels."""
        return {name: list(self._values(name)) for name in self._families}

    def counter_names(self) -> Iterator[str]:
        """The names in ``values`` that only grow."""
        return (name for name, family in self._families.items() if isinstance(family, Counter))

    def page(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)

    def _family(
        self, kind: type[Counter] | type[Gauge], name: str, full_name: str, documentation: str, labels: dict[str, str]
    ) -> Counter | Gauge:
        family = self._families.get(name)
        if family is None:
            check_meaning(name, documentation, labels)
            family = kind(full_name, documentation, labelnames=tuple(labels), registry=self.registry)
            self._families[name] = family
        return family

    def _bounded(self, name: str, labels: dict[str, str]) -> dict[str, str]:
        series, place = self._series.setdefault(name, set()), tuple(labels.values())
        if place in series or len(series) < MOST_SERIES:
            series.add(place)
            return labels
        return {label: value if label == "service" else _OTHER for label, value in labels.items()}

    def _values(self, name: str) -> Iterator[Sample]:
        family = self._families.get(name)
        if family is None:
            return
        for metric in family.collect():
            for sample in metric.samples:
                if not sample.name.endswith("_created"):
                    yield sample.labels, sample.value


class Metrics:
    """One service's view: everything it makes carries its name as the label ``service``."""

    def __init__(self, service: str, process: "ProcessMetrics | None" = None) -> None:
        self.service = service
        self._process = process_metrics if process is None else process

    def counter(self, name: str, documentation: str, **labels: str) -> Counter:
        """A number that only grows. Further labels must have few values, and be the same names on every call."""
        return self._process.counter(name, documentation, {"service": self.service, **labels})

    def gauge(self, name: str, documentation: str, unit: str = "", **labels: str) -> Gauge:
        """A number that goes up and down, in ``unit``."""
        return self._process.gauge(name, documentation, unit, {"service": self.service, **labels})

    def latency(self, name: str, documentation: str = "") -> LatencyRecorder:
        """A recorder of durations in ns; who finds one that was made before need not say again what it is."""
        return self._process.latency_recorder(name, documentation, self.service)


class _LatencyCollector(Collector):
    """Turns the recorders into Prometheus histograms when the page is asked for, not on the hot path."""

    def __init__(self, process: ProcessMetrics) -> None:
        self._process = process

    def collect(self) -> Iterator[HistogramMetricFamily]:
        for name, documentation, recorders in self._process.latency_recorders():
            family = HistogramMetricFamily(latency_name(name), documentation, labels=["service"])
            for service, recorder in recorders.items():
                buckets, total_s = recorder.histogram()
                family.add_metric([service], buckets, total_s)
            yield family


def _label_text(labels: dict[str, str]) -> str:
    others = ",".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "service")
    return f"{labels['service']}{{{others}}}" if others else labels["service"]


process_metrics: Final = ProcessMetrics()
"""The metrics of this process."""
