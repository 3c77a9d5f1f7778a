"""What ``tradewind alerts`` does, by way of the platform's api service.

Everything printed came from outside and goes through ``shown``: a summary cannot write on the terminal by itself.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from tradewind.runtime.platform_api import PlatformApi
from tradewind.runtime.topics.plain_text import shown, shown_time

DONE: Final = 0
NOT_DONE: Final = 1
_LOOK_S: Final = 0.25
_MOST: Final = 500
_WAITING: Final = "PENDING"
_SENT: Final = "SENT"


class _Alert(msgspec.Struct):
    alert_id: str
    name: str
    severity: str
    summary: str
    subject: str
    page: str
    state: str
    first_at: str
    count: int
    acknowledged_by: str | None
    resolved_at: str | None


class _Alerts(msgspec.Struct):
    rows: list[_Alert]


class _Channel(msgspec.Struct):
    channel: str
    configured: bool


class _Channels(msgspec.Struct):
    rows: list[_Channel]


class _Notification(msgspec.Struct):
    notification_id: str
    channel: str
    kind: str
    state: str
    attempts: int
    outcome: str


class _Notifications(msgspec.Struct):
    rows: list[_Notification]


class Alerting:
    """The commands against one address. ``say`` takes a line for the person."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._api = PlatformApi(url)
        self._say = say

    def show(self, *, everything: bool) -> int:
        """Print what is open, or also what was; the exit code is 1 while something is OPEN."""
        rows = self._api.get(f"/alerts?state={'all' if everything else 'open'}&limit={_MOST}", _Alerts).rows
        for row in rows:
            self._say(_line(row))
            self._say(f"    {shown(row.summary)}")
        if not rows:
            self._say("Nothing was ever wrong." if everything else "Nothing is wrong.")
        return NOT_DONE if any(row.state == "OPEN" for row in rows) else DONE

    def acknowledge(self, alert_id: str, why: str) -> int:
        """Take an alert on; the exit code.

        Raises:
            Refused: there is no such alert, or it is over.
        """
        self._api.post(f"/alerts/{alert_id}/acknowledge", {"why": why})
        self._say(f"Alert {alert_id} is acknowledged: nobody is reminded of it. It ends when its cause does.")
        return DONE

    def test(self, wait_s: float) -> int:
        """Send a test message to each channel and say what became of each; the exit code is 1 unless all took it."""
        if not any(one.configured for one in self._api.get("/alerts/channels", _Channels).rows):
            self._say(
                "No channel is configured: set TRADEWIND_ALERTS_WEBHOOK_URL or TRADEWIND_ALERTS_SMTP_HOST "
                "of the service alerts. See docs/operating/alerts.md"
            )
            return NOT_DONE
        before = max((int(one.notification_id) for one in self._newest()), default=0)
        self._api.post("/alerts/test", {})
        until, rows = time.monotonic() + wait_s, self._tests(before)
        while any(one.state == _WAITING for one in rows) and time.monotonic() < until:
            time.sleep(_LOOK_S)
            rows = self._tests(before)
        for one in rows:
            said = one.outcome or "nobody has tried yet: does the service alerts run?"
            self._say(f"{shown(one.channel)}: {shown(one.state)}, {one.attempts} attempts, {shown(said)}")
        return DONE if rows and all(one.state == _SENT for one in rows) else NOT_DONE

    def _newest(self) -> list[_Notification]:
        return self._api.get(f"/alerts/notifications?limit={_MOST}", _Notifications).rows

    def _tests(self, after: int) -> list[_Notification]:
        return [one for one in self._newest() if one.kind == "TEST" and int(one.notification_id) > after]


def _line(row: _Alert) -> str:
    by = f" by {shown(row.acknowledged_by)}" if row.acknowledged_by and row.state == "ACKNOWLEDGED" else ""
    times = f", {row.count} times" if row.count > 1 else ""
    until = f" until {shown_time(int(row.resolved_at))}" if row.resolved_at is not None else ""
    return (
        f"{shown(row.alert_id):>5}  {shown(row.state)}{by}  {shown(row.severity)}  {shown(row.name)}"
        f" {shown(row.subject)}  since {shown_time(int(row.first_at))}{until}{times}  {shown(row.page)}"
    )
