"""Asking the venue about single orders, and what its silence means.

Used by the resolver and the reconciler of one session. A failed query changes nothing: it is asked again. Absence
proves nothing before two queries past the visibility delay (``tradewind.execution.absences``).
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from tradewind.execution.plans import cancel_of
from tradewind.model.enums import Outcome
from tradewind.model.identifiers import ClientOrderId, InstrumentId, TradeId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.order_path import OrderPath
from tradewind.venue.adapter import OrderNotFound
from tradewind.venue.reports import FillReport, OrderStatusReport, Report

MANY: Final = 10
"""So many orders of one instrument cost the venue less as one list than as single questions."""
REPORTS_AT_ONCE: Final = 250
"""One transaction, and one hold of the order path's lock, during a large reconciliation."""


class Asker:
    """Questions about orders; the answers go through the order path."""

    def __init__(self, context: ServiceContext, path: OrderPath) -> None:
        self._path = path
        self._engine = path.engine
        self._client = path.client
        self._log = context.log
        self._asked_ns: dict[ClientOrderId, int] = {}
        self._fills_asked_s: dict[ClientOrderId, float] = {}
        self._placed_s: dict[TradeId, float] = {}

    def asked_ns(self, name: ClientOrderId) -> int:
        """When an order was last asked for; 0 for never."""
        return self._asked_ns.get(name, 0)

    def forget_ended(self) -> None:
        """Keep nothing of orders that have ended."""
        for name in self._asked_ns.keys() - self._engine.orders.keys():
            del self._asked_ns[name]
            self._path.absences.forget(name)
        for name in [name for name in self._fills_asked_s if self._engine.incomplete.get(name) is None]:
            del self._fills_asked_s[name]
        for trade_id in [one for one in self._placed_s if one not in self._engine.orphans]:
            del self._placed_s[trade_id]

    async def ask(self, order: Order) -> None:
        """Ask for one order.

        Raises:
            VenueError: no answer; nothing may be concluded.
        """
        name = order.client_order_id
        began_s = time.monotonic()
        self._asked_ns[name] = time.time_ns()
        by_venue_id = cancel_of(order).venue_order_id
        try:
            report = await self._client.order_status(order.instrument_id, name, by_venue_id)
            if order.venue_order_id not in (None, report.venue_order_id):
                # The name is another order's by now: an order that was replaced, or somebody else's.
                await self._path.take_reports([report])
                report = await self._client.order_status(order.instrument_id, name, order.venue_order_id)
        except OrderNotFound:
            await self._not_found(order, began_s)
            return
        await self.take([report])
        await self._cancel_again(order, report)

    async def ask_all(self, orders: Sequence[Order]) -> None:
        """Ask for many: of an instrument with more than a few of them the venue is asked for the whole list."""
        by_instrument: dict[InstrumentId, list[Order]] = defaultdict(list)
        for order in orders:
            by_instrument[order.instrument_id].append(order)
        for instrument_id, group in by_instrument.items():
            single = [order for order in group if order.venue_order_id is None]
            listed = [order for order in group if order.venue_order_id is not None]
            if len(listed) >= MANY:
                single += await self._ask_listed(instrument_id, listed)
            else:
                single += listed
            for order in single:
                if order.client_order_id in self._engine.orders:
                    await self.ask(order)

    async def _ask_listed(self, instrument_id: InstrumentId, orders: list[Order]) -> list[Order]:
        """Returns those that the list does not name."""
        wanted = {order.venue_order_id for order in orders if order.venue_order_id is not None}
        first = min(wanted, key=lambda venue_order_id: (len(venue_order_id), venue_order_id))
        reports = [r for r in await self._client.orders_from(instrument_id, first) if r.venue_order_id in wanted]
        await self.take(reports)
        named = {report.venue_order_id for report in reports}
        return [order for order in orders if order.venue_order_id not in named]

    async def take(self, reports: Sequence[Report]) -> None:
        """Apply reports in pieces, so that nothing else waits long for the order path."""
        for report in reports:
            if isinstance(report, OrderStatusReport) and report.client_order_id is not None:
                self._path.absences.seen(report.client_order_id)
        for begin in range(0, len(reports), REPORTS_AT_ONCE):
            await self._path.take_reports(reports[begin : begin + REPORTS_AT_ONCE])

    async def complete(self, every_s: float = 0.0) -> None:
        """Fetch fills that the venue counts and we do not have, and the orders of fills that we cannot place.

        Each is asked for at most once per ``every_s``. A fill is never made up: until the venue gives its trades the
        order stays as it is, and the comparison of balances shows the difference.
        """
        now_s = time.monotonic()
        for name, report in self._engine.incomplete.items():
            order = self._engine.find(name)
            if order is None or order.filled_size >= report.filled_size:
                continue
            if now_s - self._fills_asked_s.get(name, -every_s) < every_s:
                continue
            self._fills_asked_s[name] = now_s
            fills = await self._client.fills(report.instrument_id, venue_order_id=report.venue_order_id)
            await self.take(await self.fresh(fills))
        for fill in self._engine.orphans.values():
            if now_s - self._placed_s.get(fill.trade_id, -every_s) >= every_s:
                self._placed_s[fill.trade_id] = now_s
                await self._place(fill)

    async def fresh(self, fills: Sequence[FillReport]) -> list[FillReport]:
        """Those whose fill is not in the store: memory knows only the newest."""
        if not fills:
            return []
        known = await self._path.store.known_trade_ids([fill.trade_id for fill in fills])
        return [fill for fill in fills if fill.trade_id not in known]

    async def _place(self, fill: FillReport) -> None:
        """The path has looked in the store: this is an order that was never ours."""
        name = fill.client_order_id or ClientOrderId("")
        try:
            report = await self._client.order_status(fill.instrument_id, name, fill.venue_order_id)
        except OrderNotFound:
            return  # the view lags behind the fill; asked again
        await self._path.take_reports([report, fill])

    async def _cancel_again(self, order: Order, report: OrderStatusReport) -> None:
        """A cancel is safe to repeat; an order that was held to be dead is cancelled until the venue says so too."""
        dead = order.status.is_closed and order.outcome is Outcome.UNKNOWN
        if report.status.is_open and (order.status is OrderStatus.PENDING_CANCEL or dead):
            await self._path.cancel(cancel_of(order))

    async def _not_found(self, order: Order, began_s: float) -> None:
        name = order.client_order_id
        if name in self._path.sending:
            return
        if order.status is not OrderStatus.SUBMITTED:
            self._path.absences.begin(name, began_s)
        if not self._path.absences.missed(name, began_s):
            return
        if order.status is OrderStatus.SUBMITTED or order.status.is_closed:
            await self._path.take_not_sent(name, "NOT_AT_VENUE: two full queries do not show it")
        else:
            await self._path.take_unknown(name, "the venue does not know an order that it accepted")
