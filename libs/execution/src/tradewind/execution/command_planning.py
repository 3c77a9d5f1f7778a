"""Planning commands: dedupe, checks, and what is written before anything is sent."""

from typing import Final

from tradewind.execution.limits import Denial, DenyCode
from tradewind.execution.order_terms import check_int64, order_of, request_of, terms_of
from tradewind.execution.stories import OrderStories
from tradewind.model.enums import Outcome
from tradewind.model.identifiers import ClientOrderId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.wire import events, topics
from tradewind.wire.commands import CancelAllOrders, SubmitOrder

_NS: Final = 1_000_000_000


class CommandPlanner:
    """Commands in, the stories' next events out."""

    def __init__(self, stories: OrderStories) -> None:
        self._stories = stories
        self.duplicates = 0
        """Commands that had been taken before."""
        self.not_ready_reason: str | None = "starting"
        """Why new orders are denied now."""
        self._runs: dict[StrategyId, int] = {}

    def begin_run(self, strategy_id: StrategyId, run: int) -> None:
        """The start ``run`` of a strategy trades from now on; an earlier one told late changes nothing."""
        self._runs[strategy_id] = max(run, self._runs.get(strategy_id, 0))

    def submit(self, command: SubmitOrder, *, flattening: bool) -> None:
        """A new order, or its denial; ``flattening`` is the kill switch's own pass."""
        stories = self._stories
        known = self._known(command)
        if known == command.event_id:
            self.duplicates += 1
            return
        order = order_of(command, stories.now_ns)
        if known is not None:
            self._say_duplicate(order)
            return
        try:
            self._check(order, command, flattening=flattening)
        except Denial as denial:
            self._deny(order, command, str(denial))
            return
        stories.plan.new_orders[order.client_order_id] = order
        stories.remember(order)
        self._begin(order, command)
        order.move(OrderStatus.SUBMITTED)
        stories.emit(order, events.OrderSubmitted)
        stories.plan.submits.append(request_of(order, reduces=stories.risk.reduces(order)))

    def refuse(self, command: SubmitOrder, code: DenyCode) -> None:
        """A durable denial of a command that was refused in words."""
        if self._known(command) is None:
            self._deny(order_of(command, self._stories.now_ns), command, str(code))

    def cancel(self, client_order_id: ClientOrderId) -> None:
        """Cancel now, or as soon as the venue is known to have the order."""
        order = self._stories.orders.get(client_order_id)
        if order is None or order.status is OrderStatus.PENDING_CANCEL:
            return
        if order.outcome is Outcome.UNKNOWN or order.status is OrderStatus.SUBMITTED:
            self._stories.cancel_later.add(client_order_id)
            return
        self._stories.plan_cancel(order)

    def cancel_all(self, command: CancelAllOrders) -> None:
        """Cancel everything, or one strategy's or instrument's share of it."""
        for order in list(self._stories.orders.values()):
            if command.strategy_id not in (None, order.strategy_id):
                continue
            if command.instrument_id in (None, order.instrument_id):
                self.cancel(order.client_order_id)

    def _check(self, order: Order, command: SubmitOrder, *, flattening: bool) -> None:
        stories = self._stories
        if flattening:
            stories.risk.check_reducing(order, stories.instruments[order.instrument_id])
            return
        newest = self._runs.get(command.strategy_id, 0)
        if 0 < command.run < newest:
            raise Denial(DenyCode.STRATEGY_SUPERSEDED, limit=newest, value=command.run)
        if self.not_ready_reason is not None:
            raise Denial(DenyCode.NOT_READY, value=self.not_ready_reason)
        age_s = (stories.now_ns - command.ts_init) / _NS
        longest_s = stories.risk.limits.max_command_age_s
        if age_s > longest_s:
            raise Denial(DenyCode.COMMAND_TOO_OLD, limit=longest_s, value=round(age_s, 3))
        instrument = stories.instruments.get(order.instrument_id)
        if instrument is None:
            raise Denial(DenyCode.INSTRUMENT_UNKNOWN, value=order.instrument_id)
        check_int64(command, instrument)
        stories.risk.check(order, instrument, stories.now_ns)

    def _begin(self, order: Order, command: SubmitOrder) -> None:
        times = {"ts_cause": command.ts_event, "ts_intent": command.ts_init}
        self._stories.emit(order, events.OrderInitialized, **terms_of(order), **times)

    def _deny(self, order: Order, command: SubmitOrder, reason: str) -> None:
        self._stories.plan.new_orders[order.client_order_id] = order
        self._begin(order, command)
        order.reason = reason
        self._stories.move(order, OrderStatus.DENIED, events.OrderDenied, reason=reason)

    def _say_duplicate(self, order: Order) -> None:
        """Sequence 0 says: this is not part of the order's story; the order of that name is left as it is."""
        self.duplicates += 1
        message = events.OrderDenied(
            **self._stories.identity(order),
            sequence=0,
            status=OrderStatus.DENIED,
            reason=str(Denial(DenyCode.DUPLICATE_CLIENT_ORDER_ID, value=order.client_order_id)),
        )
        self._stories.say(topics.ORDERS_EVENTS, message)

    def _known(self, command: SubmitOrder) -> str | None:
        """The command that made the order of this id, if there is one."""
        order = self._stories.find(command.client_order_id)
        return order.command_id if order else None
