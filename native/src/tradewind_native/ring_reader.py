"""The asyncio side of the ring of market records.

No task is started here: who awaits ``RingReader.run`` owns it. Batches are delivered in the ring's order, one after the
other, each of at most ``most`` records, and the event loop runs between two of them. The bound is the ring's capacity:
when the consumer is slow the producer drops, counts and marks. On cancel, and when the callback raises, the descriptor
is taken from the loop; a later ``run`` goes on behind the last batch. It ends when the ring is closed and empty.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewind_native.market_ring import MarketRing

BATCH_RECORDS = 4096


class RingReader:
    """Delivers a ring's records to a callback on the event loop."""

    def __init__(self, ring: MarketRing, most: int = BATCH_RECORDS) -> None:
        """``most``: records a batch, which bounds how long the event loop is held at once."""
        if most < 1:
            raise ValueError(f"a batch has at least 1 record, not {most}")
        self._ring = ring
        self._most = most

    async def run(self, deliver: Callable[[npt.NDArray[np.void]], Any]) -> None:
        """Call ``deliver`` with each batch until the ring is closed and empty.

        Raises:
            BufferError: ``deliver`` kept a view of its batch: it must copy what it keeps.
        """
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        # What a failed callback left taken: its traceback held the view until now.
        self._ring.release()
        loop.add_reader(self._ring.wait_fd, self._wake, woken)
        try:
            while True:
                if self._deliver_batch(deliver):
                    await asyncio.sleep(0)
                    continue
                woken.clear()
                if self._ring.arm():
                    await woken.wait()
                elif self._ring.closed and not self._deliver_batch(deliver):
                    return
        finally:
            loop.remove_reader(self._ring.wait_fd)

    def _wake(self, woken: asyncio.Event) -> None:
        self._ring.drain_wakes()
        woken.set()

    def _deliver_batch(self, deliver: Callable[[npt.NDArray[np.void]], Any]) -> bool:
        """Whether there was a batch."""
        batch = self._ring.take(self._most)
        if len(batch) == 0:
            return False
        deliver(batch)
        del batch
        self._ring.release()
        return True
