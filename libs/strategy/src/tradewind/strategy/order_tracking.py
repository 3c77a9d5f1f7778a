"""One strategy's orders and positions, built from its own submissions and the order path's events.

Events may come twice (at least once) and may belong to orders of an earlier run: an order's ``sequence`` and a fill's
trade id tell what was seen. Fills move the position in the same step as the order, so that a strategy never sees a
closed order beside the position from before it.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.enums import OrderSide, Outcome
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, TradeId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.wire.events import (
    OrderAccepted,
    OrderCancelRejected,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    OrderOutcomeResolved,
    OrderOutcomeUnknown,
    OrderRejected,
)

MAX_CLOSED_ORDERS: Final = 1_000
MAX_TRADE_IDS: Final = 20_000
# A cancel is safe to repeat; this long without an answer means that it may have been lost with its process.
CANCEL_PATIENCE_NS: Final = 2_000_000_000


class OrderTracker:
    """Open orders, the last 1,000 closed ones (late fills still reach them), positions per instrument."""

    def __init__(self, strategy_id: StrategyId, account_id: AccountId) -> None:
        self.strategy_id = strategy_id
        self.account_id = account_id
        self.open: dict[ClientOrderId, Order] = {}
        self.positions: dict[InstrumentId, Position] = {}
        self._closed: OrderedDict[ClientOrderId, Order] = OrderedDict()
        self._trade_ids: OrderedDict[TradeId, None] = OrderedDict()
        self._cancels_sent: dict[ClientOrderId, int] = {}

    def load(
        self,
        positions: Iterable[Position],
        orders: Iterable[Order],
        trade_ids: Iterable[TradeId],
    ) -> None:
        """Take over what the store knows; ``trade_ids`` are fills that the positions already contain."""
        for position in positions:
            if position.strategy_id == self.strategy_id:
                self.positions[position.instrument_id] = position
        for order in orders:
            if order.strategy_id == self.strategy_id:
                self._place(order)
        for trade_id in trade_ids:
            self._remember(trade_id)

    def restore(self, positions: Iterable[Position], orders: Iterable[Order]) -> None:
        """Stand where a checkpoint stood, before the events after it are applied."""
        for position in positions:
            self.positions[position.instrument_id] = position
        for order in orders:
            self._place(order)

    def settle(
        self,
        positions: Iterable[Position],
        orders: Iterable[Order],
        closed: Iterable[Order],
        trade_ids: Iterable[TradeId],
    ) -> None:
        """Take the store's word for everything, in the objects that the strategy may hold already.

        Orders that the store does not have stay only while no event has told of them: their commands are on their way.
        """
        for held in self.positions.values():
            held.signed_size, held.average_price, held.realized_pnl = 0, Decimal(0), Decimal(0)
        for position in positions:
            _copy(position, self.position(position.instrument_id))
        truth = {order.client_order_id: order for order in (*closed, *orders)}
        for order_id in [key for key, order in self.open.items() if key not in truth and order.event_count]:
            self.forget(order_id)
        for order_id, order in truth.items():
            held_order = self.find(order_id)
            if held_order is not None:
                _copy(order, held_order)
            self._place(held_order or order)
        for trade_id in trade_ids:
            self._remember(trade_id)

    def add(self, order: Order) -> None:
        """Track an order that is about to be submitted."""
        self.open[order.client_order_id] = order

    def forget(self, client_order_id: ClientOrderId) -> None:
        """Drop an order whose command was never published."""
        self.open.pop(client_order_id, None)
        self._cancels_sent.pop(client_order_id, None)

    def find(self, client_order_id: ClientOrderId) -> Order | None:
        """An open order, or one of the last closed."""
        return self.open.get(client_order_id) or self._closed.get(client_order_id)

    def position(self, instrument_id: InstrumentId) -> Position:
        """The position, flat where there never was one."""
        position = self.positions.get(instrument_id)
        if position is None:
            position = Position(account_id=self.account_id, strategy_id=self.strategy_id, instrument_id=instrument_id)
            self.positions[instrument_id] = position
        return position

    def open_orders(self, instrument_id: InstrumentId | None, side: OrderSide | None) -> Iterator[Order]:
        """Orders without a known end, in flight ones too."""
        for order in self.open.values():
            if (instrument_id is None or order.instrument_id == instrument_id) and side in (None, order.side):
                yield order

    def begin_cancel(self, client_order_id: ClientOrderId, now_ns: int) -> bool:
        """Note that a cancel goes out; False where the order is closed, or another cancel is on its way."""
        if client_order_id not in self.open or self.is_cancel_pending(client_order_id, now_ns):
            return False
        self._cancels_sent[client_order_id] = now_ns
        return True

    def is_cancel_pending(self, client_order_id: ClientOrderId, now_ns: int) -> bool:
        """Whether a cancel went out and its answer is still to be expected."""
        sent_ns = self._cancels_sent.get(client_order_id)
        return sent_ns is not None and now_ns - sent_ns < CANCEL_PATIENCE_NS

    def apply(self, event: OrderEvent, instrument: Instrument | None) -> bool:
        """Take an event of this strategy; False when it was seen before.

        ``instrument`` is needed for fills: without it the fill of an unknown instrument cannot be valued, and its
        position stays untouched. An order of ours that we do not know (an earlier run published it and died) is tracked
        from its first event on.
        """
        order = self.find(event.client_order_id)
        if order is not None and event.sequence <= order.event_count:
            return False
        is_new = not isinstance(event, OrderFilled) or self._take_fill(event, instrument)
        if order is None and isinstance(event, OrderInitialized):
            order = _order_from(event)
        if order is not None:
            self._update(order, event)
            self._place(order)
        return is_new

    def _take_fill(self, event: OrderFilled, instrument: Instrument | None) -> bool:
        if event.trade_id in self._trade_ids:
            return False
        self._remember(event.trade_id)
        if instrument is not None:
            self.position(event.instrument_id).apply(
                event.side.sign * event.size, instrument.decimal_price(event.price), instrument.size_precision
            )
        return True

    def _update(self, order: Order, event: OrderEvent) -> None:
        # The event's status is the order path's own; checking it against the table again would only hide its word.
        order.status = event.status
        order.event_count = event.sequence
        order.ts_last = event.ts_event
        if isinstance(event, OrderFilled):
            order.filled_size = event.filled_size
        if isinstance(event, OrderFilled | OrderAccepted):
            order.venue_order_id = event.venue_order_id
        elif isinstance(event, OrderDenied | OrderRejected):
            order.reason = event.reason
        elif isinstance(event, OrderOutcomeUnknown):
            order.outcome, order.unknown_since = Outcome.UNKNOWN, event.ts_event
        elif isinstance(event, OrderOutcomeResolved):
            order.outcome, order.unknown_since = Outcome.KNOWN, None
        if isinstance(event, OrderCancelRejected):
            self._cancels_sent.pop(order.client_order_id, None)

    def _place(self, order: Order) -> None:
        key = order.client_order_id
        if not order.status.is_closed or order.outcome is Outcome.UNKNOWN:
            self.open[key] = order
            self._closed.pop(key, None)
            return
        self.open.pop(key, None)
        self._cancels_sent.pop(key, None)
        self._closed[key] = order
        if len(self._closed) > MAX_CLOSED_ORDERS:
            self._closed.popitem(last=False)

    def _remember(self, trade_id: TradeId) -> None:
        self._trade_ids[trade_id] = None
        if len(self._trade_ids) > MAX_TRADE_IDS:
            self._trade_ids.popitem(last=False)


def _order_from(event: OrderInitialized) -> Order:
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
        command_id=event.causation_id,
        correlation_id=event.correlation_id,
        ts_init=event.ts_init,
    )


def _copy(source: msgspec.Struct, target: msgspec.Struct) -> None:
    for name in source.__struct_fields__:
        setattr(target, name, getattr(source, name))
