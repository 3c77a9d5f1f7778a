"""What a strategy sees and does. No I/O: the commands are published by whoever drives the strategy.

A size or price given as ``int`` is a mantissa of the instrument; ``Decimal`` and ``str`` are numbers in base and quote
currency, and must be exact at the instrument's precision.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from tradewind.model.enums import OrderSide, TimeInForce
from tradewind.model.fixed_point import to_mantissa
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.strategy.commanding import CommandDesk
from tradewind.strategy.instrument_data import MarketView
from tradewind.strategy.market_views import Quote
from tradewind.strategy.order_tracking import OrderTracker
from tradewind.strategy.timers import Timers

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from tradewind_native.order_book import OrderBook

Number: TypeAlias = Decimal | str | int

_NS_PER_S = 1_000_000_000


class StrategyContext:
    """The world of one strategy."""

    def __init__(
        self,
        market: MarketView,
        tracker: OrderTracker,
        desk: CommandDesk,
        timers: Timers,
        log: "FilteringBoundLogger",
    ) -> None:
        self.time_ns = 0
        """The clock of the data: venue time of the latest record, ns UTC; 0 before the first."""
        self.log = log
        self._market = market
        self._tracker = tracker
        self._desk = desk
        self._timers = timers

    # What it sees.

    @property
    def strategy_id(self) -> StrategyId:
        """This strategy's id: its orders and its book carry it."""
        return self._tracker.strategy_id

    @property
    def account_id(self) -> AccountId:
        """The account that its orders go to."""
        return self._tracker.account_id

    @property
    def wall_time_ns(self) -> int:
        """The clock on the wall, ns UTC; in a backtest the receive time of the data."""
        return self._desk.wall_clock()

    @property
    def instruments(self) -> Mapping[InstrumentId, Instrument]:
        """This strategy's instruments."""
        return self._market.instruments

    def instrument(self, instrument_id: InstrumentId) -> Instrument:
        """The steps and currencies of an instrument.

        Raises:
            UnknownInstrument: it is not among this strategy's.
        """
        self._market.data(instrument_id)
        return self._market.instruments[instrument_id]

    def quote(self, instrument_id: InstrumentId) -> Quote | None:
        """The latest best bid and ask; None before the first, or while a side is empty."""
        data = self._market.data(instrument_id)
        return data.quote if data.has_quote else None

    def book(self, instrument_id: InstrumentId) -> "OrderBook | None":
        """The price levels; None while not in sync: until the first snapshot after the first call, and after a gap."""
        synced = self._market.book(self._market.data(instrument_id))
        return synced.book if synced.is_synced else None

    def position(self, instrument_id: InstrumentId) -> Position:
        """This strategy's own position: ``signed_size`` is a mantissa, negative when short."""
        return self._tracker.position(instrument_id)

    def open_orders(self, instrument_id: InstrumentId | None = None, side: OrderSide | None = None) -> list[Order]:
        """Orders without a known end, in flight ones too; the objects are kept up to date."""
        return list(self._tracker.open_orders(instrument_id, side))

    def order(self, client_order_id: ClientOrderId) -> Order | None:
        """An order of this strategy by its id, open or among the last that closed; None when it never came to be."""
        return self._tracker.find(client_order_id)

    def is_cancel_pending(self, order: Order) -> bool:
        """Whether a cancel of this order is on its way: wait for its answer before replacing the order."""
        return self._tracker.is_cancel_pending(order.client_order_id, self._desk.now_ns())

    @property
    def suppressed_orders(self) -> int:
        """Orders that the throttle has kept back."""
        return self._desk.throttle.suppressed

    # What it asks for.

    def subscribe_bars(self, instrument_id: InstrumentId, interval_s: float) -> None:
        """Ask for ``on_bar`` with bars of this length, made from trades."""
        self._market.subscribe_bars(instrument_id, interval_s)

    def set_timer(self, name: str, interval_s: float) -> None:
        """Ask for ``on_timer(name)`` every ``interval_s`` of the data's clock, until ``cancel_timer``."""
        self._timers.set(name, int(interval_s * _NS_PER_S), self.time_ns)

    def cancel_timer(self, name: str) -> None:
        """Stop a timer."""
        self._timers.cancel(name)

    # What it does.

    def buy(self, instrument_id: InstrumentId, size: Number, price: Number | None = None) -> Order | None:
        """A limit order to buy, or a market order where no price is given. See ``submit_limit``."""
        return self._submit(instrument_id, OrderSide.BUY, size, price)

    def sell(self, instrument_id: InstrumentId, size: Number, price: Number | None = None) -> Order | None:
        """A limit order to sell, or a market order where no price is given. See ``submit_limit``."""
        return self._submit(instrument_id, OrderSide.SELL, size, price)

    def submit_limit(
        self,
        instrument_id: InstrumentId,
        side: OrderSide,
        size: Number,
        price: Number,
        *,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order | None:
        """Submit a limit order; None when the throttle kept it back (counted in ``suppressed_orders``).

        Off-tick, too large or too small orders are not refused here: they come back as ``OrderDenied`` with a code.

        Raises:
            UnknownInstrument: it is not among this strategy's.
            FixedPointError: a number that the instrument's precision cannot hold.
        """
        return self._submit(instrument_id, side, size, price, time_in_force, post_only, reduce_only)

    def submit_market(
        self, instrument_id: InstrumentId, side: OrderSide, size: Number, *, reduce_only: bool = False
    ) -> Order | None:
        """Submit a market order; see ``submit_limit``."""
        return self._submit(instrument_id, side, size, None, reduce_only=reduce_only)

    def cancel(self, order: Order) -> bool:
        """Ask for an order's cancel; False when it is closed, or a cancel is on its way already."""
        return self._desk.cancel(order)

    def cancel_all(self, instrument_id: InstrumentId | None = None) -> bool:
        """Cancel all that this strategy has resting; False when there is nothing that is not being cancelled."""
        return self._desk.cancel_all(instrument_id, "asked by the strategy")

    def _submit(
        self,
        instrument_id: InstrumentId,
        side: OrderSide,
        size: Number,
        price: Number | None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order | None:
        instrument = self.instrument(instrument_id)
        if not isinstance(size, int):
            size = to_mantissa(size, instrument.size_precision)
        if price is not None and not isinstance(price, int):
            price = to_mantissa(price, instrument.price_precision)
        return self._desk.submit(
            instrument_id, side, size, price, time_in_force, post_only=post_only, reduce_only=reduce_only
        )
