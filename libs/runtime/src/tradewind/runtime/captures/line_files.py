"""Captures of text frames, a line each: the time of receipt, a space, the frame as it was received; plain or gzip.

A time is nanoseconds UTC, as ``tradewind capture`` writes it, or seconds with decimals and a colon, as cryptofeed does;
what such a file has besides (lines that begin with an address: what the client sent) is passed over.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem

MAX_LINE_BYTES: Final = 8_388_608
GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_TIME: Final = 2**63
_SECONDS: Final = re.compile(rb"([0-9]{1,10})\.([0-9]{1,9})[0-9]*:")
_CLIENT: Final = (b"ws://", b"wss://")


class CaptureLine(NamedTuple):
    """One line. ``frame`` is empty for a malformed one."""

    ts_recv: int
    frame: bytes


MALFORMED: Final = CaptureLine(0, b"")
OF_CLIENT: Final = CaptureLine(1, b"")
"""A line that tells what the client sent."""


def read_capture(path: Path) -> Iterator[CaptureLine]:
    """All lines of the venue's, in order; a line without a time and a frame is ``MALFORMED``.

    Raises:
        CaptureBroken: the rest of the file cannot be read.
    """
    lines = 0
    try:
        with _opened(path) as file:
            while line := file.readline(MAX_LINE_BYTES):
                lines += 1
                if len(line) >= MAX_LINE_BYTES:
                    raise CaptureBroken(f"{path}: line {lines} is longer than {MAX_LINE_BYTES} bytes")
                if (parsed := parse_line(line)) is not OF_CLIENT:
                    yield parsed
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureBroken(f"{path} ends after line {lines}: {error}; the file is cut off or damaged") from error


def parse_line(line: bytes) -> CaptureLine:
    """One line, or ``MALFORMED``, or ``OF_CLIENT``."""
    time_text, _, frame = line.rstrip(b"\r\n").partition(b" ")
    ts_recv = _time(time_text)
    if ts_recv is None or not frame:
        return OF_CLIENT if line.startswith(_CLIENT) else MALFORMED
    return CaptureLine(ts_recv, frame)


def _time(text: bytes) -> int | None:
    if text.isdigit() and len(text) <= 19:
        return ts_recv if (ts_recv := int(text)) < _MAX_TIME else None
    if (seconds := _SECONDS.fullmatch(text)) is not None:
        return ts_recv if (ts_recv := int(seconds[1] + seconds[2].ljust(9, b"0"))) < _MAX_TIME else None
    return None


def is_packed(path: Path) -> bool:
    """Whether a file is gzip. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if is_packed(path) else path.open("rb")


def line_of(ts_recv: int, frame: bytes) -> bytes:
    """The line of a frame. Line ends inside JSON are white space, so a space says the same."""
    return b"%d %b\n" % (ts_recv, frame.replace(b"\r", b" ").replace(b"\n", b" "))


class LineCapture:
    """See ``CaptureReader``: the frames as they are in the file."""

    form = "text frames, a line each"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = CaptureCounts()

    def __iter__(self) -> Iterator[CaptureItem]:
        """All good lines; see ``CaptureReader``."""
        for line in read_capture(self.path):
            if line is MALFORMED:
                self.counts.malformed += 1
                continue
            self.counts.messages += 1
            self.counts.at(line.ts_recv)
            yield line
