"""A batch of market records as one message.

It is not a msgspec struct on the wire: the records travel as raw bytes, so that a consumer maps them without a copy.
"""

import dataclasses

import numpy as np

from tradewind.model.identifiers import Venue
from tradewind.wire.market_records import MARKET_RECORD, RecordArray, read_only


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class MarketBatch:
    """Market records of one venue, in the order they arrived; read-only, never empty."""

    venue: Venue
    records: RecordArray

    def to_bytes(self) -> bytes:
        """The records' own memory layout."""
        return self.records.tobytes()

    @classmethod
    def from_bytes(cls, venue: Venue, payload: bytes) -> "MarketBatch":
        """A batch over ``payload`` itself, without a copy.

        Raises:
            ValueError: the payload is empty or not a whole number of records.
        """
        if not payload or len(payload) % MARKET_RECORD.itemsize:
            raise ValueError(f"market batch of {len(payload)} bytes is not a whole number of 64-byte records")
        return cls(venue, read_only(np.frombuffer(payload, dtype=MARKET_RECORD)))
