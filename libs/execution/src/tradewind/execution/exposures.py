"""What each scope has at stake, as running sums: positions and everything that could still fill, at its worst case.

The leaf is a strategy in an instrument. Its exposure is the larger of its two sides; a side is the position on it at
the reference price (at average cost where none is known) plus every order on it that is open, in flight or UNKNOWN. A
scope (strategy, instrument, account) is the sum of its leaves: no strategy's position is taken to offset another's,
because nobody knows which of them fills. A change of one leaf is one addition in each of its three scopes, so that a
check costs the same with one strategy as with thousands. A price moves the leaves of its instrument alone, when they
are next looked at.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from tradewind.execution.limits import InstrumentLimits, RiskLimits, ScopeLimits, StrategyLimits
from tradewind.execution.order_rates import MINUTE_NS, SECOND_NS, OrderRate
from tradewind.execution.profits import Profit
from tradewind.execution.reference_prices import ReferencePrices
from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.positions import Position
from tradewind.store.order_store import FillRow
from tradewind.store.risk_counters import ACCOUNT_SCOPE

_ZERO: Final = Decimal(0)


class ScopeUse:
    """What one scope uses of its limits. ``held`` counts its positions by instrument.

    From ``fresh_from_ns`` to ``fresh_until_ns`` all prices of those are known to be fresh.
    """

    __slots__ = (
        "exposure",
        "fresh_from_ns",
        "fresh_until_ns",
        "held",
        "limits",
        "name",
        "open_orders",
        "profit",
        "rates",
    )

    def __init__(self, name: str, limits: ScopeLimits, profit: Profit | None = None) -> None:
        self.name = name
        self.limits = limits
        self.exposure = _ZERO
        self.open_orders = 0
        self.held: dict[InstrumentId, int] = {}
        self.fresh_from_ns = self.fresh_until_ns = 0
        windows = ((limits.max_orders_per_second, SECOND_NS), (limits.max_orders_per_minute, MINUTE_NS))
        self.rates = [OrderRate(most, window_ns) for most, window_ns in windows if most is not None]
        self.profit = profit


class Leaf:
    """One strategy in one instrument. Sizes are mantissas; ``open_size`` and ``open_notional`` are by side."""

    __slots__ = (
        "average",
        "exposure",
        "held",
        "held_notional",
        "instrument_id",
        "is_marked",
        "open_notional",
        "open_size",
        "profits",
        "realized",
        "scopes",
        "unrealized",
    )

    def __init__(self, instrument_id: InstrumentId, scopes: tuple[ScopeUse, ScopeUse, ScopeUse]) -> None:
        self.instrument_id = instrument_id
        self.scopes = scopes
        self.profits = [use.profit for use in scopes if use.profit is not None]
        self.held = 0
        self.average = _ZERO
        self.realized = _ZERO
        self.unrealized = _ZERO
        self.is_marked = True
        self.exposure = _ZERO
        self.held_notional = _ZERO
        self.open_size = {OrderSide.BUY: 0, OrderSide.SELL: 0}
        self.open_notional = {OrderSide.BUY: _ZERO, OrderSide.SELL: _ZERO}

    def worst_case(self, side: OrderSide | None, notional: Decimal) -> Decimal:
        """The larger side, with ``notional`` more on ``side``."""
        buys, sells = self.open_notional[OrderSide.BUY], self.open_notional[OrderSide.SELL]
        if side is OrderSide.BUY:
            buys += notional
        elif side is OrderSide.SELL:
            sells += notional
        if self.held > 0:
            buys += self.held_notional
        elif self.held < 0:
            sells += self.held_notional
        return max(buys, sells)


class Exposures:
    """The leaves of one account and the scopes that they add up to."""

    def __init__(
        self, name: str, limits: RiskLimits, instruments: Mapping[InstrumentId, Instrument], prices: ReferencePrices
    ) -> None:
        self._limits = limits
        self._instruments = instruments
        self._prices = prices
        self.moved: set[Profit] = set()
        """Figures that changed since they were last settled."""
        of_account = limits.of_account()
        self.account = ScopeUse(f"account:{name}", of_account, self._profit(ACCOUNT_SCOPE, of_account))
        self.strategies: dict[StrategyId, ScopeUse] = {}
        self.instruments: dict[InstrumentId, ScopeUse] = {}
        self._leaves: dict[tuple[StrategyId, InstrumentId], Leaf] = {}
        self._by_instrument: dict[InstrumentId, list[Leaf]] = {}

    def strategy(self, strategy_id: StrategyId) -> ScopeUse:
        """A strategy's scope."""
        found = self.strategies.get(strategy_id)
        if found is None:
            limits = self._limits.of_strategy(strategy_id)
            name = f"strategy:{strategy_id}"
            found = self.strategies[strategy_id] = ScopeUse(name, limits, self._profit(name, limits))
        return found

    def instrument(self, instrument_id: InstrumentId) -> ScopeUse:
        """An instrument's scope."""
        found = self.instruments.get(instrument_id)
        if found is None:
            limits = self._limits.of_instrument(instrument_id)
            found = self.instruments[instrument_id] = ScopeUse(f"instrument:{instrument_id}", limits)
        return found

    def max_price_age_s(self, instrument_id: InstrumentId) -> float | None:
        """How old an instrument's market data may be."""
        limits = self.instrument(instrument_id).limits
        return limits.max_price_age_s if isinstance(limits, InstrumentLimits) else None

    def leaf(self, strategy_id: StrategyId, instrument_id: InstrumentId) -> Leaf:
        """A strategy in an instrument."""
        found = self._leaves.get((strategy_id, instrument_id))
        if found is None:
            scopes = (self.strategy(strategy_id), self.instrument(instrument_id), self.account)
            found = self._leaves[strategy_id, instrument_id] = Leaf(instrument_id, scopes)
            self._by_instrument.setdefault(instrument_id, []).append(found)
        return found

    def leaves_of(self, instrument_id: InstrumentId) -> list[Leaf]:
        """Every strategy's leaf in an instrument."""
        return self._by_instrument.get(instrument_id, [])

    def profits(self) -> Iterator[Profit]:
        """The figures of every scope whose losses are limited."""
        for use in (self.account, *self.strategies.values()):
            if use.profit is not None:
                yield use.profit

    # -- changes -----------------------------------------------------------------------------------------------------

    def position_changed(self, position: Position) -> None:
        """The ledger's word on a position."""
        leaf = self.leaf(position.strategy_id, position.instrument_id)
        if bool(leaf.held) != bool(position.signed_size):
            self._count_held(leaf, 1 if position.signed_size else -1)
        leaf.held, leaf.average = position.signed_size, position.average_price
        self._add_realized(leaf, position.realized_pnl - leaf.realized)
        self.value(leaf)

    def fill_applied(self, fill: FillRow, instrument: Instrument) -> None:
        """The fee of a fill, in quote currency."""
        profits = [p for p in (self.strategy(fill.strategy_id).profit, self.account.profit) if p is not None]
        fee = self._fee_in_quote(fill, instrument) if profits else _ZERO
        for profit in profits:
            profit.fees += fee
            profit.dirty = True
            self.moved.add(profit)

    def count(self, leaf: Leaf, side: OrderSide, size: int, notional: Decimal, orders: int) -> None:
        """Add what an order can still do, or take it off with everything negative."""
        leaf.open_size[side] += size
        leaf.open_notional[side] += notional
        for use in leaf.scopes:
            use.open_orders += orders
        self._carry(leaf)

    def revalue(self) -> None:
        """Bring every leaf whose instrument's price moved up to date."""
        if self._prices.changed:
            changed, self._prices.changed = self._prices.changed, set()
            for instrument_id in changed:
                for leaf in self.leaves_of(instrument_id):
                    self.value(leaf)

    def value(self, leaf: Leaf) -> None:
        """Value a leaf's position at the prices as they are, and carry the differences to its scopes."""
        instrument = self._instruments.get(leaf.instrument_id)
        if instrument is None:
            return  # no longer listed: nothing can be sent in it, and there is nothing to value it with
        price = self._prices.highest(leaf.instrument_id)
        if price is None:
            leaf.held_notional = abs(leaf.average * instrument.decimal_size(leaf.held))
        else:
            leaf.held_notional = instrument.notional(price, abs(leaf.held))
        self._carry(leaf)
        if leaf.profits:
            self._value_profit(leaf, instrument)

    # -- inside ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _carry(leaf: Leaf) -> None:
        exposure = leaf.worst_case(None, _ZERO)
        if exposure != leaf.exposure:
            change, leaf.exposure = exposure - leaf.exposure, exposure
            for use in leaf.scopes:
                use.exposure += change

    def _value_profit(self, leaf: Leaf, instrument: Instrument) -> None:
        price = self._prices.exit_price(leaf.instrument_id, leaf.held) if leaf.held else None
        unrealized = _ZERO
        if price is not None:
            unrealized = (instrument.decimal_price(price) - leaf.average) * instrument.decimal_size(leaf.held)
        is_marked = price is not None or not leaf.held
        change, unmarked = unrealized - leaf.unrealized, int(leaf.is_marked) - int(is_marked)
        leaf.unrealized, leaf.is_marked = unrealized, is_marked
        if change or unmarked:
            for profit in leaf.profits:
                profit.unrealized += change
                profit.unmarked += unmarked
                self.moved.add(profit)

    def _add_realized(self, leaf: Leaf, change: Decimal) -> None:
        leaf.realized += change
        for profit in leaf.profits:
            profit.realized += change
            self.moved.add(profit)

    def _profit(self, scope: str, limits: StrategyLimits) -> Profit | None:
        """Nothing is counted where nothing is limited."""
        if limits.max_daily_loss is None and limits.max_drawdown is None:
            return None
        profit = Profit(scope, limits)
        self.moved.add(profit)
        return profit

    @staticmethod
    def _count_held(leaf: Leaf, change: int) -> None:
        for use in leaf.scopes:
            count = use.held.get(leaf.instrument_id, 0) + change
            if count:
                use.held[leaf.instrument_id] = count
            else:
                use.held.pop(leaf.instrument_id, None)
            use.fresh_until_ns = 0

    def _fee_in_quote(self, fill: FillRow, instrument: Instrument) -> Decimal:
        """A fee in a third currency counts at the price of its own pair; where there is none, it counts nothing."""
        if fill.fee_currency == instrument.quote_currency:
            return fill.fee
        if fill.fee_currency == instrument.base_currency:
            return fill.fee * instrument.decimal_price(fill.price)
        for other in self._instruments.values():
            pair = (other.base_currency, other.quote_currency)
            price = self._prices.highest(other.instrument_id)
            if price is not None and pair == (fill.fee_currency, instrument.quote_currency):
                return fill.fee * other.decimal_price(price)
        return _ZERO
