"""What one client of the stream is told: everything at first, later what changed since the revision it has seen.

Clients that look at the same thing at the same time get the same bytes, made once.
"""

from typing import Any, Final

import msgspec

from tradewind.model.identifiers import InstrumentId
from tradewind.model.orders import Order
from tradewind.runtime.health import HealthBoard, ServiceHealth
from tradewind.services.api.market_view import MarketView, instrument_view
from tradewind.services.api.neighbours import Neighbours
from tradewind.services.api.order_views import FillMark, fill_mark, fill_view, order_view
from tradewind.services.api.state import ViewState
from tradewind.services.api.views import HealthView, ServiceView
from tradewind.store.presence import ServicePresence

MAX_OPEN_ORDERS: Final = 500
MAX_CLOSED_ORDERS: Final = 200
MAX_CHANGED_ORDERS: Final = 500
MAX_FILLS: Final = 300
MAX_MARKS: Final = 2_000
_EVERYTHING: Final = -1

Frame = tuple[int, bytes]
"""The revision that a client has seen after it, and the JSON object of what changed."""


class Composer:
    """Makes frames of one view model. ``refresh`` begins a new moment."""

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
        self._frames: dict[tuple[int, str, int], Frame] = {}
        self._encode = msgspec.json.Encoder().encode

    def refresh(self, *, marks: bool, counters: bool) -> None:
        """Forget the frames of the last moment, and see whether what is asked for, not told, has changed.

        ``marks``: positions are valued anew; ``counters``: counters are shown anew. Both cost a message to each client.
        """
        self._frames.clear()
        if (services := self._all_services()) != self._services:
            self._services = services
            self._health_revision = self._state.revisions.next()
        if marks and len(self._state.positions):
            self._marks_revision = self._state.revisions.next()
        if counters:
            self._counters_revision = self._state.revisions.next()

    def frame(self, instrument_id: InstrumentId | None, depth: int, since: int = _EVERYTHING) -> Frame | None:
        """What changed after ``since``, or all there is; None when nothing did."""
        key = (since, instrument_id or "", depth)
        made = self._frames.get(key)
        if made is None:
            upto = self._state.revisions.now
            changes = self._changes(instrument_id, depth, since)
            made = self._frames[key] = (upto, self._encode(changes) if changes else b"")
        return made if made[1] else None

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

    def _all_services(self) -> list[ServiceView]:
        own = [service_view(row) for row in self._board.rows()]
        return own + [service_view(row) for row in self._neighbours.services]

    def _changes(self, instrument_id: InstrumentId | None, depth: int, since: int) -> dict[str, Any]:
        state, changes = self._state, dict[str, Any]()
        if state.instruments_revision > since:
            changes["instruments"] = [instrument_view(market.instrument) for market in state.markets.values()]
        prices = [market.price_view() for market in state.markets.values() if market.price_revision > since]
        if prices:
            changes["prices"] = prices
        market = state.markets.get(instrument_id) if instrument_id else None
        if market:
            changes.update(_market_changes(market, depth, since))
            if marks := self._marks(market, since):
                changes["marks"] = marks
        changes.update(self._order_changes(since))
        changes.update(self._account_changes(since))
        if self._health_revision > since:
            changes["health"] = self.health()
        if self._counters_revision > since:
            changes["counters"] = {
                "market_records": state.market_records,
                "order_events": state.ledger.events_seen,
            }
        return changes

    def _order_changes(self, since: int) -> dict[str, Any]:
        ledger, changes = self._state.ledger, dict[str, Any]()
        if ledger.orders.revision > since:
            orders = self._all_orders() if since == _EVERYTHING else ledger.orders.since(since)[:MAX_CHANGED_ORDERS]
            changes["orders"] = [order_view(order, self._state.instrument(order.instrument_id)) for order in orders]
        if fills := ledger.fills.since(since)[-MAX_FILLS:]:
            changes["fills"] = [fill_view(fill, self._state.instrument(fill.instrument_id)) for fill in fills]
        return changes

    def _marks(self, market: MarketView, since: int) -> list[FillMark]:
        instrument = market.instrument
        of_market = [
            fill for fill in self._state.ledger.fills.since(since) if fill.instrument_id == instrument.instrument_id
        ]
        return [fill_mark(fill, instrument) for fill in of_market[-MAX_MARKS:]]

    def _all_orders(self) -> list[Order]:
        ledger = self._state.ledger
        unfinished = list(ledger.open_orders())[:MAX_OPEN_ORDERS]
        shown = {order.client_order_id for order in unfinished}
        others = [order for order in ledger.orders.newest() if order.client_order_id not in shown]
        return [*unfinished, *others[:MAX_CLOSED_ORDERS]]

    def _account_changes(self, since: int) -> dict[str, Any]:
        state, changes = self._state, dict[str, Any]()
        if max(state.positions.revision, self._marks_revision) > since:
            changes["positions"] = state.position_views()
        if state.balances.revision > since:
            changes["balances"] = state.balance_views()
        if state.equity.revision > since:
            changes["equity"] = state.equity_views()
        if points := state.equity_points.since(since):
            changes["equity_points"] = points
        if state.trading_states.revision > since:
            changes["trading_states"] = state.trading_state_views()
        return changes


def _market_changes(market: MarketView, depth: int, since: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if market.book_revision > since:
        changes["book"] = market.book_view(depth)
    if prints := market.trades.since(since):
        changes["trades"] = [market.trade_view(record) for record in prints]
    if points := market.points.since(since):
        changes["chart"] = points
    return changes


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
