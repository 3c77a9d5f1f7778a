"""Virtual time: one clock, one scheduler, and an event loop for each simulated process. No I/O, no real waiting.

Order: within a loop as asyncio promises it (first in, first out); between loops as the seed says. When nothing is
ready the clock jumps to the next timer. Every step of a process lasts a microsecond, so that no two have one time.
A frozen loop keeps what becomes ready; a dropped one is never run again, not even its clean-up.
"""

import asyncio
import asyncio.events
import collections
import contextlib
import contextvars
import heapq
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

NS: Final = 1_000_000_000
BEGIN_NS: Final = 1_700_000_000 * NS
STEP_NS: Final = 1_000
UPTIME_S: Final = 1_000
"""What the monotonic clock shows when a schedule begins."""
_MASK: Final = (1 << 64) - 1


def mixed(*numbers: int) -> int:
    """64 well-mixed bits of some numbers (splitmix64): what the seed says of one question."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


class Handle:
    """A callback of one loop; the part of ``asyncio.TimerHandle`` that tasks, futures and timeouts use."""

    __slots__ = ("_args", "_callback", "_cancelled", "_context", "_when")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None, when: float
    ) -> None:
        self._callback: Callable[..., Any] | None = callback
        self._args = args
        self._context = context or contextvars.copy_context()
        self._cancelled = False
        self._when = when

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        return self._cancelled

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        if self._callback is not None:
            self._context.run(self._callback, *self._args)


class ProcessLoop(asyncio.AbstractEventLoop):
    """The event loop of one simulated process; only what runs without I/O."""

    def __init__(self, scheduler: "Scheduler", name: str, on_error: Callable[[str], None]) -> None:
        self.name = name
        self.ready: collections.deque[Handle] = collections.deque()
        self.frozen = False
        self.dropped = False
        self.steps = 0
        self.owner: Any = None
        self._scheduler = scheduler
        self._on_error = on_error

    # -- what asyncio asks for -------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._scheduler.now_s

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, context, 0.0)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self._timer(self._scheduler.now_ns + max(int(delay * NS), 0), Handle(callback, args, context, 0.0))

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Handle:
        return self._timer(BEGIN_NS + round(when * NS), Handle(callback, args, context, when))

    def _timer(self, when_ns: int, handle: Handle) -> Handle:
        self._scheduler.at(when_ns, self._ring, handle)
        return handle

    def _ring(self, handle: Handle) -> None:
        if not self.dropped and not handle.cancelled():
            self.ready.append(handle)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[Any]":
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._scheduler.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._on_error(f"{context.get('message')}: {type(error).__name__}: {error}")


class Livelock(Exception):
    """A process runs on and on without time passing: nothing ever waits."""


class Scheduler:
    """The clock, the timers of everyone, and whose turn it is."""

    MOST_STEPS_AT_ONCE: Final = 200_000

    def __init__(self, seed: int) -> None:
        self.now_ns = BEGIN_NS
        self.tasks: list[asyncio.Task[Any]] = []
        self.loops: list[ProcessLoop] = []
        self.after_step: Callable[[ProcessLoop], None] = lambda _: None
        self._seed = seed
        self._timers: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()
        self._turn = 0

    @property
    def now_s(self) -> float:
        """Seconds since the begin of the schedule."""
        return (self.now_ns - BEGIN_NS) / NS

    def at(self, when_ns: int, callback: Callable[..., None], *args: Any) -> None:
        """Run a callback of the world, which belongs to no process, at a time."""
        heapq.heappush(self._timers, (when_ns, next(self._numbers), callback, args))

    def after(self, delay_s: float, callback: Callable[..., None], *args: Any) -> None:
        """The same, from now on."""
        self.at(self.now_ns + int(delay_s * NS), callback, *args)

    def add_loop(self, name: str, on_error: Callable[[str], None]) -> ProcessLoop:
        """A new process's loop."""
        loop = ProcessLoop(self, name, on_error)  # type: ignore[abstract]  # what needs I/O is not there
        self.loops.append(loop)
        return loop

    def drop_loop(self, loop: ProcessLoop) -> None:
        """The process is gone: nothing of it runs any more."""
        loop.dropped = True
        loop.ready.clear()
        self.loops.remove(loop)

    def run_until(self, done: Callable[[], bool], until_ns: int) -> bool:
        """Run until ``done`` or the time; answers whether it is done. ``done`` is asked when time moves.

        Raises:
            Livelock: see there.
        """
        steps = 0
        while True:
            self._ring_due()
            loop = self._next_loop()
            if loop is not None:
                steps += 1
                if steps > self.MOST_STEPS_AT_ONCE:
                    raise Livelock(f"{loop.name} never waits")
                self._step(loop)
                continue
            steps = 0
            if done():
                return True
            if not self._timers or self._timers[0][0] > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return done()
            self.now_ns = max(self.now_ns, self._timers[0][0])

    def _ring_due(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= self.now_ns:
            _, _, callback, args = heapq.heappop(timers)
            callback(*args)

    def _next_loop(self) -> ProcessLoop | None:
        runnable = [loop for loop in self.loops if loop.ready and not loop.frozen]
        if len(runnable) < 2:
            return runnable[0] if runnable else None
        self._turn += 1
        return runnable[mixed(self._seed, self._turn) % len(runnable)]

    def _step(self, loop: ProcessLoop) -> None:
        self.now_ns += STEP_NS
        loop.steps += 1
        handle = loop.ready.popleft()
        asyncio.events._set_running_loop(loop)
        try:
            handle.run()
        finally:
            asyncio.events._set_running_loop(None)
        self.after_step(loop)

    def forget_tasks(self) -> None:
        """Let go of every task without its words of complaint; nothing of them runs."""
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.tasks.clear()
        self._timers.clear()
        for loop in self.loops:
            loop.ready.clear()


class TasksInOrder(dict[Any, None]):
    """What a ``TaskGroup`` keeps its tasks in: a set in the order of their making, so that a cancel is the same each
    time. A set of tasks is in the order of their addresses."""

    def add(self, task: Any) -> None:
        self[task] = None

    def discard(self, task: Any) -> None:
        self.pop(task, None)


def groups_in_order(patch: Any) -> None:
    """Make every ``TaskGroup`` do the same in the same order."""
    init = asyncio.TaskGroup.__init__

    def init_in_order(self: Any) -> None:
        init(self)
        self._tasks = TasksInOrder()

    patch.setattr(asyncio.TaskGroup, "__init__", init_in_order)


@contextlib.contextmanager
def patched_clock(scheduler: Scheduler) -> Iterator[None]:
    """While the block lasts ``time`` tells the virtual time."""
    clocks: dict[str, Callable[[], float]] = {
        "time": lambda: scheduler.now_ns / NS,
        "time_ns": lambda: scheduler.now_ns,
        "monotonic": lambda: UPTIME_S + scheduler.now_s,
        "monotonic_ns": lambda: UPTIME_S * NS + scheduler.now_ns - BEGIN_NS,
        "perf_counter": lambda: scheduler.now_s,
        "perf_counter_ns": lambda: scheduler.now_ns - BEGIN_NS,
    }
    before = {name: getattr(time, name) for name in clocks}
    for name, clock in clocks.items():
        setattr(time, name, clock)
    try:
        yield
    finally:
        for name, real in before.items():
            setattr(time, name, real)
