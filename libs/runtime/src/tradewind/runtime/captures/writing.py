"""Writing a capture: frames into blocks, each block a gzip member of its own, on disk within about a second.

``write`` is called from the feed's callbacks and never waits. ``run`` is one task: it packs and writes the blocks in a
thread, one at a time. Bound: ``MOST_WAITING`` blocks; when the disk is slower than the feed for so long, whole blocks
are dropped and counted. A file that is cut off anywhere can be read up to the cut.
"""

import asyncio
import collections
import errno
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from tradewind.runtime.captures.items import CaptureRefused

BLOCK_BYTES: Final = 262_144
MOST_WAITING: Final = 64
FLUSH_S: Final = 1.0
_LEVEL: Final = 4
_GZIP: Final = 31


class CaptureFailed(OSError):
    """The capture cannot be written on; what was written is whole. The message says what to do."""


class WriterStatistics(msgspec.Struct):
    """Counted since the start of the recording. ``lost`` frames never came onto the disk."""

    frames: int = 0
    bytes_taken: int = 0
    bytes_written: int = 0
    files: int = 0
    lost: int = 0


class _Block(NamedTuple):
    content: bytes
    frames: int
    starts_file: bool


class CaptureWriter:
    """One recording, in one file or, with ``rotate_bytes``, in several: ``name.gz``, ``name.0002.gz`` and so on."""

    def __init__(
        self,
        path: Path,
        encode: Callable[[int, bytes], bytes],
        head: Callable[[], bytes] = bytes,
        *,
        rotate_bytes: int = 0,
        on_break: Callable[[], None] = lambda: None,
    ) -> None:
        """``head`` is what every file begins with. ``on_break`` is called when the next frame does not continue the one
        before it: it is the first of a new file, or frames were dropped. It may write what a reader needs there.

        Raises:
            CaptureRefused: the file is there already, or cannot be made.
        """
        self.statistics = WriterStatistics()
        self.paths: list[Path] = []
        self._path = path
        self._encode = encode
        self._head = head
        self._rotate_bytes = rotate_bytes
        self._on_break = on_break
        self._block = bytearray()
        self._frames = 0
        self._waiting: collections.deque[_Block] = collections.deque()
        self._file_bytes = 0
        self._starts_file = False
        self._wake = asyncio.Event()
        self._closed = False
        self._failed = False
        self._writing = threading.Lock()
        self._file: BinaryIO = _create(path)
        self._opened(path)

    def write(self, ts_recv: int, frame: bytes) -> None:
        """Take one frame. Never waits."""
        encoded = self._encode(ts_recv, frame)
        self.statistics.frames += 1
        if self._failed:
            self.statistics.lost += 1
            return
        self._block += encoded
        self._frames += 1
        self.statistics.bytes_taken += len(encoded)
        if len(self._block) >= BLOCK_BYTES:
            self._seal()

    def close(self) -> None:
        """Nothing more comes: ``run`` ends once everything is on the disk."""
        self._closed = True
        self._wake.set()

    async def run(self) -> None:
        """Write until ``close``; also on cancel what was taken is written.

        Raises:
            CaptureFailed: the disk is full, or broken.
        """
        try:
            while not self._closed:
                await self._sleep()
                if not self._waiting:
                    self._seal()
                await self._write_waiting()
        finally:
            self._seal()
            try:
                await self._write_waiting()
            finally:
                self._file.close()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _seal(self) -> None:
        if not self._frames:
            return
        fits = len(self._waiting) < MOST_WAITING
        if fits:
            self._waiting.append(_Block(bytes(self._block), self._frames, self._starts_file))
            self._starts_file = False
            self._wake.set()
        else:
            self.statistics.lost += self._frames
        self._block.clear()
        self._frames = 0
        rotates = bool(self._rotate_bytes) and self._file_bytes >= self._rotate_bytes
        if rotates and not self._starts_file and not any(block.starts_file for block in self._waiting):
            self._starts_file = True
            self._on_break()
        elif not fits:
            self._on_break()

    async def _write_waiting(self) -> None:
        while self._waiting:
            try:
                await asyncio.to_thread(self._write_next)
            except OSError as error:
                lost = self._give_up()
                raise CaptureFailed(_failure(self.paths[-1], error, lost)) from error

    def _give_up(self) -> int:
        """Drop everything from now on; answers how many frames were waiting."""
        lost = sum(block.frames for block in self._waiting) + self._frames
        self._waiting.clear()
        self._block.clear()
        self._frames = 0
        self._failed = True
        self.statistics.lost += lost
        return lost

    def _write_next(self) -> None:
        # After a cancel the thread of the last call may still be at it: one block is written by one, and once.
        with self._writing:
            if not self._waiting:
                return
            block = self._waiting[0]
            if block.starts_file:
                self._rotate()
            self._write_block(block.content)
            self._waiting.popleft()

    def _write_block(self, block: bytes) -> None:
        start = self._file.tell()
        try:
            packed = memoryview(pack(block))
            while packed:  # a raw file may take only a part, right before the disk is full
                written = self._file.write(packed)
                self.statistics.bytes_written += written
                packed = packed[written:]
            os.fsync(self._file.fileno())
            self._file_bytes = self._file.tell()
        except OSError:
            # What of the block is there already would be a damaged end: the file ends before it.
            self.statistics.bytes_written -= self._file.tell() - start
            self._file.truncate(start)
            raise

    def _rotate(self) -> None:
        number = len(self.paths) + 1
        path = self._path.with_name(f"{self._path.stem}.{number:04d}{self._path.suffix}")
        try:
            file = _create(path)
        except CaptureRefused as error:
            raise OSError(str(error)) from error
        self._file.close()
        self._file, self._file_bytes = file, 0
        self._opened(path)

    def _opened(self, path: Path) -> None:
        self.paths.append(path)
        self.statistics.files += 1
        if head := self._head():
            self._write_block(head)


def pack(block: bytes) -> bytes:
    """A block as a gzip member of its own."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(block) + packer.flush()


def default_path(name: str) -> Path:
    """A file name in the working folder that says what and since when."""
    return Path(f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.gz")


def _create(path: Path) -> BinaryIO:
    try:
        return path.open("xb", buffering=0)
    except FileExistsError as error:
        raise CaptureRefused(f"{path} is there already: name another file, a capture is never written over") from error
    except OSError as error:
        raise CaptureRefused(f"{path} cannot be made: {error.strerror}") from error


def _failure(path: Path, error: OSError, lost: int) -> str:
    what = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"{error.strerror or error}"
    return f"{path} cannot be written on: {what}; it is whole up to here, and {lost} frames after it were lost"
