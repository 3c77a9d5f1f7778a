"""Cuts the output of a process into lines of bounded length."""

from typing import Final

MAX_LINE_BYTES: Final = 65_536
_CUT_MARK: Final = b" ...[cut]"


class LineSplitter:
    """Bytes in, whole lines out. What a line has beyond ``max_bytes`` is left out, and marked."""

    def __init__(self, max_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = b""
        self._skipping = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, without their ends."""
        *whole, last = chunk.split(b"\n")
        lines = [line for part in whole if (line := self._finish(part)) is not None]
        if not self._skipping:
            self._rest += last
            if len(self._rest) > self._max_bytes:
                lines.append(self._rest[: self._max_bytes] + _CUT_MARK)
                self._rest, self._skipping = b"", True
        return lines

    def flush(self) -> list[bytes]:
        """What is left when nothing more comes."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []

    def _finish(self, part: bytes) -> bytes | None:
        """The line that ``part`` ends; None for the end of one that was cut already."""
        line, self._rest = self._rest + part, b""
        if self._skipping:
            self._skipping = False
            return None
        return line if len(line) <= self._max_bytes else line[: self._max_bytes] + _CUT_MARK
