"""What one client of the stream is told: everything at first, later what changed since the revision it has seen.

Each part becomes bytes once in a moment, however many clients look at it.
"""

from typing import Any, Final

import msgspec

from tradewind.runtime.health import HealthBoard, ServiceHealth
from tradewind.services.api.stream.parts import EVERYTHING, Look, Part, Parts
from tradewind.services.api.stream.state_parts import add_state_parts
from tradewind.services.api.view_model.neighbours import Neighbours
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.views import HealthView, ServiceView
from tradewind.store.presence import ServicePresence

Frame = tuple[int, bytes]
"""The revision that a client has seen after it, and the JSON object of what changed."""
_encode: Final = msgspec.json.Encoder().encode


class Composer:
    """Makes frames of one view model. ``refresh`` begins a new moment; ``parts`` takes what others add."""

    def __init__(
        self, state: ViewState, board: HealthBoard, neighbours: Neighbours, *, destination: str, version: str
    ) -> None:
        self._state = state
        self._board = board
        self._neighbours = neighbours
        self._destination = destination
        self._version = version
        self._services: list[ServiceView] = []
        self._health_revision = 0
        self._marks_revision = 0
        self._counters_revision = 0
        self._frames: dict[tuple[int, Look], Frame] = {}
        self._texts: dict[tuple[Any, ...], bytes] = {}
        self.parts = Parts()
        self._add_parts()

    def _add_parts(self) -> None:
        state = self._state
        add_state_parts(self.parts, state)
        self.parts.add_whole(
            "positions", lambda: max(state.positions.revision, self._marks_revision), state.position_views
        )
        self.parts.add_whole("health", lambda: self._health_revision, self.health)
        self.parts.add_whole("counters", lambda: self._counters_revision, self._counters)
        self.parts.add_whole(
            "strategies",
            lambda: max(state.strategies.revision, state.equity.revision, self._health_revision),
            lambda: state.strategies.rows(state.equity, self._services),
        )

    def refresh(self, *, marks: bool, counters: bool) -> None:
        """Forget the frames of the last moment, and see whether what is asked for, not told, has changed.

        ``marks``: positions are valued anew; ``counters``: counters are shown anew. Both cost a message to each client.
        """
        self._frames.clear()
        self._texts.clear()
        if (services := self._all_services()) != self._services:
            self._services = services
            self._health_revision = self._state.revisions.next()
        if marks and len(self._state.positions):
            self._marks_revision = self._state.revisions.next()
        if counters:
            self._counters_revision = self._state.revisions.next()

    def frame(self, look: Look, since: int = EVERYTHING) -> Frame | None:
        """What changed after ``since`` of what a client looks at, or all there is; None when nothing did."""
        made = self._frames.get((since, look))
        if made is None:
            upto = self._state.revisions.now
            texts = [text for name in look.parts if (text := self._text(self.parts[name], look, since))]
            made = self._frames[since, look] = (upto, b"{" + b",".join(texts) + b"}" if texts else b"")
        return made if made[1] else None

    def _text(self, part: Part, look: Look, since: int) -> bytes:
        if part.revision(look) <= since:
            return b""
        # With the revision of now: what came in between two clients of one moment must not be taken as told.
        key = (part.name, since, self._state.revisions.now, *(getattr(look, field) for field in part.depends_on))
        text = self._texts.get(key)
        if text is None:
            rows = part.rows(look, since)
            text = self._texts[key] = b"" if rows is None else b'"%b":%b' % (part.name.encode(), _encode(rows))
        return text

    def health(self) -> HealthView:
        """All services of the deployment."""
        return self._health(self._all_services())

    def own_health(self) -> HealthView:
        """The services of this process alone: what its probes ask for."""
        return self._health([service_view(row) for row in self._board.rows()])

    def _health(self, services: list[ServiceView]) -> HealthView:
        return HealthView(
            ready=all(service["ready"] for service in services),
            destination=self._destination,
            version=self._version,
            services=services,
        )

    def _counters(self) -> dict[str, int]:
        return {"market_records": self._state.market_records, "order_events": self._state.ledger.events_seen}

    def _all_services(self) -> list[ServiceView]:
        own = [service_view(row) for row in self._board.rows()]
        return own + [service_view(row) for row in self._neighbours.services]


def service_view(row: ServiceHealth | ServicePresence) -> ServiceView:
    """One row of the health board, or of another process."""
    return ServiceView(
        name=row.name,
        kind=row.kind,
        state=str(row.state),
        ready=str(row.state) == "ready",
        reason=row.reason,
        since=str(row.since_ns),
        restarts=row.restarts,
    )
