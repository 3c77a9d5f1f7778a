"""MoldUDP64 packets as values and as bytes, without I/O.

Source: Nasdaq "MoldUDP64 Protocol Specification" 1.00. A packet is a header of 20 bytes (session, number of the first
message, count; numbers big-endian) and as many message blocks, each behind a length of two bytes. A count of 0 is a
heartbeat and one of 0xFFFF the end of the session: both name the next number. A request has the form of a heartbeat.
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from tradewind.venue.itch.decoding import blocks_of
from tradewind_native.itch import count_blocks

HEADER: Final = struct.Struct(">10sQH")
END_OF_SESSION: Final = 0xFFFF
SESSION_BYTES: Final = 10
MAX_SEQUENCE: Final = 2**63
MAX_DATAGRAM_BYTES: Final = 0xFFFF
MAX_COUNT: Final = 0xFFFE
HEARTBEAT_INTERVAL_S: Final = 1.0


class MoldError(ValueError):
    """Bytes that are no MoldUDP64 packet, or values that make none; the text says why."""


class MoldPacket(NamedTuple):
    """One downstream packet of ``total`` messages. ``blocks`` are the messages behind their lengths, as they came."""

    session: bytes
    sequence: int
    total: int
    blocks: memoryview
    ends: bool = False

    @property
    def next_sequence(self) -> int:
        """The number behind its last message."""
        return self.sequence + self.total

    def messages(self) -> list[bytes]:
        """Its messages, one by one."""
        return blocks_of(bytes(self.blocks)) or []


def session_bytes(name: str) -> bytes:
    """A session's name as the header carries it: to the right, as SoupBinTCP has it. Raises MoldError."""
    if not name.isascii() or not name.isprintable() or len(name) > SESSION_BYTES:
        raise MoldError(f"a session {name!r}; at most {SESSION_BYTES} printable ASCII characters are wanted")
    return name.encode().rjust(SESSION_BYTES)


def downstream(session: bytes, sequence: int, messages: Sequence[bytes]) -> bytes:
    """A packet of messages, the first of which has this number. Raises MoldError when it is too long."""
    parts = [_header(session, sequence, len(messages))]
    for message in messages:
        if len(message) > MAX_DATAGRAM_BYTES:
            raise MoldError(f"a message of {len(message)} bytes; a packet takes less than {MAX_DATAGRAM_BYTES}")
        parts += len(message).to_bytes(2, "big"), message
    packet = b"".join(parts)
    if len(packet) > MAX_DATAGRAM_BYTES:
        raise MoldError(f"a packet of {len(packet)} bytes; {MAX_DATAGRAM_BYTES} are the most")
    return packet


def heartbeat(session: bytes, next_sequence: int) -> bytes:
    """Nothing to send: the next message has this number."""
    return _header(session, next_sequence, 0)


def end_of_session(session: bytes, next_sequence: int) -> bytes:
    """The session is over; a message with this number would have been the next."""
    return _pack(session, next_sequence, END_OF_SESSION)


def request(session: bytes, sequence: int, count: int) -> bytes:
    """Ask for messages again. Raises MoldError."""
    return _header(session, sequence, count)


def read_request(data: bytes) -> tuple[bytes, int, int]:
    """Session, first number and count of a request. Raises MoldError."""
    if len(data) != HEADER.size:
        raise MoldError(f"a request of {len(data)} bytes; {HEADER.size} are wanted")
    session, sequence, count = HEADER.unpack(data)
    if sequence == 0 or count == 0 or sequence + count > MAX_SEQUENCE:
        raise MoldError(f"a request for {count} messages from {sequence}")
    return session, sequence, count


def read_packet(data: bytes | memoryview) -> MoldPacket:
    """A downstream packet; its blocks are a view of ``data``.

    Raises:
        MoldError: too short, numbers that cannot be, or a count that is not that of the blocks.
    """
    if len(data) < HEADER.size:
        raise MoldError(f"a packet of {len(data)} bytes; the header alone has {HEADER.size}")
    session, sequence, count = HEADER.unpack_from(data)
    blocks = memoryview(data)[HEADER.size :]
    ends = count == END_OF_SESSION
    count = 0 if ends else count
    # Sequence 0 is what a sender's heartbeat carries before its session begins.
    if sequence + count > MAX_SEQUENCE or (count and not sequence):
        raise MoldError(f"a packet of {count} messages from {sequence}")
    if (there := count_blocks(blocks)) != count:
        said = f"{there} messages" if there >= 0 else "lengths that do not fill it"
        raise MoldError(f"a packet says {count} messages and has {said}")
    return MoldPacket(session, sequence, count, blocks, ends)


def _header(session: bytes, sequence: int, count: int) -> bytes:
    if not 0 <= count <= MAX_COUNT:
        raise MoldError(f"{count} messages; a packet has at most {MAX_COUNT}")
    return _pack(session, sequence, count)


def _pack(session: bytes, sequence: int, count: int) -> bytes:
    if len(session) != SESSION_BYTES or not 1 <= sequence <= MAX_SEQUENCE:
        raise MoldError(f"session {session!r} and sequence {sequence} make no header")
    return HEADER.pack(session, sequence, count)
