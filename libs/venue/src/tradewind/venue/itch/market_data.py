"""Market data of an ITCH 5.0 venue as a ``FeedClient``, over whatever source brings it.

``run`` owns the source for as long as it runs. Records go out in the venue's order: those of the orders (L3), each
followed by the trade, the price levels and the best prices that it makes.
"""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Protocol

from tradewind.model.fixed_point import INT64_MAX
from tradewind.model.identifiers import InstrumentId, Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import FeedHandler
from tradewind.venue.itch.feed import ItchFeed, ItchFeedStatistics
from tradewind_native.order_book import OrderBook

PRICE_DECIMALS: Final = 4
MAX_PRICE: Final = 1_999_999_900
"""The highest price of an order, 199,999.9900."""
LISTING_TIMEOUT_S: Final = 10.0
"""So long the stock directory may take when the symbols are checked."""
MOST_SYMBOLS: Final = 1_000
_SYMBOL: Final = re.compile(r"[!-+\--~]{1,8}")


class ItchSource(Protocol):
    """Where ITCH messages come from."""

    name: str
    """For people."""

    async def check_listed(self, symbols: Sequence[str], timeout_s: float) -> None:
        """Raise VenueRejected when the venue does not know a symbol, VenueUnavailable when it cannot be asked."""
        ...

    async def run(self, feed: ItchFeed, handler: FeedHandler) -> None:
        """Bring messages to the feed and say how the connection is, until cancelled."""
        ...

    async def close(self) -> None:
        """Close what ``run`` does not."""
        ...


class ItchMarketDataClient:
    """See ``FeedClient``. ``run`` may be called again after it ended: it then begins the session anew."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        source: Callable[[ItchFeedStatistics], ItchSource],
        midnight: Callable[[], int],
        *,
        currency: str = "USD",
        size_decimals: int = 0,
        history: bool = True,
    ) -> None:
        """``size_decimals``: of the unit of size; ITCH counts whole shares. ``history``: as ``ItchFeed``."""
        self.venue = venue
        self._statistics = ItchFeedStatistics()
        self._symbols = tuple(symbols)
        self._source = source(self._statistics)
        self._midnight = midnight
        self._currency = currency
        self._size_decimals = size_decimals
        self._history = history
        self._feed: ItchFeed | None = None

    @property
    def statistics(self) -> ItchFeedStatistics:
        """Counted since the client was made."""
        if self._feed is not None:
            self._feed.count()
        return self._statistics

    @property
    def compared(self) -> int:
        """Always 0: ITCH says nothing of a book that ours could be compared with."""
        return 0

    @property
    def equal(self) -> int:
        """See ``compared``."""
        return 0

    @property
    def first_difference(self) -> str | None:
        """See ``compared``."""
        return None

    async def instruments(self) -> Sequence[Instrument]:
        """The configured symbols, checked against the stock directory where the source has one to ask.

        Raises:
            VenueRejected: the venue does not know a symbol, or refuses us.
            VenueUnavailable: no answer; try again later.
        """
        await self._source.check_listed(self._symbols, LISTING_TIMEOUT_S)
        return [self._instrument(symbol) for symbol in self._symbols]

    async def run(self, instruments: Sequence[Instrument], handler: FeedHandler) -> None:
        """Follow the session; connect again with back-off; until cancelled.

        Raises:
            Exception: what ``handler`` raises; the connection is then closed.
        """
        feed = ItchFeed(instruments, handler, self._statistics, self._midnight, history=self._history)
        self._feed = feed
        try:
            await self._source.run(feed, handler)
        finally:
            feed.stop()

    def book(self, instrument_id: InstrumentId) -> OrderBook:
        """The book by price as of the last batch that was handed on; empty while it is not in sync."""
        if self._feed is None:
            raise KeyError(instrument_id)
        return self._feed.book(instrument_id)

    def in_sync(self, instrument_id: InstrumentId) -> bool:
        """Whether the book is right now."""
        return self._feed is not None and self._feed.follows(instrument_id) and self._feed.live

    async def close(self) -> None:
        """Close what ``run`` does not."""
        await self._source.close()

    def _instrument(self, symbol: str) -> Instrument:
        return Instrument(
            instrument_id=instrument_id(symbol, self.venue),
            venue=self.venue,
            symbol=symbol,
            base_currency=symbol,
            quote_currency=self._currency,
            price_precision=PRICE_DECIMALS,
            size_precision=self._size_decimals,
            price_increment=1,
            size_increment=1,
            min_size=1,
            max_size=INT64_MAX,
            max_price=MAX_PRICE,
            min_notional=Decimal(0),
        )


def symbols_of(text: str) -> tuple[str, ...]:
    """The symbols of a setting like ``AAPL,BRK.B``, in order and without repetition.

    Raises:
        ValueError: none or too many are named, or one has another form.
    """
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not symbols or not all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
        raise ValueError(f"TRADEWIND_SYMBOLS={text!r}: name stocks of at most 8 characters, like AAPL,BRK.B")
    if len(symbols) > MOST_SYMBOLS:
        raise ValueError(f"TRADEWIND_SYMBOLS names {len(symbols)} stocks; {MOST_SYMBOLS} are the most")
    return symbols
