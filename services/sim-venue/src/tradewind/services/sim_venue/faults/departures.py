"""When the events of one stream leave, after a liar has decided about each. Starts no task and has no clock.

Order: events leave in the order of their times, those of one time in the order of their arrival. Bound: ``MAX_HELD``
events that wait for a time and as many that wait for others; when there are more, the first leaves at once.
"""

import dataclasses
import heapq
from typing import Final, Generic, TypeVar

from tradewind.services.sim_venue.faults.plans import EventPlan

T = TypeVar("T")
MAX_HELD: Final = 10_000


@dataclasses.dataclass(slots=True)
class _Held(Generic[T]):
    """An event that waits for later ones to leave before it, until ``latest_ms``."""

    left: int
    number: int
    latest_ms: int
    event: T


class DepartureLine(Generic[T]):
    """The events of one stream that have not left yet."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, T]] = []
        self._held: list[_Held[T]] = []
        self._number = 0
        self._not_before_ms = 0

    @property
    def next_ms(self) -> int | None:
        """When to call ``due`` again; None when nothing waits."""
        times = [held.latest_ms for held in self._held]
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting and not self._held

    def push(self, event: T, plan: EventPlan, now_ms: int) -> None:
        """Take an event with what shall become of it; ``due`` gives it back when it leaves."""
        for after_ms in plan.copies_ms:
            self._number += 1
            leaves_ms = now_ms + after_ms
            if plan.after_events:
                self._held.append(_Held(plan.after_events, self._number, leaves_ms, event))
                continue
            leaves_ms = max(leaves_ms, self._not_before_ms)
            heapq.heappush(self._waiting, (leaves_ms, self._number, event))
            if plan.holds_back:
                self._not_before_ms = leaves_ms

    def due(self, now_ms: int) -> list[T]:
        """What leaves now, in its order."""
        leaving: list[T] = []
        while self._waiting and (self._waiting[0][0] <= now_ms or len(self._waiting) > MAX_HELD):
            _, number, event = heapq.heappop(self._waiting)
            leaving.append(event)
            leaving += self._overtaken(number)
        while len(self._held) > MAX_HELD:
            leaving.append(self._held.pop(0).event)
        late = [held for held in self._held if held.latest_ms <= now_ms]
        if late:
            self._held = [held for held in self._held if held.latest_ms > now_ms]
            leaving += [held.event for held in late]
        return leaving

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()
        self._held.clear()
        self._not_before_ms = 0

    def _overtaken(self, number: int) -> list[T]:
        """The held events that have now waited long enough, after an event with this number has left."""
        if not self._held:
            return []
        for held in self._held:
            held.left -= 1 if held.number < number else 0
        ready = [held.event for held in self._held if held.left <= 0]
        self._held = [held for held in self._held if held.left > 0]
        return ready
