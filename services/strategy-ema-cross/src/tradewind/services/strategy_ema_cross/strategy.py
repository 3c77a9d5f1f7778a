"""Follows the trend on spot instruments: long while the fast average of the mid price is above the slow one.

Orders are marketable limits, immediate-or-cancel, one at a time per instrument. A spot account cannot be short, so the
strategy is either long by ``size`` or flat. The averages are a signal, not a price: they alone are floats.
"""

import math
from decimal import Decimal
from typing import Annotated

import msgspec

from tradewind.model.fixed_point import floor_to_increment, to_mantissa
from tradewind.strategy import (
    InstrumentId,
    OrderSide,
    OrderStatus,
    Quote,
    Strategy,
    StrategySettings,
    TimeInForce,
    decimal_setting,
    setting,
)
from tradewind.wire.events import OrderEvent

_NS_PER_S = 1_000_000_000
_MILLION = 1_000_000
_UNFILLED_ENDS = (OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED)


class EmaCrossSettings(StrategySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``size`` in base currency; time constants and pauses in seconds of the data's clock.

    The averages must be ``band_ppm`` millionths of the price apart before the position is turned. ``slippage_ppm`` is
    how far beyond the touch an order may fill. After an order that did not fill, ``retry_s`` passes before the next.
    """

    size: Annotated[
        Decimal, decimal_setting("Size", "Position while the trend is up", unit="base currency", most="1000000")
    ] = Decimal("0.05")
    fast_s: Annotated[
        float, setting("Fast average", "Time constant of the fast average", unit="s", gt=0, le=86_400)
    ] = 0.5
    slow_s: Annotated[
        float, setting("Slow average", "Time constant of the slow average", unit="s", gt=0, le=604_800)
    ] = 2.5
    warm_up_s: Annotated[
        float, setting("Warm-up", "No order before this much data, by its own clock", unit="s", ge=0, le=604_800)
    ] = 3.0
    band_ppm: Annotated[
        float,
        setting(
            "Band", "How far apart the averages must be before the position is turned", unit="ppm", ge=0, le=100_000
        ),
    ] = 2.0
    slippage_ppm: Annotated[
        int, setting("Slippage", "How far beyond the touch an order may fill", unit="ppm", ge=0, le=100_000)
    ] = 200
    retry_s: Annotated[
        float, setting("Retry pause", "Pause after an order that did not fill", unit="s", ge=0, le=3_600)
    ] = 1.0


class TrendState(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument's averages, the times of the first and last price in them by the data's clock, the last signal."""

    fast: float
    slow: float
    first_ns: int
    last_ns: int
    is_up: bool | None


class EmaCrossState(msgspec.Struct):
    """What is saved: so a restart needs no warm-up, and keeps the side it was on."""

    trends: dict[InstrumentId, TrendState] = {}


class Trend:
    """Two averages of one instrument's mid price, weighted by time, so that bursts of quotes do not count more."""

    def __init__(self, fast_s: float, slow_s: float, warm_up_s: float, band_ppm: float) -> None:
        self._fast_ns = fast_s * _NS_PER_S
        self._slow_ns = slow_s * _NS_PER_S
        self._warm_up_ns = int(warm_up_s * _NS_PER_S)
        self._band = band_ppm / _MILLION
        self._fast = self._slow = 0.0
        self._first_ns = self._last_ns = 0
        self._is_restored = False
        self.is_up: bool | None = None

    def save(self) -> TrendState:
        """The averages as they are."""
        return TrendState(
            fast=self._fast, slow=self._slow, first_ns=self._first_ns, last_ns=self._last_ns, is_up=self.is_up
        )

    def restore(self, state: TrendState) -> None:
        """Go on from saved averages; by the time that has passed since then they count less."""
        self._fast, self._slow, self.is_up = state.fast, state.slow, state.is_up
        self._first_ns, self._last_ns, self._is_restored = state.first_ns, state.last_ns, True

    def update(self, mid: float, now_ns: int) -> bool | None:
        """Take a price; answers whether the trend is up, None while warming up or before the first crossing."""
        if self._is_restored:
            self._is_restored = False
            # The data began again at an earlier time, as a replay does: those averages are of another day.
            if now_ns < self._last_ns:
                self._first_ns, self.is_up = 0, None
        if not self._first_ns:
            self._first_ns = self._last_ns = now_ns
            self._fast = self._slow = mid
            return None
        elapsed = now_ns - self._last_ns
        if elapsed > 0:
            self._last_ns = now_ns
            self._fast += (mid - self._fast) * -math.expm1(-elapsed / self._fast_ns)
            self._slow += (mid - self._slow) * -math.expm1(-elapsed / self._slow_ns)
        if now_ns - self._first_ns < self._warm_up_ns:
            return None
        distance = self._fast - self._slow
        if abs(distance) > self._band * mid:
            self.is_up = distance > 0
        return self.is_up


class EmaCross(Strategy):
    """Long while the fast average is above the slow one, else flat."""

    settings: EmaCrossSettings
    State = EmaCrossState
    state: EmaCrossState

    def on_save(self) -> EmaCrossState:
        return EmaCrossState(trends={name: trend.save() for name, trend in self._trends.items()})

    def on_start(self) -> None:
        settings = self.settings
        if not 0 < settings.fast_s < settings.slow_s:
            raise ValueError(f"fast_s {settings.fast_s} must be positive and below slow_s {settings.slow_s}")
        self._trends: dict[InstrumentId, Trend] = {}
        self._sizes: dict[InstrumentId, int] = {}
        self._not_before_ns: dict[InstrumentId, int] = {}
        for instrument_id, instrument in self.context.instruments.items():
            trend = Trend(settings.fast_s, settings.slow_s, settings.warm_up_s, settings.band_ppm)
            if (saved := self.state.trends.get(instrument_id)) is not None:
                trend.restore(saved)
            self._trends[instrument_id] = trend
            self._sizes[instrument_id] = to_mantissa(settings.size, instrument.size_precision)
            self._not_before_ns[instrument_id] = 0

    def on_quote(self, quote: Quote) -> None:
        instrument_id = quote.instrument_id
        mid = (quote.bid_price + quote.ask_price) / 2
        is_up = self._trends[instrument_id].update(mid, quote.ts_event)
        if is_up is None or quote.ts_event < self._not_before_ns[instrument_id]:
            return
        target = self._sizes[instrument_id] if is_up else 0
        change = target - self.context.position(instrument_id).signed_size
        if change and not self.context.open_orders(instrument_id):
            self._trade(quote, change)

    def on_order_event(self, event: OrderEvent) -> None:
        if event.status in _UNFILLED_ENDS:
            pause_ns = int(self.settings.retry_s * _NS_PER_S)
            self._not_before_ns[event.instrument_id] = self.context.time_ns + pause_ns

    def _trade(self, quote: Quote, change: int) -> None:
        instrument = quote.instrument
        tick = instrument.price_increment
        slippage_ppm = self.settings.slippage_ppm
        if change > 0:
            side = OrderSide.BUY
            price = quote.ask_price + floor_to_increment(quote.ask_price * slippage_ppm // _MILLION, tick)
        else:
            side = OrderSide.SELL
            price = quote.bid_price - floor_to_increment(quote.bid_price * slippage_ppm // _MILLION, tick)
        size = floor_to_increment(abs(change), instrument.size_increment)
        # What an IOC left over may be too small to trade: then it stays, rather than being denied again and again.
        if size >= instrument.min_size and instrument.notional(price, size) >= instrument.min_notional:
            self.context.submit_limit(quote.instrument_id, side, size, price, time_in_force=TimeInForce.IOC)
