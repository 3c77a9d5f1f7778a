"""The book of a recording as it was displayed: depth, the best prices, and what we have taken from it.

The depth is at most 100 ms old and the bookTicker newer, so at the touch the ticker is what counts: levels better than
its best price are gone, and at its best price its size holds. What we take at a level stays taken until another size is
displayed there, so the recorded liquidity is used once. Sizes given out are whole steps of the size that we may trade.
"""

from typing import Final

from tradewind.services.sim_venue.orders import BUY, SELL
from tradewind.services.sim_venue.public_events import Level
from tradewind_native.order_book import OrderBook

MAX_TAKEN_LEVELS: Final = 1_024


class RecordedBook:
    """One instrument's display. ``book`` is fed by the owner; best prices by ``on_best``."""

    def __init__(self, instrument: int, step: int) -> None:
        self.book = OrderBook(instrument)
        self._step = step
        self._best: dict[int, tuple[int, int, int]] = {}
        """Side: price, size, sequence of the last ticker."""
        self._taken: dict[tuple[int, int], tuple[int, int]] = {}
        """(side, price): the displayed size that we took from, and how much we took."""

    def on_best(self, side: int, price: int, size: int, sequence: int) -> None:
        """The ticker's best price of a side."""
        self._best[side] = (price, size, sequence)

    @property
    def sequence(self) -> int:
        """The update id that the display is as of."""
        return max(self.book.sequence, *(entry[2] for entry in self._best.values()), 0)

    def best(self, side: int) -> Level | None:
        """Best price and size of a side."""
        levels = self.levels(side, 1)
        return levels[0] if levels else None

    def levels(self, side: int, depth: int) -> list[Level]:
        """Up to ``depth`` displayed levels of a side, best first."""
        levels = self.book.levels(side, depth)
        best = self._best.get(side)
        if best is None or best[2] < self.book.sequence:
            return levels
        price, size, _ = best
        worse = [level for level in levels if (level[0] < price if side == BUY else level[0] > price)]
        return [(price, size), *worse][:depth]

    def displayed(self, side: int, price: int) -> int:
        """The size displayed at a price of a side."""
        best = self._best.get(side)
        if best is None or best[2] < self.book.sequence:
            return self.book.size_at(side, price)
        if price == best[0]:
            return best[1]
        better = price > best[0] if side == BUY else price < best[0]
        return 0 if better else self.book.size_at(side, price)

    def is_news(self, side: int, sequence: int) -> bool:
        """Whether a depth level of this sequence is newer than the ticker."""
        best = self._best.get(side)
        return best is None or sequence > best[2]

    def available(self, side: int, price: int, displayed: int) -> int:
        """How much of a displayed size we have not taken yet, in whole steps."""
        entry = self._taken.get((side, price))
        left = displayed - entry[1] if entry is not None and entry[0] == displayed else displayed
        return max(0, left // self._step * self._step)

    def take(self, side: int, price: int, displayed: int, size: int) -> None:
        """Remember that we took ``size`` of a displayed size."""
        entry = self._taken.pop((side, price), None)
        before = entry[1] if entry is not None and entry[0] == displayed else 0
        self._taken[side, price] = (displayed, before + size)
        if len(self._taken) > MAX_TAKEN_LEVELS:
            del self._taken[next(iter(self._taken))]

    def walk(self, side: int, size: int, limit: int | None) -> list[Level]:
        """What an order that takes from ``side`` would get: (price, size), best first. ``limit`` None is any price."""
        depth = 16
        while True:
            levels = self.levels(side, depth)
            got: list[Level] = []
            left = size
            for price, displayed in levels:
                if left == 0 or (limit is not None and (price > limit if side == SELL else price < limit)):
                    return got
                if taken := min(left, self.available(side, price, displayed)):
                    got.append((price, taken))
                    left -= taken
            if left == 0 or depth > self.book.depth(side):
                return got
            depth *= 16
