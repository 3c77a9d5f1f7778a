"""Real processes, real faults: kills, freezes and starves everything in turn, under load, and lets the oracle judge.

It starts a broker, PostgreSQL, Valkey, the simulated venue (which lies) and all services as processes of their own
(two of execution, one stands by), trades, and injects faults from a seed: kill -9, SIGSTOP (also past the lease), cut,
frozen, slow and half-open connections, restarts and deaths of servers, full disks and full memories, FLUSHALL. Then
everything must be well again within 30 s, and the venue's record and our database must agree to the last unit.

exit code 0: no violation; 1: violations, with seed and timeline; 2: a server is missing here; 130: interrupted.

  make faults-real                                   200 injections on Kafka, seed 1: some 9 minutes
  make faults-real BUS=rabbitmq SEED=7               the same on RabbitMQ, another order of things
  make faults-real INJECTIONS=30                     some 2 minutes
"""

import argparse
import asyncio
import collections
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from faults_real.faulting import Timeline
from faults_real.injections import KINDS
from faults_real.running import NeverReady, Options, Outcome, run
from tradewind.bus.brokers.broker_process import BrokerUnavailable
from tradewind.store.data_dir import EmbeddedServerError

MISSING: Final = 2
INTERRUPTED: Final = 130
NOT_TRIED: Final = (BrokerUnavailable, EmbeddedServerError, NeverReady)
_SHOWN: Final = 30
_WIDTH: Final = 100


def main() -> int:
    """Run as the command line says; gives the exit code."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    folder: Path = options.folder or Path(tempfile.mkdtemp(prefix="tradewind-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    timeline = Timeline(folder / "timeline.jsonl")
    wanted = Options(options.seed, options.injections, options.bus, folder)
    try:
        with _ends_in_order():
            outcome = asyncio.run(_run(wanted, timeline, console))
    except KeyboardInterrupt:
        console.print("interrupted; everything was stopped", markup=False)
        return INTERRUPTED
    except (BrokerUnavailable, EmbeddedServerError, NeverReady, BaseExceptionGroup) as raised:
        error = _first_of(raised)
        if not isinstance(error, NOT_TRIED):
            raise
        console.print(f"Nothing was tried: {error}", markup=False)
        console.print(f"Logs: {folder}", markup=False)
        return 1 if isinstance(error, NeverReady) else MISSING
    finally:
        timeline.close()
    _report(console, wanted, outcome)
    if outcome.verdict.violations:
        console.print(f"Timeline: {timeline.path}, logs: {folder / 'logs'}", markup=False, soft_wrap=True)
        again = f"make faults-real SEED={wanted.seed} INJECTIONS={wanted.injections} BUS={wanted.broker}"
        console.print(f"Again: {again}", markup=False, soft_wrap=True)
        return 1
    if options.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _first_of(error: BaseException) -> BaseException:
    """What a task group's error is about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults-real", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="decides faults, their order and length, and the load")
    parser.add_argument("--injections", type=int, default=200, help="how many faults (default 200)")
    parser.add_argument("--bus", choices=("kafka", "rabbitmq"), default="kafka", help="the broker (default kafka)")
    parser.add_argument("--folder", type=Path, help="where data and logs go, and stay (default: a temporary one)")
    return parser.parse_args()


@contextlib.contextmanager
def _ends_in_order() -> Iterator[None]:
    """SIGTERM ends this as Ctrl-C does: everything that was started is stopped."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _run(options: Options, timeline: Timeline, console: Console) -> Outcome:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("injections", total=options.injections)
        return await run(
            options,
            timeline,
            lambda text: console.print(text, markup=False),
            lambda injection: bar.update(task, advance=1, description=str(injection)),
        )


def _report(console: Console, options: Options, outcome: Outcome) -> None:
    console.print(_injections(options, outcome))
    for reason, count in outcome.impossible.items():
        console.print(f"{count} of them could not be carried out: {reason}", markup=False)
    store, venue = outcome.verdict.store, outcome.verdict.venue
    statuses = collections.Counter(order.status for order in store.orders)
    console.print(f"load: {_listed(outcome.load)}", markup=False)
    console.print(
        f"orders here: {len(store.orders)} ({_listed(statuses)}); at the venue: {len(venue.orders)}", markup=False
    )
    refused = collections.Counter(
        (order.reason or "").partition(":")[0] for order in store.orders if order.status in ("DENIED", "REJECTED")
    )
    console.print(f"denied or rejected: {_listed(refused)}", markup=False)
    console.print(f"fills here: {len(store.fills)}; trades at the venue: {len(venue.trades)}", markup=False)
    console.print(f"starts: {_listed(collections.Counter(outcome.starts))}", markup=False)
    for name, ends in outcome.own_ends.items():
        console.print(f"ended without our doing: {name}: {_listed(collections.Counter(ends))}", markup=False)
    recovery = outcome.recovery
    console.print(
        f"after the last fault: all ready {_seconds(recovery.ready_s)}, no UNKNOWN {_seconds(recovery.certain_s)}, "
        f"records agree {_seconds(recovery.agreed_s)}; the whole run took {outcome.seconds:.0f} s",
        markup=False,
    )
    violations = outcome.verdict.violations
    console.print(f"violations: {len(violations)}", markup=False)
    for violation in violations[:_SHOWN]:
        console.print(f"  {violation.invariant}: {violation.what}", markup=False, soft_wrap=True)
    if len(violations) > _SHOWN:
        console.print(f"  and {len(violations) - _SHOWN} more in the timeline", markup=False)


def _injections(options: Options, outcome: Outcome) -> Table:
    table = Table(title=f"{sum(outcome.injected.values())} injections on {options.broker}, seed {options.seed}")
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("where", overflow="fold")
    for kind in KINDS:
        targets = collections.Counter(
            {where: count for (what, where), count in outcome.injected.items() if what == kind}
        )
        if targets:
            table.add_row(kind, str(targets.total()), _listed(targets))
    return table


def _listed(counts: "collections.Counter[str]") -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"after {value:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
