"""Bars of one market from the prints that this process has seen, for the live end of a chart.

A bar whose interval began before the first print that was seen here is partial: the store's bar of the same interval,
as it was last read, stands in for what was missed. Its volume is then the store's, and grows with the next reading.
"""

import dataclasses
import itertools
from collections import deque
from typing import Final

import numpy as np

from tradewind.model.instruments import Instrument
from tradewind.services.api.view_model.changes import Revisions
from tradewind.services.api.view_model.views import BarView
from tradewind.store.market_data import Candle
from tradewind.wire.market_records import RecordArray

NS_PER_S: Final = 1_000_000_000
INTERVALS: Final = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
"""Name and width in seconds."""
BARS_KEPT: Final = 300


@dataclasses.dataclass(slots=True)
class LiveBar:
    """One bar as it grows. ``ts`` is where its interval begins, ns; prices and sizes are mantissas."""

    ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    revision: int = 0

    def add(self, prices: RecordArray, sizes: RecordArray) -> None:
        """Take prints of this interval, in order."""
        self.high = max(self.high, int(prices.max()))
        self.low = min(self.low, int(prices.min()))
        self.close = int(prices[-1])
        self.volume += int(sizes.sum())
        self.trades += len(prices)

    def completed_by(self, stored: Candle) -> "LiveBar":
        """This partial bar with what the store knows of the same interval."""
        return LiveBar(
            self.ts,
            stored.open,
            max(self.high, stored.high),
            min(self.low, stored.low),
            self.close,
            max(self.volume, stored.volume),
            max(self.trades, stored.trades),
            self.revision,
        )


class LiveBars:
    """The newest bars of one instrument, of every interval."""

    def __init__(self, instrument: Instrument, revisions: Revisions) -> None:
        self._instrument = instrument
        self._revisions = revisions
        self._bars: dict[str, deque[LiveBar]] = {name: deque(maxlen=BARS_KEPT) for name in INTERVALS}
        self._stored: dict[str, Candle] = {}
        self._first_ts: int | None = None
        self.revision = 0

    def take(self, prints: RecordArray) -> None:
        """Take prints, in order."""
        times, prices, sizes = prints["ts_event"], prints["price"], prints["size"]
        if self._first_ts is None:
            self._first_ts = int(times[0])
        self.revision = self._revisions.next()
        for name, width_s in INTERVALS.items():
            starts = times - times % (width_s * NS_PER_S)
            cuts = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), len(starts)]
            for first, end in itertools.pairwise(cuts):
                self._grow(name, int(starts[first]), prices[first:end], sizes[first:end])

    def _grow(self, name: str, start: int, prices: RecordArray, sizes: RecordArray) -> None:
        bars = self._bars[name]
        if not bars or bars[-1].ts < start:
            price = int(prices[0])
            bars.append(LiveBar(start, price, price, price, price, 0, 0))
        # A print that comes late, after its interval, counts in the open bar; the store puts it where it belongs.
        bars[-1].add(prices, sizes)
        bars[-1].revision = self.revision

    def since(self, name: str, revision: int) -> list[BarView]:
        """Bars that changed after a revision, oldest first."""
        return [self._view(name, bar) for bar in self._bars[name] if bar.revision > revision]

    def merged(self, name: str, stored: list[Candle], *, before_ns: int | None, limit: int) -> list[BarView]:
        """The store's bars with the live ones where those know more, oldest first."""
        if stored:
            self._stored[name] = stored[-1]
        rows = {candle.ts: self._stored_view(candle) for candle in stored}
        for bar in self._bars[name]:
            known = rows.get(bar.ts)
            if before_ns is None or bar.ts < before_ns:
                rows[bar.ts] = (
                    known
                    if known and known["trades"] > bar.trades and not self._is_last(name, bar)
                    else (self._view(name, bar))
                )
        return [rows[ts] for ts in sorted(rows)][-limit:]

    def _is_last(self, name: str, bar: LiveBar) -> bool:
        return bar is self._bars[name][-1]

    def _view(self, name: str, bar: LiveBar) -> BarView:
        stored = self._stored.get(name)
        is_partial = self._first_ts is not None and bar.ts < self._first_ts
        if is_partial and stored is not None and stored.ts == bar.ts:
            bar = bar.completed_by(stored)
        price, size = self._instrument.format_price, self._instrument.format_size
        return BarView(
            ts=str(bar.ts),
            open=price(bar.open),
            high=price(bar.high),
            low=price(bar.low),
            close=price(bar.close),
            volume=size(bar.volume),
            trades=bar.trades,
        )

    def _stored_view(self, candle: Candle) -> BarView:
        price, size = self._instrument.format_price, self._instrument.format_size
        return BarView(
            ts=str(candle.ts),
            open=price(candle.open),
            high=price(candle.high),
            low=price(candle.low),
            close=price(candle.close),
            volume=size(candle.volume),
            trades=candle.trades,
        )
