"""Lines to standard output, for a reader that may be slow, full or gone."""

import asyncio
import os
import sys
from collections.abc import Iterable
from typing import Final, TextIO

_CHUNK_LINES: Final = 2_000


class OutputClosed(Exception):
    """Whoever read our output has left, like ``head`` does: the work is over."""


class LimitReached(Exception):
    """As many lines as were asked for are written."""


class LineWriter:
    """Writes whole lines, in the order of the calls, at most ``limit`` of them.

    The write itself is on a thread: a pipe that nobody empties must not stop the event loop, and with it Ctrl-C.
    """

    def __init__(self, stream: TextIO, limit: int | None = None) -> None:
        self._stream = stream
        self._left = limit
        self._lock = asyncio.Lock()

    async def write(self, lines: Iterable[str]) -> None:
        """Write and flush.

        Raises:
            LimitReached: these were the last ones.
            OutputClosed: nobody reads any more.
        """
        async with self._lock:
            chunk: list[str] = []
            for line in lines:
                if self._left is not None and len(chunk) >= self._left:
                    break
                chunk.append(line)
                if len(chunk) >= _CHUNK_LINES:
                    await self._flush(chunk)
                    chunk = []
            await self._flush(chunk)

    async def _flush(self, chunk: list[str]) -> None:
        if chunk:
            await asyncio.to_thread(self._put, "\n".join(chunk) + "\n")
        if self._left is not None:
            self._left -= len(chunk)
            if self._left <= 0:
                raise LimitReached

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise OutputClosed from None


def standard_output() -> TextIO:
    """Standard output that takes any character, whatever the terminal's encoding."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    return sys.stdout


def abandon_standard_output() -> None:
    """After ``OutputClosed``: the interpreter flushes once more at its end, and that must not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
