"""What one process says of itself to the process that supervises it: health, counters and gauges, latencies.

``/state`` of the health port is a ``ProcessState`` as JSON; ``/latencies/<name>`` is a ``LatencySamples`` in bytes: the
count of all samples ever taken, then those still kept, little-endian int64, ns.
"""

import dataclasses
import resource
from typing import Any, Final, Self

import msgspec
import numpy as np

from tradewind.runtime.health import HealthBoard, ServiceHealth
from tradewind.runtime.metrics import RING_SIZE, LatencySummary, ProcessMetrics, Sample

MAX_LATENCY_BYTES: Final = 64 * RING_SIZE * 8
"""What a process with many services may send of one latency; more is an answer of somebody else."""
_INT64: Final = np.dtype("<i8")
_BYTES_PER_KIB: Final = 1024


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One process at one moment. ``values`` holds counters and gauges by name; ``counters`` says which only grow."""

    services: list[ServiceHealth]
    values: dict[str, list[Sample]]
    counters: frozenset[str]
    latencies: list[str]
    peak_rss_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class LatencySamples:
    """Samples of one latency: those that are kept, in ns, and how many there ever were."""

    kept: np.ndarray[Any, np.dtype[np.int64]]
    n: int

    @classmethod
    def none(cls) -> Self:
        """Nothing was measured."""
        return cls(np.empty(0, dtype=np.int64), 0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of ``to_bytes``.

        Raises:
            ValueError: no such bytes.
        """
        numbers = np.frombuffer(data, dtype=_INT64)
        if not len(numbers) or numbers[0] < len(numbers) - 1:
            raise ValueError("latency samples begin with their count")
        return cls(numbers[1:], int(numbers[0]))

    def to_bytes(self) -> bytes:
        """The count, then the samples."""
        return np.concatenate([[self.n], self.kept]).astype(_INT64).tobytes()

    def __add__(self, other: "LatencySamples") -> "LatencySamples":
        return LatencySamples(np.concatenate([self.kept, other.kept]), self.n + other.n)

    def summary(self) -> LatencySummary:
        """Exact percentiles over the kept samples; zeros when there are none."""
        return LatencySummary.of(self.kept, self.n)


def state_of(board: HealthBoard, metrics: ProcessMetrics) -> ProcessState:
    """The state of this process now."""
    return ProcessState(
        services=board.rows(),
        values=metrics.values(),
        counters=frozenset(metrics.counter_names()),
        latencies=[name for name, _, _ in metrics.latency_recorders()],
        peak_rss_bytes=own_peak_rss_bytes(),
    )


def samples_of(metrics: ProcessMetrics, name: str) -> LatencySamples:
    """All samples of one latency of this process, merged over its services."""
    found = next((recorders for named, _, recorders in metrics.latency_recorders() if named == name), {})
    samples = LatencySamples.none()
    for recorder in found.values():
        samples += LatencySamples(recorder.samples(), recorder.n)
    return samples


def own_peak_rss_bytes() -> int:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_KIB
