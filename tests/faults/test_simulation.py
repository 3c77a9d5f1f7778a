"""The simulation itself: some hundred schedules, the same again is the same, and every deliberate bug is caught.

``make faults`` runs ten thousand.
"""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from faults.exploring import Coverage, outcomes, run_seeds, shortest, uncovered
from faults.mutations import MUTATIONS, hunt, mutated
from faults.schedule import FAULTS, Choice, InvalidToken, Schedule
from faults.world import run_schedule, simulation

ROOT = Path(__file__).resolve().parents[2]
FIRST_SEED = 1_000_000
SCHEDULES = 200
QUICK = (
    "send-before-commit", "retry-a-post", "guess-rejected", "forget-known-commands", "forget-known-fills",
    "skip-the-outbox", "ignore-the-send-deadline", "drop-working-orders", "commit-the-bus-first", "reserve-nothing",
)  # fmt: skip


def run_in_a_process(*arguments: str, seed: str = "0") -> "subprocess.CompletedProcess[str]":
    paths = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    environ = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "faults", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=environ, cwd=ROOT)


def test_some_hundred_schedules_break_nothing() -> None:
    batch = run_seeds(range(FIRST_SEED, FIRST_SEED + SCHEDULES))
    assert batch.failed is None, f"{batch.failed.token}: {batch.violations}"
    assert batch.ran == SCHEDULES
    assert sum(batch.happened.values()) > SCHEDULES
    assert {place for place, _ in batch.happened} == set(FAULTS)


def test_the_same_schedule_is_the_same_to_the_last_step() -> None:
    tokens = ["5:crash_after@db.commit#9+answer_lost@venue.submit#3", "6:freeze@step#400", "7:"]
    with simulation():
        once = [run_schedule(Schedule.parse(token)) for token in tokens]
        again = [run_schedule(Schedule.parse(token)) for token in tokens]
    assert [(one.trace, one.steps) for one in once] == [(one.trace, one.steps) for one in again]
    assert len({one.trace for one in once}) == len(tokens)


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_tells_the_same_story(hash_seed: str) -> None:
    token = "8:crash_all@step#500+executed_late@venue.submit#4"
    with simulation():
        here = run_schedule(Schedule.parse(token))
    there = run_in_a_process("replay", token, seed=hash_seed)
    assert there.returncode == 0, there.stdout + there.stderr
    assert f"trace {here.trace}, {here.steps} steps" in there.stdout


def test_a_choice_that_is_taken_out_changes_nothing_before_it() -> None:
    with simulation():
        whole, less = (run_schedule(Schedule.parse(token)) for token in ("9:crash@step#600", "9:"))
    until = next(at_s for at_s, who, _, _ in whole.story if who == "FAULT")
    assert [line[:3] for line in whole.story if line[0] < until] == [line[:3] for line in less.story if line[0] < until]


@pytest.mark.parametrize("name", QUICK)
def test_a_deliberate_bug_is_caught(name: str) -> None:
    caught = hunt(name, most=400)
    assert caught.outcome is not None, f"{name} was not caught within {caught.schedules} schedules"


def test_a_failure_is_shrunk_and_replayed() -> None:
    name = "ignore-the-send-deadline"
    found = Schedule.parse("16:answer_late@venue.submit#1+doubled@venue.event#3+freeze@venue.submit#4+slow@db.read#2")
    with simulation(), mutated(name):
        smallest = shortest(found)
    assert [choice.fault for choice in smallest.schedule.choices] == ["freeze"]
    assert any("does not hold the lease" in violation for violation in smallest.violations)
    replayed = run_in_a_process("replay", smallest.schedule.token, "--mutation", name)
    assert replayed.returncode == 1
    assert f"VIOLATION: {smallest.violations[0]}" in replayed.stdout
    assert run_in_a_process("replay", smallest.schedule.token).returncode == 0


def test_exploring_says_what_was_covered() -> None:
    done = run_in_a_process("explore", "--schedules", "40", "--seed", "11", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 schedules" in done.stdout
    assert "0 violations" in done.stdout
    assert "db.commit" in done.stdout


def test_every_fault_happens() -> None:
    """Each fault, at a place that every one of these schedules passes."""
    numbers = {"venue.cancel": 1, "moment": 20}
    faults = [Choice(fault, place, numbers.get(place, 3)) for place in FAULTS for fault in FAULTS[place]]
    schedules = (Schedule(8, (one,)) for one in faults)
    with simulation():
        done = list(outcomes(schedules))
    assert [one.schedule.token for one in done if one.violations] == []
    happened: Coverage = Counter()
    for outcome in done:
        happened.update((choice.place, choice.fault) for choice in outcome.happened)
    assert uncovered(happened, FAULTS) == []


@pytest.mark.parametrize("token", ["x:", "1:nothing@db.commit#1", "1:crash@step", "1:crash@step#x", "1:slow@nowhere#1"])
def test_what_is_no_token_is_refused_in_words(token: str) -> None:
    with pytest.raises(InvalidToken, match="is no schedule such as"):
        Schedule.parse(token)


def test_a_token_is_read_as_it_was_written() -> None:
    for seed in range(200):
        schedule = Schedule.drawn(seed)
        assert Schedule.parse(schedule.token) == schedule


def test_at_least_ten_deliberate_bugs_are_kept() -> None:
    assert len(MUTATIONS) >= 10
    assert set(QUICK) <= set(MUTATIONS)
    assert all(switch.__doc__ for switch in MUTATIONS.values())
