"""The newest orders and fills, kept from the events of the order path.

The owner of an order is the execution service: what an event says is taken as it is. An event that was seen before
changes nothing; one of an order that is not known here is remembered by its id, for the order to be read from the
store.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from tradewind.model.enums import Outcome
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.orders import Order
from tradewind.services.api.view_model.changes import Latest, Revisions, Tail
from tradewind.services.api.view_model.order_views import SeenFill, seen_fill
from tradewind.wire.events import (
    OrderAccepted,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    OrderOutcomeResolved,
    OrderOutcomeUnknown,
)

MAX_MISSING: Final = 1_000


class OrderLedger:
    """Orders by id, at most ``orders_kept``, open ones longest; fills, at most ``fills_kept``."""

    def __init__(self, revisions: Revisions, *, orders_kept: int, fills_kept: int) -> None:
        self.orders: Latest[ClientOrderId, Order] = Latest(revisions, orders_kept + 1)
        self.fills: Tail[SeenFill] = Tail(revisions, fills_kept)
        self.missing: set[ClientOrderId] = set()
        self.events_seen = 0
        self._orders_kept = orders_kept
        self._fills_kept = fills_kept
        self._trade_ids: dict[tuple[str, str], None] = {}

    def apply(self, event: OrderEvent) -> None:
        """Take one order event; ``OrderInitialized`` makes the order."""
        self.events_seen += 1
        if isinstance(event, OrderFilled):
            self.add_fills((seen_fill(event),))
        if isinstance(event, OrderInitialized):
            order: Order | None = self.orders.get(event.client_order_id) or _order_of(event)
        else:
            order = self.orders.get(event.client_order_id)
        if order is None:
            if len(self.missing) < MAX_MISSING:
                self.missing.add(event.client_order_id)
        elif event.sequence > order.event_count:
            _take(order, event)
            self._keep(order)

    def restore(self, orders: Iterable[Order]) -> None:
        """Take orders from the store, oldest first, unless an event has told something newer."""
        for order in orders:
            known = self.orders.get(order.client_order_id)
            if known is None or order.event_count > known.event_count:
                self._keep(order)
            self.missing.discard(order.client_order_id)

    def add_fills(self, fills: Iterable[SeenFill]) -> None:
        """Take fills, oldest first; one that is known already is passed over."""
        new = [fill for fill in fills if (fill.account_id, fill.trade_id) not in self._trade_ids]
        if not new:
            return
        self._trade_ids.update(dict.fromkeys((fill.account_id, fill.trade_id) for fill in new))
        while len(self._trade_ids) > 2 * self._fills_kept:
            del self._trade_ids[next(iter(self._trade_ids))]
        self.fills.extend(new)

    def open_orders(self) -> Iterator[Order]:
        """Orders without a known end, the last changed first."""
        return (order for order in self.orders.newest() if is_unfinished(order))

    def _keep(self, order: Order) -> None:
        # One more fits than is kept, so that the order that arrives is never the one that finds no room.
        self.orders.set(order.client_order_id, order)
        while len(self.orders) > self._orders_kept:
            oldest = next((o for o in self.orders.values() if not is_unfinished(o)), None)
            self.orders.evict((oldest or next(self.orders.values())).client_order_id)


def is_unfinished(order: Order) -> bool:
    """Not closed, or nobody knows whether it is."""
    return not order.status.is_closed or order.outcome is Outcome.UNKNOWN


def _order_of(event: OrderInitialized) -> Order:
    return Order(
        client_order_id=event.client_order_id,
        strategy_id=event.strategy_id,
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        side=event.side,
        order_type=event.order_type,
        time_in_force=event.time_in_force,
        size=event.size,
        price=event.price,
        trigger_price=event.trigger_price,
        post_only=event.post_only,
        reduce_only=event.reduce_only,
        expire_time=event.expire_time,
        correlation_id=event.correlation_id,
        ts_init=event.ts_init,
    )


def _take(order: Order, event: OrderEvent) -> None:
    order.status = event.status
    order.event_count = event.sequence
    order.ts_last = event.ts_init
    order.strategy_id = event.strategy_id  # an order of EXTERNAL may be claimed
    if isinstance(event, OrderFilled):
        order.filled_size = event.filled_size
    if isinstance(event, OrderFilled | OrderAccepted):
        order.venue_order_id = event.venue_order_id
    if isinstance(event, OrderOutcomeUnknown):
        order.outcome, order.unknown_since = Outcome.UNKNOWN, event.ts_event
    elif isinstance(event, OrderOutcomeResolved):
        order.outcome, order.unknown_since = Outcome.KNOWN, None
    order.reason = getattr(event, "reason", None) or order.reason
