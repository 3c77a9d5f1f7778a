"""Mid prices, conflated: of all batches that wait only the newest quote of each instrument is looked at."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide

_TOP: Final = int(RecordKind.TOP_OF_BOOK)
_SIDES: Final = (int(RecordSide.BUY), int(RecordSide.SELL))

Touch = tuple[int, int]
"""Best bid and best ask price, mantissas."""


def newest_touches(newest_first: Iterable[RecordArray], wanted: set[int]) -> dict[int, Touch]:
    """The newest two-sided quote of each wanted instrument number; none where there is no quote or an empty side."""
    found: dict[int, Touch] = {}
    missing = set(wanted)
    for records in newest_first:
        if not missing:
            break
        tops = records[records["kind"] == _TOP]
        if not len(tops):
            continue
        numbers = tops["instrument"]
        for number in missing.intersection(np.unique(numbers).tolist()):
            missing.discard(number)
            if (touch := _touch(tops[numbers == number])) is not None:
                found[number] = touch
    return found


def _touch(tops: RecordArray) -> Touch | None:
    prices = []
    for side in _SIDES:
        of_side = tops[tops["side"] == side]
        if not len(of_side) or of_side[-1]["size"] <= 0:
            return None
        prices.append(int(of_side[-1]["price"]))
    return prices[0], prices[1]
