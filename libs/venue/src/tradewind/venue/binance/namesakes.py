"""Which of the venue's orders a client order id means: the venue lets an id be used again once its order is closed.

Then a late event or a view that lags may still tell of the older order of that name, and taking it for the new one
would end a living order in our books. What is older is known by its number, if it was seen before the new order was
sent, or by its time: the venue takes a request only while its own clock is at most MAX_AHEAD_MS before the timestamp
that the request was signed with, so an order that it made earlier cannot be of this request, whatever the clocks show.

Bound: ``MAX_NAMES`` names, the one longest unused is forgotten. After a restart nothing is known of earlier names.
"""

import collections
import dataclasses
from typing import Final

MAX_NAMES: Final = 20_000
MAX_AHEAD_MS: Final = 2_000
"""1 s that the venue allows, and what a prepared request may have waited before it is signed anew."""


@dataclasses.dataclass(slots=True)
class _Name:
    sent_ms: int = 0
    older: set[int] = dataclasses.field(default_factory=set)
    seen: set[int] = dataclasses.field(default_factory=set)


class Namesakes:
    """The client order ids of one account that were used here."""

    def __init__(self) -> None:
        self._names: collections.OrderedDict[tuple[str, str], _Name] = collections.OrderedDict()

    def sending(self, symbol: str, name: str, venue_now_ms: int) -> None:
        """A new order of this name is about to be sent; ``venue_now_ms`` is the venue's time as well as we know it."""
        entry = self._entry(symbol, name)
        entry.older |= entry.seen
        entry.seen = set()
        entry.sent_ms = venue_now_ms

    def taken(self, symbol: str, name: str) -> None:
        """The venue refused the new order because an order of this name is open: that is the one it means."""
        entry = self._entry(symbol, name)
        entry.seen |= entry.older
        entry.older = set()
        entry.sent_ms = 0

    def is_older(self, symbol: str, name: str, venue_order_id: int, created_ms: int = 0) -> bool:
        """Whether an order of the venue had this name before the one that was sent last; else it is remembered.

        ``created_ms`` is the venue's time of the order, 0 if it is not said.
        """
        entry = self._entry(symbol, name)
        if venue_order_id in entry.older:
            return True
        if venue_order_id not in entry.seen and 0 < created_ms < entry.sent_ms - MAX_AHEAD_MS:
            entry.older.add(venue_order_id)
            return True
        entry.seen.add(venue_order_id)
        return False

    def _entry(self, symbol: str, name: str) -> _Name:
        entry = self._names.setdefault((symbol, name), _Name())
        self._names.move_to_end((symbol, name))
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)
        return entry
