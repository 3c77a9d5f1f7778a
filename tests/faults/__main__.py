"""``python -m faults explore|replay|mutations``: see docs/protocols/fault-simulation.md."""

import argparse
import multiprocessing
import os
import sys
import time
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from faults.exploring import Batch, explore, shortest, uncovered
from faults.mutations import MUTATIONS, hunt_from, mutated
from faults.schedule import FAULTS, InvalidToken, Schedule
from faults.world import Outcome, run_schedule, simulation

_console: Final = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run one of the commands; answers the exit status."""
    options = _options()
    try:
        return int(options.run(options))
    except InvalidToken as error:
        _console.print(str(error), markup=False)
        return 2


def _explore(options: argparse.Namespace) -> int:
    began = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("schedules", total=options.schedules)
        total = explore(
            options.seed, options.schedules, lambda batch: progress.update(bar, completed=batch.ran), options.workers
        )
    seconds = time.monotonic() - began
    if total.failed is not None:
        _show_failure(total)
        return 1
    _show_coverage(total)
    _console.print(
        f"{total.ran} schedules, {total.steps} steps, 0 violations in {seconds:.1f} s "
        f"({total.ran / seconds:.0f} a second); everything settled at most {total.longest_s:.1f} s after the faults"
    )
    return 0


def _show_failure(total: Batch) -> None:
    assert total.failed is not None
    _console.print(f"schedule {total.ran} fails: {total.failed.token}", markup=False)
    with simulation():
        outcome = shortest(total.failed)
    _tell(outcome)
    _say_replay(outcome.schedule)


def _replay(options: argparse.Namespace) -> int:
    with simulation(), mutated(options.mutation):
        outcome = run_schedule(Schedule.parse(options.token))
    _tell(outcome)
    return 1 if outcome.violations else 0


def _mutations(options: argparse.Namespace) -> int:
    names = options.names or list(MUTATIONS)
    table = Table("deliberate bug", "caught after", "by")
    missed = []
    with (
        multiprocessing.get_context("spawn").Pool(options.workers or os.cpu_count() or 1) as pool,
        _progress() as progress,
    ):
        bar = progress.add_task("mutations", total=len(names))
        for caught in pool.imap(hunt_from, [(name, options.seed, options.schedules) for name in names]):
            progress.advance(bar)
            if caught.outcome is None:
                missed.append(caught.name)
                table.add_row(caught.name, f"not within {caught.schedules}", "")
            else:
                table.add_row(caught.name, f"{caught.schedules}", caught.outcome.violations[0])
    _console.print(table)
    if missed:
        _console.print(f"not caught: {', '.join(missed)}")
    return 1 if missed else 0


def _tell(outcome: Outcome) -> None:
    """The story, a line for each thing that happened."""
    for at_s, who, what, fields in outcome.story:
        more = " ".join(f"{name}={value}" for name, value in (fields or {}).items())
        _console.print(f"{at_s:9.4f} s  {who:<10} {what} {more}".rstrip(), markup=False)
    _console.print(f"trace {outcome.trace}, {outcome.steps} steps")
    if not outcome.violations:
        _console.print(f"no violation; everything settled {outcome.settled_s:.1f} s after the last fault")
    for violation in outcome.violations:
        _console.print(f"VIOLATION: {violation}", markup=False)


def _say_replay(schedule: Schedule) -> None:
    _console.print(
        f"replay it: PYTHONPATH=tests {os.path.relpath(sys.executable)} -m faults replay '{schedule.token}'",
        markup=False,
    )


def _show_coverage(total: Batch) -> None:
    table = Table("place", "faults that happened there")
    for place, faults in FAULTS.items():
        table.add_row(place, "  ".join(f"{fault} {total.happened[place, fault]}" for fault in faults))
    _console.print(table)
    if missing := uncovered(total.happened, FAULTS):
        _console.print(f"never happened: {', '.join(f'{one.fault}@{one.place}' for one in missing)}")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=_console, transient=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    commands = parser.add_subparsers(required=True)
    explored = commands.add_parser("explore", help="run drawn schedules until one fails")
    explored.add_argument("--schedules", type=int, default=10_000)
    explored.set_defaults(run=_explore)
    replayed = commands.add_parser("replay", help="tell one schedule's story")
    replayed.add_argument("token")
    replayed.add_argument("--mutation", choices=list(MUTATIONS))
    replayed.set_defaults(run=_replay)
    hunted = commands.add_parser("mutations", help="show that deliberate bugs are caught")
    hunted.add_argument("names", nargs="*", metavar="name")
    hunted.add_argument("--schedules", type=int, default=2_000)
    hunted.set_defaults(run=_mutations)
    for each in (explored, hunted):
        each.add_argument("--seed", type=int, default=1)
        each.add_argument("--workers", type=int, default=None)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
