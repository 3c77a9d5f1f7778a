"""How many orders a scope sends: an exact sliding window, so that no stretch of its length ever holds more."""

from bisect import bisect_right
from collections import deque
from typing import Final

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS


class OrderRate:
    """At most ``limit`` orders in any ``window_ns``. Times are the caller's; a clock set back counts as standing."""

    __slots__ = ("_sent", "_window_ns", "limit")

    def __init__(self, limit: int, window_ns: int) -> None:
        self.limit = limit
        self._window_ns = window_ns
        self._sent: deque[int] = deque(maxlen=limit)

    @property
    def window_s(self) -> int:
        """Length of the window."""
        return self._window_ns // SECOND_NS

    def has_room(self, now_ns: int) -> bool:
        """Whether one more order now keeps the limit."""
        if len(self._sent) < self.limit:
            return True
        return self.limit > 0 and now_ns - self._sent[0] >= self._window_ns

    def count(self, now_ns: int) -> None:
        """An order is sent now."""
        self._sent.append(max(now_ns, self._sent[-1]) if self._sent else now_ns)

    def used(self, now_ns: int) -> int:
        """Orders within the window that ends now."""
        return len(self._sent) - bisect_right(self._sent, now_ns - self._window_ns)
