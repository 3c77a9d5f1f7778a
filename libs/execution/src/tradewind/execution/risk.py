"""Pre-trade risk with reservation: every order that is open, in flight or UNKNOWN counts at its worst case.

Reservations are kept as running sums, so that a check costs the same with one open order as with thousands.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from tradewind.execution.ledger import Ledger
from tradewind.execution.limits import Denial, DenyCode, RiskLimits
from tradewind.model.enums import OrderSide, OrderType, TradingState
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order

SUPPORTED_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})


class _Reservation:
    """What one order ties up, as it was last counted."""

    __slots__ = ("currency", "instrument_id", "money", "notional", "side", "size")

    def __init__(
        self, instrument_id: InstrumentId, side: OrderSide, size: int, notional: Decimal, currency: str, money: Decimal
    ) -> None:
        self.instrument_id = instrument_id
        self.side = side
        self.size = size
        self.notional = notional
        self.currency = currency
        self.money = money


class RiskChecks:
    """The limits of one account against its ledger and reservations."""

    def __init__(self, limits: RiskLimits, ledger: Ledger, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self.limits = limits
        self._instruments = instruments
        self._ledger = ledger
        self._reservations: dict[ClientOrderId, _Reservation] = {}
        self._notionals: dict[tuple[InstrumentId, OrderSide], Decimal] = defaultdict(Decimal)
        self._money: dict[str, Decimal] = defaultdict(Decimal)
        self._counts: dict[InstrumentId, int] = defaultdict(int)
        self._restricted: dict[str, TradingState] = {}
        self.reference_prices: dict[InstrumentId, dict[OrderSide, int]] = {}

    def check(self, order: Order, instrument: Instrument) -> None:
        """Refuse an order that breaks its instrument's steps, a limit, the balance or the trading state.

        Raises:
            Denial: with its code, limit and value.
        """
        self._check_form(order, instrument)
        price = self.worst_price(order)
        self._check_trading_state(order)
        notional = instrument.notional(price, order.size)
        if notional < instrument.min_notional:
            raise Denial(DenyCode.NOTIONAL_BELOW_MIN, limit=instrument.min_notional, value=notional)
        if notional > self.limits.max_order_notional:
            raise Denial(DenyCode.NOTIONAL_EXCEEDS_MAX_PER_ORDER, limit=self.limits.max_order_notional, value=notional)
        self._check_counts(order)
        self._check_exposure(order, instrument, price, notional)
        self._check_balance(order, instrument, notional)

    def check_reducing(self, order: Order, instrument: Instrument) -> None:
        """For the kill switch's own orders, in every trading state: limits never stand in the way of a smaller book.

        Raises:
            Denial: a form that the venue would refuse, or more than the book holds.
        """
        self._check_form(order, instrument)
        if not self.reduces(order):
            raise Denial(DenyCode.REDUCE_ONLY_WOULD_INCREASE, limit=abs(self._held(order)), value=order.size)

    def worst_price(self, order: Order) -> int:
        """The price that an order is counted at: its limit, or for a market order the opposite best.

        Raises:
            Denial: a market order without a known price.
        """
        if order.price is not None:
            return order.price
        reference = self.reference_prices.get(order.instrument_id, {}).get(order.side.opposite)
        if not reference:
            raise Denial(DenyCode.PRICE_REFERENCE_MISSING, value=order.instrument_id)
        return reference

    def reserve(self, order: Order, instrument: Instrument) -> None:
        """Count what ``order`` can still do; called again after every change of the order."""
        size = order.at_risk_size
        counted = self._reservations.get(order.client_order_id)
        if counted is not None:
            if counted.size == size:
                return
            del self._reservations[order.client_order_id]
            self._count(counted, -1)
        if size <= 0:
            return
        price = order.price or self.reference_prices.get(order.instrument_id, {}).get(order.side.opposite) or 0
        notional = instrument.notional(price, size)
        buying = order.side is OrderSide.BUY
        reservation = _Reservation(
            order.instrument_id,
            order.side,
            size,
            notional,
            instrument.quote_currency if buying else instrument.base_currency,
            notional if buying else instrument.decimal_size(size),
        )
        self._reservations[order.client_order_id] = reservation
        self._count(reservation, 1)

    def reserved_notional(self, instrument_id: InstrumentId, side: OrderSide) -> Decimal:
        """Notional of what could still fill on one side of an instrument."""
        return self._notionals[instrument_id, side]

    def set_trading_state(self, scope: str, state: TradingState) -> None:
        """Bind a scope to a trading state; ACTIVE frees it."""
        self._restricted[scope] = state
        if state is TradingState.ACTIVE:
            del self._restricted[scope]

    def state_of(self, account_id: AccountId, strategy_id: StrategyId, instrument_id: InstrumentId) -> TradingState:
        """The strictest trading state of the scopes that an order falls under."""
        if not self._restricted:
            return TradingState.ACTIVE
        scopes = ("firm", f"account:{account_id}", f"strategy:{strategy_id}", f"instrument:{instrument_id}")
        states = {self._restricted.get(scope) for scope in scopes}
        for strict in (TradingState.HALTED, TradingState.REDUCING):
            if strict in states:
                return strict
        return TradingState.ACTIVE

    def _check_form(self, order: Order, instrument: Instrument) -> None:
        if order.order_type not in SUPPORTED_TYPES:
            raise Denial(DenyCode.ORDER_TYPE_UNSUPPORTED, limit="MARKET,LIMIT", value=order.order_type)
        if order.size <= 0:
            raise Denial(DenyCode.SIZE_NOT_POSITIVE, value=order.size)
        size = instrument.format_size
        if order.size < instrument.min_size:
            raise Denial(DenyCode.SIZE_BELOW_MIN, limit=size(instrument.min_size), value=size(order.size))
        if order.size > instrument.max_size:
            raise Denial(DenyCode.SIZE_EXCEEDS_MAX, limit=size(instrument.max_size), value=size(order.size))
        if order.size % instrument.size_increment:
            raise Denial(DenyCode.SIZE_OFF_STEP, limit=size(instrument.size_increment), value=size(order.size))
        if order.order_type is OrderType.LIMIT:
            self._check_price(order.price, instrument)

    @staticmethod
    def _check_price(price: int | None, instrument: Instrument) -> None:
        if price is None:
            raise Denial(DenyCode.PRICE_MISSING, value="LIMIT order")
        text = instrument.format_price
        if price <= 0:
            raise Denial(DenyCode.PRICE_NOT_POSITIVE, value=text(price))
        if price > instrument.max_price:
            raise Denial(DenyCode.PRICE_EXCEEDS_MAX, limit=text(instrument.max_price), value=text(price))
        if price % instrument.price_increment:
            raise Denial(DenyCode.PRICE_OFF_TICK, limit=text(instrument.price_increment), value=text(price))

    def _check_trading_state(self, order: Order) -> None:
        state = self.state_of(order.account_id, order.strategy_id, order.instrument_id)
        if state is TradingState.HALTED:
            raise Denial(DenyCode.TRADING_HALTED, value=state)
        if state is TradingState.ACTIVE and not order.reduce_only:
            return
        if not self.reduces(order):
            code = DenyCode.TRADING_REDUCING if state is TradingState.REDUCING else DenyCode.REDUCE_ONLY_WOULD_INCREASE
            raise Denial(code, limit=abs(self._held(order)), value=order.size)

    def reduces(self, order: Order) -> bool:
        """Whether an order can only make its strategy's position smaller, as the position is now."""
        held = self._held(order)
        return held * order.side.sign < 0 and order.size <= abs(held)

    def _held(self, order: Order) -> int:
        position = self._ledger.positions.get((order.strategy_id, order.instrument_id))
        return position.signed_size if position else 0

    def _check_counts(self, order: Order) -> None:
        limits = self.limits
        count = self._counts[order.instrument_id] + 1
        if count > limits.max_open_orders_per_instrument:
            limit = limits.max_open_orders_per_instrument
            raise Denial(DenyCode.OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT, limit=limit, value=count)
        total = len(self._reservations) + 1
        if total > limits.max_open_orders:
            raise Denial(DenyCode.OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT, limit=limits.max_open_orders, value=total)

    def _check_exposure(self, order: Order, instrument: Instrument, price: int, notional: Decimal) -> None:
        after = self._side_exposure(order.instrument_id, order.side, instrument, price) + notional
        limit = self.limits.max_instrument_notional
        if after > limit:
            raise Denial(DenyCode.NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT, limit=limit, value=after)
        total = after + sum((self._exposure(other) for other in self._held_besides(order.instrument_id)), Decimal(0))
        limit = self.limits.max_account_notional
        if total > limit:
            raise Denial(DenyCode.NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT, limit=limit, value=total)

    def _held_besides(self, instrument_id: InstrumentId) -> list[Instrument]:
        """Other instruments with a position or an order, so that a check costs nothing for those never traded."""
        touched = {name for name, _ in self._notionals} | {name for _, name in self._ledger.positions}
        touched.discard(instrument_id)
        return [self._instruments[name] for name in touched if name in self._instruments]

    def _exposure(self, instrument: Instrument) -> Decimal:
        """The larger side of an instrument, at its reference price (at average cost where no price is known)."""
        known = self.reference_prices.get(instrument.instrument_id)
        if known:
            price = max(known.values())
            return max(self._side_exposure(instrument.instrument_id, s, instrument, price) for s in OrderSide)
        cost = sum(
            (
                abs(p.average_price * instrument.decimal_size(p.signed_size))
                for (_, instrument_id), p in self._ledger.positions.items()
                if instrument_id == instrument.instrument_id
            ),
            start=Decimal(0),
        )
        return cost + max(self._notionals[instrument.instrument_id, s] for s in OrderSide)

    def _side_exposure(
        self, instrument_id: InstrumentId, side: OrderSide, instrument: Instrument, price: int
    ) -> Decimal:
        """Position on this side at ``price`` plus everything open on it."""
        held = max(self._ledger.net_size(instrument_id) * side.sign, 0)
        return instrument.notional(price, held) + self._notionals[instrument_id, side]

    def _check_balance(self, order: Order, instrument: Instrument, notional: Decimal) -> None:
        if order.side is OrderSide.BUY:
            currency, needed = instrument.quote_currency, notional
        else:
            currency, needed = instrument.base_currency, instrument.decimal_size(order.size)
        free = self._ledger.totals[currency] - self._money[currency]
        if needed > free:
            raise Denial(DenyCode.BALANCE_INSUFFICIENT, limit=f"{free:f} {currency}", value=f"{needed:f} {currency}")

    def _count(self, reservation: _Reservation, sign: int) -> None:
        key = (reservation.instrument_id, reservation.side)
        self._notionals[key] += sign * reservation.notional
        self._money[reservation.currency] += sign * reservation.money
        self._counts[reservation.instrument_id] += sign
