"""Reconciliation: all that the venue says of the account against all that we hold, at the start and continuously.

Owner: one session; its start, each return of the private stream and a timer run it, one pass at a time. A pass takes a
mass status, applies its orders and fills, asks for every order of ours that it does not show, and compares balances.
The same reports again change nothing and say nothing. A failed query is not "flat": the pass raises and concludes
nothing.

Balances are compared, never set right: a difference that two passes in a row agree on is kept as a row of
``reconciliations`` and told as an event and a metric, until it is gone or another one.
"""

import asyncio
import time
from decimal import Decimal

from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.asking import Asker
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.outbox import Outbox
from tradewind.store.recovery_rows import ReconciliationRepository, ReconciliationRow
from tradewind.venue.reports import BalanceReport, MassStatus
from tradewind.wire.events import BalanceDifference

# Venue clocks and ours differ; fills are asked for from a little earlier and deduped by trade id.
_OVERLAP_NS = 60 * 1_000_000_000


class Reconciler:
    """See the module."""

    def __init__(self, context: ServiceContext, path: OrderPath, outbox: Outbox, asker: Asker) -> None:
        self._path = path
        self._outbox = outbox
        self._engine = path.engine
        self._client = path.client
        self._asker = asker
        self._log = context.log
        self._lock = asyncio.Lock()
        self._repository = ReconciliationRepository(context.database)
        self._told: tuple[BalanceDifference, ...] | None = None
        self._seen: dict[str, Decimal] | None = None
        self._gauge = context.metrics.gauge(
            "reconciliation_differences", "Currencies of which the venue and the books do not say the same"
        )

    async def reconcile(self) -> MassStatus:
        """One full pass; returns the mass status that it began with.

        Raises:
            VenueError: a query failed; nothing may be concluded.
        """
        async with self._lock:
            return await self._pass()

    async def restore_books(self) -> None:
        """Book opening balances that were recorded but, after a crash, not booked."""
        await self._open_books(0, {})

    async def _pass(self) -> MassStatus:
        begun_ns = time.time_ns()
        opened_ns = await self._path.store.opened_ns()
        last_ns = await self._path.store.last_fill_ns()
        since_ns = opened_ns if last_ns is None else max(opened_ns or 0, last_ns - _OVERLAP_NS)
        status = await self._client.mass_status(since_ns if since_ns is not None else begun_ns)
        if opened_ns is None:
            await self._open_books(status.balances.ts_event, {b.currency: b.total for b in status.balances.balances})
        await self._asker.take([*status.open_orders, *await self._asker.fresh(status.fills)])
        await self._outbox.tell_balances(status.balances)
        shown = {(report.instrument_id, report.venue_order_id) for report in status.open_orders}
        missing = [
            order
            for order in self._engine.orders.values()
            if (order.instrument_id, order.venue_order_id) not in shown
            and order.client_order_id not in self._path.sending
            and order.ts_last < begun_ns
        ]
        await self._asker.ask_all(missing)
        await self._asker.complete()
        await self._compare(status.balances, {"open_orders": len(status.open_orders), "missing": len(missing)})
        return status

    async def _compare(self, report: BalanceReport, details: dict[str, int]) -> None:
        totals = self._engine.ledger.totals
        there = {balance.currency: balance.total for balance in report.balances}
        seen = {
            currency: there.get(currency, Decimal(0)) - totals.get(currency, Decimal(0))
            for currency in sorted(there.keys() | totals.keys())
        }
        before, self._seen = self._seen, seen
        if before is None or before != seen:
            return  # a fill may have come between the balances and the books: only what stays is a difference
        found = tuple(
            BalanceDifference(
                currency=currency,
                at_venue=there.get(currency, Decimal(0)),
                in_books=totals.get(currency, Decimal(0)),
            )
            for currency, amount in seen.items()
            if amount
        )
        await self._tell(found, details)

    async def _tell(self, found: tuple[BalanceDifference, ...], details: dict[str, int]) -> None:
        self._gauge.set(len(found))
        if self._told is None:
            newest = await self._repository.newest(self._path.store.account_id)
            self._told = newest[0].differences if newest else ()
        if _gaps(found) == _gaps(self._told):
            return
        for one in found:
            self._log.error(
                "the venue's balance is not what the books add up to",
                currency=one.currency,
                at_venue=str(one.at_venue),
                in_books=str(one.in_books),
            )
        row = ReconciliationRow(ts=time.time_ns(), differences=found, details=details)
        await self._path.take(lambda now_ns: self._engine.plan_comparison(row, now_ns))
        self._told = found

    async def _open_books(self, ts_ns: int, amounts: dict[str, Decimal]) -> None:
        recorded = await self._path.store.open_balances(amounts, ts_ns)
        await self._path.take(lambda now_ns: self._engine.plan_opening(recorded, now_ns))


def _gaps(differences: tuple[BalanceDifference, ...]) -> dict[str, Decimal]:
    """By how much: trading moves both sides alike, and that is no other difference."""
    return {one.currency: one.at_venue - one.in_books for one in differences}
