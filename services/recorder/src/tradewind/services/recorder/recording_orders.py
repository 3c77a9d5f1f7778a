"""Writes the order events of the bus to the database, some hundred at a time, each until it is stored.

Owner: the TaskGroup of the service. Order: as on the bus. Bound: READ_LIMIT events in hand; all others wait on the bus,
for ORDER_BACKLOG messages of a partition before a memory bus would push back. Events that the database refuses for
their content are counted and left out. On cancel: what was in hand is read again, by ``drain`` or after the next start.
"""

import math
import time
from typing import Final

from tradewind.bus.interface import Delivery
from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder.following import TopicFollower, position_after
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_events import OrderEventRepository
from tradewind.store.recorder_positions import RecorderPosition
from tradewind.wire.events import OrderEvent
from tradewind.wire.topics import ORDERS_EVENTS

READ_LIMIT: Final = 512
ORDER_BACKLOG: Final = 65_536
_STILL_S: Final = 0.01


class OrderRecorder:
    """The one reader of ``orders.events`` and the one writer of the table ``order_events``."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._follower = TopicFollower(context, ORDERS_EVENTS, capacity=ORDER_BACKLOG)
        self._repository = OrderEventRepository(context.database)
        self._in_hand: list[Delivery] = []
        self._recorded = context.metrics.counter("recorded_order_events", "New rows of order events")
        self._refused = context.metrics.counter("recorder_refused_order_events", "Left out, refused for their content")

    async def open(self) -> None:
        """Begin to read; waits for the database."""
        await self._follower.open()

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            await self._record(None)

    async def drain(self) -> None:
        """Record what has been published up to now."""
        now = time.time_ns()
        while await self._record(_STILL_S) <= now:
            pass

    async def close(self) -> None:
        """Stop reading."""
        await self._follower.close()

    async def _record(self, timeout_s: float | None) -> float:
        """Store the next events; when the last of them was published (ns), never when there was none."""
        if not self._in_hand:
            self._in_hand = await self._follower.receive(READ_LIMIT, timeout_s)
        if not self._in_hand:
            return math.inf
        await self._store([each.payload for each in self._in_hand if isinstance(each.payload, OrderEvent)])
        last, self._in_hand = self._in_hand[-1].ts_publish, []
        return last

    async def _store(self, events: list[OrderEvent]) -> None:
        positions = _positions_after(self._in_hand)
        while True:
            try:
                self._recorded.inc(await self._repository.write(events, positions))
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(f"{error}; order events wait on the bus")
                await self._context.database.wait_until_available()
                self._context.health.set_ready()
            except Exception:
                self._refused.inc(len(events))
                self._context.log.exception("order events are refused by the database and left out", events=len(events))
                return
            else:
                return


def _positions_after(deliveries: list[Delivery]) -> list[RecorderPosition]:
    return list({delivery.partition: position_after(delivery) for delivery in deliveries}.values())
