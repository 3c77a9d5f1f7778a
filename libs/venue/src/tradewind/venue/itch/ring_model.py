"""What the ring of market records does, in Python without threads: the twin of ``tradewind_native.market_ring``."""

from collections import deque

import numpy as np

from tradewind.wire.market_records import MARKET_RECORD, RecordArray, RecordFlag, read_only


class RingModel:
    """One producer, one consumer, one thread; meaning: the stub of ``tradewind_native.market_ring``."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.closed = False
        self._records: deque[bytes] = deque()
        self._taken = 0
        self._counters = {"written": 0, "dropped": 0, "wake_ups": 0, "high_water": 0}
        self._gap = False
        self._armed = False

    def statistics(self) -> dict[str, int]:
        """Counters since the start."""
        return {**self._counters, "used": len(self._records)}

    def push(self, records: RecordArray) -> int:
        """Producer: write records; answers how many fitted, -1 when closed."""
        if self.closed:
            return -1
        fits = min(len(records), self.capacity - len(self._records))
        for record in records[:fits].copy():
            record["flags"] |= RecordFlag.GAP if self._gap else 0
            self._gap = False
            self._records.append(record.tobytes())
        counters = self._counters
        counters["written"] += fits
        counters["dropped"] += len(records) - fits
        counters["high_water"] = max(counters["high_water"], len(self._records))
        self._gap = self._gap or fits < len(records)
        if self._armed and len(records):
            self._armed = False
            counters["wake_ups"] += 1
        return fits

    def take(self, most: int) -> RecordArray:
        """Consumer: up to ``most`` records that lie in one piece."""
        start = self._counters["written"] - len(self._records)
        count = min(len(self._records), most, self.capacity - start % self.capacity)
        self._taken = count
        chosen = b"".join(self._records[index] for index in range(count))
        return read_only(np.frombuffer(chosen, dtype=MARKET_RECORD))

    def release(self) -> None:
        """Consumer: give the taken records back."""
        for _ in range(self._taken):
            self._records.popleft()
        self._taken = 0

    def arm(self) -> bool:
        """Consumer: True when it may sleep."""
        self._armed = len(self._records) == self._taken and not self.closed
        return self._armed

    def close(self) -> None:
        """Nothing goes in any more."""
        self.closed = True
