"""Planning reports: the venue's word moves orders by the transition table; a report without news plans nothing."""

from typing import Final

from tradewind.execution.ledger import fill_row
from tradewind.execution.operator_planning import BY_OPERATOR
from tradewind.execution.order_terms import terms_of
from tradewind.execution.plans import adopted_name
from tradewind.execution.recent import Recent
from tradewind.execution.stories import OrderStories
from tradewind.model.enums import Outcome
from tradewind.model.identifiers import EXTERNAL, ClientOrderId, TradeId
from tradewind.model.order_status import InvalidTransition, OrderStatus
from tradewind.model.orders import Order
from tradewind.venue.reports import CancelRejectReport, FillReport, OrderStatusReport, Report
from tradewind.wire import events, topics

_KNOWN_TRADES: Final = 10_000
_ODD_REPORTS: Final = 10_000
_ENDS_WITHOUT_FILL: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


class ReportPlanner:
    """Reports in, the stories' next events out."""

    def __init__(self, stories: OrderStories) -> None:
        self._stories = stories
        self.trade_ids: Recent[TradeId, None] = Recent(_KNOWN_TRADES)
        """Trades that are applied."""
        self.incomplete: Recent[ClientOrderId, OrderStatusReport] = Recent(_ODD_REPORTS)
        """Orders of which the venue counts more fills than we have: their fills must be asked for."""
        self.orphans: Recent[TradeId, FillReport] = Recent(_ODD_REPORTS)
        """Fills of orders that are not in memory: load or ask for the order, then plan the fill again."""
        self.impossible = 0
        """Fills that the transition table does not allow."""

    def take(self, report: Report) -> None:
        """One word of the venue."""
        if isinstance(report, OrderStatusReport):
            self._order_status(report)
        elif isinstance(report, FillReport):
            self._fill(report)
        elif isinstance(report, CancelRejectReport):
            self._cancel_rejected(report)

    def may_place(self, report: OrderStatusReport | FillReport) -> bool:
        """Whether the order that a report is about is in memory."""
        return self._order_for(report) is not None

    def _order_status(self, report: OrderStatusReport) -> None:
        order = self._order_for(report)
        if order is None:
            if report.status.is_closed and not report.filled_size:
                return
            order = self._adopt(report)
        if report.status.is_open and _was_ended_without_its_word(order):
            self._contradict(order, report)
            return
        self._stories.resolve(order, f"the venue says {report.status}")
        self._accept(order, report)
        if report.filled_size > order.filled_size:
            waiting = self.incomplete.get(order.client_order_id)
            if waiting is None or waiting.status not in _ENDS_WITHOUT_FILL:
                self.incomplete.put(order.client_order_id, report)
        elif report.status in _ENDS_WITHOUT_FILL:
            self._end(order, report)
        else:
            self._cancel_if_wanted(order)

    def _contradict(self, order: Order, report: OrderStatusReport) -> None:
        """The venue shows an order at work that was held to be dead: it counts in risk again and is cancelled there,
        because everybody was told that it is no more."""
        stories = self._stories
        stories.name(order, report.venue_order_id)
        if order.outcome is Outcome.UNKNOWN:
            return
        what = f"the venue shows {order.client_order_id} as {report.status}; it was held to be {order.status}"
        stories.plan.alarms.append(f"{what} ({order.reason}); it is cancelled there")
        order.outcome = Outcome.UNKNOWN
        order.unknown_since = stories.now_ns
        stories.reopen(order)
        stories.emit(order, events.OrderOutcomeUnknown, reason=what)
        stories.cancel_at_venue(order)

    def _accept(self, order: Order, report: OrderStatusReport) -> None:
        """The venue knows the order: whatever came first, its acknowledgement is recorded once."""
        self._stories.name(order, report.venue_order_id)
        if order.status is OrderStatus.SUBMITTED and report.status is not OrderStatus.REJECTED:
            self._stories.move(order, OrderStatus.ACCEPTED, events.OrderAccepted, venue_order_id=report.venue_order_id)

    def _end(self, order: Order, report: OrderStatusReport) -> None:
        """A final word. One that counts fills we do not have waits in ``incomplete`` until they are here."""
        if order.status.is_closed:
            return
        order.reason = report.reason or None
        if report.status is OrderStatus.CANCELED:
            self._stories.move(order, OrderStatus.CANCELED, events.OrderCanceled, reason=report.reason)
        elif report.status is OrderStatus.EXPIRED:
            self._stories.move(order, OrderStatus.EXPIRED, events.OrderExpired)
        else:
            self._stories.move(order, OrderStatus.REJECTED, events.OrderRejected, reason=report.reason)

    def _fill(self, report: FillReport) -> None:
        if report.trade_id in self.trade_ids:
            return
        order = self._order_for(report)
        if order is None:
            self.orphans.put(report.trade_id, report)
            return
        self.orphans.pop(report.trade_id)
        if _was_ended_without_its_word(order):
            self._stories.plan.alarms.append(
                f"the venue filled {order.client_order_id}, which was held to be {order.status} ({order.reason})"
            )
        self._stories.resolve(order, "the venue reports a fill")
        self._stories.name(order, report.venue_order_id)
        try:
            order.add_fill(report.size)
        except InvalidTransition:
            self.impossible += 1
            return
        self._book_fill(order, report)
        waiting = self.incomplete.get(order.client_order_id)
        if waiting is not None and waiting.filled_size <= order.filled_size:
            self.incomplete.pop(order.client_order_id)
            if waiting.status in _ENDS_WITHOUT_FILL:
                self._end(order, waiting)
        self._cancel_if_wanted(order)

    def _book_fill(self, order: Order, report: FillReport) -> None:
        stories = self._stories
        instrument = stories.instruments[order.instrument_id]
        self.trade_ids.put(report.trade_id, None)
        row = fill_row(report, order, instrument)
        stories.plan.fills.append(row)
        position, books = stories.ledger.apply(row, instrument)
        stories.plan.positions[order.strategy_id, order.instrument_id] = position
        for book in books:
            stories.plan.books[book.strategy_id, book.currency] = book
        stories.emit(
            order,
            events.OrderFilled,
            ts_event=report.ts_event,
            venue_order_id=report.venue_order_id,
            trade_id=report.trade_id,
            side=report.side,
            price=report.price,
            size=report.size,
            filled_size=order.filled_size,
            fee=report.fee,
            fee_currency=report.fee_currency,
            liquidity_side=report.liquidity_side,
        )
        self._say_position(order)

    def _say_position(self, order: Order) -> None:
        stories = self._stories
        position = stories.ledger.positions[order.strategy_id, order.instrument_id]
        message = events.PositionChanged(
            event_id=stories.new_event_id(),
            correlation_id=order.correlation_id,
            causation_id=stories.plan.outgoing[-1].message.event_id,
            ts_event=stories.now_ns,
            ts_init=stories.now_ns,
            account_id=stories.account_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            signed_size=position.signed_size,
            average_price=position.average_price,
            realized_pnl=position.realized_pnl,
        )
        stories.say(topics.ACCOUNT_EVENTS, message)

    def _cancel_rejected(self, report: CancelRejectReport) -> None:
        order = self._stories.orders.get(report.client_order_id)
        if order is not None and order.status is OrderStatus.PENDING_CANCEL:
            order.restore()
            self._stories.emit(order, events.OrderCancelRejected, reason=report.reason)

    def _cancel_if_wanted(self, order: Order) -> None:
        if order.client_order_id in self._stories.cancel_later and order.status.is_open:
            self._stories.plan_cancel(order)

    def _order_for(self, report: OrderStatusReport | FillReport) -> Order | None:
        """The venue's own id tells for certain. Our name tells only of an order that has no venue id yet and that the
        report can be about: names may be used again by anybody once an order is closed."""
        known = self._stories.find_at_venue(report.instrument_id, report.venue_order_id)
        if known is not None or report.client_order_id is None:
            return known
        named = self._stories.find(report.client_order_id)
        return named if named is not None and _may_be(named, report) else None

    def _free_name(self, report: OrderStatusReport) -> ClientOrderId:
        """The order's own name, unless it is an order's of ours: then one made of the venue's id."""
        name = report.client_order_id
        if name is None or self._stories.find(name) is not None:
            return adopted_name(report.instrument_id, report.venue_order_id)
        return name

    def _adopt(self, report: OrderStatusReport) -> Order:
        """An order that none of ours claims: it belongs to EXTERNAL and counts in risk like any other."""
        stories = self._stories
        order = Order(
            client_order_id=self._free_name(report),
            strategy_id=EXTERNAL,
            account_id=stories.account_id,
            instrument_id=report.instrument_id,
            side=report.side,
            order_type=report.order_type,
            time_in_force=report.time_in_force,
            size=report.size,
            price=report.price,
            post_only=report.post_only,
            command_id=f"external:{report.venue_order_id}",
            correlation_id=f"external:{report.venue_order_id}",
            ts_init=stories.now_ns,
        )
        stories.plan.new_orders[order.client_order_id] = order
        stories.remember(order)
        stories.emit(order, events.OrderInitialized, **terms_of(order))
        stories.move(order, OrderStatus.SUBMITTED, events.OrderSubmitted)
        return order


def _was_ended_without_its_word(order: Order) -> bool:
    """Whether an order's end was a conclusion of ours or an operator's, not a report of the venue."""
    concluded = order.reason is not None and order.reason.startswith(BY_OPERATOR)
    return order.status is OrderStatus.REJECTED or (order.status.is_closed and concluded)


def _may_be(order: Order, report: OrderStatusReport | FillReport) -> bool:
    """Whether an order of the name in a report can be the one that it tells of."""
    if order.venue_order_id is not None or order.instrument_id != report.instrument_id or order.side != report.side:
        return False
    return isinstance(report, FillReport) or order.size == report.size
