"""Runs one recording: a source, a writer, progress for the person at the terminal, and a summary.

The tasks live in one group and end together: at the duration, at a signal, at the end of the feed, or when the disk
fails. In every case what was received before is on the disk when ``record`` returns, or the loss is said.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from tradewind.runtime.captures.frame_files import MOLD, SOUP, FrameHeader, frame_bytes, header_bytes
from tradewind.runtime.captures.itch_feeds import LoginRefused, MoldSource, SoupLogin, SoupSource
from tradewind.runtime.captures.json_feeds import FeedNotes, JsonFeed, JsonSource, Sink
from tradewind.runtime.captures.line_files import line_of
from tradewind.runtime.captures.writing import CaptureFailed, CaptureWriter

PROGRESS_S: Final = 5.0
_BYTES_PER_MB: Final = 1_000_000


class CaptureSource(Protocol):
    """A feed that is recorded."""

    notes: FeedNotes

    async def run(self) -> None:
        """Receive until the feed ends or the task is cancelled."""
        ...

    def begin_file(self) -> None:
        """The next frame does not continue the file: give what a reader needs there."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class BinaryFeed:
    """ITCH over SoupBinTCP (``login``) or MoldUDP64 (``group``: host and port; ``interface``: by which to join)."""

    venue: str
    login: SoupLogin | None = None
    group: tuple[str, int] = ("", 0)
    interface: str = "0.0.0.0"  # noqa: S104 - the default route's

    @property
    def protocol(self) -> str:
        """The name in the file's header."""
        return SOUP if self.login is not None else MOLD

    @property
    def address(self) -> str:
        """Where the feed is, without secrets."""
        host, port = (self.login.host, self.login.port) if self.login is not None else self.group
        return f"{host}:{port}"

    def source(self, sink: Sink) -> CaptureSource:
        """What receives it."""
        if self.login is not None:
            return SoupSource(self.login, sink)
        return MoldSource(*self.group, sink, self.interface)


@dataclasses.dataclass(frozen=True, slots=True)
class CapturePlan:
    """What to record, where to, and when to stop (``duration_s`` None: at a signal)."""

    feed: JsonFeed | BinaryFeed
    path: Path
    duration_s: float | None = None
    rotate_bytes: int = 0


class Recording:
    """One recording."""

    def __init__(self, plan: CapturePlan, say: Callable[[str], object]) -> None:
        """
        Raises:
            CaptureRefused: the file is there already or cannot be made.
            ValueError: a login that the protocol cannot carry.
        """
        self._plan = plan
        self._say = say
        self._stop = asyncio.Event()
        self._began_s = time.monotonic()
        feed = plan.feed
        binary = isinstance(feed, BinaryFeed)
        self.source: CaptureSource = (
            feed.source(self._take) if isinstance(feed, BinaryFeed) else JsonSource(feed, self._take)
        )
        self.writer = CaptureWriter(
            plan.path,
            frame_bytes if binary else line_of,
            self._head if binary else bytes,
            rotate_bytes=plan.rotate_bytes,
            on_break=self.source.begin_file,
        )

    def stop(self) -> None:
        """End in order."""
        self._stop.set()

    async def run(self) -> int:
        """Record; the exit code: 1 when the disk failed, the login was refused or frames were lost."""
        reason = ""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self.writer.run(), name="capture.writer")
                telling = tasks.create_task(self._tell(), name="capture.progress")
                try:
                    await self._receive(writing)
                finally:
                    telling.cancel()
                    self.writer.close()
        except ExceptionGroup as several:
            first = _first_of(several)
            if not isinstance(first, (CaptureFailed, LoginRefused, OSError)):
                raise first from None
            reason = str(first)
        self._summarize(reason)
        return 1 if reason or self.writer.statistics.lost else 0

    async def _receive(self, writing: "asyncio.Task[None]") -> None:
        async with asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(self.source.run(), name="capture.source")
            stopping = tasks.create_task(self._stop.wait(), name="capture.stop")
            try:
                await asyncio.wait(
                    [receiving, stopping, writing],
                    timeout=self._plan.duration_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                receiving.cancel()
                stopping.cancel()

    def _take(self, ts_recv: int, frame: bytes) -> None:
        self.writer.write(ts_recv, frame)

    def _head(self) -> bytes:
        feed = self._plan.feed
        if not isinstance(feed, BinaryFeed):
            return b""
        return header_bytes(FrameHeader(feed.protocol, feed.venue, feed.address, time.time_ns()))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._say(self._progress())

    def _progress(self) -> str:
        done, notes = self.writer.statistics, self.source.notes
        text = (
            f"{time.monotonic() - self._began_s:.0f} s: {done.frames:,} frames, {done.bytes_taken / _BYTES_PER_MB:.1f} "
            f"MB as {done.bytes_written / _BYTES_PER_MB:.1f} MB on disk, {notes.connections} connection(s)"
        )
        if done.lost:
            text += f", {done.lost:,} frames LOST: the disk is slower than the feed"
        return f"{text}; {notes.last_error}" if notes.last_error else text

    def _summarize(self, reason: str) -> None:
        self._say(self._progress())
        for path in self.writer.paths:
            self._say(f"recorded {path}")
        if reason:
            self._say(f"stopped: {reason}")


def _first_of(several: ExceptionGroup[Exception]) -> Exception:
    first = several.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
