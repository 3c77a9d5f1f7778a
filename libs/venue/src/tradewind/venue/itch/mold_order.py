"""The packets of two MoldUDP64 lines put into one order: first copy wins, holes are asked for again, or given up.

No I/O and no clock of its own. Whoever receives hands every packet to ``take`` and calls ``due`` a few times in a
tenth of a second: it answers what to ask for, and gives up what did not come. A packet that is ahead is held until what
is before it is there; when the bound of held bytes is reached it is dropped, and later asked for like any other hole.
"""

import dataclasses
import heapq
from typing import NamedTuple, Protocol

from tradewind.venue.itch.moldudp64 import HEADER, MAX_COUNT, MoldPacket


class Carried(Protocol):
    """Who takes the messages in order."""

    @property
    def next_sequence(self) -> int:
        """The number of the message that comes next."""
        ...

    def begin(self, detail: str, *, lost: bool = False) -> None:
        """A session begins: the next message is number 1. ``lost``: the one before had no end."""
        ...

    def blocks(self, data: memoryview, ts_recv: int) -> None:
        """Messages, each behind its length."""
        ...

    def lose(self, next_sequence: int, reason: str) -> None:
        """Messages before this number will not come."""
        ...


class Request(NamedTuple):
    """What to ask the request server for."""

    session: bytes
    sequence: int
    total: int


@dataclasses.dataclass(frozen=True, slots=True)
class GapBounds:
    """When a hole is asked for and given up; times in seconds."""

    ask_after_s: float = 0.02
    """The other line, or a packet that was overtaken, may fill it before."""
    ask_again_s: float = 0.2
    give_up_s: float = 2.0
    """Without any message in order for so long the hole is given up."""
    most_per_request: int = 1_000
    held_bytes: int = 64 * 1024 * 1024
    held_packets: int = 65_536
    foreign_after_s: float = 2.0
    """Another session is followed when ours has been silent for so long, or is over."""
    reset_after_s: float = 10.0
    """When all packets were behind for so long, the sender began anew in the same session."""
    most_ahead: int = 1_000_000
    """A number further ahead than this is believed only when ``far_packets`` in a row say so."""
    far_packets: int = 3


@dataclasses.dataclass(slots=True)
class OrderCounters:
    """Counted since the order was made."""

    packets: int = 0
    foreign: int = 0  # packets of other sessions, or with a number that is not believed
    repeated: int = 0  # messages that were there already: nearly all of the second line
    dropped: int = 0  # packets that did not fit into the bound of held ones
    requested: int = 0  # messages asked for
    recovered: int = 0  # messages that came from the request server in time


class _Held(NamedTuple):
    packet: MoldPacket
    ts_recv: int
    recovered: bool


class _Asked(NamedTuple):
    first: int
    end: int
    at_s: float


class MoldOrder:
    """See the module. ``session``: the only one to follow; empty: the one that comes."""

    def __init__(
        self, carried: Carried, bounds: GapBounds | None = None, session: bytes = b"", *, can_ask: bool = True
    ) -> None:
        self.counters = OrderCounters()
        self.ended = False
        self._carried = carried
        self._bounds = bounds or GapBounds()
        self._wanted = session
        self._can_ask = can_ask
        self._session: bytes | None = None
        self._held: dict[int, _Held] = {}
        self._starts: list[int] = []  # a heap of what is held, and of what was
        self._held_bytes = 0
        self._far, self._far_count = 0, 0
        self._end = 1  # the number behind the last message that is known to exist
        self._session_ends = False
        self._progress_s = self._seen_s = self._current_s = 0.0
        self._asked: _Asked | None = None
        self._most = self._at_most = min(self._bounds.most_per_request, MAX_COUNT)

    @property
    def session(self) -> bytes | None:
        """The session that is followed; None before the first packet."""
        return self._session

    @property
    def gap(self) -> bool:
        """Whether a message is missing that is known to exist."""
        return self._end > self._carried.next_sequence

    @property
    def held_bytes(self) -> int:
        """Bytes of packets that wait."""
        return self._held_bytes

    def take(self, packet: MoldPacket, ts_recv: int, now_s: float, *, recovered: bool = False) -> None:
        """A packet of any line, or an answer of the request server (``recovered``)."""
        self.counters.packets += 1
        if (packet.session != self._session and not self._follow(packet, now_s)) or self._is_far(packet):
            self.counters.foreign += 1
            return
        self._seen_s = now_s
        if packet.next_sequence >= self._carried.next_sequence:
            self._current_s = now_s
        elif not recovered and now_s - self._current_s >= self._bounds.reset_after_s:
            self._start(packet.session, f"; the sender went back from {self._carried.next_sequence - 1}", now_s)
        if not self.gap:
            self._progress_s, self._asked, self._at_most = now_s, None, self._most
        self._end = max(self._end, packet.next_sequence)
        self._session_ends = self._session_ends or packet.ends
        if packet.total:
            self._sort_in(_Held(packet, ts_recv, recovered), now_s)
        self.ended = self._session_ends and not self.gap

    def due(self, now_s: float) -> Request | None:
        """What to ask for now, if anything. Gives up a hole that nothing came into for too long."""
        if not self.gap or self._session is None:
            return None
        waited_s = now_s - self._progress_s
        if waited_s >= self._bounds.give_up_s:
            self._give_up(now_s, waited_s)
            return None
        if not self._can_ask or not self._may_ask(now_s, waited_s):
            return None
        first = self._carried.next_sequence
        total = min(self._hole_end() - first, self._at_most)
        self._asked = _Asked(first, first + total, now_s)
        self.counters.requested += total
        return Request(self._session, first, total)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _may_ask(self, now_s: float, waited_s: float) -> bool:
        asked, first = self._asked, self._carried.next_sequence
        if asked is None:
            return waited_s >= self._bounds.ask_after_s
        if first >= asked.end:
            return True
        if first == asked.first:
            return now_s - asked.at_s >= self._bounds.ask_again_s
        if waited_s < self._bounds.ask_after_s:
            return False  # more of the answer may be on its way
        # The server answers with one packet: who asks for no more than that need not wait for the rest.
        self._at_most = first - asked.first
        return True

    def _follow(self, packet: MoldPacket, now_s: float) -> bool:
        """Whether a packet of another session makes it ours."""
        if self._wanted and packet.session != self._wanted:
            return False
        known = self._session is not None
        if known and not self.ended and now_s - self._seen_s < self._bounds.foreign_after_s:
            return False
        was = f"; {_name(self._session)} was not at its end" if self._session is not None and not self.ended else ""
        self._start(packet.session, was, now_s)
        return True

    def _start(self, session: bytes, was: str, now_s: float) -> None:
        self._carried.begin(f"session {_name(session)}{was}", lost=bool(was))
        self._session = session
        self._held.clear()
        self._starts.clear()
        self._held_bytes = 0
        self._end, self._session_ends, self.ended = 1, False, False
        self._progress_s, self._current_s, self._asked = now_s, now_s, None

    def _is_far(self, packet: MoldPacket) -> bool:
        """Whether a number is so far ahead that one packet alone is not believed: it would void the session."""
        bounds = self._bounds
        if packet.next_sequence <= self._end + bounds.most_ahead:
            return False
        agrees = 0 <= packet.sequence - self._far <= bounds.most_ahead
        self._far_count = self._far_count + 1 if agrees else 1
        self._far = packet.sequence
        return self._far_count < bounds.far_packets

    def _sort_in(self, held: _Held, now_s: float) -> None:
        packet, first = held.packet, self._carried.next_sequence
        if packet.next_sequence <= first:
            self.counters.repeated += packet.total
        elif packet.sequence > first:
            self._hold(held)
        else:
            self._give(held, now_s)
            self._give_held(now_s)

    def _hold(self, held: _Held) -> None:
        """Keep a copy of a packet: its bytes are those of a buffer that is read into again."""
        packet = held.packet
        there = self._held.get(packet.sequence)
        if there is not None:
            if there.packet.total >= packet.total:
                self.counters.repeated += packet.total
                return
            self._forget(packet.sequence)
        size = len(packet.blocks) + HEADER.size
        bounds = self._bounds
        if self._held_bytes + size > bounds.held_bytes or len(self._held) >= bounds.held_packets:
            self.counters.dropped += 1
            return
        self._held[packet.sequence] = held._replace(packet=packet._replace(blocks=memoryview(bytes(packet.blocks))))
        heapq.heappush(self._starts, packet.sequence)
        self._held_bytes += size

    def _forget(self, sequence: int) -> _Held:
        held = self._held.pop(sequence)
        self._held_bytes -= len(held.packet.blocks) + HEADER.size
        return held

    def _give(self, held: _Held, now_s: float) -> None:
        packet, first = held.packet, self._carried.next_sequence
        known = first - packet.sequence
        self.counters.repeated += known
        self.counters.recovered += held.recovered * (packet.total - known)
        self._carried.blocks(_behind(packet.blocks, known), held.ts_recv)
        self._progress_s = now_s

    def _give_held(self, now_s: float) -> None:
        """Whatever follows now without a hole."""
        while self._held:
            first = self._carried.next_sequence
            start = self._first_held()
            if start is None or start > first:
                return
            held = self._forget(start)
            if held.packet.next_sequence > first:
                self._give(held, now_s)
            else:
                self.counters.repeated += held.packet.total

    def _first_held(self) -> int | None:
        while self._starts and self._starts[0] not in self._held:
            heapq.heappop(self._starts)
        return self._starts[0] if self._starts else None

    def _hole_end(self) -> int:
        return self._first_held() or self._end

    def _give_up(self, now_s: float, waited_s: float) -> None:
        end = self._hole_end()
        how = "and the request server did not bring them" if self._can_ask else "and there is no request server"
        self._carried.lose(end, f"{waited_s:.1f} s passed {how}")
        self._progress_s, self._asked = now_s, None
        self._give_held(now_s)
        self.ended = self._session_ends and not self.gap


def _behind(blocks: memoryview, count: int) -> memoryview:
    """The blocks behind the first ``count``."""
    at = 0
    for _ in range(count):
        at += 2 + int.from_bytes(blocks[at : at + 2], "big")
    return blocks[at:]


def _name(session: bytes | None) -> str:
    return repr((session or b"").decode("latin-1").strip())
