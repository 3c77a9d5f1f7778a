"""Keeps a strategy from flooding the order path: a token bucket, and a pause after a denial that would come again."""

from typing import Final

_NS_PER_S: Final = 1_000_000_000
FIRST_PAUSE_NS: Final = 250_000_000
LONGEST_PAUSE_NS: Final = 4_000_000_000

# What execution says when the next order would be refused for the same reason: see its deny codes.
PAUSING_CODES: Final = ("NOT_READY", "STORE_UNAVAILABLE", "TRADING_HALTED", "TRADING_REDUCING")


class SubmitThrottle:
    """At most ``rate_per_s`` new orders, with a burst of one second's worth. ``suppressed`` counts those refused.

    Time is the caller's: receive times of the data, so that a replay is throttled as the live run was.
    """

    def __init__(self, rate_per_s: float) -> None:
        if not rate_per_s > 0:
            raise ValueError(f"max_orders_per_s is {rate_per_s}; it must be positive")
        self.suppressed = 0
        self._ns_per_token = int(_NS_PER_S / rate_per_s)
        self._burst_ns = max(self._ns_per_token, _NS_PER_S)
        self._full_at_ns = 0  # when the bucket is full again: one number holds the whole bucket
        self._paused_until_ns = 0
        self._pause_ns = FIRST_PAUSE_NS

    def allow(self, now_ns: int) -> bool:
        """Take one token, or count a suppression."""
        full_at = max(self._full_at_ns, now_ns) + self._ns_per_token
        if now_ns < self._paused_until_ns or full_at > now_ns + self._burst_ns:
            self.suppressed += 1
            return False
        self._full_at_ns = full_at
        return True

    def denied(self, reason: str, now_ns: int) -> None:
        """An order was denied: pause if the next one would be, longer each time."""
        if reason.startswith(PAUSING_CODES) and now_ns >= self._paused_until_ns:
            self._paused_until_ns = now_ns + self._pause_ns
            self._pause_ns = min(self._pause_ns * 2, LONGEST_PAUSE_NS)

    def accepted(self) -> None:
        """An order went through: the next pause is short again."""
        self._pause_ns = FIRST_PAUSE_NS
