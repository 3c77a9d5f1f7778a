"""Finds what blocks the event loop, while it blocks it: a thread looks at the stack of the loop's thread.

Owner: ``watch_loop``, for the length of a block. The loop only moves a time forward, every fifth of the bound; the
thread sleeps until that time is overdue by the bound. One incident is one entry in ``last_stalls`` (the last
MOST_KEPT), one count of ``loop_stalls`` and one line of the log with the stack; the same place is written in full
once, then counted. Code that holds the interpreter's lock all the time is counted but has no stack.
"""

import asyncio
import collections
import dataclasses
import itertools
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from tradewind.runtime.logging import RateLimitedLog, get_logger
from tradewind.runtime.metrics import Metrics

MOST_KEPT: Final = 32
_MOST_FRAMES: Final = 24
_BEATS: Final = 5
"""In one bound; what is longer than the bound by a beat is noticed for certain."""
_SECOND_LOOK_S: Final = 0.01
_JOIN_S: Final = 1.0
_PATH_PARTS: Final = 3


@dataclasses.dataclass(slots=True)
class Stall:
    """One time that the loop was blocked. ``stack`` is the outermost call first, as it was when it was noticed."""

    noticed_ns: int
    where: str
    stack: tuple[str, ...]
    lasted_s: float | None = None
    """None while it is still blocked."""


_kept: Final[collections.deque[Stall]] = collections.deque(maxlen=MOST_KEPT)


def last_stalls() -> list[Stall]:
    """The newest stalls of this process that were seen from inside, oldest first."""
    return list(_kept)


class StallWatch:
    """Watches the running loop during the block; enter it on the loop's thread."""

    def __init__(self, metrics: Metrics, bound_s: float) -> None:
        self._bound_s = bound_s
        self._beat_s = bound_s / _BEATS
        self._count = metrics.counter("loop_stalls", "Times that the event loop was blocked for longer than the bound")
        self._log = RateLimitedLog(get_logger(metrics.service))
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._due_s = 0.0
        self._noticed_due_s = 0.0
        self._open: Stall | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-stalls", daemon=True)

    def __enter__(self) -> Self:
        self._plan_beat()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._ended.set()
        self._thread.join(_JOIN_S)
        self._log.flush()

    # -- on the loop -----------------------------------------------------------------------------------------------

    def _plan_beat(self) -> None:
        self._due_s = time.monotonic() + self._beat_s
        self._timer = self._loop.call_later(self._beat_s, self._beat)

    def _beat(self) -> None:
        late_s = time.monotonic() - self._due_s
        if late_s > self._bound_s:
            self._count.inc()
            if self._open is not None:
                self._open.lasted_s = late_s
        self._open = None
        self._plan_beat()

    # -- on the thread ---------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._ended.is_set():
            wake_s = self._due_s + self._bound_s
            if self._due_s == self._noticed_due_s:
                wake_s = time.monotonic() + self._beat_s
            self._ended.wait(max(wake_s - time.monotonic(), 0.0))
            if time.monotonic() - wake_s > self._bound_s / 2:
                # This thread stood still too: a paused process, or one that goes on just now.
                self._ended.wait(_SECOND_LOOK_S)
            due_s = self._due_s
            if time.monotonic() - due_s > self._bound_s and due_s != self._noticed_due_s:
                self._noticed_due_s = due_s
                self._notice(time.monotonic() - due_s)

    def _notice(self, blocked_s: float) -> None:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return
        where, stack = _shown(frame)
        stall = Stall(time.time_ns(), where, stack)
        self._open = stall
        _kept.append(stall)
        # Without its line number, so that a slow function is one kind wherever it is caught.
        kind = where.rpartition(":")[0]
        text = "the event loop is blocked"
        self._log.warning(kind, text, blocked_for_s=round(blocked_s, 3), where=where, stack="\n".join(stack))


def _shown(frame: FrameType) -> tuple[str, tuple[str, ...]]:
    frames = itertools.islice(traceback.walk_stack(frame), _MOST_FRAMES)
    lines = [f"{_short(one)}:{line} in {one.f_code.co_qualname}" for one, line in frames]
    return f"{frame.f_code.co_qualname} {_short(frame)}:{frame.f_lineno}", tuple(reversed(lines))


def _short(frame: FrameType) -> str:
    """The end of the file's path: what is before it is the machine's own affair."""
    return "/".join(Path(frame.f_code.co_filename).parts[-_PATH_PARTS:])
