"""MoldUDP64 downstream packets of a capture, put into one order when two lines carry the same session.

Two lines (A and B) in one capture bring each packet twice, and either may lose one. The first copy counts; a packet
that is ahead waits for ``MOST_WAITING`` others before what is missing is called lost: a file has no clock that could
say so. Memory: those packets.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from tradewind.runtime.captures.items import CaptureCounts
from tradewind.venue.itch.moldudp64 import MoldError, MoldPacket, read_packet

MOST_WAITING: Final = 256


class MoldMessage(NamedTuple):
    """One message in order, from 1. ``gap``: messages before it are missing."""

    ts_recv: int
    sequence: int
    payload: bytes
    gap: bool


def parse_packet(datagram: bytes) -> MoldPacket | None:
    """The packet, or None where the bytes are none."""
    try:
        return read_packet(datagram)
    except MoldError:
        return None


class SessionOrder:
    """The messages of one session, each once and in order; gaps are counted in ``counts``."""

    def __init__(self, counts: CaptureCounts) -> None:
        self._counts = counts
        self._next = 0  # 0: the first packet says where the capture begins
        self._gap = False
        self._waiting: dict[int, tuple[int, MoldPacket]] = {}

    def take(self, ts_recv: int, packet: MoldPacket) -> Iterator[MoldMessage]:
        """What is in order now that this packet came."""
        if not self._next:
            self._next = packet.sequence
        if packet.sequence > self._next:
            self._hold(ts_recv, packet)
            while len(self._waiting) > MOST_WAITING:
                yield from self._pass_gap()
            return
        yield from self._give(ts_recv, packet)
        yield from self._give_waiting()

    def end(self) -> Iterator[MoldMessage]:
        """The rest, at the end of the capture."""
        while self._waiting:
            yield from self._pass_gap()

    def _hold(self, ts_recv: int, packet: MoldPacket) -> None:
        held = self._waiting.get(packet.sequence)
        if held is None or held[1].total < packet.total:
            self._waiting[packet.sequence] = (ts_recv, packet)
        elif packet.total:
            self._counts.count("repeated", packet.total)

    def _pass_gap(self) -> Iterator[MoldMessage]:
        first = min(self._waiting)
        if first > self._next:
            self._counts.gaps += 1
            self._counts.lost += first - self._next
            self._next, self._gap = first, True
        yield from self._give_waiting()

    def _give_waiting(self) -> Iterator[MoldMessage]:
        while self._waiting and (first := min(self._waiting)) <= self._next:
            yield from self._give(*self._waiting.pop(first))

    def _give(self, ts_recv: int, packet: MoldPacket) -> Iterator[MoldMessage]:
        known = min(self._next - packet.sequence, packet.total)
        if known:
            self._counts.count("repeated", known)
        for payload in packet.messages()[known:]:
            yield MoldMessage(ts_recv, self._next, payload, self._gap)
            self._next += 1
            self._gap = False
