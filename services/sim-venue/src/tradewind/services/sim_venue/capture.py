"""A capture as the venue plays it: checked at the start, counted, read line by line."""

from pathlib import Path
from typing import Final

from tradewind.runtime.captures.items import CaptureBroken
from tradewind.runtime.captures.line_files import MALFORMED, CaptureLine, is_packed, read_capture
from tradewind.runtime.captures.opening import why_no_replay
from tradewind.runtime.refusals import StartRefused

_A_CAPTURE: Final = "a line each: time in ns, a space, the JSON frame; gzip or plain"

__all__ = ["MALFORMED", "CaptureBroken", "CaptureLine", "check_capture", "count_lines", "read_capture"]


def check_capture(path: Path) -> None:
    """Read the first line, so that a wrong file is refused at the start.

    Raises:
        StartRefused: there is no such file, it is empty, no capture, or of a form that is not replayed.
    """
    if why := why_no_replay(path):
        raise StartRefused(f"cannot play {path}: {why}")
    try:
        first = next(read_capture(path), None)
    except CaptureBroken as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise StartRefused(f"cannot play {path}: {reason}; give a capture: {_A_CAPTURE}") from error
    if first is None:
        raise StartRefused(f"cannot play {path}: it is empty")
    # A packed file is nearly surely one, and what is wrong in it is counted; a plain one may be any text.
    if first is MALFORMED and not is_packed(path):
        raise StartRefused(f"cannot play {path}: it is no capture; one has {_A_CAPTURE}")


def count_lines(path: Path) -> int:
    """How many lines can be read. Takes about a second for each 200 MB of text; meant for a thread."""
    lines = 0
    try:
        for _ in read_capture(path):
            lines += 1
    except CaptureBroken:
        return lines
    return lines
