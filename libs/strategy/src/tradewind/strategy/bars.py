"""Time bars made from trades, aligned to whole multiples of their length since the epoch, by the clock of the data."""

import dataclasses
from decimal import Decimal

from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument


@dataclasses.dataclass(slots=True)
class Bar:
    """Trades of one interval; a bar without a trade is not made. Prices and sizes are mantissas.

    ``ts_open`` (included) and ``ts_close`` (not included) are the interval's bounds in ns.
    """

    instrument: Instrument
    interval_ns: int
    ts_open: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trade_count: int = 1

    @property
    def instrument_id(self) -> InstrumentId:
        """The instrument's id."""
        return self.instrument.instrument_id

    @property
    def ts_close(self) -> int:
        """End of the interval in ns."""
        return self.ts_open + self.interval_ns

    @property
    def decimal_close(self) -> Decimal:
        """The last price in quote currency."""
        return self.instrument.decimal_price(self.close)


class BarAggregator:
    """One instrument's bars of one length. A bar ends when the data's clock reaches its end, trade or not."""

    def __init__(self, instrument: Instrument, interval_ns: int) -> None:
        if interval_ns <= 0:
            raise ValueError(f"bar interval of {interval_ns} ns: use a positive number of seconds")
        self.instrument = instrument
        self.interval_ns = interval_ns
        self._bar: Bar | None = None

    @property
    def due_ns(self) -> int | None:
        """When the bar in work ends; None while there is none."""
        return None if self._bar is None else self._bar.ts_close

    def add(self, price: int, size: int, ts_event: int) -> None:
        """Count one trade. The caller has taken the finished bar before, with ``take``.

        A trade older than the bar in work (venues reorder within milliseconds) is counted in that bar.
        """
        bar = self._bar
        if bar is None:
            ts_open = ts_event - ts_event % self.interval_ns
            self._bar = Bar(self.instrument, self.interval_ns, ts_open, price, price, price, price, size)
            return
        bar.high = max(bar.high, price)
        bar.low = min(bar.low, price)
        bar.close = price
        bar.volume += size
        bar.trade_count += 1

    def take(self, now_ns: int) -> Bar | None:
        """The bar in work if it has ended by ``now_ns``."""
        bar = self._bar
        if bar is None or now_ns < bar.ts_close:
            return None
        self._bar = None
        return bar
