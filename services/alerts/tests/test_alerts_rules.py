"""The rules of telling and of holding, without I/O: what is told of a story of findings."""

from pathlib import Path

import msgspec
import pytest

from tradewind.services.alerts.findings import KINDS, PAGES, Finding, finding
from tradewind.services.alerts.holding import Holder
from tradewind.services.alerts.memory import Memory
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.transitions import NS, Change, Transitions, channel_of
from tradewind.store.alerts import Alert, AlertState, NotificationKind, Severity

K = NotificationKind
SETTINGS = Settings(repeat_s=100.0, flap_openings=3, flap_window_s=1_000.0, flap_quiet_s=50.0, group_s=5.0)
CHANNELS = (channel_of("email", "critical"), channel_of("webhook", "info"))


class Story:
    """One alert through time, as the store would keep it; remembers what was told, and to whom."""

    def __init__(self, name: str = "ServiceNotReady", subject: str = "recorder") -> None:
        self.rules = Transitions(SETTINGS, CHANNELS)
        self.found = finding(name, subject, "one sentence")
        self.alert: Alert | None = None
        self.told: list[tuple[NotificationKind, tuple[str, ...]]] = []

    def at(self, seconds: int, *, is_so: bool, severity: Severity | None = None) -> None:
        now = (1_000_000 + seconds) * NS
        found = self.found if severity is None else msgspec.structs.replace(self.found, severity=severity)
        self._take(self._change(found, now, is_so))
        if self.alert is not None:
            self._take(self.rules.calmed(self.alert, now))

    def _change(self, found: Finding, now: int, is_so: bool) -> Change | None:
        is_open = self.alert is not None and self.alert.state is not AlertState.RESOLVED
        if is_so:
            if is_open and self.alert is not None:
                return self.rules.seen(found, self.alert, now)
            return self.rules.opened(found, self.alert, now)
        return self.rules.resolved(self.alert, now) if is_open and self.alert is not None else None

    def _take(self, change: Change | None) -> None:
        if change is None:
            return
        self.alert = msgspec.structs.replace(change.alert, alert_id=1, revision=change.alert.revision + 1)
        if change.telling is not None and change.telling.channels:
            self.told.append((change.telling.kind, change.telling.channels))

    def kinds(self) -> list[NotificationKind]:
        return [kind for kind, _ in self.told]


def test_it_is_told_once_when_it_opens_and_once_when_it_ends() -> None:
    story = Story()
    for second in range(60):
        story.at(second, is_so=second < 50)
    assert story.told == [(K.OPENED, ("webhook",)), (K.RESOLVED, ("webhook",))]


def test_it_is_told_again_after_a_long_time_unless_somebody_has_taken_it_on() -> None:
    story = Story()
    for second in range(0, 250, 10):
        story.at(second, is_so=True)
    assert story.kinds() == [K.OPENED, K.REPEATED, K.REPEATED]
    assert story.alert is not None
    story.alert = msgspec.structs.replace(story.alert, state=AlertState.ACKNOWLEDGED, acknowledged_by="anna")
    for second in range(250, 900, 10):
        story.at(second, is_so=True)
    assert story.kinds() == [K.OPENED, K.REPEATED, K.REPEATED]


def test_when_it_gets_worse_everybody_is_told_whose_bound_it_passes_and_it_is_open_again() -> None:
    story = Story()
    story.at(0, is_so=True)
    assert story.alert is not None
    story.alert = msgspec.structs.replace(story.alert, state=AlertState.ACKNOWLEDGED, acknowledged_by="anna")
    story.at(1, is_so=True, severity=Severity.CRITICAL)
    assert story.alert.state is AlertState.OPEN
    # Up and down in severity is one escalation.
    for second in range(2, 10):
        story.at(second, is_so=True, severity=Severity.WARNING if second % 2 else Severity.CRITICAL)
    assert story.told == [(K.OPENED, ("webhook",)), (K.ESCALATED, ("email", "webhook"))]


def test_one_that_goes_up_and_down_is_told_of_once_until_it_holds_still() -> None:
    story = Story()
    for second in range(200):
        story.at(second, is_so=second % 10 < 5)
    assert story.kinds() == [K.OPENED, K.RESOLVED, K.OPENED, K.RESOLVED, K.FLAPPING]
    for second in range(200, 300):
        story.at(second, is_so=False)
    assert story.kinds()[5:] == [K.RESOLVED]
    # And begins anew.
    story.at(300, is_so=True)
    assert story.kinds()[6:] == [K.OPENED]


def test_one_that_goes_up_and_down_and_stays_up_is_told_of_again() -> None:
    story = Story()
    for second in range(30):
        story.at(second, is_so=second % 10 < 5)
    for second in range(30, 120):
        story.at(second, is_so=True)
    assert story.kinds() == [K.OPENED, K.RESOLVED, K.OPENED, K.RESOLVED, K.FLAPPING, K.OPENED]


def test_a_channel_is_never_told_of_its_own_failure() -> None:
    story = Story("NotificationFailed", "webhook")
    story.at(0, is_so=True, severity=Severity.CRITICAL)
    assert story.told == [(K.OPENED, ("email",))]


def test_a_finding_must_last_before_it_counts_and_be_gone_before_it_ends() -> None:
    holder = Holder(clear_s=10.0)
    found = finding("ServiceAway", "risk", "away", hold_s=30.0)
    present = {found.fingerprint: found}
    assert holder.judge(present, {}, (), 0.0).standing == ()
    assert holder.judge({}, {}, (), 20.0).standing == ()  # a moment's return begins the wait anew
    assert holder.judge(present, {}, (), 25.0).standing == ()
    assert holder.judge(present, {}, (), 54.0).standing == ()
    assert holder.judge(present, {}, (), 55.0).standing == (found,)
    is_open = {found.fingerprint: found.name}
    assert holder.judge({}, is_open, (), 60.0).over == ()
    assert holder.judge(present, is_open, (), 65.0).standing == (found,)
    assert holder.judge({}, is_open, (), 70.0).over == ()
    assert holder.judge({}, is_open, (), 79.0).over == ()
    assert holder.judge({}, is_open, (), 80.0).over == (found.fingerprint,)


def test_what_cannot_be_looked_at_neither_begins_nor_ends() -> None:
    holder = Holder(clear_s=10.0)
    is_open = {"ServiceAway:risk": "ServiceAway"}
    for second in range(100):
        assert holder.judge({}, is_open, {"ServiceAway"}, float(second)).over == ()
    # The wait for the end begins when it can be seen.
    assert holder.judge({}, is_open, (), 100.0).over == ()
    assert holder.judge({}, is_open, (), 110.0).over == ("ServiceAway:risk",)


def test_a_counter_grows_from_its_first_sight_and_may_begin_anew() -> None:
    memory = Memory({})
    assert memory.grown("dead:x", 4, 10) == (0, 0)
    assert memory.grown("dead:x", 4, 20) == (0, 0)
    assert memory.grown("dead:x", 6, 30) == (2, 30)
    assert memory.grown("dead:x", 6, 40) == (0, 30)
    assert memory.grown("dead:x", 1, 50) == (1, 50)
    again = Memory(memory.changed)
    assert again.grown("dead:x", 1, 60) == (0, 50)


def test_growth_is_counted_within_its_window() -> None:
    memory = Memory({})
    counts = [memory.times("lease a", epoch, float(second), 100.0) for second, epoch in enumerate((7, 7, 8, 10, 10))]
    assert counts == [0, 0, 1, 3, 3]
    assert memory.times("lease a", 10, 103.0, 100.0) == 2
    assert memory.times("lease a", 10, 300.0, 100.0) == 0


@pytest.mark.parametrize("name", KINDS)
def test_every_condition_has_a_page_and_words_for_the_outside(name: str) -> None:
    found = finding(name, "x" * 500, "line\nbreak " + "y" * 900)
    assert found.page.startswith(PAGES)
    assert KINDS[name].outside
    assert found.subject.isprintable()
    assert found.summary.isprintable()
    assert len(found.subject) <= 120
    assert len(found.summary) <= 300


def test_names_of_conditions_are_those_of_prometheus_where_both_have_one() -> None:
    # The others are seen here alone: Prometheus has no row for them, or would have to ask the stores.
    here_alone = {
        "BrokerAway",
        "DatabaseAway",
        "KillSwitchEngaged",
        "LimitNearBound",
        "NotificationFailed",
        "RedisAway",
        "ServiceNotReady",
        "ServiceRestarting",
        "TradingHalted",
    }
    root = Path(__file__).resolve().parents[3]
    text = (root / "docker/prometheus/alerts.yml").read_text(encoding="utf-8")
    missing = {name for name in KINDS if f"- alert: {name}\n" not in text}
    assert missing <= here_alone
    for kind in KINDS.values():
        assert (root / PAGES / kind.page).exists(), kind.page
