"""Quotes both sides of one or more spot instruments at the touch, post-only, and leans against its inventory.

At most one bid and one ask per instrument. A quote is replaced when its price is more than ``requote_ppm`` away from
where it should be and it has lived ``min_life_s``; the new one is sent only when the old one's end is known. Selling
more than was bought uses what the account holds: the strategy's own position is then negative, down to
``-max_position``.
"""

from decimal import Decimal
from typing import Annotated

import msgspec

from tradewind.model.fixed_point import to_mantissa
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.instruments import Instrument
from tradewind.strategy import (
    InstrumentId,
    Order,
    OrderSide,
    OrderStatus,
    Quote,
    Strategy,
    StrategySettings,
    decimal_setting,
    setting,
)
from tradewind.wire.events import OrderEvent

_NS_PER_S = 1_000_000_000
NEVER = 2**63 - 1
_MILLION = 1_000_000
_REFUSALS = (OrderStatus.DENIED, OrderStatus.REJECTED)
_RESTING = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


class MarketMakerSettings(StrategySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sizes in base currency, times in seconds of the data's clock, ``_ppm`` in millionths of the mid price.

    ``edge_ticks`` is how far behind the touch the quotes stand. At full inventory both quotes are moved by ``skew_ppm``
    against it. After a refused order ``refusal_pause_s`` passes before the next one of that side.
    """

    size: Annotated[
        Decimal, decimal_setting("Quote size", "Size of each quote", unit="base currency", most="1000000")
    ] = Decimal("0.01")
    max_position: Annotated[
        Decimal,
        decimal_setting(
            "Largest position", "The most that is held on either side", unit="base currency", most="1000000"
        ),
    ] = Decimal("0.05")
    edge_ticks: Annotated[
        int, setting("Edge", "How far behind the touch the quotes stand", unit="ticks", ge=0, le=1_000_000)
    ] = 0
    skew_ppm: Annotated[
        int,
        setting("Skew", "How far both quotes move against a full inventory", unit="ppm", ge=0, le=100_000),
    ] = 10
    requote_ppm: Annotated[
        int,
        setting(
            "Requote distance", "How far a quote may be from its place before it is moved", unit="ppm", ge=0, le=100_000
        ),
    ] = 10
    min_life_s: Annotated[
        float, setting("Shortest life", "A quote is not replaced before this", unit="s", ge=0, le=3_600)
    ] = 0.5
    refusal_pause_s: Annotated[
        float, setting("Pause after a refusal", "Before the next order of that side", unit="s", ge=0, le=3_600)
    ] = 2.0

    def __post_init__(self) -> None:
        if self.size > self.max_position:
            raise ValueError(f"size {self.size} must be at most max_position {self.max_position}")


class SavedQuote(msgspec.Struct, frozen=True, kw_only=True):
    """One side of one instrument: the order that rests there, when it was placed, and when the next may be sent."""

    instrument_id: InstrumentId
    side: OrderSide
    order_id: ClientOrderId | None
    placed_ns: int
    next_ns: int


class MarketMakerState(msgspec.Struct):
    """What is saved. The inventory is the position, which the platform keeps. ``time_ns`` is the clock of the data."""

    quotes: list[SavedQuote] = []
    time_ns: int = 0


class QuotedSide:
    """One side of one instrument: the order that rests there, if any, and when the next may be sent."""

    __slots__ = ("next_ns", "order", "placed_ns")

    def __init__(self) -> None:
        self.order: Order | None = None
        self.placed_ns = 0
        self.next_ns = 0

    def live_order(self) -> Order | None:
        """The order unless its end is known."""
        order = self.order
        if order is not None and order.at_risk_size == 0:
            self.order = order = None
        return order


class QuotedInstrument:
    """Both sides of one instrument, and its sizes as mantissas."""

    def __init__(self, instrument: Instrument, settings: MarketMakerSettings) -> None:
        self.size = to_mantissa(settings.size, instrument.size_precision)
        self.max_position = to_mantissa(settings.max_position, instrument.size_precision)
        if not 0 < self.size <= self.max_position:
            raise ValueError(f"size {settings.size} must be positive and at most max_position {settings.max_position}")
        self.edge = settings.edge_ticks * instrument.price_increment
        self.sides = {OrderSide.BUY: QuotedSide(), OrderSide.SELL: QuotedSide()}
        self.seen_bid = self.seen_ask = 0
        self.look_again_ns = 0


class MarketMaker(Strategy):
    """One post-only bid and one post-only ask around the mid price."""

    settings: MarketMakerSettings
    State = MarketMakerState
    state: MarketMakerState

    def on_save(self) -> MarketMakerState:
        quotes = [
            SavedQuote(
                instrument_id=instrument_id,
                side=side,
                order_id=quoted_side.order.client_order_id if quoted_side.order is not None else None,
                placed_ns=quoted_side.placed_ns,
                next_ns=quoted_side.next_ns,
            )
            for instrument_id, quoted in self._quoted.items()
            for side, quoted_side in quoted.sides.items()
        ]
        return MarketMakerState(quotes=quotes, time_ns=self.context.time_ns)

    def on_start(self) -> None:
        settings = self.settings
        self._min_life_ns = int(settings.min_life_s * _NS_PER_S)
        self._refusal_pause_ns = int(settings.refusal_pause_s * _NS_PER_S)
        self._quoted: dict[InstrumentId, QuotedInstrument] = {
            instrument_id: QuotedInstrument(instrument, settings)
            for instrument_id, instrument in self.context.instruments.items()
        }
        self._resumed_ns = self.state.time_ns
        for saved in self.state.quotes:
            if (quoted := self._quoted.get(saved.instrument_id)) is not None:
                quoted_side = quoted.sides[saved.side]
                quoted_side.order = self.context.order(saved.order_id) if saved.order_id else None
                quoted_side.placed_ns, quoted_side.next_ns = saved.placed_ns, saved.next_ns

    def on_adopt(self) -> None:
        """What rests becomes the quote of its side; where there are two, one goes."""
        for instrument_id, quoted in self._quoted.items():
            for side in quoted.sides:
                kept = self._live_order(instrument_id, side)
                for order in self.context.open_orders(instrument_id, side):
                    if order is not kept:
                        self.context.cancel(order)

    def on_quote(self, quote: Quote) -> None:
        quoted = self._quoted[quote.instrument_id]
        bid, ask = quote.bid_price, quote.ask_price
        # Most quotes only change a size: nothing follows from them unless an order was waiting for its time.
        if bid == quoted.seen_bid and ask == quoted.seen_ask and quote.ts_event < quoted.look_again_ns:
            return
        quoted.seen_bid, quoted.seen_ask = bid, ask
        quoted.look_again_ns = self._requote(quote, quoted)

    def on_order_event(self, event: OrderEvent) -> None:
        quoted = self._quoted[event.instrument_id]
        quoted.look_again_ns = 0
        if event.status in _REFUSALS:
            for side in quoted.sides.values():
                if side.order is not None and side.order.client_order_id == event.client_order_id:
                    side.next_ns = self.context.time_ns + self._refusal_pause_ns

    def _requote(self, quote: Quote, quoted: QuotedInstrument) -> int:
        """Bring both sides to where they should be; answers when to look again if the touch stays as it is."""
        if self._resumed_ns:
            self._check_clock(quote.ts_event)
        position = self.context.position(quote.instrument_id).signed_size
        mid = (quote.bid_price + quote.ask_price) // 2
        shift = -mid * self.settings.skew_ppm * position // (_MILLION * quoted.max_position)
        tick = quote.instrument.price_increment
        # The far limits keep a post-only order from crossing; where the spread is one tick they are the touch itself.
        bid = min(quote.bid_price - quoted.edge + shift, quote.ask_price - tick) // tick * tick
        ask = -(-max(quote.ask_price + quoted.edge + shift, quote.bid_price + tick) // tick) * tick
        tolerance = mid * self.settings.requote_ppm // _MILLION
        may_buy = position + quoted.size <= quoted.max_position
        may_sell = position - quoted.size >= -quoted.max_position
        return min(
            self._keep(quote, quoted, OrderSide.BUY, bid if may_buy else None, tolerance),
            self._keep(quote, quoted, OrderSide.SELL, ask if may_sell else None, tolerance),
        )

    def _live_order(self, instrument_id: InstrumentId, side: OrderSide) -> Order | None:
        """The quote of a side: what we placed, or what rests there from before a crash."""
        quoted_side = self._quoted[instrument_id].sides[side]
        if quoted_side.live_order() is None:
            resting = self.context.open_orders(instrument_id, side)
            quoted_side.order = next((order for order in resting if order.price is not None), None)
        return quoted_side.order

    def _check_clock(self, now_ns: int) -> None:
        """Forget saved times when the data began again at an earlier one, as a replay does."""
        if now_ns < self._resumed_ns:
            for quoted in self._quoted.values():
                for quoted_side in quoted.sides.values():
                    quoted_side.placed_ns = quoted_side.next_ns = 0
        self._resumed_ns = 0

    def _keep(self, quote: Quote, quoted: QuotedInstrument, side: OrderSide, wanted: int | None, tolerance: int) -> int:
        """Leave one side, cancel it, or place it at ``wanted`` (None: no quote); answers when to look again."""
        quoted_side, now_ns = quoted.sides[side], quote.ts_event
        order = self._live_order(quote.instrument_id, side)
        if order is None:
            if wanted is None:
                return NEVER
            if now_ns >= quoted_side.next_ns:
                self._place(quote, quoted, side, wanted)
            return max(quoted_side.next_ns, now_ns + 1)
        if order.price is None or (wanted is not None and abs(order.price - wanted) <= tolerance):
            return NEVER
        if order.status not in _RESTING or self.context.is_cancel_pending(order):
            return now_ns + self._min_life_ns
        if now_ns - quoted_side.placed_ns < self._min_life_ns:
            return quoted_side.placed_ns + self._min_life_ns
        self.context.cancel(order)
        return now_ns + self._min_life_ns

    def _place(self, quote: Quote, quoted: QuotedInstrument, side: OrderSide, price: int) -> None:
        other = self._live_order(quote.instrument_id, side.opposite)
        # In a fast market the other side's quote may be stale: trading with ourselves would only pay fees.
        if other is not None and other.price is not None and (other.price - price) * side.sign <= 0:
            return
        order = self.context.submit_limit(quote.instrument_id, side, quoted.size, price, post_only=True)
        if order is not None:
            quoted_side = quoted.sides[side]
            quoted_side.order = order
            quoted_side.placed_ns = quote.ts_event
            quoted_side.next_ns = quote.ts_event + self._min_life_ns
