"""Request weights by address and new orders by account, in fixed windows.

Source: Binance spot API, "LIMITS" (X-MBX-USED-WEIGHT, X-MBX-ORDER-COUNT, 429 with Retry-After).
"""

import collections
from typing import Final

from tradewind.services.sim_venue import refusals

MINUTE_MS: Final = 60_000
TEN_SECONDS_MS: Final = 10_000
MAX_OWNERS: Final = 1_024


class Window:
    """Counts for each owner in windows of fixed length. The oldest owners are let go past ``MAX_OWNERS``."""

    def __init__(self, length_ms: int, limit: int) -> None:
        self.length_ms = length_ms
        self.limit = limit
        self._used: collections.OrderedDict[str, tuple[int, int]] = collections.OrderedDict()

    def used(self, owner: str, now_ms: int) -> int:
        """What an owner used in the present window."""
        window, used = self._used.get(owner, (0, 0))
        return used if window == now_ms // self.length_ms else 0

    def take(self, owner: str, amount: int, now_ms: int) -> bool:
        """Use some; False if it is more than the window has left. What is refused counts too."""
        used = self.used(owner, now_ms) + amount
        self._used[owner] = (now_ms // self.length_ms, used)
        self._used.move_to_end(owner)
        if len(self._used) > MAX_OWNERS:
            self._used.popitem(last=False)
        return used <= self.limit

    def seconds_left(self, now_ms: int) -> int:
        """Until the next window, at least 1."""
        return max(1, -(-(self.length_ms - now_ms % self.length_ms) // 1_000))


class RateLimits:
    """Both limits of the server."""

    def __init__(self, weight_per_minute: int, orders_per_10_s: int) -> None:
        self.weights = Window(MINUTE_MS, weight_per_minute)
        self.orders = Window(TEN_SECONDS_MS, orders_per_10_s)
        self.throttled = 0
        """Requests that were answered with 429."""

    def weigh(self, address: str, weight: int, now_ms: int) -> None:
        """Count a request. Raises Refused -1003 with 429."""
        if not self.weights.take(address, weight, now_ms):
            self.throttled += 1
            raise refusals.too_much_weight(self.weights.limit, self.weights.seconds_left(now_ms))

    def count_order(self, account: str, now_ms: int) -> None:
        """Count a new order. Raises Refused -1015 with 429."""
        if not self.orders.take(account, 1, now_ms):
            self.throttled += 1
            raise refusals.too_many_orders(self.orders.limit, self.orders.seconds_left(now_ms))

    def shown(self) -> list[dict[str, object]]:
        """As exchangeInfo shows them."""
        return [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": self.weights.limit,
            },
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": self.orders.limit},
        ]
