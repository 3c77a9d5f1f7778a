"""Made order flow: zero-intelligence orders around a fair price that walks and slowly comes back. Seeded.

Limit, market and cancel orders arrive as Poisson processes, sizes have a heavy tail, limit orders lie at exponential
distances from the fair price. The model is that of Smith, Farmer, Gillemot and Krishnamurthy, "Statistical theory of
the continuous double auction" (2003), with a moving fair price. The floats here make the weather; what leaves is whole
ticks and steps.
"""

import math
import random
from typing import Final, NamedTuple

from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import BUY, SELL

NS_PER_S: Final = 1_000_000_000
RESTING_ORDERS: Final = 600
"""About how many orders rest at any time."""
_LIMIT_SHARE: Final = 0.50
_MARKET_SHARE: Final = 0.06
_CANCEL_SHARE: Final = 0.44
_VOLATILITY: Final = 6e-5
"""Of the fair price's logarithm, in one second."""
_REVERSION_S: Final = 60.0
_MEAN_OFFSET: Final = 1.2e-4
"""Mean distance of a limit order from the fair price, as a part of it."""
_FAR_SHARE: Final = 0.1
_FAR_FACTOR: Final = 12.0
_TAIL_EXPONENT: Final = 1.4
_LIMIT_STEPS: Final = (400, 200_000)
"""Smallest and largest size of a limit order, in steps."""
_MARKET_STEPS: Final = (100, 20_000)
"""The same of a market order: small against the book, so that none sweeps a side."""


class FlowOrder(NamedTuple):
    """A new order of the flow; ``price`` is 0 for a market order."""

    order_id: int
    side: int
    price: int
    size: int


class FlowCancel(NamedTuple):
    """A resting order of the flow leaves."""

    order: FlowOrder


class FlowGenerator:
    """The sequence of what the rest of the market does. Its order ids are negative, and so never ours.

    The sequence depends on the seed, and on which of its orders were filled: tell it by ``forget``.
    """

    def __init__(self, listing: Listing, seed: int, events_per_s: float) -> None:
        self._listing = listing
        self._random = random.Random(f"{seed}:{listing.symbol}")
        self._events_per_s = events_per_s
        self._log_offset = 0.0
        self._next_id = -1
        self._resting: list[FlowOrder] = []
        self._places: dict[int, int] = {}
        self.now_ns = 0
        """Time of the last action, from the start of the flow."""

    @property
    def fair_price(self) -> float:
        """In units of the price mantissa."""
        return self._listing.start_price * math.exp(self._log_offset)

    @property
    def resting(self) -> int:
        """How many of its orders rest."""
        return len(self._resting)

    def opening(self) -> list[FlowOrder]:
        """The orders that make the book before the first client sees it."""
        return [self._limit(BUY if number % 2 else SELL) for number in range(RESTING_ORDERS)]

    def next_action(self) -> FlowOrder | FlowCancel:
        """The next thing that happens; ``now_ns`` is its time."""
        draw = self._random
        cancel_rate = _CANCEL_SHARE * len(self._resting) / RESTING_ORDERS
        total = _LIMIT_SHARE + _MARKET_SHARE + cancel_rate
        wait_s = draw.expovariate(total * self._events_per_s)
        self.now_ns += int(wait_s * NS_PER_S)
        self._walk(wait_s)
        pick = draw.random() * total
        if pick < cancel_rate:
            return FlowCancel(self._resting[draw.randrange(len(self._resting))])
        side = BUY if draw.random() < 0.5 else SELL
        return self._limit(side) if pick < cancel_rate + _LIMIT_SHARE else self._market(side)

    def rests(self, order: FlowOrder) -> None:
        """Its order rests."""
        self._places[order.order_id] = len(self._resting)
        self._resting.append(order)

    def forget(self, order_id: int) -> None:
        """Its order does not rest any more."""
        place = self._places.pop(order_id)
        last = self._resting.pop()
        if last.order_id != order_id:
            self._resting[place] = last
            self._places[last.order_id] = place

    def _walk(self, wait_s: float) -> None:
        pull = self._log_offset * min(1.0, wait_s / _REVERSION_S)
        self._log_offset += self._random.gauss(0.0, _VOLATILITY * math.sqrt(wait_s)) - pull

    def _limit(self, side: int) -> FlowOrder:
        draw = self._random
        mean = _MEAN_OFFSET * (_FAR_FACTOR if draw.random() < _FAR_SHARE else 1.0)
        offset = draw.expovariate(1.0 / (mean * self.fair_price))
        price = self.fair_price - offset if side == BUY else self.fair_price + offset
        tick = self._listing.tick
        ticks = math.floor(price / tick) if side == BUY else math.ceil(price / tick)
        return self._order(side, max(1, ticks) * tick, _LIMIT_STEPS)

    def _market(self, side: int) -> FlowOrder:
        return self._order(side, 0, _MARKET_STEPS)

    def _order(self, side: int, price: int, bounds: tuple[int, int]) -> FlowOrder:
        steps = min(int(bounds[0] * self._random.paretovariate(_TAIL_EXPONENT)), bounds[1])
        order = FlowOrder(self._next_id, side, price, steps * self._listing.step)
        self._next_id -= 1
        return order
