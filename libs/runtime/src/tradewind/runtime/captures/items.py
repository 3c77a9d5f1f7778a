"""What every reader of captures gives, counts and raises."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import msgspec

from tradewind.wire.market_batches import MarketBatch

CaptureItem: TypeAlias = tuple[int, bytes | MarketBatch]
"""Receive time in ns UTC, and a frame as it was received or the market records that one receive brought.

The time of a batch is that of its first record; each record has its own.
"""

NO_TIME: Final = 0


class CaptureBroken(ValueError):
    """The file cannot be read on: cut off, damaged, or a length that cannot be. The message says where.

    Everything before the damage was given.
    """


class CaptureRefused(ValueError):
    """The file is none that this reader takes, or a library for it is missing; the message says what to do."""


class CaptureCounts(msgspec.Struct):
    """What a reader met so far. ``details`` are the form's own counters by their names."""

    messages: int = 0
    """Frames, or messages of the venue inside packets."""
    records: int = 0
    malformed: int = 0
    gaps: int = 0
    lost: int = 0
    """Messages inside the gaps, where the protocol numbers them."""
    backwards: int = 0
    """How often the receive time was earlier than that before it."""
    first_ns: int = NO_TIME
    last_ns: int = NO_TIME
    longest_silence_ns: int = 0
    details: dict[str, int] = {}

    def at(self, ts_recv: int) -> None:
        """Note a receive time."""
        if self.first_ns == NO_TIME:
            self.first_ns = ts_recv
        elif ts_recv < self.last_ns:
            self.backwards += 1
        else:
            self.longest_silence_ns = max(self.longest_silence_ns, ts_recv - self.last_ns)
        self.last_ns = ts_recv

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter of the form's own."""
        self.details[name] = self.details.get(name, 0) + by


class CaptureReader(Protocol):
    """One capture. It may be iterated once; ``counts`` grow with it."""

    path: Path
    form: str
    """In words, for people."""
    counts: CaptureCounts

    def __iter__(self) -> Iterator[CaptureItem]:
        """All items in the file's order.

        Raises:
            CaptureBroken: see there.
        """
        ...
