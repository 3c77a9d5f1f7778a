import numpy as np
import numpy.typing as npt

class OrderBook:
    """Price levels of one instrument, built from LEVEL and CLEAR market records. Sides are 1 (BUY) and 2 (SELL)."""

    def __init__(self, instrument: int) -> None:
        """``instrument``: the number in the records that belong to this book."""

    @property
    def instrument(self) -> int:
        """The instrument's number."""

    @property
    def sequence(self) -> int:
        """The sequence of the last applied record; 0 before the first and after ``clear()``."""

    def apply(self, records: npt.NDArray[np.void]) -> int:
        """Apply the LEVEL and CLEAR records of this instrument, in order; answers how many there were.

        Records of other instruments and kinds are passed over. A LEVEL of side NONE only moves the sequence.

        Raises:
            TypeError: not a one-dimensional array of market records.
            ValueError: a LEVEL with a negative size or an unknown side; the records before it are applied.
        """

    def clear(self) -> None:
        """Empty both sides and forget the sequence."""

    def best_bid(self) -> tuple[int, int] | None:
        """(price, size) mantissas of the best bid, or None."""

    def best_ask(self) -> tuple[int, int] | None:
        """(price, size) mantissas of the best ask, or None."""

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size) of a side, best first."""

    def worst(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to ``count`` levels (price, size) of a side, worst first."""

    def size_at(self, side: int, price: int) -> int:
        """The size at a price; 0 where there is no level."""

    def depth(self, side: int) -> int:
        """The number of levels of a side."""

    def snapshot_records(self, ts_event: int, ts_recv: int, depth: int) -> npt.NDArray[np.void]:
        """CLEAR and LEVEL records of the best ``depth`` levels of each side, read-only: what a late joiner gets.

        All carry the flag SNAPSHOT, the last one LAST; ``order_id`` and ``sequence`` are the book's sequence.
        """
