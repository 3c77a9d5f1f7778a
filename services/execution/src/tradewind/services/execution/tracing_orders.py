"""Spans of the order path. Used only while traces are on, and only after a plan was published: never before a send.

What the venue says names no message that caused it; its parent is the step that sent the order, whose id follows from
the command's, which the order keeps for ever.
"""

import dataclasses
import time
from collections.abc import Iterable
from typing import Final

from tradewind.execution.plans import Plan
from tradewind.model.orders import Order
from tradewind.runtime.tracing import Step, send_identity, tracer
from tradewind.wire import events
from tradewind.wire.messages import Message

_SERVICE: Final = "execution"
_STRANGER: Final = "external:"
"""Begins the command id of an order that was never ours to send."""
_STEPS: Final[dict[type[events.OrderEvent], str]] = {
    events.OrderInitialized: Step.RISK,
    events.OrderSubmitted: Step.COMMIT,
    events.OrderAccepted: Step.ACKNOWLEDGEMENT,
    events.OrderFilled: Step.FILL,
    events.OrderDenied: "order denied",
    events.OrderRejected: "order rejected",
    events.OrderPendingCancel: "cancel",
    events.OrderCancelRejected: "cancel rejected",
    events.OrderCanceled: "order canceled",
    events.OrderExpired: "order expired",
    events.OrderOutcomeUnknown: "outcome unknown",
    events.OrderOutcomeResolved: "outcome resolved",
    events.OrderClaimed: "order claimed",
}


@dataclasses.dataclass(slots=True)
class PlanTimes:
    """When a plan was begun, made, given to the database, and durable; ns, UTC."""

    taken_ns: int
    planned_ns: int
    begun_ns: int = 0
    durable_ns: int = 0


def stories_of(commands: Iterable[Message]) -> dict[str, str]:
    """The story that each command belongs to: one command may touch orders of many."""
    return {command.event_id: command.correlation_id for command in commands} if tracer.is_on else {}


def trace_plan(plan: Plan, times: PlanTimes, stories: dict[str, str]) -> None:
    """One span for each event of an order. ``stories`` is that of the commands that the plan was made for."""
    for outgoing in plan.outgoing:
        event = outgoing.message
        if isinstance(event, events.OrderEvent) and event.sequence:
            name = event.client_order_id
            _trace_event(event, plan.new_orders.get(name) or plan.changed_orders[name], times, stories)


def trace_own(commands: Iterable[Message]) -> None:
    """The decisions of this service itself: the orders with which a kill switch closes books."""
    for command in commands:
        tracer.span(
            _SERVICE,
            Step.DECISION,
            story=command.correlation_id,
            identity=command.event_id,
            parent="",
            begun_ns=command.ts_init,
            ended_ns=time.time_ns(),
            attributes={"tradewind.command": type(command).__name__},
        )


def trace_send(order: Order, begun_ns: int, ended_ns: int) -> None:
    """The request and its answer, or what came instead."""
    tracer.span(
        _SERVICE,
        Step.SEND,
        story=order.correlation_id,
        identity=send_identity(order.command_id),
        parent=order.command_id,
        begun_ns=begun_ns,
        ended_ns=ended_ns,
        attributes={"tradewind.client_order_id": order.client_order_id},
    )


def _trace_event(event: events.OrderEvent, order: Order, times: PlanTimes, stories: dict[str, str]) -> None:
    begun_ns, ended_ns = times.taken_ns, times.durable_ns
    if isinstance(event, events.OrderInitialized):
        ended_ns = times.planned_ns
    elif isinstance(event, events.OrderSubmitted):
        begun_ns = times.begun_ns
    parent, cause = _parent(event, order, stories)
    tracer.span(
        _SERVICE,
        _STEPS[type(event)],
        story=event.correlation_id,
        identity=event.event_id,
        parent=parent,
        begun_ns=begun_ns,
        ended_ns=ended_ns,
        attributes={
            "tradewind.client_order_id": event.client_order_id,
            "tradewind.strategy": event.strategy_id,
            "tradewind.instrument": event.instrument_id,
            "tradewind.status": str(event.status),
            "tradewind.ts_event": event.ts_event,
        },
        cause=cause,
    )


def _parent(event: events.OrderEvent, order: Order, stories: dict[str, str]) -> tuple[str, tuple[str, str] | None]:
    """The span above, and what caused it where that is in another trace."""
    caused_by = event.causation_id
    story = stories.get(caused_by, "")
    if caused_by and story == event.correlation_id:
        return caused_by, None
    sent = "" if order.command_id.startswith(_STRANGER) else send_identity(order.command_id)
    return sent, (story, caused_by) if story else None
