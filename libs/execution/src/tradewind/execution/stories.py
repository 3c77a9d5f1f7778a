"""The orders in memory and their stories: every change of an order is an event with the next number of its story.

``begin`` opens a plan, the planners tell what happens, ``finish`` closes it. Open orders are kept without a bound of
their own (risk bounds them); ended ones only as long as late reports of them are likely: the store knows the rest.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from typing_extensions import TypedDict

from tradewind.execution.ledger import Ledger
from tradewind.execution.plans import Plan, cancel_of
from tradewind.execution.recent import Recent
from tradewind.execution.risk import RiskChecks
from tradewind.model.enums import Outcome
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.store.order_store import Outgoing
from tradewind.wire import events, topics
from tradewind.wire.messages import EventIds, Message

E = TypeVar("E", bound=events.OrderEvent)
VenueName = tuple[InstrumentId, VenueOrderId]
"""Venues may count order ids per instrument."""

_KNOWN_ORDERS: Final = 2_000


class SendTimes(TypedDict):
    """When an order was durable, and when its first byte went towards the venue; ns UTC."""

    ts_durable: int
    ts_sent: int


class OrderStories:
    """Orders of one account and the plan that is being made for them."""

    def __init__(
        self,
        account_id: AccountId,
        instruments: Mapping[InstrumentId, Instrument],
        ledger: Ledger,
        risk: RiskChecks,
        event_ids: EventIds,
    ) -> None:
        self.account_id = account_id
        self.instruments = instruments
        self.ledger = ledger
        self.risk = risk
        self.new_event_id = event_ids
        self.orders: dict[ClientOrderId, Order] = {}
        """Orders without a known end."""
        self.cancel_later: set[ClientOrderId] = set()
        """Orders to cancel as soon as the venue is known to have them."""
        self.sends: dict[ClientOrderId, SendTimes] = {}
        """Of orders that were sent and not answered yet."""
        self.plan = Plan()
        self.now_ns = 0
        self.cause = ""
        self._by_venue_id: dict[VenueName, ClientOrderId] = {}
        self._ended: Recent[ClientOrderId, Order] = Recent(_KNOWN_ORDERS)
        self._ended_by_venue_id: Recent[VenueName, ClientOrderId] = Recent(_KNOWN_ORDERS)
        self._touched: dict[ClientOrderId, Order] = {}

    # -- memory ----------------------------------------------------------------------------------------------------

    def find(self, client_order_id: ClientOrderId) -> Order | None:
        """An order in memory: open, lately ended, or ended by the plan that is being made."""
        known = self.orders.get(client_order_id) or self._ended.get(client_order_id)
        return known or self._touched.get(client_order_id)

    def find_at_venue(self, instrument_id: InstrumentId, venue_order_id: VenueOrderId) -> Order | None:
        """The order in memory that the venue calls so."""
        key = (instrument_id, venue_order_id)
        name = self._by_venue_id.get(key) or self._ended_by_venue_id.get(key)
        return self.find(name) if name is not None else None

    def remember(self, order: Order) -> None:
        """Keep an order without a known end, and count what it can still do."""
        self.orders[order.client_order_id] = order
        self._index(order)
        if instrument := self.instruments.get(order.instrument_id):
            self.risk.reserve(order, instrument)

    def load_ended(self, orders: Iterable[Order]) -> None:
        """Take over orders that memory had forgotten; those that it knows are left as they are."""
        for order in orders:
            if self.find(order.client_order_id) is None:
                self._end(order)

    def name(self, order: Order, venue_order_id: VenueOrderId) -> None:
        """Note what the venue calls an order."""
        if order.venue_order_id is None:
            order.venue_order_id = venue_order_id
            self._index(order)

    def _index(self, order: Order) -> None:
        if order.venue_order_id is not None:
            self._by_venue_id[order.instrument_id, order.venue_order_id] = order.client_order_id

    def _end(self, order: Order) -> None:
        self.sends.pop(order.client_order_id, None)
        self._ended.put(order.client_order_id, order)
        if order.venue_order_id is not None:
            key = (order.instrument_id, order.venue_order_id)
            self._by_venue_id.pop(key, None)
            self._ended_by_venue_id.put(key, order.client_order_id)

    def reopen(self, order: Order) -> None:
        """An order that was held to be closed may still be at work."""
        self.orders[order.client_order_id] = order
        self._index(order)

    def give_to(self, order: Order, strategy_id: StrategyId) -> None:
        """Move an open order, and what it reserves, to another strategy."""
        self.risk.forget(order.client_order_id)
        order.strategy_id = strategy_id
        if instrument := self.instruments.get(order.instrument_id):
            self.risk.reserve(order, instrument)

    # -- one plan --------------------------------------------------------------------------------------------------

    def begin(self, now_ns: int) -> None:
        """Open a new plan."""
        self.plan = Plan()
        self._touched = {}
        self.now_ns = now_ns
        self.cause = ""
        self.risk.observe(now_ns)

    def finish(self) -> Plan:
        """Count what each touched order can still do, and let ended ones go."""
        for order in self._touched.values():
            if instrument := self.instruments.get(order.instrument_id):
                self.risk.reserve(order, instrument)
            if order.status.is_closed and order.outcome is Outcome.KNOWN:
                self.orders.pop(order.client_order_id, None)
                self.cancel_later.discard(order.client_order_id)
                self._end(order)
            elif order.client_order_id not in self.orders:
                self.reopen(order)  # a fill of an order that was held to be dead: the rest of it is at work
        self.plan.risk = self.risk.take_rows(self.now_ns)
        return self.plan

    def move(self, order: Order, status: OrderStatus, event: type[events.OrderEvent], **fields: Any) -> None:
        """Take the next status and tell it."""
        order.move(status)
        self.emit(order, event, **fields)

    def emit(self, order: Order, event: type[E], *, ts_event: int | None = None, **fields: Any) -> None:
        """Tell the next event of an order's story; the order's row goes to the store with it."""
        order.event_count += 1
        order.ts_last = self.now_ns
        identity = self.identity(order)
        if ts_event is not None:
            identity["ts_event"] = ts_event
        if issubclass(event, events.AnsweredEvent) and (sent := self.sends.pop(order.client_order_id, None)):
            identity |= sent
        message = event(**identity, sequence=order.event_count, status=order.status, **fields)
        self.plan.outgoing.append(
            Outgoing(
                topic=topics.ORDERS_EVENTS,
                message=message,
                client_order_id=order.client_order_id,
                sequence=order.event_count,
            )
        )
        self._touched[order.client_order_id] = order
        if order.client_order_id not in self.plan.new_orders:
            self.plan.changed_orders[order.client_order_id] = order

    def say(self, topic: topics.Topic, message: Message) -> None:
        """Publish something that is not part of an order's story."""
        self.plan.outgoing.append(Outgoing(topic=topic, message=message))

    def identity(self, order: Order) -> dict[str, Any]:
        """The fields that every event of an order has."""
        return {
            "event_id": self.new_event_id(),
            "correlation_id": order.correlation_id,
            "causation_id": self.cause,
            "ts_event": self.now_ns,
            "ts_init": self.now_ns,
            "account_id": self.account_id,
            "strategy_id": order.strategy_id,
            "instrument_id": order.instrument_id,
            "client_order_id": order.client_order_id,
        }

    def plan_cancel(self, order: Order) -> None:
        """Cancel an order that the venue has."""
        self.cancel_later.discard(order.client_order_id)
        self.move(order, OrderStatus.PENDING_CANCEL, events.OrderPendingCancel)
        self.cancel_at_venue(order)

    def cancel_at_venue(self, order: Order) -> None:
        """Ask the venue to cancel, whatever the order's status."""
        self.plan.cancels.append(cancel_of(order))

    def resolve(self, order: Order, reason: str) -> None:
        """A doubt ends."""
        if order.outcome is Outcome.UNKNOWN:
            order.outcome = Outcome.KNOWN
            order.unknown_since = None
            self.emit(order, events.OrderOutcomeResolved, reason=reason)
