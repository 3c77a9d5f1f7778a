"""Planning operators' words: an order in doubt is ended, an external order gets an owner. Every word leaves an audit
line in the transaction of what it did, also when it did nothing."""

from typing import Final

from tradewind.execution.recent import Recent
from tradewind.execution.stories import OrderStories
from tradewind.model.enums import Outcome, Resolution
from tradewind.model.identifiers import EXTERNAL
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.store.audit import AuditEntry
from tradewind.store.recovery_rows import ClaimRow, RecoveryRows
from tradewind.wire import events
from tradewind.wire.commands import ClaimOrder, OperatorCommand, ResolveOrder

BY_OPERATOR: Final = "OPERATOR"
"""Begins the reason of an order that an operator has ended."""
_KNOWN_COMMANDS: Final = 1_000


class OperatorPlanner:
    """Operators' commands in, the stories' next events out."""

    def __init__(self, stories: OrderStories) -> None:
        self._stories = stories
        self._done: Recent[str, None] = Recent(_KNOWN_COMMANDS)

    def take(self, command: OperatorCommand) -> None:
        """One word of an operator."""
        if command.event_id in self._done:
            return
        self._done.put(command.event_id, None)
        order = self._stories.find(command.client_order_id)
        before = "no such order" if order is None else _standing(order)
        if isinstance(command, ResolveOrder):
            action, asked = "ResolveOrder", str(command.resolution)
            refusal = self._refuse_resolution(order, command.resolution)
            if refusal is None and order is not None:
                self._resolve(order, command)
        else:
            action, asked = "ClaimOrder", command.strategy_id
            refusal = _refuse_claim(order)
            if refusal is None and order is not None:
                self._claim(order, command)
        after = f"refused {asked}: {refusal}" if refusal is not None or order is None else _standing(order)
        self._note(command, f"{action} {command.client_order_id}", before, after)

    @staticmethod
    def _refuse_resolution(order: Order | None, resolution: Resolution) -> str | None:
        if order is None or order.outcome is Outcome.KNOWN:
            return "its outcome is not UNKNOWN"
        if resolution is Resolution.NOT_AT_VENUE and order.filled_size:
            return "it has fills, so the venue had it; resolve it as CANCELED"
        return None

    def _resolve(self, order: Order, command: ResolveOrder) -> None:
        stories, reason = self._stories, f"{BY_OPERATOR}: {command.resolution} by {command.actor}: {command.why}"
        stories.resolve(order, reason)
        if order.status.is_closed:
            return
        order.reason = reason
        if command.resolution is Resolution.NOT_AT_VENUE:
            stories.move(order, OrderStatus.REJECTED, events.OrderRejected, reason=reason)
        elif command.resolution is Resolution.CANCELED:
            stories.move(order, OrderStatus.CANCELED, events.OrderCanceled, reason=reason)
        else:
            stories.move(order, OrderStatus.EXPIRED, events.OrderExpired)

    def _claim(self, order: Order, command: ClaimOrder) -> None:
        stories = self._stories
        stories.give_to(order, command.strategy_id)
        stories.emit(
            order,
            events.OrderClaimed,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            size=order.size,
            price=order.price,
            filled_size=order.filled_size,
            actor=command.actor,
            why=command.why,
        )
        rows = self._rows()
        rows.claims.append(ClaimRow(client_order_id=order.client_order_id, strategy_id=command.strategy_id))

    def _note(self, command: OperatorCommand, action: str, before: str, after: str) -> None:
        line = AuditEntry(
            ts=self._stories.now_ns, actor=command.actor, action=action, before=before, after=after, why=command.why
        )
        self._rows().audit.append(line)

    def _rows(self) -> RecoveryRows:
        plan = self._stories.plan
        if plan.recovery is None:
            plan.recovery = RecoveryRows()
        return plan.recovery


def _refuse_claim(order: Order | None) -> str | None:
    if order is None or order.strategy_id != EXTERNAL:
        return "it is not EXTERNAL's"
    if order.status.is_closed:
        return f"it is {order.status}"
    return None


def _standing(order: Order) -> str:
    return f"{order.strategy_id} {order.status} {order.outcome}"
