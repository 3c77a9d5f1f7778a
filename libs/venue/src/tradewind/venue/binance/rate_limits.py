"""The venue's rate limits, counted here so that we stop before the venue stops us.

Source: Binance spot API, "General API Information / LIMITS": REQUEST_WEIGHT (by address) and ORDERS (by account) count
in fixed windows; every answer tells what the venue has counted (``X-MBX-USED-WEIGHT-1M``, ``X-MBX-ORDER-COUNT-10S``,
``-1D``); 429 and 418 come with ``Retry-After``, and going on regardless leads to a ban.

With a ``SharedBudget`` all processes of a deployment count together; without one, or while it cannot be asked, this
process counts alone. Alone beside others it uses only FALLBACK_SHARE of each limit, and of all the venue counts no more
than ever; cancels are bound by the venue's own limit alone.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tradewind.venue.adapter import RateLimited
from tradewind.venue.request_budget import PATIENCE_S, RequestClass, SharedBudget, allowances

FALLBACK_SHARE: Final = 0.5
"""What a process uses of a limit while it does not know what the others use: market-data and execution are two."""
GUARD_S: Final = 0.5
"""A count that was made so near to the turn of a window may belong to either."""
DEFAULT_RETRY_AFTER_S: Final = 5.0
LONGEST_RETRY_AFTER_S: Final = 3 * 24 * 3600.0
"""The longest ban that the venue documents."""
_INTERVAL_S: Final = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86_400}
_LETTER: Final = {"S": "SECOND", "M": "MINUTE", "H": "HOUR", "D": "DAY"}
_KINDS: Final = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders"}
_BEFORE_EXCHANGE_INFO: Final = (
    ("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
    ("ORDERS", "SECOND", 10, 100),
    ("ORDERS", "DAY", 1, 200_000),
)
_USED: Final = re.compile(r"x-mbx-(used-weight|order-count)-(\d{1,4})([smhd])", re.IGNORECASE)
_MOST_DIGITS: Final = 15


class LimitWindow:
    """One limit: at most ``limit`` in each fixed window of ``interval_s``, aligned to the epoch as the venue's are."""

    def __init__(self, kind: str, interval_s: int, limit: int, clock: Callable[[], float] = time.time) -> None:
        self.kind = kind
        self.interval_s = interval_s
        self.limit = limit
        self.allowed = allowances(kind, limit)
        self._clock = clock
        self._window = 0
        self._used = 0
        self._alone = 0

    @property
    def used(self) -> int:
        """What is known to be used of the present window."""
        self._turn()
        return self._used

    def set_limit(self, limit: int) -> None:
        """The venue's limit is another now; what was counted stays."""
        self.limit = limit
        self.allowed = allowances(self.kind, limit)

    def wait_s(self, amount: int, what: RequestClass, share: float = 1.0) -> float:
        """0 when ``amount`` fits now, else the seconds until the next window.

        With a ``share`` below 1 all but cancels are also held to that share by what was taken ``alone``.
        """
        self._turn()
        allowed = self.allowed[what]
        fits = self._used + amount <= allowed
        if share < 1.0 and what is not RequestClass.CANCEL:
            fits = fits and self._alone + amount <= max(allowed * share, 1)
        return 0.0 if fits else max((self._window + 1) * self.interval_s - self._clock(), 0.001)

    def take(self, amount: int, *, alone: bool = False) -> None:
        """Count ``amount``; ``alone``: without having asked those who share the limit."""
        self._turn()
        self._used += amount
        self._alone += amount if alone else 0

    def observe(self, used: int, elapsed_s: float = 0.0) -> None:
        """The venue's own count, in the answer to a request that was sent ``elapsed_s`` ago.

        It is believed when it is higher: others may share the limit. Near the turn of a window it is passed over: a
        count of the last window, taken for one of this, would stop us for nothing.
        """
        self._turn()
        now_s = self._clock()
        if (now_s - elapsed_s - GUARD_S) // self.interval_s == (now_s + GUARD_S) // self.interval_s:
            self._used = max(self._used, used)

    def _turn(self) -> None:
        window = int(self._clock() // self.interval_s)
        if window != self._window:
            self._window = window
            self._used = self._alone = 0


class RateLimits:
    """All limits of one address and account. Times are seconds of the wall clock, as the venue's windows are."""

    def __init__(self, shared: SharedBudget | None = None, clock: Callable[[], float] = time.time) -> None:
        self._shared = shared
        self._clock = clock
        self._blocked_until_s = 0.0
        self._banned_until_s = 0.0
        self._windows: dict[tuple[str, int], LimitWindow] = {}
        self.configure(_BEFORE_EXCHANGE_INFO)

    def configure(self, limits: Iterable[tuple[str, str, int, int]]) -> None:
        """Take the limits of exchangeInfo: (rateLimitType, interval, intervalNum, limit). Counts so far are kept."""
        for rate_limit_type, interval, count, limit in limits:
            kind = _KINDS.get(rate_limit_type)
            if kind is None or interval not in _INTERVAL_S or limit < 1 or count < 1:
                continue
            interval_s = _INTERVAL_S[interval] * count
            if (known := self._windows.get((kind, interval_s))) is not None:
                known.set_limit(limit)
            else:
                self._windows[kind, interval_s] = LimitWindow(kind, interval_s, limit, self._clock)
        if self._shared is not None:
            self._shared.configure([(w.kind, w.interval_s, w.limit, w.allowed) for w in self._windows.values()])

    def take_now(self, what: RequestClass, weight: int = 1) -> bool:
        """Count a request if that needs no waiting and no I/O; else nothing is counted and ``take`` must be awaited."""
        orders = _orders_of(what)
        if self._held_back_s(what) > 0:
            return False
        if self._shared is None:
            return self._count_alone(what, weight, orders) == 0
        if what is RequestClass.QUERY or not self._shared.spend(weight, orders):
            return False
        self._count(weight, orders)
        return True

    async def take(self, what: RequestClass, weight: int = 1, patience_s: float | None = None) -> None:
        """Count a request, waiting for its turn for at most ``patience_s`` (by default PATIENCE_S of its class).

        Raises:
            RateLimited: it would have to wait longer; nothing was counted.
        """
        patience_s = PATIENCE_S[what] if patience_s is None else patience_s
        if (wait_s := self._held_back_s(what)) > patience_s:
            raise RateLimited(wait_s)
        orders = _orders_of(what)
        deadline_s = self._clock() + patience_s
        if self._shared is not None:
            shared_wait_s = await self._shared.take(int(what), weight, orders, patience_s=patience_s)
            if shared_wait_s == 0:
                self._count(weight, orders)
                return
            if shared_wait_s is not None:
                raise RateLimited(shared_wait_s)
        while (wait_s := self._held_back_s(what) or self._count_alone(what, weight, orders)) > 0:
            if self._clock() + wait_s > deadline_s:
                raise RateLimited(wait_s)
            await asyncio.sleep(wait_s)

    def observe(self, headers: Mapping[str, str], elapsed_s: float = 0.0) -> None:
        """Believe the counts in the answer to a request that was sent ``elapsed_s`` ago."""
        for name, value in headers.items():
            match = _USED.fullmatch(name)
            if match is None or not value.isascii() or not value.isdecimal() or len(value) > _MOST_DIGITS:
                continue
            kind = "weight" if match[1].lower() == "used-weight" else "orders"
            interval_s = _INTERVAL_S[_LETTER[match[3].upper()]] * int(match[2])
            if (window := self._windows.get((kind, interval_s))) is not None:
                window.observe(int(value), elapsed_s)
                if self._shared is not None:
                    self._shared.observe(kind, interval_s, int(value), elapsed_s)

    def block(self, retry_after: str | None, *, everyone: bool) -> float:
        """The venue said 429 or 418: send nothing for as long as it says. Returns that time in seconds.

        Cancels may go on unless ``everyone``: for a 418, and when it was a cancel that was refused. Elsewhere the
        counts say whether there is room for them.
        """
        wait_s = _seconds(retry_after)
        until_s = self._clock() + wait_s
        self._blocked_until_s = max(self._blocked_until_s, until_s)
        if everyone:
            self._banned_until_s = max(self._banned_until_s, until_s)
        if self._shared is not None:
            self._shared.block(wait_s, everyone=everyone)
        return wait_s

    async def tell(self) -> None:
        """Let the other processes know at once what was learnt from an answer."""
        if self._shared is not None:
            await self._shared.tell()

    def used_weight(self) -> int:
        """The weight that is known to be used in this minute."""
        return self._windows["weight", 60].used

    def _held_back_s(self, what: RequestClass) -> float:
        until_s = self._banned_until_s if what is RequestClass.CANCEL else self._blocked_until_s
        return max(until_s - self._clock(), 0.0)

    def _count_alone(self, what: RequestClass, weight: int, orders: int) -> float:
        """0 and counted by this process alone, or how long to wait."""
        share = 1.0 if self._shared is None else FALLBACK_SHARE
        wait_s = 0.0
        for window in self._windows.values():
            if amount := weight if window.kind == "weight" else orders:
                wait_s = max(wait_s, window.wait_s(amount, what, share))
        if wait_s == 0:
            self._count(weight, orders, alone=True)
            if self._shared is not None:
                self._shared.note(weight, orders)
        return wait_s

    def _count(self, weight: int, orders: int, *, alone: bool = False) -> None:
        for window in self._windows.values():
            window.take(weight if window.kind == "weight" else orders, alone=alone)


def _orders_of(what: RequestClass) -> int:
    return 1 if what in (RequestClass.REDUCE, RequestClass.NEW) else 0


def _seconds(retry_after: str | None) -> float:
    try:
        seconds = float(retry_after) if retry_after is not None else DEFAULT_RETRY_AFTER_S
    except ValueError:
        return DEFAULT_RETRY_AFTER_S
    if not math.isfinite(seconds) or seconds < 0:
        return DEFAULT_RETRY_AFTER_S
    return min(seconds, LONGEST_RETRY_AFTER_S)
