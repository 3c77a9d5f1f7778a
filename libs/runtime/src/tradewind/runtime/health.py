"""Whether each service of this process can do its work, and since when.

The service itself says ready or not ready; the supervisor says starting, restarting and stopped. Everything here is
called from the event loop's thread.
"""

import dataclasses
import enum
import time
from typing import Final

from tradewind.runtime.service import ServiceKind


def kind_word(kind: ServiceKind) -> str:
    """A kind as people read it: ``order-path``."""
    return kind.name.lower().replace("_", "-")


class ServiceState(enum.StrEnum):
    """Where a service is in its life."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not-ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceHealth:
    """One row of the health board. ``since_ns`` is when the state began, ns UTC."""

    name: str
    kind: str
    state: ServiceState
    reason: str
    restarts: int
    since_ns: int


class Health:
    """One service's health. Saying the same thing again does not move ``since_ns``."""

    def __init__(self, name: str, kind: ServiceKind) -> None:
        self.name = name
        self.kind = kind
        self.state = ServiceState.STARTING
        self.reason = ""
        self.restarts = 0
        self._inner_restarts = 0
        self.since_ns = time.time_ns()

    @property
    def ready(self) -> bool:
        """Whether the service does its work now."""
        return self.state is ServiceState.READY

    def set_ready(self, reason: str = "") -> None:
        """The service does its work: connected, reconciled, lease held. ``reason``: what is worth a look."""
        self._enter(ServiceState.READY, reason)

    def set_not_ready(self, reason: str) -> None:
        """The service runs but cannot do its work; ``reason`` is for the operator."""
        self._enter(ServiceState.NOT_READY, reason)

    def set_starting(self) -> None:
        """For the supervisor: the service's code is about to run."""
        self._enter(ServiceState.STARTING, "")

    def set_restarting(self, reason: str) -> None:
        """For the supervisor: it failed with ``reason`` and is started again after a pause."""
        self.restarts += 1 + self._inner_restarts
        self._inner_restarts = 0
        self._enter(ServiceState.RESTARTING, reason)

    def set_stopped(self, reason: str) -> None:
        """For the supervisor: it ended and is not started again."""
        self._enter(ServiceState.STOPPED, reason)

    def mirror(self, row: ServiceHealth) -> None:
        """For a supervisor of processes: what the service says of itself in its own; restarts of both kinds count."""
        self._inner_restarts = row.restarts
        self._enter(row.state, row.reason)

    def row(self) -> ServiceHealth:
        """The state now, as a value."""
        restarts = self.restarts + self._inner_restarts
        return ServiceHealth(self.name, kind_word(self.kind), self.state, self.reason, restarts, self.since_ns)

    def _enter(self, state: ServiceState, reason: str) -> None:
        if state is not self.state:
            self.since_ns = time.time_ns()
        self.state = state
        self.reason = reason


class HealthBoard:
    """The health of every service of a process, by name."""

    def __init__(self) -> None:
        self._healths: dict[str, Health] = {}

    def register(self, name: str, kind: ServiceKind) -> Health:
        """A new health in state starting; it replaces the one of an earlier run under the same name."""
        health = self._healths[name] = Health(name, kind)
        return health

    def rows(self) -> list[ServiceHealth]:
        """All services, sorted by name."""
        return [self._healths[name].row() for name in sorted(self._healths)]

    @property
    def ready_count(self) -> int:
        """How many services are ready."""
        return sum(health.ready for health in self._healths.values())

    @property
    def all_ready(self) -> bool:
        """Whether there is a service and all are ready."""
        return bool(self._healths) and self.ready_count == len(self._healths)

    def __len__(self) -> int:
        return len(self._healths)


process_health: Final = HealthBoard()
"""The board of this process."""
