"""What a look at the platform finds, and which findings there can be."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from tradewind.store.alerts import Severity, fingerprint_of

PAGES: Final = "docs/operating/"
LONGEST_SUMMARY: Final = 300
LONGEST_SUBJECT: Final = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One condition: how bad it is, the page for it, and what is said of it outside the house.

    ``outside`` goes to webhooks and by e-mail: it has no amounts, prices, reasons or other people's words.
    """

    severity: Severity
    outside: str
    page: str


_C, _W = Severity.CRITICAL, Severity.WARNING
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "OrderOutcomeUnknown": Kind(_C, "the outcome of an order is not known", "unknown-order.md"),
        "ReconciliationDifference": Kind(
            _C, "balances at the venue differ from our books", "reconciliation-difference.md"
        ),
        "KillSwitchEngaged": Kind(_W, "a kill switch is engaged", "kill-switch.md"),
        "KillSwitchNotFlat": Kind(_C, "a kill switch is not proven flat", "kill-switch.md"),
        "TradingHalted": Kind(_W, "trading is halted", "limit-near-bound.md"),
        "BookOutOfSync": Kind(_C, "market data is away or out of sync", "market-data-away.md"),
        "ServiceAway": Kind(_C, "a service is away", "service-away.md"),
        "ServiceNotReady": Kind(_W, "a service cannot do its work", "service-away.md"),
        "ServiceRestarting": Kind(_W, "a service is started again and again", "service-away.md"),
        "StrategyFailed": Kind(_C, "a strategy was stopped by its own error", "strategy-failed.md"),
        "LeaseLost": Kind(_W, "a lease changed hands again and again", "lease-lost.md"),
        "MessagePutAside": Kind(_W, "a message could not be handled and was put aside", "messages-wait.md"),
        "OrderMessagesWait": Kind(_W, "messages wait for a service that is behind", "messages-wait.md"),
        "LimitNearBound": Kind(_W, "a risk limit is nearly used up, or reached", "limit-near-bound.md"),
        "EventLoopLate": Kind(_W, "a process does not keep up", "event-loop-late.md"),
        "DatabaseAway": Kind(_C, "the database does not answer", "stores-away.md"),
        "RedisAway": Kind(_W, "Redis does not answer", "stores-away.md"),
        "BrokerAway": Kind(_C, "the message broker does not answer", "stores-away.md"),
        "NotificationFailed": Kind(_W, "a notification channel does not take messages", "notification-failed.md"),
    }
)
"""By name. Where Prometheus has an alert of the same meaning (docker/prometheus/alerts.yml), it has the same name."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that is so now, about one subject. ``summary`` is for the page, behind a login. ``hold_s``: it must
    be so for that long before it is worth telling."""

    name: str
    subject: str
    severity: Severity
    summary: str
    hold_s: float = 0.0

    @property
    def fingerprint(self) -> str:
        """What its alert is known by."""
        return fingerprint_of(self.name, self.subject)

    @property
    def page(self) -> str:
        """The operators' page for it."""
        return PAGES + KINDS[self.name].page


def finding(name: str, subject: str, summary: str, *, hold_s: float = 0.0, severity: Severity | None = None) -> Finding:
    """A finding of a known kind, with texts that a terminal and a page can show."""
    return Finding(
        name=name,
        subject=_shown(subject, LONGEST_SUBJECT),
        severity=severity or KINDS[name].severity,
        summary=_shown(summary, LONGEST_SUMMARY),
        hold_s=hold_s,
    )


def _shown(text: str, longest: int) -> str:
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(each if each.isprintable() else " " for each in short)
