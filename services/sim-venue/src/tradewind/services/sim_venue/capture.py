"""Reading a capture: gzip, a line each: local receive time in ns, a space, the JSON frame as it was received."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.runtime.refusals import StartRefused

MAX_LINE_BYTES: Final = 8_388_608
_MAX_TIME: Final = 2**63


class CaptureLine(NamedTuple):
    """One line. ``frame`` is empty for a malformed one."""

    ts_recv: int
    frame: bytes


class CaptureBroken(ValueError):
    """The file cannot be read on: truncated, damaged, or a line without end. The message says where."""


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
                yield _parse(line)
    except (EOFError, zlib.error, OSError) as error:
        raise CaptureBroken(f"{path} ends after line {lines}: {error}; the file is cut off or damaged") from error


def check_capture(path: Path) -> None:
    """Read the first line, so that a wrong file is refused at the start.

    Raises:
        StartRefused: there is no such file, it is no gzip file, or it is empty.
    """
    try:
        first = next(read_capture(path), None)
    except CaptureBroken as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise StartRefused(
            f"cannot play {path}: {reason}; give a gzip capture, a line each: time in ns, a space, the JSON frame"
        ) from error
    if first is None:
        raise StartRefused(f"cannot play {path}: it is empty")


def count_lines(path: Path) -> int:
    """How many lines can be read. Takes about a second for each 200 MB of text; meant for a thread."""
    lines = 0
    try:
        for _ in read_capture(path):
            lines += 1
    except CaptureBroken:
        return lines
    return lines


def _parse(line: bytes) -> CaptureLine:
    time_text, _, frame = line.rstrip(b"\r\n").partition(b" ")
    if not time_text.isdigit() or not frame or len(time_text) > 19 or (ts_recv := int(time_text)) >= _MAX_TIME:
        return MALFORMED
    return CaptureLine(ts_recv, frame)
