"""MoldUDP64 downstream packets of a capture: parsed, and put into one order when two lines carry the same session.

A packet is a header of 20 bytes (session, number of the first message, count) and as many messages, each behind a
two-byte length. Source: Nasdaq "MoldUDP64 Protocol Specification" 1.0.

Two lines (A and B) in one capture bring each packet twice, and either may lose one. The first copy counts; a packet
that is ahead waits for ``MOST_WAITING`` others before what is missing is called lost. Memory: those packets.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from tradewind.runtime.captures.items import CaptureCounts

HEADER: Final = struct.Struct(">10sQH")
END_OF_SESSION: Final = 0xFFFF
MOST_WAITING: Final = 256
_LENGTH_BYTES: Final = 2
_MAX_SEQUENCE: Final = 2**63


class MoldPacket(NamedTuple):
    """One packet. ``messages`` is empty for a heartbeat and for the end of the session."""

    session: bytes
    sequence: int
    messages: tuple[bytes, ...]
    ends: bool = False


class MoldMessage(NamedTuple):
    """One message in order, from 1. ``gap``: messages before it are missing."""

    ts_recv: int
    sequence: int
    payload: bytes
    gap: bool


def parse_packet(datagram: bytes) -> MoldPacket | None:
    """The packet, or None where the bytes are none: too short, a length that lies, or bytes left over."""
    if len(datagram) < HEADER.size:
        return None
    session, sequence, count = HEADER.unpack_from(datagram)
    if not session.isascii() or sequence + count >= _MAX_SEQUENCE:
        return None
    if count == END_OF_SESSION or count == 0:
        return MoldPacket(session, sequence, (), count != 0) if len(datagram) == HEADER.size else None
    messages, at = [], HEADER.size
    for _ in range(count):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(datagram[at:start], "big")
        if start > len(datagram) or at > len(datagram):
            return None
        messages.append(datagram[start:at])
    return MoldPacket(session, sequence, tuple(messages)) if at == len(datagram) and sequence else None


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
        if held is None or len(held[1].messages) < len(packet.messages):
            self._waiting[packet.sequence] = (ts_recv, packet)
        elif packet.messages:
            self._counts.count("repeated", len(packet.messages))

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
        known = min(self._next - packet.sequence, len(packet.messages))
        if known:
            self._counts.count("repeated", known)
        for payload in packet.messages[known:]:
            yield MoldMessage(ts_recv, self._next, payload, self._gap)
            self._next += 1
            self._gap = False
