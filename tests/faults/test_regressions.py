"""Schedules that once broke something: each is the shortest that showed the fault, and must hold for ever."""

import pytest

from faults.schedule import Schedule
from faults.world import run_schedule, simulation

FOUND = {
    "a denied command that came twice in one batch was told twice, and the order path began again for ever": (
        "248:crash_after@bus.commit#3+crash_after@bus.publish#52+doubled@bus.publish#53",
        "203:answer_lost@db.commit#16",
        "32:rest_lags@moment#5",
    ),
    "a command that was refused twice ended the service": (
        "211:away@db.write#11+crash_after@venue.submit#6+crash_all@step#73+freeze@venue.submit#7",
    ),
    "an order whose commit was slow was taken for absent while it was being sent": (
        "118:slow@db.commit#3",
        "153:crash@step#1446+slow@db.commit#39+slow@db.read#32",
    ),
    "the first reader of a new group was one that refuses, and began at the latest command": (
        "258:answer_late@venue.cancel#1+answer_lost@db.write#34+crash_all@step#822+crash_before@db.commit#1",
        "5:answer_lost@venue.submit#11+doubled@venue.event#27+freeze@step#58+not_applied@db.read#24",
    ),
    "an order lived that its strategy was told is denied": (
        "291:away@db.commit#6",
        "83:away@db.commit#8+crash_all@step#10+not_executed@venue.submit#2",
        "276:away@db.commit#32+database_away@moment#17",
        "126:answer_lost@db.commit#38+away@db.read#40+freeze@db.commit#2+lags@venue.query#2",
    ),
    "a process that was stopped before its first byte sent without the lease": (
        "16:freeze@venue.submit#4",
        "219:crash_before@bus.publish#63+freeze@venue.submit#1+late@venue.event#15+redelivered@bus.receive#10",
    ),
    "a fill of somebody else's order that only a query showed was never placed": (
        "248:crash_after@bus.commit#3",
        "359:stream_broken@moment#24",
    ),
}
CASES = [(what, token) for what, tokens in FOUND.items() for token in tokens]


@pytest.mark.parametrize(("what", "token"), CASES, ids=[token for _, token in CASES])
def test_what_was_found_once_holds(what: str, token: str) -> None:
    with simulation():
        outcome = run_schedule(Schedule.parse(token))
    assert outcome.violations == [], what
