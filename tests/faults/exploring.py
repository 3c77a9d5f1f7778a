"""Many schedules on all cores: draws them, runs them, counts what was covered, stops at the first that fails."""

import dataclasses
import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from faults.schedule import Choice, Schedule
from faults.world import Outcome, run_schedule, simulation

_COLLECT_EVERY: Final = 25
_BATCH: Final = 25
Coverage = Counter[tuple[str, str]]


@dataclasses.dataclass(slots=True)
class Batch:
    """What some schedules did. ``failed`` is the first that broke an invariant."""

    ran: int = 0
    steps: int = 0
    happened: Coverage = dataclasses.field(default_factory=Counter)
    longest_s: float = 0.0
    failed: Schedule | None = None
    violations: list[str] = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one schedule."""
        self.ran += 1
        self.steps += outcome.steps
        self.happened.update((choice.place, choice.fault) for choice in outcome.happened)
        self.longest_s = max(self.longest_s, outcome.settled_s)
        if outcome.violations and self.failed is None:
            self.failed, self.violations = outcome.schedule, outcome.violations

    def merge(self, other: "Batch") -> None:
        """Take over what another one counted."""
        self.ran += other.ran
        self.steps += other.steps
        self.happened += other.happened
        self.longest_s = max(self.longest_s, other.longest_s)
        if self.failed is None and other.failed is not None:
            self.failed, self.violations = other.failed, other.violations


def explore(first_seed: int, count: int, on_batch: Callable[[Batch], None], workers: int | None = None) -> Batch:
    """Run ``count`` schedules from a seed on; ``on_batch`` is told all so far. It ends early at a failure."""
    seeds = [range(start, min(start + _BATCH, first_seed + count)) for start in _starts(first_seed, count)]
    total = Batch()
    with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count() or 1) as pool:
        for batch in pool.imap(run_seeds, seeds):
            total.merge(batch)
            on_batch(total)
            if total.failed is not None:
                pool.terminate()
                break
    return total


def run_seeds(seeds: range) -> Batch:
    """The schedules of some seeds, one after another, until one fails."""
    batch = Batch()
    with simulation():
        for outcome in outcomes(Schedule.drawn(seed) for seed in seeds):
            batch.add(outcome)
            if batch.failed is not None:
                break
    return batch


def outcomes(schedules: Iterator[Schedule]) -> Iterator[Outcome]:
    """Run schedules within ``simulation``; the garbage of their processes is collected now and then."""
    for number, schedule in enumerate(schedules, 1):
        yield run_schedule(schedule)
        if number % _COLLECT_EVERY == 0:
            gc.collect()


def shortest(schedule: Schedule) -> Outcome:
    """The schedule without every choice that its failure does not need: one at a time, until none can go."""
    worst = run_schedule(schedule)
    smaller = True
    while smaller:
        smaller = False
        for index in range(len(worst.schedule.choices)):
            outcome = run_schedule(worst.schedule.without({index}))
            if outcome.violations:
                worst, smaller = outcome, True
                break
    return worst


def _starts(first_seed: int, count: int) -> range:
    return range(first_seed, first_seed + count, _BATCH)


def uncovered(happened: Coverage, everything: dict[str, tuple[str, ...]]) -> list[Choice]:
    """Faults that no schedule had."""
    return [
        Choice(fault, place, 0)
        for place, faults in everything.items()
        for fault in faults
        if not happened[place, fault]
    ]
