"""The execution engine: commands and reports in, plans out. No I/O, no clock, no tasks.

Order of a life: a command is deduped, checked and planned as INITIALIZED + SUBMITTED (or DENIED); the caller commits
the plan and only then sends. Reports move the order by the transition table; a report without news plans nothing.

Memory is changed while planning. If a commit fails, the caller throws the engine away and loads a new one from the
store: there is one recovery path, and it is the start.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar, overload

from tradewind.execution.ledger import Ledger, fill_row
from tradewind.execution.limits import Denial, DenyCode, RiskLimits
from tradewind.execution.plans import Cancel, Plan
from tradewind.execution.recent import Recent
from tradewind.execution.risk import RiskChecks
from tradewind.model.enums import Outcome, TradingState
from tradewind.model.fixed_point import INT64_MAX
from tradewind.model.identifiers import EXTERNAL, AccountId, ClientOrderId, InstrumentId, TradeId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import InvalidTransition, OrderStatus
from tradewind.model.orders import Order
from tradewind.store.order_store import OrderBatch, Outgoing
from tradewind.venue.adapter import NewOrder
from tradewind.venue.reports import CancelRejectReport, FillReport, OrderStatusReport, Report
from tradewind.wire import events, topics
from tradewind.wire.commands import CancelAllOrders, CancelOrder, OrderCommand, SubmitOrder
from tradewind.wire.messages import EventIds

E = TypeVar("E", bound=events.OrderEvent)

_KNOWN_TRADES: Final = 10_000
_KNOWN_ORDERS: Final = 2_000
_ODD_REPORTS: Final = 10_000
_NS: Final = 1_000_000_000
_ENDS_WITHOUT_FILL: Final = frozenset({OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


class ExecutionEngine:
    """The order path of one account, in memory."""

    def __init__(
        self, account_id: AccountId, instruments: Iterable[Instrument], limits: RiskLimits, event_ids: EventIds
    ) -> None:
        self.account_id = account_id
        self.instruments: dict[InstrumentId, Instrument] = {i.instrument_id: i for i in instruments}
        self.ledger = Ledger(account_id)
        self.risk = RiskChecks(limits, self.ledger, self.instruments)
        self.orders: dict[ClientOrderId, Order] = {}
        self._by_venue_id: Recent[tuple[InstrumentId, VenueOrderId], ClientOrderId] = Recent(_KNOWN_ORDERS)
        self.not_ready_reason: str | None = "starting"
        self._cancel_later: set[ClientOrderId] = set()
        self._ended: Recent[ClientOrderId, Order] = Recent(_KNOWN_ORDERS)
        self._trade_ids: Recent[TradeId, None] = Recent(_KNOWN_TRADES)
        self.incomplete: Recent[ClientOrderId, OrderStatusReport] = Recent(_ODD_REPORTS)
        """Orders of which the venue counts more fills than we have: their fills must be asked for."""
        self.orphans: Recent[TradeId, FillReport] = Recent(_ODD_REPORTS)
        """Fills of orders that are not in memory: load or ask for the order, then plan the fill again."""
        self._event_ids = event_ids
        self.duplicates = 0
        self.impossible_reports = 0
        self._plan = Plan()
        self._touched: dict[ClientOrderId, Order] = {}
        self._now = 0
        self._cause = ""
        self._flattening = False

    # -- loading ---------------------------------------------------------------------------------------------------

    def load_orders(self, orders: Iterable[Order]) -> None:
        """Take over unfinished orders from the store."""
        for order in orders:
            self._remember(order)

    def load_trade_ids(self, trade_ids: Iterable[TradeId]) -> None:
        """Take over the trade ids that the store has already applied."""
        for trade_id in trade_ids:
            self._trade_ids.put(trade_id, None)

    def load_ended(self, orders: Iterable[Order]) -> None:
        """Take over orders that memory had forgotten, so that late reports and repeated commands find them."""
        for order in orders:
            if order.client_order_id not in self.orders:
                self._ended.put(order.client_order_id, order)
                self._index(order)

    def find(self, client_order_id: ClientOrderId) -> Order | None:
        """An order in memory, open or lately ended."""
        return self.orders.get(client_order_id) or self._ended.get(client_order_id)

    def set_trading_state(self, scope: str, state: TradingState) -> None:
        """The risk service's persisted word on a scope."""
        self.risk.set_trading_state(scope, state)

    # -- planning --------------------------------------------------------------------------------------------------

    def plan_commands(self, commands: Iterable[OrderCommand], now_ns: int) -> Plan:
        """What a batch of commands asks for, after dedupe and risk."""
        self._begin(now_ns)
        for command in commands:
            self._cause = command.event_id
            if isinstance(command, SubmitOrder):
                self._submit(command)
            elif isinstance(command, CancelOrder):
                self._cancel(command.client_order_id)
            else:
                self._cancel_all(command)
        return self._finish()

    def plan_flattening(self, commands: Iterable[SubmitOrder], now_ns: int) -> Plan:
        """Orders of a kill switch's own pass: they pass while HALTED, as long as each only makes its book smaller."""
        self._flattening = True
        try:
            return self.plan_commands(commands, now_ns)
        finally:
            self._flattening = False

    def plan_reports(self, reports: Iterable[Report], now_ns: int) -> Plan:
        """What a batch of the venue's reports changes. The same reports again plan nothing."""
        self._begin(now_ns)
        self._cause = ""
        for report in reports:
            if isinstance(report, OrderStatusReport):
                self._order_status(report)
            elif isinstance(report, FillReport):
                self._fill(report)
            elif isinstance(report, CancelRejectReport):
                self._cancel_rejected(report)
        return self._finish()

    def plan_unknown(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """The outcome of the last send for an order cannot be told."""
        self._begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.outcome is Outcome.KNOWN:
            order.outcome = Outcome.UNKNOWN
            order.unknown_since = now_ns
            self._emit(order, events.OrderOutcomeUnknown, reason=reason)
        return self._finish()

    def plan_not_sent(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """It is certain that nothing rests at the venue: the venue refused, or no byte left, or a full query past the
        visibility delay does not show it."""
        self._begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.status is OrderStatus.SUBMITTED:
            self._resolve(order, reason)
            order.reason = reason
            self._move(order, OrderStatus.REJECTED, events.OrderRejected, reason=reason)
        return self._finish()

    def plan_cancel_refused(self, client_order_id: ClientOrderId, reason: str, now_ns: int) -> Plan:
        """A cancel did not take effect; the order has its previous status again."""
        self._begin(now_ns)
        order = self.orders.get(client_order_id)
        if order is not None and order.status is OrderStatus.PENDING_CANCEL:
            order.restore()
            self._emit(order, events.OrderCancelRejected, reason=reason)
        return self._finish()

    def plan_refusals(self, commands: Iterable[SubmitOrder], code: DenyCode, now_ns: int) -> Plan:
        """Durable denials of commands that were refused in words while the store was away."""
        self._begin(now_ns)
        for command in commands:
            if self._known(command) is None:
                self._cause = command.event_id
                self._deny(_order_of(command, now_ns), str(code))
        return self._finish()

    def plan_opening(self, amounts: Mapping[str, Decimal], now_ns: int) -> Plan:
        """Book what the account was first seen with to EXTERNAL, so that the books add up to the whole account."""
        self._begin(now_ns)
        for currency, amount in amounts.items():
            if (EXTERNAL, currency) not in self.ledger.books:
                row = self.ledger.open_currency(currency, amount)
                self._plan.books[row.strategy_id, row.currency] = row
        return self._finish()

    # -- commands --------------------------------------------------------------------------------------------------

    def _submit(self, command: SubmitOrder) -> None:
        known = self._known(command)
        if known == command.event_id:
            self.duplicates += 1
            return
        order = _order_of(command, self._now)
        if known is not None:
            self._say_duplicate(order)
            return
        try:
            self._check(order, command)
        except Denial as denial:
            self._deny(order, str(denial))
            return
        self._plan.new_orders[order.client_order_id] = order
        self._remember(order)
        self._emit(order, events.OrderInitialized, **_terms(order))
        order.move(OrderStatus.SUBMITTED)
        self._emit(order, events.OrderSubmitted)
        self._plan.submits.append(_new_order(order, reduces=self.risk.reduces(order)))

    def _check(self, order: Order, command: SubmitOrder) -> None:
        if self._flattening:
            self.risk.check_reducing(order, self.instruments[order.instrument_id])
            return
        if self.not_ready_reason is not None:
            raise Denial(DenyCode.NOT_READY, value=self.not_ready_reason)
        age_s = (self._now - command.ts_init) / _NS
        if age_s > self.risk.limits.max_command_age_s:
            raise Denial(DenyCode.COMMAND_TOO_OLD, limit=self.risk.limits.max_command_age_s, value=round(age_s, 3))
        instrument = self.instruments.get(order.instrument_id)
        if instrument is None:
            raise Denial(DenyCode.INSTRUMENT_UNKNOWN, value=order.instrument_id)
        _check_int64(command, instrument)
        self.risk.check(order, instrument)

    def _deny(self, order: Order, reason: str) -> None:
        self._plan.new_orders[order.client_order_id] = order
        self._emit(order, events.OrderInitialized, **_terms(order))
        order.reason = reason
        self._move(order, OrderStatus.DENIED, events.OrderDenied, reason=reason)

    def _say_duplicate(self, order: Order) -> None:
        """Sequence 0 says: this is not part of the order's story; the order of that name is left as it is."""
        self.duplicates += 1
        message = events.OrderDenied(
            **self._identity(order),
            sequence=0,
            status=OrderStatus.DENIED,
            reason=str(Denial(DenyCode.DUPLICATE_CLIENT_ORDER_ID, value=order.client_order_id)),
        )
        self._plan.outgoing.append(Outgoing(topic=topics.ORDERS_EVENTS, message=message))

    def _cancel(self, client_order_id: ClientOrderId) -> None:
        order = self.orders.get(client_order_id)
        if order is None or order.status is OrderStatus.PENDING_CANCEL:
            return
        if order.outcome is Outcome.UNKNOWN or order.status is OrderStatus.SUBMITTED:
            self._cancel_later.add(client_order_id)
            return
        self._plan_cancel(order)

    def _plan_cancel(self, order: Order) -> None:
        self._cancel_later.discard(order.client_order_id)
        self._move(order, OrderStatus.PENDING_CANCEL, events.OrderPendingCancel)
        self._plan.cancels.append(Cancel(instrument_id=order.instrument_id, client_order_id=order.client_order_id))

    def _cancel_all(self, command: CancelAllOrders) -> None:
        for order in list(self.orders.values()):
            if command.strategy_id not in (None, order.strategy_id):
                continue
            if command.instrument_id in (None, order.instrument_id):
                self._cancel(order.client_order_id)

    # -- reports ---------------------------------------------------------------------------------------------------

    def _order_status(self, report: OrderStatusReport) -> None:
        order = self._order_for(report)
        if order is None:
            if report.status.is_closed and not report.filled_size:
                return
            order = self._adopt(report)
        self._resolve(order, f"the venue says {report.status}")
        self._accept(order, report)
        if report.filled_size > order.filled_size:
            waiting = self.incomplete.get(order.client_order_id)
            if waiting is None or waiting.status not in _ENDS_WITHOUT_FILL:
                self.incomplete.put(order.client_order_id, report)
        elif report.status in _ENDS_WITHOUT_FILL:
            self._end(order, report)
        elif order.client_order_id in self._cancel_later and order.status.is_open:
            self._plan_cancel(order)

    def _accept(self, order: Order, report: OrderStatusReport) -> None:
        """The venue knows the order: whatever came first, its acknowledgement is recorded once."""
        self._name(order, report.venue_order_id)
        if order.status is OrderStatus.SUBMITTED and report.status is not OrderStatus.REJECTED:
            self._move(order, OrderStatus.ACCEPTED, events.OrderAccepted, venue_order_id=report.venue_order_id)

    def _end(self, order: Order, report: OrderStatusReport) -> None:
        """A final word. One that counts fills we do not have waits in ``incomplete`` until they are here."""
        if order.status.is_closed:
            return
        order.reason = report.reason or None
        if report.status is OrderStatus.CANCELED:
            self._move(order, OrderStatus.CANCELED, events.OrderCanceled, reason=report.reason)
        elif report.status is OrderStatus.EXPIRED:
            self._move(order, OrderStatus.EXPIRED, events.OrderExpired)
        else:
            self._move(order, OrderStatus.REJECTED, events.OrderRejected, reason=report.reason)

    def _fill(self, report: FillReport) -> None:
        if report.trade_id in self._trade_ids:
            return
        order = self._order_for(report)
        if order is None:
            self.orphans.put(report.trade_id, report)
            return
        self.orphans.pop(report.trade_id)
        self._resolve(order, "the venue reports a fill")
        self._name(order, report.venue_order_id)
        try:
            order.add_fill(report.size)
        except InvalidTransition:
            self.impossible_reports += 1
            return
        self._book_fill(order, report)
        waiting = self.incomplete.get(order.client_order_id)
        if waiting is not None and waiting.filled_size <= order.filled_size:
            self.incomplete.pop(order.client_order_id)
            if waiting.status in _ENDS_WITHOUT_FILL:
                self._end(order, waiting)
        if order.client_order_id in self._cancel_later and order.status.is_open:
            self._plan_cancel(order)

    def _book_fill(self, order: Order, report: FillReport) -> None:
        instrument = self.instruments[order.instrument_id]
        self._trade_ids.put(report.trade_id, None)
        row = fill_row(report, order, instrument)
        self._plan.fills.append(row)
        position, books = self.ledger.apply(row, instrument)
        self._plan.positions[order.strategy_id, order.instrument_id] = position
        for book in books:
            self._plan.books[book.strategy_id, book.currency] = book
        self._emit(
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
        position = self.ledger.positions[order.strategy_id, order.instrument_id]
        message = events.PositionChanged(
            event_id=self._event_ids(),
            correlation_id=order.correlation_id,
            causation_id=self._plan.outgoing[-1].message.event_id,
            ts_event=self._now,
            ts_init=self._now,
            account_id=self.account_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            signed_size=position.signed_size,
            average_price=position.average_price,
            realized_pnl=position.realized_pnl,
        )
        self._plan.outgoing.append(Outgoing(topic=topics.ACCOUNT_EVENTS, message=message))

    def _cancel_rejected(self, report: CancelRejectReport) -> None:
        order = self.orders.get(report.client_order_id)
        if order is not None and order.status is OrderStatus.PENDING_CANCEL:
            order.restore()
            self._emit(order, events.OrderCancelRejected, reason=report.reason)

    # -- the order's story -------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        self._plan = Plan()
        self._touched = {}
        self._now = now_ns

    def _finish(self) -> Plan:
        """Count what each touched order can still do, and let ended ones go."""
        for order in self._touched.values():
            if instrument := self.instruments.get(order.instrument_id):
                self.risk.reserve(order, instrument)
            if order.status.is_closed and order.outcome is Outcome.KNOWN:
                self.orders.pop(order.client_order_id, None)
                self._cancel_later.discard(order.client_order_id)
                self._ended.put(order.client_order_id, order)
        return self._plan

    def _move(self, order: Order, status: OrderStatus, event: type[events.OrderEvent], **fields: Any) -> None:
        order.move(status)
        self._emit(order, event, **fields)

    def _emit(self, order: Order, event: type[E], *, ts_event: int | None = None, **fields: Any) -> None:
        order.event_count += 1
        order.ts_last = self._now
        identity = self._identity(order)
        if ts_event is not None:
            identity["ts_event"] = ts_event
        message = event(**identity, sequence=order.event_count, status=order.status, **fields)
        self._plan.outgoing.append(
            Outgoing(
                topic=topics.ORDERS_EVENTS,
                message=message,
                client_order_id=order.client_order_id,
                sequence=order.event_count,
            )
        )
        self._touched[order.client_order_id] = order
        if order.client_order_id not in self._plan.new_orders:
            self._plan.changed_orders[order.client_order_id] = order

    def _identity(self, order: Order) -> dict[str, Any]:
        return {
            "event_id": self._event_ids(),
            "correlation_id": order.correlation_id,
            "causation_id": self._cause,
            "ts_event": self._now,
            "ts_init": self._now,
            "account_id": self.account_id,
            "strategy_id": order.strategy_id,
            "instrument_id": order.instrument_id,
            "client_order_id": order.client_order_id,
        }

    def _resolve(self, order: Order, reason: str) -> None:
        """The venue's word ends the doubt."""
        if order.outcome is Outcome.UNKNOWN:
            order.outcome = Outcome.KNOWN
            order.unknown_since = None
            self._emit(order, events.OrderOutcomeResolved, reason=reason)

    def _name(self, order: Order, venue_order_id: VenueOrderId) -> None:
        if order.venue_order_id is None:
            order.venue_order_id = venue_order_id
            self._index(order)

    def _index(self, order: Order) -> None:
        """Venues may count order ids per instrument."""
        if order.venue_order_id is not None:
            self._by_venue_id.put((order.instrument_id, order.venue_order_id), order.client_order_id)

    def _known(self, command: SubmitOrder) -> str | None:
        """The command that made the order of this id, if there is one."""
        order = self.find(command.client_order_id)
        return order.command_id if order else None

    def _order_for(self, report: OrderStatusReport | FillReport) -> Order | None:
        name = self._by_venue_id.get((report.instrument_id, report.venue_order_id)) or report.client_order_id
        return self.find(name) if name is not None else None

    def _remember(self, order: Order) -> None:
        self.orders[order.client_order_id] = order
        self._index(order)
        if instrument := self.instruments.get(order.instrument_id):
            self.risk.reserve(order, instrument)

    def _adopt(self, report: OrderStatusReport) -> Order:
        """An order that none of ours claims: it belongs to EXTERNAL and counts in risk like any other."""
        order = Order(
            client_order_id=report.client_order_id or ClientOrderId(f"venue-{report.venue_order_id}"),
            strategy_id=EXTERNAL,
            account_id=self.account_id,
            instrument_id=report.instrument_id,
            side=report.side,
            order_type=report.order_type,
            time_in_force=report.time_in_force,
            size=report.size,
            price=report.price,
            post_only=report.post_only,
            command_id=f"external:{report.venue_order_id}",
            correlation_id=f"external:{report.venue_order_id}",
            ts_init=self._now,
        )
        self._plan.new_orders[order.client_order_id] = order
        self._remember(order)
        self._emit(order, events.OrderInitialized, **_terms(order))
        self._move(order, OrderStatus.SUBMITTED, events.OrderSubmitted)
        return order


def batch_of(plan: Plan) -> OrderBatch:
    """The rows of a plan as one transaction."""
    return OrderBatch(
        new_orders=list(plan.new_orders.values()),
        orders=list(plan.changed_orders.values()),
        fills=plan.fills,
        positions=list(plan.positions.values()),
        books=list(plan.books.values()),
        outgoing=plan.outgoing,
    )


def _order_of(command: SubmitOrder, now_ns: int) -> Order:
    return Order(
        client_order_id=command.client_order_id,
        strategy_id=command.strategy_id,
        account_id=command.account_id,
        instrument_id=command.instrument_id,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        size=_clamped(command.size),
        price=_clamped(command.price),
        trigger_price=_clamped(command.trigger_price),
        post_only=command.post_only,
        reduce_only=command.reduce_only,
        expire_time=_clamped(command.expire_time),
        command_id=command.event_id,
        correlation_id=command.correlation_id,
        ts_init=now_ns,
    )


def _check_int64(command: SubmitOrder, instrument: Instrument) -> None:
    """Numbers past int64 are denied with their true value; the order's row holds them cut to int64.

    Raises:
        Denial: a number cannot be held.
    """
    if _clamped(command.size) != command.size:
        raise Denial(DenyCode.SIZE_EXCEEDS_MAX, limit=instrument.max_size, value=command.size)
    for number in (command.price, command.trigger_price, command.expire_time):
        if _clamped(number) != number:
            raise Denial(DenyCode.PRICE_EXCEEDS_MAX, limit=instrument.max_price, value=number)


@overload
def _clamped(number: int) -> int: ...
@overload
def _clamped(number: None) -> None: ...
@overload
def _clamped(number: int | None) -> int | None: ...
def _clamped(number: int | None) -> int | None:
    return None if number is None else max(-INT64_MAX, min(INT64_MAX, number))


def _terms(order: Order) -> dict[str, Any]:
    return {
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "size": order.size,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "expire_time": order.expire_time,
    }


def _new_order(order: Order, *, reduces: bool) -> NewOrder:
    return NewOrder(
        client_order_id=order.client_order_id,
        instrument_id=order.instrument_id,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        size=order.size,
        price=order.price,
        trigger_price=order.trigger_price,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        reduces=reduces,
    )
