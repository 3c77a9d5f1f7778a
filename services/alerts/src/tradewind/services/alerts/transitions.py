"""What an alert becomes, and what is told of that: once when it opens, again when it gets worse or after a long time,
once when it ends; of one that goes up and down, once, until it holds still. No I/O.
"""

import itertools
from typing import Final

import msgspec
from msgspec.structs import replace

from tradewind.services.alerts.findings import Finding
from tradewind.services.alerts.settings import Settings
from tradewind.store.alert_deliveries import Channel
from tradewind.store.alerts import Alert, AlertState, NotificationKind, Severity, Telling

NS: Final = 1_000_000_000
OPENINGS_KEPT: Final = 32
SEEN_EVERY_NS: Final = 30 * NS
"""An alert that stays as it is says no more often that it was seen."""
NOTIFICATION_FAILED: Final = "NotificationFailed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An alert to store, and what is told of it."""

    alert: Alert
    telling: Telling | None


class Transitions:
    """The rules, for a set of channels."""

    def __init__(self, settings: Settings, channels: tuple[Channel, ...]) -> None:
        self._settings = settings
        self._channels = channels

    def opened(self, found: Finding, before: Alert | None, now: int) -> Change:
        """A finding whose alert is resolved, or was never there."""
        earlier = before.openings if before is not None else ()
        openings = (*earlier, now)[-OPENINGS_KEPT:]
        alert = Alert(
            name=found.name,
            subject=found.subject,
            severity=found.severity,
            summary=found.summary,
            page=found.page,
            state=AlertState.OPEN,
            first_at=now,
            last_at=now,
            openings=openings,
            alert_id=before.alert_id if before is not None else 0,
            revision=before.revision if before is not None else 0,
            count=before.count + 1 if before is not None else 1,
            flapping_since=before.flapping_since if before is not None else None,
            told_at=now,
        )
        if alert.flapping_since is not None:
            return Change(alert=alert, telling=None)
        if self._is_flapping(openings, now):
            return self._told(replace(alert, flapping_since=now), NotificationKind.FLAPPING, now)
        return self._told(alert, NotificationKind.OPENED, now)

    def seen(self, found: Finding, before: Alert, now: int) -> Change | None:
        """A finding whose alert is open: what is new about it, if anything. It never gets less severe until it ends."""
        if found.severity.rank > before.severity.rank:
            worse = replace(
                before, severity=found.severity, summary=found.summary, state=AlertState.OPEN, last_at=now, told_at=now
            )
            return self._told(worse, NotificationKind.ESCALATED, now)
        alert = replace(before, summary=found.summary, last_at=now)
        if before.flapping_since is not None:
            if self._holds_still(before, now):
                return self._told(replace(alert, flapping_since=None, told_at=now), NotificationKind.OPENED, now)
        elif before.state is AlertState.OPEN and now - (before.told_at or 0) >= self._settings.repeat_s * NS:
            return self._told(replace(alert, told_at=now), NotificationKind.REPEATED, now)
        # A summary that counts seconds is no news each time.
        if now - before.last_at >= SEEN_EVERY_NS:
            return Change(alert=alert, telling=None)
        return None

    def resolved(self, before: Alert, now: int) -> Change:
        """An open alert whose finding has gone."""
        alert = replace(before, state=AlertState.RESOLVED, resolved_at=now)
        if before.flapping_since is not None:
            return Change(alert=alert, telling=None)
        return self._told(alert, NotificationKind.RESOLVED, now, since=before.first_at)

    def calmed(self, before: Alert, now: int) -> Change | None:
        """One that went up and down, and is resolved: after a while of quiet it is over for those who were told."""
        if before.flapping_since is None or before.state is not AlertState.RESOLVED:
            return None
        if not self._holds_still(before, now):
            return None
        calm = replace(before, flapping_since=None, openings=())
        return self._told(calm, NotificationKind.RESOLVED, now, since=before.flapping_since)

    def _is_flapping(self, openings: tuple[int, ...], now: int) -> bool:
        recent = itertools.takewhile(lambda at: now - at <= self._settings.flap_window_s * NS, reversed(openings))
        return sum(1 for _ in recent) >= self._settings.flap_openings

    def _holds_still(self, alert: Alert, now: int) -> bool:
        return now - max(alert.first_at, alert.resolved_at or 0) >= self._settings.flap_quiet_s * NS

    def _told(self, alert: Alert, kind: NotificationKind, now: int, *, since: int = 0) -> Change:
        names = tuple(
            one.channel
            for one in self._channels
            if alert.severity.rank >= one.minimum.rank
            # Of its own failure a channel is not told: that would be one more message that fails.
            and not (alert.name == NOTIFICATION_FAILED and alert.subject == one.channel)
        )
        due_at = now + round(self._settings.group_s * NS)
        return Change(alert=alert, telling=Telling(kind=kind, channels=names, due_at=due_at, since=since))


def channel_of(name: str, minimum: str) -> Channel:
    """A channel that is configured, with the least severity that it is told of."""
    return Channel(channel=name, minimum=Severity(minimum))
