"""An order's story as steps with the times between them, made of its events.

What the events hold: the first one says when its cause happened (a tick, at the venue) and when it was decided (by the
strategy's clock); ``ts_init`` of each is when the order path took the step, ``ts_event`` of what the venue says is the
venue's time. OrderSubmitted is the plan to send, and stands in the same transaction as the order; when that was
durable, and when the first byte left, the first word after it says. Clocks of venue and platform differ; a step that
seems to be before the one it follows is shown as such.
"""

from collections.abc import Sequence
from typing import Final

from typing_extensions import TypedDict

from tradewind.wire.encoding import type_name
from tradewind.wire.events import (
    AnsweredEvent,
    OrderAccepted,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderInitialized,
    OrderOutcomeResolved,
    OrderOutcomeUnknown,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
)

_STEPS: Final[dict[type[OrderEvent], tuple[str, str]]] = {
    OrderDenied: ("denied", ""),
    OrderAccepted: ("ack", "the venue has it"),
    OrderRejected: ("rejected", ""),
    OrderFilled: ("fill", ""),
    OrderPendingCancel: ("cancel", "a cancel is on its way"),
    OrderOutcomeUnknown: ("unknown", "no answer: what became of it is asked for"),
    OrderOutcomeResolved: ("resolved", ""),
}
_AT_VENUE: Final = (OrderAccepted, OrderFilled)


class TimelineStep(TypedDict):
    """One step. ``ts`` in ns UTC; ``since_previous_ns`` is from the step before, null at the first."""

    step: str
    ts: str
    since_previous_ns: str | None
    event_id: str | None
    note: str


def timeline(events: Sequence[OrderEvent]) -> list[TimelineStep]:
    """The steps of a story, oldest first as the events are."""
    steps: list[TimelineStep] = []

    def add(step: str, ts: int, event: OrderEvent, note: str) -> None:
        since = str(ts - int(steps[-1]["ts"])) if steps else None
        steps.append(TimelineStep(step=step, ts=str(ts), since_previous_ns=since, event_id=event.event_id, note=note))

    answer = next((one for one in events if isinstance(one, AnsweredEvent) and one.ts_durable), None)
    for event in events:
        if isinstance(event, OrderInitialized):
            if event.ts_cause and event.ts_cause != event.ts_intent:
                add("tick", event.ts_cause, event, "what it answers to happened, by its source's clock")
            if event.ts_intent:
                add("intent", event.ts_intent, event, "decided")
            add("risk", event.ts_init, event, "taken by the order path, limits looked at")
        elif isinstance(event, OrderSubmitted):
            if answer is None:
                add("commit", event.ts_init, event, "planned; when it was durable is not told")
            else:
                add("commit", answer.ts_durable, event, "durable, cleared for sending")
                add("send", answer.ts_sent, event, "the first byte went towards the venue")
        else:
            if isinstance(event, _AT_VENUE):
                add("venue", event.ts_event, event, "by the venue's clock")
            step, note = _STEPS.get(type(event), ("end" if event.status.is_closed else "step", ""))
            add(step, event.ts_init, event, note or getattr(event, "reason", "") or _words(event))
    return steps


def _words(event: OrderEvent) -> str:
    return type_name(event).removeprefix("Order").lower()
