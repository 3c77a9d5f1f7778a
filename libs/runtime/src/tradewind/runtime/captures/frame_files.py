"""Captures of binary frames: gzip, a header, then each frame behind its receive time and length (docs/protocols).

The header is eight bytes of magic, a length (u32) and so many bytes of JSON. A frame is a time (i64, ns UTC), a length
(u32) and its bytes. All numbers are little-endian.
"""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tradewind.model.identifiers import Venue
from tradewind.runtime.captures.itch_records import ITCH_VENUE, ItchRecords, MoldSessions
from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem, CaptureRefused
from tradewind.runtime.captures.mold_packets import MoldMessage, parse_packet
from tradewind.venue.itch.days import midnight_before

MAGIC: Final = b"TWCAP1\r\n"
MAX_FRAME_BYTES: Final = 1_048_576
"""A feed's packet has at most 64 KiB; whoever claims more is not believed."""
MAX_HEADER_BYTES: Final = 65_536
SOUP: Final = "soupbintcp-itch50"
MOLD: Final = "moldudp64-itch50"
_FRAME: Final = struct.Struct("<qI")
_LENGTH: Final = struct.Struct("<I")
_PIECE_BYTES: Final = 65_536
_SOUP_ACCEPTED_BYTES: Final = 31  # type, session (10), sequence (20)
_MAX_SEQUENCE: Final = 2**62


class FrameHeader(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a file of binary frames says of itself."""

    protocol: str
    venue: str
    source: str = ""
    started_ns: int = 0


def header_bytes(header: FrameHeader) -> bytes:
    """How a file begins."""
    text = msgspec.json.encode(header)
    return MAGIC + _LENGTH.pack(len(text)) + text


def frame_bytes(ts_recv: int, frame: bytes) -> bytes:
    """One frame as it stands in a file.

    Raises:
        ValueError: it is larger than ``MAX_FRAME_BYTES``.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(frame)} bytes: at most {MAX_FRAME_BYTES} can be recorded")
    return _FRAME.pack(ts_recv, len(frame)) + frame


class _Bytes:
    """Bytes of a gzip file; when it is cut off everything before the cut can still be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = gzip.GzipFile(path, "rb")
        self._rest = bytearray()
        self._broken: Exception | None = None
        self.offset = 0

    def exactly(self, size: int) -> bytes | None:
        """So many bytes; None at the end of a whole file.

        Raises:
            CaptureBroken: the file ends inside them.
        """
        while len(self._rest) < size and self._broken is None:
            try:
                piece = self._file.read1(_PIECE_BYTES)
            except (EOFError, zlib.error, OSError) as error:
                self._broken = error
                break
            if not piece:
                break
            self._rest += piece
        if len(self._rest) >= size:
            taken = bytes(self._rest[:size])
            del self._rest[:size]
            self.offset += size
            return taken
        if self._broken is not None or self._rest:
            why = self._broken or f"{len(self._rest)} bytes of a frame are there, {size} are wanted"
            raise self.broken(f"{why}; the file is cut off or damaged")
        return None

    def broken(self, why: str) -> CaptureBroken:
        """The error that names the place."""
        return CaptureBroken(f"{self._path} cannot be read after byte {self.offset} of its content: {why}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FrameCapture:
    """See ``CaptureReader``: market records where the protocol is known, the frames as they are with ``raw``."""

    def __init__(self, path: Path, *, raw: bool = False) -> None:
        """
        Raises:
            CaptureRefused: no such header, or a protocol that this version does not know.
        """
        self.path = path
        self.counts = CaptureCounts()
        self.header = read_header(path)
        self.form = f"binary frames of {self.header.protocol} (gzip)"
        self._raw = raw

    def __iter__(self) -> Iterator[CaptureItem]:
        """All items; see ``CaptureReader``."""
        if self._raw:
            yield from self._frames()
            return
        decode: Callable[[], Iterator[CaptureItem]] = self._soup if self.header.protocol == SOUP else self._mold
        yield from decode()

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        source = _Bytes(self.path)
        try:
            _skip_header(source)
            while (head := source.exactly(_FRAME.size)) is not None:
                ts_recv, size = _FRAME.unpack(head)
                if size > MAX_FRAME_BYTES or ts_recv < 0:
                    raise source.broken(f"a frame of {size} bytes at time {ts_recv} cannot be")
                frame = source.exactly(size)
                if frame is None:
                    raise source.broken("the last frame has no bytes; the file is cut off")
                self.counts.messages += self._raw
                self.counts.count("frames")
                self.counts.at(ts_recv)
                yield ts_recv, frame
        finally:
            source.close()

    def _mold(self) -> Iterator[CaptureItem]:
        sessions = MoldSessions(Venue(self.header.venue or ITCH_VENUE), self.counts)
        broken: CaptureBroken | None = None
        try:
            for ts_recv, frame in self._frames():
                packet = parse_packet(frame)
                if packet is None:
                    self.counts.malformed += 1
                else:
                    yield from sessions.add(ts_recv, packet)
        except CaptureBroken as error:
            broken = error
        yield from sessions.end()
        if broken is not None:
            raise broken

    def _soup(self) -> Iterator[CaptureItem]:
        stream = SoupStream(Venue(self.header.venue or ITCH_VENUE), self.counts)
        broken: CaptureBroken | None = None
        try:
            for ts_recv, frame in self._frames():
                yield from stream.add(ts_recv, frame)
        except CaptureBroken as error:
            broken = error
        yield from stream.end()
        if broken is not None:
            raise broken


class SoupStream:
    """SoupBinTCP packets of a server (type and payload) to batches. Sequence numbers follow the login's answer."""

    def __init__(self, venue: Venue, counts: CaptureCounts) -> None:
        self._venue = venue
        self._counts = counts
        self._records: ItchRecords | None = None
        self._session = b""
        self._next = 1
        self._gap = False

    def add(self, ts_recv: int, packet: bytes) -> Iterator[CaptureItem]:
        """Take one packet."""
        if packet[:1] == b"A":
            yield from self._log_in(packet)
        elif packet[:1] == b"S":
            self._records = self._records or ItchRecords(self._venue, midnight_before(ts_recv), self._counts)
            yield from self._records.add(MoldMessage(ts_recv, self._next, packet[1:], self._gap))
            self._next += 1
            self._gap = False
        elif packet[:1] not in (b"H", b"+", b"Z", b"U"):
            self._counts.malformed += 1

    def end(self) -> Iterator[CaptureItem]:
        """What is pending."""
        if self._records is not None:
            yield from self._records.take()
            self._records.finish()
            self._records = None

    def _log_in(self, packet: bytes) -> Iterator[CaptureItem]:
        session, number = packet[1:11], packet[11:].strip()
        if len(packet) != _SOUP_ACCEPTED_BYTES or not number.isdigit() or not 0 < int(number) < _MAX_SEQUENCE:
            self._counts.malformed += 1
            return
        self._counts.count("logins")
        if self._session not in (b"", session):
            yield from self.end()
            self._next = int(number)
        elif self._session and int(number) > self._next:
            self._counts.gaps += 1
            self._counts.lost += int(number) - self._next
            self._gap = True
        self._session, self._next = session, int(number)


def read_header(path: Path) -> FrameHeader:
    """The header of a file of binary frames.

    Raises:
        CaptureRefused: there is none, or its protocol is unknown.
    """
    source = _Bytes(path)
    try:
        header = _skip_header(source)
    except CaptureBroken as error:
        raise CaptureRefused(str(error)) from error
    finally:
        source.close()
    if header.protocol not in (SOUP, MOLD):
        raise CaptureRefused(
            f"{path}: protocol {header.protocol!r} is not known here, only {SOUP} and {MOLD}: read it with "
            "the version that made it"
        )
    return header


def _skip_header(source: _Bytes) -> FrameHeader:
    magic = source.exactly(len(MAGIC))
    size_bytes = source.exactly(_LENGTH.size)
    if magic != MAGIC or size_bytes is None:
        raise source.broken("it does not begin as a capture of binary frames")
    (size,) = _LENGTH.unpack(size_bytes)
    text = source.exactly(size) if size <= MAX_HEADER_BYTES else None
    if text is None:
        raise source.broken(f"a header of {size} bytes cannot be")
    try:
        return msgspec.json.decode(text, type=FrameHeader)
    except msgspec.DecodeError as error:
        raise source.broken(f"its header is wrong: {error}") from error
