"""Lines to standard output, for a reader that may be slow, stopped or gone."""

import asyncio
import os
import select
import sys
from collections.abc import Iterable
from typing import Final

_CHUNK_LINES: Final = 2_000
_FULL_S: Final = 0.01
_STANDARD_OUTPUT: Final = 1


class OutputClosed(Exception):
    """Whoever read our output has left, like ``head`` does: the work is over."""


class LimitReached(Exception):
    """As many lines as were asked for are written."""


class LineWriter:
    """Writes whole lines to a file descriptor, in the order of the calls, at most ``limit`` of them.

    A pipe that nobody empties makes the caller wait, never the event loop: Ctrl-C must always come through.
    """

    def __init__(self, descriptor: int, limit: int | None = None, encoding: str = "utf-8") -> None:
        self._descriptor = descriptor
        self._left = limit
        self._encoding = encoding
        self._lock = asyncio.Lock()

    async def write(self, lines: Iterable[str]) -> None:
        """Write lines; a character that the encoding does not have is escaped.

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
            text = "\n".join(chunk) + "\n"
            await self._put(text.encode(self._encoding, "backslashreplace"))
        if self._left is not None:
            self._left -= len(chunk)
            if self._left <= 0:
                raise LimitReached

    async def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            # A pipe that takes anything takes PIPE_BUF bytes at once, so this write does not wait.
            while not select.select((), (self._descriptor,), (), 0)[1]:
                await asyncio.sleep(_FULL_S)
            try:
                written = os.write(self._descriptor, left[: select.PIPE_BUF])
            except BrokenPipeError:
                raise OutputClosed from None
            left = left[written:]


def standard_output(limit: int | None) -> LineWriter:
    """A writer of lines to the terminal, file or pipe that is this process's standard output."""
    return LineWriter(_STANDARD_OUTPUT, limit, sys.stdout.encoding)
