"""``tradewind topics replay``: what a topic keeps, as JSON lines in a file.

The end is fixed before the first message is read, so the file ends also while the platform publishes. The file appears
under its name only when it is complete. Order: per partition, as published. Nothing is dropped: what this does not
take waits at the broker. Bound: ``CAPACITY`` deliveries of each partition.
"""

import asyncio
import contextlib
import gzip
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

from tradewind.bus.interface import Bus, Delivery, Start, Subscription, TopicDescription
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.topics.brokers import CLOSE_TIMEOUT_S
from tradewind.runtime.topics.places import AtOffset, AtTime, Beginning, Place, beginning, first_offsets
from tradewind.runtime.topics.tailing import CAPACITY, RECEIVE_LIMIT, Format
from tradewind.wire.topics import Plane, Topic

QUIET_S: Final = 5.0
"""A broker that answers, and gives nothing for so long twice, has nothing more to give: the rest cannot be read."""
CLOCK_SKEW_NS: Final = 60 * 1_000_000_000
"""Publishers' clocks differ; past an end in time reading goes on for so long before it stops."""
_COMPRESSION: Final = 6

Progress = Callable[[int, int], None]
"""Called with the messages read and the messages in all."""


class Exported(NamedTuple):
    """What was written, and how many messages the broker counts but never gave: damaged ones, or gone meanwhile."""

    messages: int
    lines: int
    unread: int


async def export(
    bus: Bus, topic: Topic, begin: Place, until: Place, path: Path, shape: Format, progress: Progress
) -> Exported:
    """Write the messages from ``begin`` up to, not including, ``until`` or the present end, to ``path``.

    Raises:
        StartRefused: the file is there already, or cannot be written.
        BusClosed, OSError: the broker went away.
    """
    with _new_file(path) as file:
        kept = await bus.describe(topic)
        reading = _Reading(await beginning(bus, topic, begin), until, kept)
        await _read(bus, topic, reading, shape, file, progress)
    return reading.result()


class _Reading:
    """How far each partition is, and where it ends."""

    def __init__(self, begin: Beginning, until: Place, kept: TopicDescription) -> None:
        self.begin = begin
        self.messages = 0
        self.lines = 0
        self._read = 0
        self._until_ns = until.ts_ns if isinstance(until, AtTime) else None
        bound = until.offset if isinstance(until, AtOffset) else None
        ends = [one.end if bound is None else min(one.end, bound) for one in kept.partitions]
        if until is Start.EARLIEST:
            ends = [one.first for one in kept.partitions]
        starts = first_offsets(kept, begin)
        self._open = {index: end for index, end in enumerate(ends) if starts[index] < end}
        self.total = sum(end - starts[index] for index, end in self._open.items())
        self._next = {index: starts[index] for index in self._open}

    @property
    def done(self) -> bool:
        return not self._open

    @property
    def read(self) -> int:
        """Messages that are behind us, of ``total``."""
        return self._read

    def take(self, delivery: Delivery) -> bool:
        """Count one; whether it is wanted."""
        if (end := self._open.get(delivery.partition)) is None:
            return False
        before = self._next[delivery.partition]
        after = min(delivery.offset + 1, end)
        self._read += max(after - before, 0)
        self._next[delivery.partition] = max(after, before)
        late = self._until_ns is not None and delivery.ts_publish >= self._until_ns + CLOCK_SKEW_NS
        if late:
            self._read += end - self._next[delivery.partition]
        if late or delivery.offset + 1 >= end:
            del self._open[delivery.partition]
        inside = self._until_ns is None or delivery.ts_publish < self._until_ns
        wanted = inside and delivery.offset < end and delivery.ts_publish >= self.begin.oldest_ns
        self.messages += wanted
        return wanted

    def result(self) -> Exported:
        return Exported(self.messages, self.lines, sum(end - self._next[index] for index, end in self._open.items()))


async def _read(bus: Bus, topic: Topic, reading: _Reading, shape: Format, file: IO[bytes], progress: Progress) -> None:
    progress(0, reading.total)
    if reading.done:
        return
    subscription = await bus.subscribe(
        topic, start=reading.begin.start, capacity=CAPACITY, lossless=topic.plane is Plane.MARKET_DATA
    )
    try:
        while not reading.done and (deliveries := await _next(bus, topic, subscription)):
            for delivery in deliveries:
                if reading.take(delivery):
                    reading.lines += _put(file, shape.of(delivery))
            progress(reading.read, reading.total)
            await asyncio.sleep(0)  # Ctrl-C must come through, however fast the broker is.
    finally:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await subscription.close()


async def _next(bus: Bus, topic: Topic, subscription: Subscription) -> list[Delivery]:
    if deliveries := await subscription.receive(RECEIVE_LIMIT, timeout_s=QUIET_S):
        return deliveries
    await bus.describe(topic)  # A broker that is away is an error, not the end.
    return await subscription.receive(RECEIVE_LIMIT, timeout_s=QUIET_S)


def _put(file: IO[bytes], lines: Iterator[str]) -> int:
    written = list(lines)
    try:
        file.write("".join(f"{line}\n" for line in written).encode("ascii"))
    except OSError as error:
        raise StartRefused(f"the file cannot be written: {error.strerror}; nothing of it is kept") from error
    return len(written)


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at ``path`` when the block has ended well; else nothing is left of it."""
    if path.exists():
        raise StartRefused(f"{path} is there already; give --to another name, or remove it")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise StartRefused(f"{path} cannot be written: {error.strerror}; give --to another place") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw:
            with _compressed(raw, path) as file:
                yield file
            raw.flush()
            os.fsync(raw.fileno())
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _compressed(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    if path.suffix != ".gz":
        yield raw
        return
    with gzip.GzipFile(path.stem, "wb", _COMPRESSION, fileobj=raw) as packed:
        yield cast("IO[bytes]", packed)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
