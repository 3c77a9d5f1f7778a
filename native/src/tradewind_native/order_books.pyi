import numpy as np
import numpy.typing as npt

class OrderBooks:
    """Order-level books of many instruments from ORDER_ADD, ORDER_CANCEL, ORDER_EXECUTE and CLEAR market records.

    Order ids are those of one venue's day, not of one instrument. An ORDER_CANCEL without the flag LAST and an
    ORDER_ADD of side NONE with the same sequence are a replacement: the new order keeps the side.
    A cancel of size 0 takes the whole order.
    """

    @property
    def applied(self) -> int:
        """Records applied so far."""

    @property
    def orders(self) -> int:
        """Orders that rest now."""

    @property
    def unknown_orders(self) -> int:
        """Records of orders that do not rest here: the books began late, or there was a gap."""

    @property
    def repeated_orders(self) -> int:
        """Orders added again while they rested; the later one counts."""

    @property
    def excess_sizes(self) -> int:
        """Cancels and executions of more than was left; the order is gone."""

    def apply(self, records: npt.NDArray[np.void]) -> int:
        """Apply the order and CLEAR records, in order; answers how many there were. Other kinds are passed over.

        Raises:
            TypeError: not a one-dimensional array of market records.
            ValueError: a negative size, or an unknown side; the records before it are applied.
        """

    def best(self, instrument: int, side: int) -> tuple[int, int] | None:
        """(price, size) of the best level of a side, or None."""

    def levels(self, instrument: int, side: int, depth: int) -> list[tuple[int, int, int]]:
        """Up to ``depth`` levels (price, size, orders) of a side, best first."""

    def depth(self, instrument: int, side: int) -> int:
        """The number of levels of a side."""

    def order(self, order_id: int) -> tuple[int, int, int, int] | None:
        """(instrument, side, price, size) of an order that rests, or None."""
