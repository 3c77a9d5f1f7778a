"""Timers that follow the clock of the data: a replay at any speed fires them at the same places.

While no data comes no timer fires.
"""

from typing import Final

NEVER: Final = 2**63 - 1


class Timers:
    """Repeating timers by name. ``next_ns`` is when the earliest is due: the one number the hot path compares."""

    def __init__(self) -> None:
        self.next_ns = NEVER
        self._intervals: dict[str, int] = {}
        self._due: dict[str, int] = {}

    def set(self, name: str, interval_ns: int, now_ns: int) -> None:
        """Start or restart a timer. With ``now_ns`` 0 (no data yet) it counts from the first data."""
        if interval_ns <= 0:
            raise ValueError(f"timer {name!r}: the interval must be positive")
        self._intervals[name] = interval_ns
        self._due[name] = now_ns + interval_ns if now_ns else 0
        self._refresh()

    def cancel(self, name: str) -> None:
        """Stop a timer; an unknown name is no error."""
        self._intervals.pop(name, None)
        self._due.pop(name, None)
        self._refresh()

    def take_due(self, now_ns: int) -> list[str]:
        """Names that are due, in order of their time. A timer that missed several turns fires once."""
        due = sorted((at, name) for name, at in self._due.items() if at <= now_ns)
        for _, name in due:
            self._due[name] = now_ns + self._intervals[name]
        self._refresh()
        return [name for at, name in due if at]

    def _refresh(self) -> None:
        self.next_ns = min(self._due.values(), default=NEVER)
