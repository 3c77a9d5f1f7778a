"""The market data of one strategy: per instrument the latest quote, the bars in work, and a book if one is wanted."""

from typing import Final

from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.strategy.bars import Bar, BarAggregator
from tradewind.strategy.market_views import Quote, Trade
from tradewind.strategy.timers import NEVER
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, instrument_number
from tradewind_native.order_book import OrderBook

_NS_PER_S: Final = 1_000_000_000
_CLEAR: Final = int(RecordKind.CLEAR)
_LAST: Final = int(RecordFlag.LAST)
_GAP: Final = int(RecordFlag.GAP)


class UnknownInstrument(KeyError):
    """The strategy asked for an instrument that is not among its symbols, or that nobody has defined."""

    def __init__(self, instrument_id: InstrumentId) -> None:
        super().__init__(f"{instrument_id} is not an instrument of this strategy; add its symbol to the settings")


class SyncedBook:
    """A native book that knows whether it can be trusted: from a whole snapshot on, until a gap."""

    def __init__(self, number: int) -> None:
        self.book = OrderBook(number)
        self.is_synced = False
        self._snapshot_begun = False

    def apply(self, records: RecordArray) -> bool:
        """Apply one event's records of this instrument, up to its last; True when the book is whole after them."""
        first, last = records[0], records[-1]
        if first["kind"] == _CLEAR:
            # CLEAR begins a snapshot, so whatever was lost before it does not matter any more.
            self.is_synced, self._snapshot_begun = False, True
        elif first["flags"] & _GAP:
            self.lose()
        if not self.is_synced and not self._snapshot_begun:
            return False
        self.book.apply(records)
        if last["flags"] & _LAST:
            self.is_synced, self._snapshot_begun = True, False
        return self.is_synced

    def lose(self) -> None:
        """Records were lost: wait for the next snapshot."""
        self.is_synced = self._snapshot_begun = False


class InstrumentData:
    """One instrument's views. Quote and trade are written again for each event."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument_id = instrument.instrument_id
        self.number = instrument_number(instrument.instrument_id)
        self.quote = Quote(instrument)
        self.has_quote = False
        self.trade = Trade(instrument)
        self.book: SyncedBook | None = None
        self.bars: list[BarAggregator] = []

    def define(self, instrument: Instrument) -> None:
        """Take a new definition of the same instrument."""
        self.quote.instrument = self.trade.instrument = instrument
        for aggregator in self.bars:
            aggregator.instrument = instrument

    def add_bars(self, interval_ns: int) -> None:
        """Make bars of this length from now on; asking twice changes nothing."""
        if all(aggregator.interval_ns != interval_ns for aggregator in self.bars):
            self.bars.append(BarAggregator(self.quote.instrument, interval_ns))


class MarketView:
    """All instruments of one strategy, and what of their data has to be read at all."""

    def __init__(self) -> None:
        self.instruments: dict[InstrumentId, Instrument] = {}
        self.by_id: dict[InstrumentId, InstrumentData] = {}
        self.by_number: dict[int, InstrumentData] = {}
        self.wants_books = False
        self.wants_bars = False
        self.next_bar_ns = NEVER
        self.gaps = 0

    def define(self, instrument: Instrument) -> None:
        """Make an instrument known, or take its new definition.

        Raises:
            ValueError: its number in market records is another instrument's already.
        """
        instrument_id = instrument.instrument_id
        if (data := self.by_id.get(instrument_id)) is None:
            data = InstrumentData(instrument)
            if (other := self.by_number.get(data.number)) is not None:
                raise ValueError(f"{instrument_id} and {other.instrument_id} have the same number: run them apart")
            self.by_id[instrument_id] = data
            self.by_number[data.number] = data
        data.define(instrument)
        self.instruments[instrument_id] = instrument

    def data(self, instrument_id: InstrumentId) -> InstrumentData:
        """The data of one instrument.

        Raises:
            UnknownInstrument: it is not among this strategy's.
        """
        if (data := self.by_id.get(instrument_id)) is None:
            raise UnknownInstrument(instrument_id)
        return data

    def book(self, data: InstrumentData) -> SyncedBook:
        """The book of an instrument; the first call makes it, and levels are read from then on."""
        if data.book is None:
            data.book = SyncedBook(data.number)
        self.wants_books = True
        return data.book

    def subscribe_bars(self, instrument_id: InstrumentId, interval_s: float) -> None:
        """Make bars of an instrument from now on."""
        self.data(instrument_id).add_bars(int(interval_s * _NS_PER_S))
        self.wants_bars = True

    def take_bars(self, now_ns: int) -> list[Bar]:
        """Bars that have ended, in order of their end."""
        aggregators = [aggregator for data in self.by_id.values() for aggregator in data.bars]
        bars = [bar for aggregator in aggregators if (bar := aggregator.take(now_ns)) is not None]
        self.next_bar_ns = min((a.due_ns for a in aggregators if a.due_ns is not None), default=NEVER)
        return sorted(bars, key=lambda bar: (bar.ts_close, bar.interval_ns))

    def count_trade(self, data: InstrumentData) -> None:
        """Put the trade that ``data.trade`` shows into the bars in work."""
        trade = data.trade
        for aggregator in data.bars:
            aggregator.add(trade.price, trade.size, trade.ts_event)
            self.next_bar_ns = min(self.next_bar_ns, aggregator.due_ns or NEVER)

    def lose_books(self) -> None:
        """The bus dropped records: no book can be trusted until its next snapshot."""
        self.gaps += 1
        for data in self.by_id.values():
            if data.book is not None:
                data.book.lose()
