"""The venue's rate limits, counted here so that we stop before the venue stops us.

Source: Binance spot API, "General API Information / LIMITS": REQUEST_WEIGHT and ORDERS count in fixed windows; every
answer tells what the venue has counted (``X-MBX-USED-WEIGHT-1M``, ``X-MBX-ORDER-COUNT-10S``, ``-1D``); 429 and 418 come
with ``Retry-After``, and going on regardless leads to a ban.

Cancels may use all of the weight and need no order slot; everything else leaves a reserve for them.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tradewind.venue.adapter import RateLimited

CANCEL_RESERVE: Final = 0.1
"""Share of the request weight that only cancels may use."""
DEFAULT_RETRY_AFTER_S: Final = 5.0
LONGEST_RETRY_AFTER_S: Final = 3 * 24 * 3600.0
"""The longest ban that the venue documents."""
_INTERVAL_S: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_LETTER: Final = {"S": "SECOND", "M": "MINUTE", "H": "HOUR", "D": "DAY"}
_USED: Final = re.compile(r"x-mbx-(used-weight|order-count)-(\d+)([smhd])", re.IGNORECASE)


class LimitWindow:
    """One limit: at most ``limit`` in each fixed window of ``interval_s``, aligned to the epoch as the venue's are."""

    def __init__(self, limit: int, interval_s: int, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self.interval_s = interval_s
        self._clock = clock
        self._window = 0
        self._used = 0

    @property
    def used(self) -> int:
        """What was counted in the present window."""
        self._turn()
        return self._used

    def wait_s(self, amount: int, share: float = 1.0) -> float:
        """0 when ``amount`` fits into ``share`` of the limit now, else the seconds until the next window."""
        self._turn()
        if self._used + amount <= self.limit * share:
            return 0.0
        return max((self._window + 1) * self.interval_s - self._clock(), 0.001)

    def take(self, amount: int) -> None:
        """Count ``amount``."""
        self._turn()
        self._used += amount

    def observe(self, used: int) -> None:
        """The venue's own count. It is believed when it is higher: other processes may share the address."""
        self._turn()
        self._used = max(self._used, used)

    def _turn(self) -> None:
        window = int(self._clock() // self.interval_s)
        if window != self._window:
            self._window = window
            self._used = 0


class RateLimits:
    """All limits of one address and account. Times are seconds of the wall clock, as the venue's windows are."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._blocked_until_s = 0.0
        self._weights = {("MINUTE", 1): LimitWindow(6_000, 60, clock)}
        self._orders = {
            ("SECOND", 10): LimitWindow(100, 10, clock),
            ("DAY", 1): LimitWindow(200_000, 86_400, clock),
        }

    def configure(self, limits: Iterable[tuple[str, str, int, int]]) -> None:
        """Take the limits of exchangeInfo: (rateLimitType, interval, intervalNum, limit). Counts so far are kept."""
        for kind, interval, count, limit in limits:
            windows = {"REQUEST_WEIGHT": self._weights, "ORDERS": self._orders}.get(kind)
            if windows is None or interval not in _INTERVAL_S or limit < 1 or count < 1:
                continue
            if (known := windows.get((interval, count))) is not None:
                known.limit = limit
            else:
                windows[interval, count] = LimitWindow(limit, _INTERVAL_S[interval] * count, self._clock)

    def take_request(self, weight: int) -> None:
        """Count a query.

        Raises:
            RateLimited: it must wait; nothing was counted.
        """
        self._take(weight, 1.0 - CANCEL_RESERVE, order=False)

    def take_order(self) -> None:
        """Count a new order.

        Raises:
            RateLimited: it must wait; nothing was counted.
        """
        self._take(1, 1.0 - CANCEL_RESERVE, order=True)

    def take_cancel(self) -> None:
        """Count a cancel, which may use the reserve.

        Raises:
            RateLimited: even that is used up, or the venue has blocked us.
        """
        self._take(1, 1.0, order=False)

    def observe(self, headers: Mapping[str, str]) -> None:
        """Believe the counts that an answer carries."""
        for name, value in headers.items():
            if (match := _USED.fullmatch(name)) and value.isdecimal():
                windows = self._weights if match[1].lower() == "used-weight" else self._orders
                if (window := windows.get((_LETTER[match[3].upper()], int(match[2])))) is not None:
                    window.observe(int(value))

    def block(self, retry_after: str | None) -> float:
        """The venue said 429 or 418: send nothing for as long as it says. Returns that time in seconds."""
        wait_s = _seconds(retry_after)
        self._blocked_until_s = max(self._blocked_until_s, self._clock() + wait_s)
        return wait_s

    def used_weight(self) -> int:
        """The weight counted in this minute."""
        return self._weights["MINUTE", 1].used

    def _take(self, weight: int, share: float, *, order: bool) -> None:
        wait_s = self._blocked_until_s - self._clock()
        for window in self._weights.values():
            wait_s = max(wait_s, window.wait_s(weight, share))
        if order:
            for window in self._orders.values():
                wait_s = max(wait_s, window.wait_s(1))
        if wait_s > 0:
            raise RateLimited(wait_s)
        for window in self._weights.values():
            window.take(weight)
        if order:
            for window in self._orders.values():
                window.take(1)


def _seconds(retry_after: str | None) -> float:
    try:
        seconds = float(retry_after) if retry_after is not None else DEFAULT_RETRY_AFTER_S
    except ValueError:
        return DEFAULT_RETRY_AFTER_S
    if not math.isfinite(seconds) or seconds < 0:
        return DEFAULT_RETRY_AFTER_S
    return min(seconds, LONGEST_RETRY_AFTER_S)
