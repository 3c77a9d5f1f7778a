"""The book that we build against the exchange's own best bid and ask: proof of integrity while it runs.

The bookTicker and the depth stream carry the same update ids. Whenever a depth update ends at an id at which a ticker
was given too, both must say the same best prices and sizes. Either may come first, so tickers wait for the book and
the latest tops of the book wait for tickers; both waits are bounded.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tradewind.wire.market_records import RecordArray
from tradewind_native.order_book import OrderBook

MAX_WAITING_TICKERS: Final = 4_096
KEPT_TOPS: Final = 64
_WORDS: Final = 8  # of int64 in a market record
_PRICE: Final = 2
_SIZE: Final = 3

Words: TypeAlias = npt.NDArray[np.int64]
"""A batch of market records as int64 words, eight a record."""
Top: TypeAlias = tuple[int, int, int, int]
"""Bid price, bid size, ask price, ask size, as mantissas; zeros for an empty side."""


class BookCheck:
    """One instrument's book and its comparison. The caller tells it each depth update and each ticker, in order."""

    def __init__(self, instrument: int) -> None:
        self.book = OrderBook(instrument)
        self.compared = 0
        self.equal = 0
        self.first_difference: str | None = None
        """What the first unequal comparison was, for the log."""
        # A ticker waits as a view of its batch: most are never compared, and reading four numbers costs more than all.
        self._tickers: dict[int, tuple[Words, int]] = {}
        self._tops: dict[int, Top] = {}
        self._final = 0

    def on_snapshot(self, records: RecordArray) -> None:
        """The book is what a snapshot says; ``records`` hold its CLEAR and LEVEL records."""
        self._tops.clear()
        self.book.apply(records)
        self._look_back(self.book.sequence)

    def on_update(self, records: RecordArray, final: int) -> None:
        """Apply one depth update that ends at ``final``."""
        self.book.apply(records)
        self._look_back(final)

    def on_ticker(self, words: Words, offset: int, update_id: int) -> None:
        """A ticker whose bid record begins at ``offset`` of ``words``."""
        if update_id > self._final:
            if len(self._tickers) >= MAX_WAITING_TICKERS:
                self._tickers.clear()  # no update has come for a long time: none of these will be met
            self._tickers[update_id] = (words, offset)
        elif (top := self._tops.get(update_id)) is not None:
            self._compare(update_id, top, _ticker_top(words, offset))

    def lose(self) -> None:
        """The book is void until the next snapshot."""
        self.book.clear()
        self._final = 0
        self._tickers.clear()
        self._tops.clear()

    def _look_back(self, final: int) -> None:
        top = self._top()
        self._final = final
        if len(self._tops) >= KEPT_TOPS:
            self._tops.clear()
        self._tops[final] = top
        tickers = self._tickers
        if not tickers:
            return
        if (waiting := tickers.get(final)) is not None:
            self._compare(final, top, _ticker_top(*waiting))
        # A ticker older than the book can no longer be compared; newer ones wait for their update.
        for update_id in [known for known in tickers if known <= final]:
            del tickers[update_id]

    def _top(self) -> Top:
        bid, ask = self.book.best_bid() or (0, 0), self.book.best_ask() or (0, 0)
        return (*bid, *ask)

    def _compare(self, update_id: int, book: Top, ticker: Top) -> None:
        self.compared += 1
        if book == ticker:
            self.equal += 1
        elif self.first_difference is None:
            self.first_difference = f"at update {update_id} the book has {book} and the ticker {ticker}"


def words_of(records: RecordArray) -> Words:
    """A batch as int64 words, without a copy."""
    return records.view(np.int64)


def word_offset(record: int) -> int:
    """Where a record begins among the words of its batch."""
    return record * _WORDS


def _ticker_top(words: Words, offset: int) -> Top:
    ask = offset + _WORDS
    return (
        words.item(offset + _PRICE),
        words.item(offset + _SIZE),
        words.item(ask + _PRICE),
        words.item(ask + _SIZE),
    )
