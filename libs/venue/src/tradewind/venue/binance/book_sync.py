"""When a depth update may be applied to a book: Binance's procedure as a state machine without I/O.

Source: Binance spot API, "WebSocket Streams", section "How to manage a local order book correctly": buffer the updates,
take a snapshot, drop what is not newer than its lastUpdateId, the first update left must reach over lastUpdateId + 1,
and from then on each U is the previous u + 1. Anything else is a gap, and the book is built anew.

An update is named by ``first`` (U) and ``final`` (u). What it holds is the caller's; held updates are given back in
order when a snapshot fits.
"""

import collections
import enum
from typing import Final, Generic, TypeVar

P = TypeVar("P")

MAX_HELD_UPDATES: Final = 4_096
MAX_HELD_RECORDS: Final = 262_144


class UpdateVerdict(enum.Enum):
    """What to do with one depth update."""

    APPLY = "apply"  # it follows on: pass it on and apply it
    HOLD = "hold"  # no book yet: give it to hold()
    DROP = "drop"  # older than the book, or a repetition
    GAP = "gap"  # updates are missing before it: the book is void; give it to hold() and take a new snapshot


class BookSync(Generic[P]):
    """The sync of one instrument's book. Begins without a book; ``hold`` is bounded and lets the oldest go.

    Losing held updates is safe: a snapshot that does not reach up to the oldest one still held is refused.
    """

    def __init__(self, max_updates: int = MAX_HELD_UPDATES, max_records: int = MAX_HELD_RECORDS) -> None:
        self._max_updates = max_updates
        self._max_records = max_records
        self._held: collections.deque[tuple[int, int, int, P]] = collections.deque()
        self._held_records = 0
        self._in_sync = False
        self._awaits_first = False
        self.last_update_id = 0
        """The update id that the book stands at, while in sync."""

    @property
    def in_sync(self) -> bool:
        """Whether there is a book that is right as of ``last_update_id``."""
        return self._in_sync

    @property
    def held_updates(self) -> int:
        """How many updates wait for a snapshot."""
        return len(self._held)

    def judge(self, first: int, final: int) -> UpdateVerdict:
        """Where an update belongs. APPLY moves ``last_update_id`` on; GAP voids the book."""
        if not self._in_sync:
            return UpdateVerdict.HOLD
        last = self.last_update_id
        if first == last + 1 and final >= first:
            self.last_update_id = final
            self._awaits_first = False
            return UpdateVerdict.APPLY
        if final <= last or first > final:
            return UpdateVerdict.DROP
        if self._awaits_first and first <= last:
            self.last_update_id = final
            self._awaits_first = False
            return UpdateVerdict.APPLY
        self.lose()
        return UpdateVerdict.GAP

    def hold(self, first: int, final: int, records: int, payload: P) -> None:
        """Keep an update until a snapshot comes. ``records`` is its size, for the bound."""
        if first > final:
            return
        if self._held:
            held_final = self._held[-1][1]
            if final <= held_final:
                return
            if first != held_final + 1:
                # What was held before the hole can never lead up to this update.
                self._forget_held()
        self._held.append((first, final, records, payload))
        self._held_records += records
        while len(self._held) > self._max_updates or (self._held_records > self._max_records and len(self._held) > 1):
            self._held_records -= self._held.popleft()[2]

    def snapshot(self, last_update_id: int) -> list[P] | None:
        """Take a snapshot as the book: the held updates to apply on it, in order; None when it is too old to fit.

        After None, wait a little and take another snapshot.
        """
        if self._held and self._held[-1][1] > last_update_id:
            newer = [update for update in self._held if update[1] > last_update_id]
            if newer[0][0] > last_update_id + 1:
                return None
            self.last_update_id = newer[-1][1]
            self._awaits_first = False
            payloads = [update[3] for update in newer]
        else:
            self.last_update_id = last_update_id
            self._awaits_first = True
            payloads = []
        self._in_sync = True
        self._forget_held()
        return payloads

    def lose(self) -> None:
        """The book is void, and so is what was held: the stream broke or something is missing."""
        self._in_sync = False
        self._awaits_first = False
        self._forget_held()

    def _forget_held(self) -> None:
        self._held.clear()
        self._held_records = 0
