import numpy as np
import numpy.typing as npt

class MarketRing:
    """A bounded lock-free ring of market records: one producer thread, one consumer. Capacity: a power of two.

    The producer never blocks: what does not fit is dropped and counted, and the next record that fits has the flag GAP.
    The consumer gets views of the ring's own memory. Twin: ``tradewind.venue.itch.ring_model.RingModel``.
    Vendor wrappers write through ``ring_push`` of ``market_ring.h`` without the GIL. A vendor thread, a ring.
    """

    wait_fd: int
    """Readable when an armed consumer must look again: an eventfd, a pipe where there is none."""

    def __init__(self, capacity: int) -> None: ...
    @property
    def capacity(self) -> int:
        """Records that fit."""

    @property
    def closed(self) -> bool:
        """No record goes in any more."""

    def statistics(self) -> dict[str, int]:
        """``written``, ``dropped``, ``wake_ups``, ``high_water``, ``used``: records, but for the wake-ups."""

    def push(self, records: npt.NDArray[np.void]) -> int:
        """Producer: write records; answers how many fitted, -1 when the ring is closed."""

    def take(self, most: int) -> npt.NDArray[np.void]:
        """Consumer: a read-only view of up to ``most`` records that lie in one piece; empty when there are none.

        Raises:
            BufferError: the records taken before are not released.
        """

    def release(self) -> None:
        """Consumer: give the taken records back; their memory is written again.

        Raises:
            BufferError: somebody still holds the view: copy what is kept.
        """

    def arm(self) -> bool:
        """Consumer: True when it may sleep until ``wait_fd`` is readable, False when there is work or it is closed."""

    def drain_wakes(self) -> bool:
        """Consumer: make ``wait_fd`` unreadable again; answers whether it was readable."""

    def close(self) -> None:
        """Either side: nothing goes in any more; what is inside can still be taken."""

    def produce(self, count: int, piece: int = 256) -> int:
        """Write ``count`` records of rising sequence from 1 in pieces, without the GIL: a burst for tests and benches.

        Answers how many were offered: fewer when the ring was closed meanwhile.
        """
