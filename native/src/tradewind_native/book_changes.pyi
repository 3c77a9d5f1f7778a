import numpy as np
import numpy.typing as npt

from tradewind_native.order_books import OrderBooks

class BookChanges:
    """Follows L3 books and says what each order record means for who follows prices.

    Behind a record of an order come, each with its times and sequence: a TRADE for a printed execution of a known order
    (``side`` is the aggressor's, ``order_id`` the sequence), a LEVEL for each price level that changed, and a pair of
    TOP_OF_BOOK when the best prices or their sizes changed and both sides have one. Other records pass.
    """

    levels: bool
    """Whether LEVEL and TOP_OF_BOOK are made; without them the orders are still followed, for the trades."""

    def __init__(self, books: OrderBooks) -> None:
        """``books`` are applied to by ``follow`` alone."""

    @property
    def books(self) -> OrderBooks:
        """The books as of the last record."""

    def follow(self, records: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Apply the records to the books; answers them and, behind each, what it makes, read-only.

        Raises:
            TypeError: not a one-dimensional array of market records.
            ValueError: a negative size, or an unknown side; the records before it are applied, and come with the next.
        """
