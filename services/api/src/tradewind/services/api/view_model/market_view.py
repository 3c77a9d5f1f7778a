"""The market of one instrument as the page shows it: book, last prices, recent prints, a line of mid prices.

Records are walked as arrays, never one by one; nothing becomes text before a client asks for it.
"""

from typing import Final

import numpy as np

from tradewind.model.fixed_point import format_mantissa
from tradewind.model.instruments import Instrument
from tradewind.services.api.view_model.bars import LiveBars
from tradewind.services.api.view_model.changes import Revisions, Tail
from tradewind.services.api.view_model.views import BookView, InstrumentView, Level, PriceView, TradeView
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, instrument_number
from tradewind_native.order_book import OrderBook

_SIDE_NAMES: Final = {RecordSide.BUY.value: "BUY", RecordSide.SELL.value: "SELL"}
ChartPoint = tuple[int, str]
"""Our time in ms since the epoch, and the middle of best bid and ask."""


class MarketView:
    """One instrument's market. The owner calls it from the event loop only."""

    def __init__(self, instrument: Instrument, revisions: Revisions, *, trades: int, points: int) -> None:
        self.instrument = instrument
        self.number = instrument_number(instrument.instrument_id)
        self.price_revision = 0
        self.book_revision = 0
        self.synced = False
        self.gaps = 0
        """Times that the book was lost since this process began to look."""
        self.feed = "CONNECTING"
        self.feed_detail = ""
        self.trades: Tail[RecordArray] = Tail(revisions, trades)
        self.points: Tail[ChartPoint] = Tail(revisions, points)
        self.bars = LiveBars(instrument, revisions)
        self._revisions = revisions
        self._trades_kept = trades
        self._book = OrderBook(self.number)
        self._book_ts = 0
        self._last_trade: RecordArray | None = None
        self._tops: dict[int, tuple[int, int]] = {}
        self._ts_event = 0

    def apply(self, records: RecordArray) -> None:
        """Take records of this instrument, in order."""
        kinds = records["kind"]
        self._ts_event = int(records["ts_event"][-1])
        self._apply_book(records, kinds)
        tops = np.flatnonzero(kinds == RecordKind.TOP_OF_BOOK)
        if tops.size:
            self._apply_tops(records[tops])
        trades = np.flatnonzero(kinds == RecordKind.TRADE)
        if trades.size:
            self.bars.take(records[trades])
            prints = records[trades[-self._trades_kept :]]
            self._last_trade = prints[-1]
            self.trades.extend(prints)
        self.price_revision = self._revisions.prices = self._revisions.next()

    def lose_sync(self) -> None:
        """Records were lost: no depth is better than a wrong one, until the next snapshot."""
        self.gaps += self.synced
        self.synced = False
        self._book.clear()
        self.book_revision = self._revisions.next()

    def _apply_book(self, records: RecordArray, kinds: RecordArray) -> None:
        flags = records["flags"]
        gaps = np.flatnonzero(flags & RecordFlag.GAP)
        # A CLEAR with a gap and no snapshot says that the feed lost its book: its levels come later, after another one.
        is_lost = (flags & (RecordFlag.GAP | RecordFlag.SNAPSHOT)) == RecordFlag.GAP
        clears = np.flatnonzero((kinds == RecordKind.CLEAR) & ~is_lost)
        first = int(clears[-1]) if clears.size else 0
        if gaps.size and int(gaps[-1]) > (first if clears.size else -1):
            self.lose_sync()
            return
        self.synced = self.synced or bool(clears.size)
        if not self.synced:
            return
        try:
            if not self._book.apply(records[first:]):
                return
        except ValueError:
            self.lose_sync()
            return
        self._book_ts = self._ts_event
        self.book_revision = self._revisions.next()

    def _apply_tops(self, tops: RecordArray) -> None:
        for side in (RecordSide.BUY, RecordSide.SELL):
            places = np.flatnonzero(tops["side"] == side)
            if places.size:
                top = tops[places[-1]]
                self._tops[side] = (int(top["price"]), int(top["size"]))

    @property
    def ts_event(self) -> int:
        """The venue's time of the newest record, ns; 0 before the first."""
        return self._ts_event

    def set_feed(self, state: str, detail: str) -> None:
        """Take the feed's state."""
        self.feed, self.feed_detail = state, detail
        self.price_revision = self._revisions.prices = self._revisions.next()

    def best(self, side: RecordSide) -> tuple[int, int] | None:
        """(price, size) mantissas of the best bid or ask: the venue's own ticker, else the top of the book."""
        top = self._tops.get(side)
        if top is None and self.synced:
            top = self._book.best_bid() if side is RecordSide.BUY else self._book.best_ask()
        return top

    def twice_mid(self) -> int | None:
        """Best bid plus best ask, a mantissa: the middle without a division."""
        bid, ask = self.best(RecordSide.BUY), self.best(RecordSide.SELL)
        return bid[0] + ask[0] if bid and ask else None

    def mid_text(self) -> str | None:
        """The middle of best bid and ask as decimal text, one decimal finer than a price."""
        twice = self.twice_mid()
        return None if twice is None else format_mantissa(twice * 5, self.instrument.price_precision + 1)

    def sample_point(self, now_ms: int) -> None:
        """Add the present mid to the line."""
        if (mid := self.mid_text()) is not None:
            self.points.extend(((now_ms, mid),))

    def price_view(self) -> PriceView:
        """Best bid, best ask, last print, feed."""
        instrument, bid, ask, last = (
            self.instrument,
            self.best(RecordSide.BUY),
            self.best(RecordSide.SELL),
            self._last_trade,
        )
        return PriceView(
            instrument_id=instrument.instrument_id,
            bid=instrument.format_price(bid[0]) if bid else None,
            bid_size=instrument.format_size(bid[1]) if bid else None,
            ask=instrument.format_price(ask[0]) if ask else None,
            ask_size=instrument.format_size(ask[1]) if ask else None,
            last=None if last is None else instrument.format_price(int(last["price"])),
            last_side=None if last is None else _SIDE_NAMES.get(int(last["side"])),
            ts_event=str(self._ts_event),
            feed=self.feed,
            feed_detail=self.feed_detail,
        )

    def book_view(self, depth: int) -> BookView:
        """The best ``depth`` levels of each side."""
        return BookView(
            instrument_id=self.instrument.instrument_id,
            synced=self.synced,
            sequence=str(self._book.sequence),
            ts_event=str(self._book_ts),
            bids=self._levels(RecordSide.BUY, depth),
            asks=self._levels(RecordSide.SELL, depth),
        )

    def _levels(self, side: RecordSide, depth: int) -> list[Level]:
        price, size = self.instrument.format_price, self.instrument.format_size
        return [(price(at), size(total)) for at, total in self._book.levels(side.value, depth)]

    def trade_view(self, record: RecordArray) -> TradeView:
        """One print as text."""
        return TradeView(
            trade_id=str(record["order_id"]),
            price=self.instrument.format_price(int(record["price"])),
            size=self.instrument.format_size(int(record["size"])),
            side=_SIDE_NAMES.get(int(record["side"]), ""),
            ts_event=str(record["ts_event"]),
        )


def instrument_view(instrument: Instrument) -> InstrumentView:
    """An instrument as text."""
    return InstrumentView(
        instrument_id=instrument.instrument_id,
        venue=instrument.venue,
        symbol=instrument.symbol,
        base_currency=instrument.base_currency,
        quote_currency=instrument.quote_currency,
        price_precision=instrument.price_precision,
        size_precision=instrument.size_precision,
        price_increment=instrument.format_price(instrument.price_increment),
        size_increment=instrument.format_size(instrument.size_increment),
        min_size=instrument.format_size(instrument.min_size),
        max_size=instrument.format_size(instrument.max_size),
        max_price=instrument.format_price(instrument.max_price),
        min_notional=f"{instrument.min_notional:f}",
    )
