"""How a platform looks from outside its services: health and figures, wherever the services run."""

from typing import Final, Protocol

from tradewind.runtime.health import HealthBoard, ServiceHealth, process_health
from tradewind.runtime.metrics import LatencySummary, ProcessMetrics, process_metrics
from tradewind.runtime.process_state import own_peak_rss_bytes


class PlatformView(Protocol):
    """Figures of all services together."""

    @property
    def poll_s(self) -> float:
        """How often it is worth to look."""
        ...

    @property
    def still_s(self) -> float:
        """How long figures must stand still before nothing moves any more."""
        ...

    def rows(self) -> list[ServiceHealth]:
        """The health of each service, sorted by name."""
        ...

    async def refresh(self) -> None:
        """Make what the other methods give as new as now. A service that does not answer keeps its last figures."""
        ...

    def total(self, name: str, **labels: str) -> float:
        """The sum of a counter or gauge over all services and all labels that match; 0 for an unknown name."""
        ...

    async def latency(self, name: str) -> LatencySummary:
        """Percentiles of a latency over all services; zeros for an unknown name."""
        ...

    def peak_rss_bytes(self) -> int:
        """The sum of the most memory that each process ever held."""
        ...


class OwnProcessView:
    """The services of this process."""

    poll_s: Final = 0.05
    still_s: Final = 0.4  # counters that others copy a few times a second must have had their turn

    def __init__(self, board: HealthBoard = process_health, metrics: ProcessMetrics = process_metrics) -> None:
        self._board = board
        self._metrics = metrics

    def rows(self) -> list[ServiceHealth]:
        return self._board.rows()

    async def refresh(self) -> None:
        """Nothing to do: everything is read where it is counted."""

    def total(self, name: str, **labels: str) -> float:
        return self._metrics.total(name, **labels)

    async def latency(self, name: str) -> LatencySummary:
        return self._metrics.latency(name)

    def peak_rss_bytes(self) -> int:
        return own_peak_rss_bytes()
