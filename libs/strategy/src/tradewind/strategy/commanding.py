"""Makes a strategy's commands and holds them until whoever drives the strategy publishes them.

One id per intent, made here and never again: ``<strategy>-<run>-<number>``, where ``run`` is a durable counter.
Every command names its cause: the market record or the order event that the strategy was reacting to.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias, TypedDict

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, client_order_id
from tradewind.model.orders import Order
from tradewind.strategy.order_tracking import OrderTracker
from tradewind.strategy.throttle import SubmitThrottle
from tradewind.wire.commands import CancelAllOrders, CancelOrder, OrderCommand, SubmitOrder
from tradewind.wire.events import OrderEvent
from tradewind.wire.messages import EventIds

MAX_PENDING: Final = 1_000
"""Commands that may wait for the bus; past it new orders are suppressed."""


PendingCommand: TypeAlias = tuple[OrderCommand, int]
"""A command that waits to be published, and when the data that caused it arrived (ns); 0: not from data."""


class _Identity(TypedDict):
    event_id: str
    correlation_id: str
    causation_id: str
    ts_event: int
    ts_init: int


class CommandDesk:
    """The outgoing side of one strategy. ``pending`` is bounded by MAX_PENDING new orders plus their cancels.

    The driver says what the strategy is reacting to: ``tick_ns`` and ``sequence`` are the receive time and the venue's
    sequence of market data (0: none), ``event`` is an order event.
    """

    def __init__(
        self, tracker: OrderTracker, *, run: int, throttle: SubmitThrottle, wall_clock: Callable[[], int]
    ) -> None:
        self.tick_ns = 0
        self.sequence = 0
        self.event: OrderEvent | None = None
        self.pending: deque[PendingCommand] = deque()
        self.throttle = throttle
        self.wall_clock = wall_clock
        self.data_clock: Callable[[], int] | None = None
        self.is_held_back = False
        """Set while a strategy is brought back to where it was: what it asks for then it may have sent already."""
        self._tracker = tracker
        self._venue = tracker.account_id.partition("-")[0]
        self._run = run
        self._intents = 0
        self._event_ids = EventIds()

    @property
    def strategy_id(self) -> StrategyId:
        """Whose commands these are."""
        return self._tracker.strategy_id

    @property
    def account_id(self) -> AccountId:
        """The account that they go to."""
        return self._tracker.account_id

    @property
    def run(self) -> int:
        """The number of this start, a part of every id."""
        return self._run

    @property
    def intents(self) -> int:
        """The number of the last intent of this run."""
        return self._intents

    def now_ns(self) -> int:
        """The time that throttles and patience count in: the receive time of the data, else the wall clock.

        With a ``data_clock`` it is that clock's, so that two runs over the same data decide alike.
        """
        if self.data_clock is not None:
            return self.data_clock()
        return self.tick_ns or self.wall_clock()

    def submit(
        self,
        instrument_id: InstrumentId,
        side: OrderSide,
        size: int,
        price: int | None,
        time_in_force: TimeInForce,
        *,
        post_only: bool,
        reduce_only: bool,
    ) -> Order | None:
        """A new order, limit with a price and market without; None when it was kept back."""
        if self.is_held_back or len(self.pending) >= MAX_PENDING or not self.throttle.allow(self.now_ns()):
            return None
        self._intents += 1
        order_id = client_order_id(self.strategy_id, self._run, self._intents)
        command = SubmitOrder(
            **self._identity(order_id),
            strategy_id=self.strategy_id,
            account_id=self.account_id,
            client_order_id=order_id,
            instrument_id=instrument_id,
            side=side,
            order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
            size=size,
            time_in_force=time_in_force,
            price=price,
            post_only=post_only,
            reduce_only=reduce_only,
            run=self._run,
        )
        order = order_of(command)
        self._tracker.add(order)
        self._push(command)
        return order

    def cancel(self, order: Order) -> bool:
        """Cancel one order; False when it is closed, or its cancel is on its way."""
        if self.is_held_back or not self._tracker.begin_cancel(order.client_order_id, self.now_ns()):
            return False
        self._push(
            CancelOrder(
                **self._identity(order.client_order_id),
                strategy_id=self.strategy_id,
                account_id=self.account_id,
                client_order_id=order.client_order_id,
            )
        )
        return True

    def cancel_all(self, instrument_id: InstrumentId | None, reason: str) -> bool:
        """Cancel all that rests; False when there is nothing that is not being cancelled."""
        if self.is_held_back:
            return False
        now_ns = self.now_ns()
        orders = list(self._tracker.open_orders(instrument_id, None))
        if not [order for order in orders if self._tracker.begin_cancel(order.client_order_id, now_ns)]:
            return False
        self._push(self.cancel_all_command(reason, instrument_id))
        return True

    def cancel_all_command(self, reason: str, instrument_id: InstrumentId | None = None) -> CancelAllOrders:
        """The command alone, for the driver's own start and stop."""
        return CancelAllOrders(
            **self._identity(""),
            account_id=self.account_id,
            strategy_id=self.strategy_id,
            instrument_id=instrument_id,
            reason=reason,
        )

    def drop_pending(self) -> int:
        """Throw away what was never published, and the orders that only it knew of; answers how many commands."""
        dropped = len(self.pending)
        for command, _ in self.pending:
            if isinstance(command, SubmitOrder):
                self._tracker.forget(command.client_order_id)
        self.pending.clear()
        return dropped

    def _push(self, command: OrderCommand) -> None:
        self.pending.append((command, 0 if self.event is not None else self.tick_ns))

    def _identity(self, correlation_id: str) -> _Identity:
        event_id = self._event_ids()
        now_ns = self.wall_clock()
        if self.event is not None:
            causation_id, ts_event = self.event.event_id, self.event.ts_event
        elif self.tick_ns:
            causation_id, ts_event = f"md:{self._venue}:{self.sequence}", self.tick_ns
        else:
            causation_id, ts_event = "", now_ns
        return {
            "event_id": event_id,
            "correlation_id": correlation_id or event_id,
            "causation_id": causation_id,
            "ts_event": ts_event,
            "ts_init": now_ns,
        }


def order_of(command: SubmitOrder) -> Order:
    """The order that a command asks for, before anything has happened to it."""
    return Order(
        client_order_id=command.client_order_id,
        strategy_id=command.strategy_id,
        account_id=command.account_id,
        instrument_id=command.instrument_id,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        size=command.size,
        price=command.price,
        post_only=command.post_only,
        reduce_only=command.reduce_only,
        command_id=command.event_id,
        correlation_id=command.correlation_id,
        ts_init=command.ts_init,
        ts_last=command.ts_init,
    )
