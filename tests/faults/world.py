"""One schedule's world: everything put together, the faults that happen in it, and its story.

Phases: the faults' (``FAULTS_S``), then everything that was broken is mended, then at most ``SETTLE_S`` until nothing
is in doubt. Invariants are checked at each change of the venue and of the store, and at the end.
"""

import contextlib
import dataclasses
import gc
import hashlib
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest

from faults.invariants import Invariants
from faults.processes import Process, client_of_this_process, no_venue_limits
from faults.schedule import Choice, Schedule
from faults.sim_bus import Broker
from faults.sim_database import Server
from faults.sim_venue import SimulatedVenue
from faults.virtual_time import NS, Livelock, ProcessLoop, Scheduler, groups_in_order, mixed, patched_clock
from faults.workload import Workload
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings

FAULTS_S: Final = 11.0
SETTLE_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.5
_AGAIN_S: Final = 4.5
SETTINGS: Final = Settings(
    max_order_notional=Decimal(30_000),
    max_instrument_notional=Decimal(60_000),
    max_account_notional=Decimal(100_000),
    max_open_orders_per_instrument=5,
    max_open_orders=8,
    lease_duration_s=2.0,
    lease_grace_s=0.5,
    send_margin_s=0.5,
    inflight_check_s=0.3,
    reconcile_every_s=4.0,
)
StoryLine = tuple[float, str, str, dict[str, Any] | None]


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of a schedule."""

    schedule: Schedule
    violations: list[str]
    happened: list[Choice]
    trace: str
    steps: int
    settled_s: float
    counts: dict[str, int]
    story: list[StoryLine]


class World:
    """See the module."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.settings = SETTINGS
        self.scheduler = Scheduler(schedule.seed)
        self.processes: list[Process] = []
        self.story: list[StoryLine] = []
        self.violations: list[str] = []
        self.happened: list[Choice] = []
        self.died = 0
        self.steps = 0
        self.skew_ms = 0
        self.faults_on = True
        self.over = False
        self._counts: Counter[str] = Counter()
        self._choices = {(choice.place, choice.number): choice for choice in reversed(schedule.choices)}
        self._rolls = 0
        self._hash = hashlib.blake2b(digest_size=8)
        self.server = Server(self)
        self.broker = Broker(self)
        self.venue = SimulatedVenue(self)
        self.venue.open_markets()
        self.workload = Workload(self)
        self.invariants = Invariants(self)
        self.processes = [Process(self, "first"), Process(self, "second")]
        self.scheduler.after_step = self._after_step

    # -- what the parts ask ----------------------------------------------------------------------------------------

    def venue_ms(self) -> int:
        """The venue's clock."""
        return self.scheduler.now_ns // 1_000_000 + self.skew_ms

    def venue_fill(self, order_id: int, price: int, size: int) -> None:
        """A market's word that a resting order traded."""
        self.venue.exchange.on_fill(order_id, price, size)

    def fault(self, place: str, process: Process | None) -> Choice | None:
        """The fault that is chosen for this passing of a place."""
        if not self.faults_on:
            return None
        self._counts[place] += 1
        choice = self._choices.get((place, self._counts[place]))
        if choice is not None:
            self.happened.append(choice)
            self.tell("FAULT", f"{choice} ({process.name if process else 'venue'})")
        return choice

    def magnitude(self, fault: Choice | None, low: float, high: float, what: int = 0) -> float:
        """How long or how much a fault is: its own, whatever else happens."""
        return low + (high - low) * (fault.part(what) % 10_007) / 10_007 if fault is not None else low

    def delay_s(self, low: float, high: float) -> float:
        """The next delay that the seed says."""
        self._rolls += 1
        part = (mixed(self.schedule.seed, 1, self._rolls) & 0xFFFF) / 0xFFFF
        return low + (high - low) * part * part

    def dice(self, _: str, sides: int) -> int:
        """The next number below ``sides`` that the seed says."""
        self._rolls += 1
        return mixed(self.schedule.seed, 2, self._rolls) % sides

    def tell(self, who: str, what: str, fields: dict[str, Any] | None = None) -> None:
        """A line of the story."""
        self.story.append((self.scheduler.now_s, who, what, fields))
        self._hash.update(f"{self.scheduler.now_ns} {who} {what}".encode())

    def violated(self, what: str) -> None:
        """An invariant does not hold."""
        if what not in self.violations:
            self.violations.append(what)
            self.tell("VIOLATION", what)

    def failed(self, who: str, reason: str, error: BaseException | None) -> None:
        """A service ended with an error that nobody in it expected."""
        if self.over:
            return
        self.tell(who, f"FAILS: {reason}")
        self.invariants.service_failed(who, reason, error)

    # -- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """The whole schedule."""
        settled_s = SETTLE_S
        try:
            with patched_clock(self.scheduler):
                self._plan()
                self._advance(FAULTS_S)
                self._mend()
                settled_s = self._settle()
                self.invariants.check_end(settled=settled_s < SETTLE_S)
        except Livelock as error:
            self.violated(f"livelock: {error}")
        finally:
            self.over = True
            self.scheduler.forget_tasks()
        return Outcome(
            self.schedule, self.violations, self.happened, self._hash.hexdigest(), self.steps, settled_s,
            dict(self._counts), self.story,
        )  # fmt: skip

    def _plan(self) -> None:
        self.processes[0].start()
        self.scheduler.after(0.2, self.processes[1].start)
        self.workload.plan()
        for choice in self.schedule.choices:
            if choice.place == "moment":
                self.scheduler.after(choice.number / 10, self._moment, choice)

    def _advance(self, until_s: float) -> None:
        while self.scheduler.now_s < until_s and not self.violations:
            self.scheduler.run_until(lambda: bool(self.violations), self._ns(min(until_s, self.scheduler.now_s + 0.5)))

    def _ns(self, seconds: float) -> int:
        return self.scheduler.now_ns + int((seconds - self.scheduler.now_s) * NS)

    def _mend(self) -> None:
        self.faults_on = False
        self.tell("world", "from here on nothing fails")
        self.server.come_back()
        self.venue.lag_ns = self.venue.queries_away_until_ns = 0
        self.skew_ms = 0
        for process in self.processes:
            process.thaw()

    def _settle(self) -> float:
        """Seconds until nothing was in doubt."""
        begun_s = self.scheduler.now_s
        while not self.violations and self.scheduler.now_s - begun_s < SETTLE_S:
            self._advance(self.scheduler.now_s + _LOOK_EVERY_S)
            if not self.invariants.unsettled():
                settled_s = self.scheduler.now_s - begun_s
                self._look_again()
                return settled_s
        return SETTLE_S

    def _look_again(self) -> None:
        """A second pass over the same reports makes no event."""
        if self.schedule.seed % 4:
            return
        before = len(self.server.tables.journal)
        self._advance(self.scheduler.now_s + _AGAIN_S)
        if len(self.server.tables.journal) != before:
            row = self.server.tables.journal[before]
            self.violated(f"reconciling again made events: {row['type']} of {row['client_order_id']}")

    def _after_step(self, loop: ProcessLoop) -> None:
        self.steps += 1
        if not self.faults_on:
            return
        fault = self._choices.get(("step", self.steps))
        if fault is None:
            return
        process: Process = loop.owner
        self.happened.append(fault)
        self.tell("FAULT", f"{fault} ({process.name})")
        if fault.fault == "freeze":
            process.freeze(self.magnitude(fault, 0.2, 9.0))
        else:
            for each in self.processes if fault.fault == "crash_all" else [process]:
                each.crash()

    def _moment(self, choice: Choice) -> None:
        if not self.faults_on:
            return
        self.happened.append(choice)
        self.tell("FAULT", str(choice))
        if choice.fault == "halt":
            self.workload.halt(self.magnitude(choice, 0.5, 3.0))
        elif choice.fault == "cancel_all":
            self.workload.cancel_all()
        elif choice.fault == "database_away":
            self.server.go_away(self.magnitude(choice, 0.2, 4.0))
        elif choice.fault == "stream_broken":
            self.venue.break_streams(self.magnitude(choice, 0.1, 3.0))
        elif choice.fault == "skew":
            self.skew_ms = int(self.magnitude(choice, -900, 900))
        elif choice.fault == "queries_away":
            self.venue.queries_away_until_ns = self.scheduler.now_ns + int(self.magnitude(choice, 0.5, 4.0) * NS)
        elif choice.fault == "rest_lags":
            self.venue.lag_ns = int(self.magnitude(choice, 0.05, 0.75) * NS)
        else:
            self.workload.external_order()


@contextlib.contextmanager
def simulation() -> Iterator[None]:
    """Where schedules may be run: the service's two outer seams are the simulation's."""
    patch = pytest.MonkeyPatch()
    patch.setattr(service, "venue_limits", no_venue_limits)
    patch.setattr(service, "execution_client_of", client_of_this_process)
    groups_in_order(patch)
    gc.disable()
    hook = sys.unraisablehook
    # The coroutines of processes that died complain when they are let go: nobody waits for their clean-up.
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            # So do those that never began.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
            gc.collect()
    finally:
        gc.collect()
        sys.unraisablehook = hook
        gc.enable()
        patch.undo()


def run_schedule(schedule: Schedule) -> Outcome:
    """One schedule from its begin to its end; within ``simulation``."""
    return World(schedule).run()
