"""Asking for every order in doubt, again and again, until the venue has spoken.

Owner: one session, one task. An order that should have heard from the venue is asked for at most once per check
interval; a failed query is asked again a second later.
"""

import asyncio
import time
from typing import Final

from tradewind.model.enums import Outcome
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.asking import Asker
from tradewind.services.execution.order_path import OrderPath
from tradewind.venue.adapter import VenueError

_NS: Final = 1_000_000_000
_TICK_S: Final = 0.25
_AFTER_FAILURE_S: Final = 1.0


class Resolver:
    """Finds what is in doubt and asks for it."""

    def __init__(self, context: ServiceContext, path: OrderPath, asker: Asker, inflight_check_s: float) -> None:
        self._path = path
        self._engine = path.engine
        self._asker = asker
        self._check_s = inflight_check_s
        self._log = context.log
        self._unknown = context.metrics.gauge("orders_unknown", "Orders whose outcome is unknown")
        self._oldest = context.metrics.gauge("orders_unknown_age", "Age of the oldest unknown outcome", unit="seconds")

    async def keep_resolving(self) -> None:
        """Ask about everything that is in doubt, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._measure()
            self._asker.forget_ended()
            try:
                await self._asker.ask_all(self._doubtful())
                await self._asker.complete(self._check_s)
            except VenueError as error:
                self._log.warning("venue query failed; asking again", reason=str(error))
                await asyncio.sleep(_AFTER_FAILURE_S)

    def _doubtful(self) -> list[Order]:
        """Orders that should have heard from the venue by now."""
        now_ns, now_s = time.time_ns(), time.monotonic()
        return [order for order in self._engine.orders.values() if self._is_due(order, now_ns, now_s)]

    def _is_due(self, order: Order, now_ns: int, now_s: float) -> bool:
        name = order.client_order_id
        waiting = order.outcome is Outcome.UNKNOWN or order.status in (
            OrderStatus.SUBMITTED,
            OrderStatus.PENDING_CANCEL,
        )
        if not waiting or name in self._path.sending:
            return False
        asked_ns = self._asker.asked_ns(name)
        since_ns = now_ns - max(asked_ns, order.ts_last)
        look_s = self._path.absences.next_look_s(name)
        # One question exactly when absence can tell something, besides those of each interval.
        tells_more = look_s <= now_s and asked_ns < now_ns - (now_s - look_s) * _NS and since_ns >= _TICK_S * _NS
        return since_ns >= self._check_s * _NS or tells_more

    def _measure(self) -> None:
        unknown = [
            order.unknown_since or 0 for order in self._engine.orders.values() if order.outcome is Outcome.UNKNOWN
        ]
        ages = [time.time_ns() - since for since in unknown]
        self._unknown.set(len(ages))
        self._oldest.set(max(ages, default=0) / _NS)
