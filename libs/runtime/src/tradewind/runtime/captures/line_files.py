"""Captures of text frames: gzip, a line each: local receive time in ns, a space, the frame as it was received."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.runtime.captures.items import CaptureBroken, CaptureCounts, CaptureItem

MAX_LINE_BYTES: Final = 8_388_608
_MAX_TIME: Final = 2**63


class CaptureLine(NamedTuple):
    """One line. ``frame`` is empty for a malformed one."""

    ts_recv: int
    frame: bytes


MALFORMED: Final = CaptureLine(0, b"")


def read_capture(path: Path) -> Iterator[CaptureLine]:
    """All lines, in order; a line without a time and a frame is ``MALFORMED``.

    Raises:
        CaptureBroken: the rest of the file cannot be read.
    """
    lines = 0
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                lines += 1
                if len(line) >= MAX_LINE_BYTES:
                    raise CaptureBroken(f"{path}: line {lines} is longer than {MAX_LINE_BYTES} bytes")
                yield parse_line(line)
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureBroken(f"{path} ends after line {lines}: {error}; the file is cut off or damaged") from error


def parse_line(line: bytes) -> CaptureLine:
    """One line, or ``MALFORMED``."""
    time_text, _, frame = line.rstrip(b"\r\n").partition(b" ")
    if not time_text.isdigit() or not frame or len(time_text) > 19 or (ts_recv := int(time_text)) >= _MAX_TIME:
        return MALFORMED
    return CaptureLine(ts_recv, frame)


def line_of(ts_recv: int, frame: bytes) -> bytes:
    """The line of a frame. Line ends inside JSON are white space, so a space says the same."""
    return b"%d %b\n" % (ts_recv, frame.replace(b"\r", b" ").replace(b"\n", b" "))


class LineCapture:
    """See ``CaptureReader``: the frames as they are in the file."""

    form = "text frames, a line each (gzip)"

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
