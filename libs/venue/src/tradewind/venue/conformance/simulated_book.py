"""A book that counterparts change and tell of: the truth that an adapter's book is compared with."""

import random
from typing import Final

from tradewind.wire.market_records import RecordSide

MIDDLE: Final = 100_000
"""Bids are below this price, asks above, in price increments."""
SPREAD_OVER: Final = 30
"""Prices of one side."""


class SimulatedBook:
    """Prices and sizes in increments of the instrument. ``kept``: levels of a side that the venue has."""

    def __init__(self, kept: int = SPREAD_OVER, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self.kept = kept
        self.sides: dict[RecordSide, dict[int, int]] = {RecordSide.BUY: {}, RecordSide.SELL: {}}
        for side in self.sides:
            for away in range(1, 6):
                self.sides[side][self._price(side, away)] = 10 * away

    def change(self) -> tuple[RecordSide, int, int]:
        """Change one level; its side, price and new size, 0 when it is gone. The best three are never removed."""
        side = self._random.choice((RecordSide.BUY, RecordSide.SELL))
        away = self._random.randint(1, SPREAD_OVER)
        price = self._price(side, away)
        levels = self.sides[side]
        size = 0 if price in levels and away > 3 and self._random.random() < 0.4 else self._random.randint(1, 999)
        if size:
            levels[price] = size
        else:
            del levels[price]
        for beyond, _ in self.levels(side)[self.kept :]:
            del levels[beyond]
        return side, price, size

    def levels(self, side: RecordSide) -> list[tuple[int, int]]:
        """Price and size, the best first."""
        return sorted(self.sides[side].items(), reverse=side == RecordSide.BUY)

    @staticmethod
    def _price(side: RecordSide, away: int) -> int:
        return MIDDLE - away if side == RecordSide.BUY else MIDDLE + away
