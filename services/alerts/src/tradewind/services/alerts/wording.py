"""What people are told outside the house. Words, names and times; never amounts, prices, reasons or secrets."""

import time
from typing import Any, Final

from tradewind.services.alerts.findings import KINDS, PAGES
from tradewind.store.alert_deliveries import Delivery, Told
from tradewind.store.alerts import NotificationKind

_NS: Final = 1_000_000_000
_VERBS: Final = {
    NotificationKind.OPENED: "",
    NotificationKind.ESCALATED: "worse: ",
    NotificationKind.REPEATED: "still so: ",
    NotificationKind.FLAPPING: "goes up and down, told no more until it holds still: ",
    NotificationKind.RESOLVED: "over: ",
}
TEST_LINE: Final = "This is a test of this channel. Nothing is wrong."


def title(delivery: Delivery) -> str:
    """One line: the subject of a mail."""
    if is_test(delivery):
        return "[tradewind] test"
    ended = sum(one.kind is NotificationKind.RESOLVED for one in delivery.told)
    worst = max((one.severity for one in delivery.told), key=lambda one: one.rank)
    if len(delivery.told) == 1:
        one = delivery.told[0]
        word = "over" if ended else one.severity.value
        return f"[tradewind] {word}: {one.name} {one.subject}"
    if ended == len(delivery.told):
        return f"[tradewind] over: {ended} alerts"
    return f"[tradewind] {worst.value}: {len(delivery.told)} alerts{f', {ended} of them over' if ended else ''}"


def text(delivery: Delivery, page_url: str) -> str:
    """The whole message as lines."""
    if is_test(delivery):
        return TEST_LINE
    lines = [line(one) for one in delivery.told]
    if page_url:
        lines.append(f"Look: {page_url}")
    return "\n".join(lines)


def line(one: Told) -> str:
    """One alert in one line."""
    kind = KINDS.get(one.name)
    sentence = kind.outside if kind is not None else one.name
    until = f", until {_clock(one.resolved_at)}" if one.resolved_at is not None else ""
    times = f", {one.count} times so far" if one.count > 1 else ""
    page = f" See {PAGES}{kind.page}." if kind is not None and one.kind is not NotificationKind.RESOLVED else ""
    return (
        f"{one.severity.value.upper()} {_VERBS[one.kind]}{sentence}: {one.name} {one.subject}"
        f" (since {_clock(one.first_at)}{until}{times}).{page}"
    )


def document(delivery: Delivery, page_url: str) -> dict[str, Any]:
    """The body of a webhook: ``text`` as chat systems take it, and the same for programs."""
    return {
        "text": f"{title(delivery)}\n{text(delivery, page_url)}",
        "delivery_id": delivery.delivery_id,
        "alerts": [
            {
                "kind": one.kind.value,
                "severity": one.severity.value,
                "name": one.name,
                "subject": one.subject,
                "first_at": str(one.first_at),
                "resolved_at": None if one.resolved_at is None else str(one.resolved_at),
                "count": one.count,
            }
            for one in delivery.told
            if one.kind is not NotificationKind.TEST
        ],
    }


def is_test(delivery: Delivery) -> bool:
    """Whether it only tries the channel."""
    return delivery.told[0].kind is NotificationKind.TEST


def _clock(ns: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(ns // _NS))
