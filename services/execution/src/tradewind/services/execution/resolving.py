"""Asking the venue, until nothing is in doubt: at the start, after a break of the private stream, and continuously.

Owner: one session. A failed query changes nothing: it is asked again. Absence proves nothing before the venue's
visibility delay has passed since the send.
"""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from tradewind.execution.plans import Cancel
from tradewind.model.enums import Outcome
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.outbox import Outbox
from tradewind.venue.adapter import OrderNotFound, VenueError
from tradewind.venue.reports import FillReport, MassStatus

_NS: Final = 1_000_000_000
_TICK_S: Final = 0.25
# Venue clocks and ours differ; fills are asked for from a little earlier and deduped by trade id.
_OVERLAP_NS: Final = 60 * _NS


class Resolver:
    """Finds what is in doubt and asks for it."""

    def __init__(self, context: ServiceContext, path: OrderPath, outbox: Outbox, inflight_check_s: float) -> None:
        self._path = path
        self._outbox = outbox
        self._engine = path.engine
        self._client = path.client
        self._check_ns = int(inflight_check_s * _NS)
        self._asked: dict[ClientOrderId, int] = {}
        # Until the lease changed hands its holder before us may have sent.
        self._began_ns = time.time_ns()
        self._log = context.log
        self._unknown = context.metrics.gauge("orders_unknown", "Orders whose outcome is unknown")
        self._oldest = context.metrics.gauge("orders_unknown_age", "Age of the oldest unknown outcome", unit="seconds")

    async def reconcile(self) -> MassStatus:
        """One full pass: mass status, which is returned, then every order of ours that it does not show.

        Raises:
            VenueError: a query failed; nothing may be concluded.
        """
        opened_ns = await self._path.store.opened_ns()
        last_ns = await self._path.store.last_fill_ns()
        since_ns = opened_ns if last_ns is None else max(opened_ns or 0, last_ns - _OVERLAP_NS)
        status = await self._client.mass_status(since_ns if since_ns is not None else time.time_ns())
        if opened_ns is None:
            await self._open_books(status.balances.ts_event, {b.currency: b.total for b in status.balances.balances})
        await self._path.take_reports([*status.open_orders, *await self._fresh(status.fills)])
        await self._outbox.tell_balances(status.balances)
        shown = {(report.instrument_id, report.venue_order_id) for report in status.open_orders}
        for order in list(self._engine.orders.values()):
            seen = (order.instrument_id, order.venue_order_id) in shown
            if not seen and order.client_order_id not in self._path.sending:
                await self._ask(order)
        await self._complete()
        return status

    async def restore_books(self) -> None:
        """Book opening balances that were recorded but, after a crash, not booked."""
        await self._open_books(0, {})

    async def keep_resolving(self) -> None:
        """Ask about everything that is in doubt, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._measure()
            try:
                for order in self._doubtful():
                    await self._ask(order)
                await self._complete()
            except VenueError as error:
                self._log.warning("venue query failed; asking again", reason=str(error))
                await asyncio.sleep(1.0)

    def _doubtful(self) -> list[Order]:
        """Orders that should have heard from the venue by now, each asked at most once per check interval."""
        now_ns = time.time_ns()
        found = []
        for order in self._engine.orders.values():
            waiting = order.outcome is Outcome.UNKNOWN or order.status in (
                OrderStatus.SUBMITTED,
                OrderStatus.PENDING_CANCEL,
            )
            asked_ns = max(self._asked.get(order.client_order_id, 0), order.ts_last)
            if waiting and order.client_order_id not in self._path.sending and now_ns - asked_ns >= self._check_ns:
                found.append(order)
        return found

    async def _ask(self, order: Order) -> None:
        name = order.client_order_id
        asked_ns = self._asked[name] = time.time_ns()
        try:
            report = await self._client.order_status(order.instrument_id, name)
        except OrderNotFound:
            await self._not_found(order, asked_ns)
            return
        await self._path.take_reports([report])
        if order.status is OrderStatus.PENDING_CANCEL:
            await self._path.cancel(Cancel(instrument_id=order.instrument_id, client_order_id=name))
        if order.status.is_closed:
            self._asked.pop(name, None)

    async def _not_found(self, order: Order, asked_ns: int) -> None:
        sent_ns = max(order.unknown_since or order.ts_init, self._began_ns)
        if order.status is not OrderStatus.SUBMITTED:
            self._log.error("the venue does not know an order that it accepted", client_order_id=order.client_order_id)
        elif asked_ns - sent_ns > self._client.visibility_delay_s * _NS:
            await self._path.take_not_sent(order.client_order_id, "NOT_AT_VENUE: a full query does not show it")
            self._asked.pop(order.client_order_id, None)

    async def _complete(self) -> None:
        """Fetch fills that the venue counts and we do not have, and the orders of fills that we cannot place."""
        for client_order_id, report in self._engine.incomplete.items():
            order = self._engine.find(client_order_id)
            if order is None or order.filled_size >= report.filled_size:
                continue
            fills = await self._client.fills(report.instrument_id, venue_order_id=report.venue_order_id)
            await self._path.take_reports(await self._fresh(fills))
        for fill in self._engine.orphans.values():
            await self._place(fill)

    async def _fresh(self, fills: Sequence[FillReport]) -> list[FillReport]:
        """Those whose fill is not in the store: memory knows only the newest."""
        if not fills:
            return []
        known = await self._path.store.known_trade_ids([fill.trade_id for fill in fills])
        return [fill for fill in fills if fill.trade_id not in known]

    async def _place(self, fill: FillReport) -> None:
        store = self._path.store
        known = await store.order_by_venue_id(fill.instrument_id, fill.venue_order_id)
        if known is None and fill.client_order_id is not None:
            known = next(iter(await store.orders_by_id([fill.client_order_id])), None)
        if known is not None:
            self._engine.load_ended([known])
        elif fill.client_order_id is not None:
            await self._path.take_reports([await self._client.order_status(fill.instrument_id, fill.client_order_id)])
        await self._path.take_reports([fill])

    async def _open_books(self, ts_ns: int, amounts: dict[str, Decimal]) -> None:
        recorded = await self._path.store.open_balances(amounts, ts_ns)
        await self._path.take(lambda now_ns: self._engine.plan_opening(recorded, now_ns))

    def _measure(self) -> None:
        unknown = [
            order.unknown_since or 0 for order in self._engine.orders.values() if order.outcome is Outcome.UNKNOWN
        ]
        ages = [time.time_ns() - since for since in unknown]
        self._unknown.set(len(ages))
        self._oldest.set(max(ages, default=0) / _NS)
