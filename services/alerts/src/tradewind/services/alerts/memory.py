"""What must be remembered to see a change: services that were there, epochs of leases, messages put aside.

What a restart must not forget is in the database as marks: value and time of change. No I/O here.
"""

from collections import deque
from typing import Final

NS: Final = 1_000_000_000
REFRESH_NS: Final = 600 * NS
"""A service's mark says no more often that it is still there."""
MOST_TIMES: Final = 64

Marks = dict[str, tuple[int, int]]


class Memory:
    """The marks, and what of them has to be stored."""

    def __init__(self, marks: Marks) -> None:
        self._marks = dict(marks)
        self.changed: Marks = {}
        self.forgotten: list[str] = []
        self._times: dict[str, deque[float]] = {}
        self._last: dict[str, int] = {}

    def set(self, mark: str, value: int, now: int) -> None:
        """Remember a value as of now."""
        self._marks[mark] = self.changed[mark] = (value, now)

    def get(self, mark: str) -> tuple[int, int] | None:
        """Value and when it changed."""
        return self._marks.get(mark)

    def forget(self, mark: str) -> None:
        """Remember no more."""
        self._marks.pop(mark, None)
        self.changed.pop(mark, None)
        self.forgotten.append(mark)

    def stored(self) -> None:
        """All changes are in the database."""
        self.changed = {}
        self.forgotten = []

    def services(self) -> dict[str, int]:
        """Name -> when it was last there, ns."""
        return {mark.removeprefix("service:"): at for mark, (_, at) in self._marks.items() if mark[:8] == "service:"}

    def note_service(self, name: str, now: int) -> None:
        """It is there."""
        found = self.get(f"service:{name}")
        if found is None or now - found[1] >= REFRESH_NS:
            self.set(f"service:{name}", 1, now)

    def grown(self, mark: str, value: int, now: int) -> tuple[int, int]:
        """By how much a counter has grown since its last rest, and when (ns) it grew last; zeros when it did not.

        A counter that is seen for the first time has not grown; one that is smaller than before began anew.
        """
        found = self.get(mark)
        if found is None:
            self.set(mark, value, 0)
            return 0, 0
        before, at = found
        if value > before:
            self.set(mark, value, now)
            return value - before, now
        if value < before:
            self.set(mark, value, now if value else at)
            return value, now if value else at
        return 0, at

    def times(self, what: str, value: int, now_s: float, window_s: float) -> int:
        """How often a number has grown within the window, by how much it grew; from this process's start on."""
        times = self._times.setdefault(what, deque(maxlen=MOST_TIMES))
        last = self._last.get(what)
        if last is not None and value > last:
            times.extend([now_s] * min(value - last, MOST_TIMES))
        self._last[what] = value
        while times and now_s - times[0] > window_s:
            times.popleft()
        return len(times)
