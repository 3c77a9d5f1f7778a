"""How long to wait before the next attempt: doubling with jitter, so that many clients do not come back at once."""

import random
from collections.abc import Callable


class Backoff:
    """Waits of one thing that is tried again. The first attempt after ``reset`` waits about ``first_s``."""

    def __init__(self, first_s: float, longest_s: float, jitter: Callable[[], float] = random.random) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._jitter = jitter
        self._wait_s = first_s

    def next_s(self) -> float:
        """The next wait in seconds: between half and all of a span that doubles up to the longest."""
        wait_s = self._wait_s
        self._wait_s = min(wait_s * 2, self._longest_s)
        return wait_s * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """It worked: begin again from the shortest wait."""
        self._wait_s = self._first_s
