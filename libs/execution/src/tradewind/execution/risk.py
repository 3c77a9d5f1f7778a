"""Pre-trade risk with reservation: every order that is open, in flight or UNKNOWN counts at its worst case.

No I/O and no clock: the caller gives the time. What each limit counts is in docs/protocols/risk-limits.md; the sums are
kept by ``exposures.py``, losses by ``profits.py``.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import ROUND_UP, Decimal
from typing import Final

import msgspec

from tradewind.execution.exposures import Exposures, Leaf, ScopeUse
from tradewind.execution.ledger import Ledger
from tradewind.execution.limits import Denial, DenyCode, RiskLimits
from tradewind.execution.order_rates import SECOND_NS
from tradewind.execution.profits import Profit
from tradewind.execution.reference_prices import ReferencePrices
from tradewind.model.enums import OrderSide, OrderType, TradingState
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.store.risk_counters import OrderPriceRow, RiskRows, StoredRisk

SUPPORTED_TYPES: Final = frozenset({OrderType.MARKET, OrderType.LIMIT})
_DAY_S: Final = 86_400
_POSITION_CODES: Final = (
    DenyCode.NOTIONAL_EXCEEDS_MAX_PER_STRATEGY,
    DenyCode.NOTIONAL_EXCEEDS_MAX_PER_INSTRUMENT,
    DenyCode.NOTIONAL_EXCEEDS_MAX_PER_ACCOUNT,
)
_OPEN_ORDERS_CODES: Final = (
    DenyCode.OPEN_ORDERS_EXCEED_MAX_PER_STRATEGY,
    DenyCode.OPEN_ORDERS_EXCEED_MAX_PER_INSTRUMENT,
    DenyCode.OPEN_ORDERS_EXCEED_MAX_PER_ACCOUNT,
)


class LimitUse(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one limit of one scope is used, for pages and metrics."""

    scope: str
    limit: str
    used: Decimal
    bound: Decimal


class _Reservation:
    """What one order ties up, as it was last counted. ``price`` is the mantissa that it counts at for all its life."""

    __slots__ = ("currency", "leaf", "money", "notional", "price", "side", "size")

    def __init__(self, leaf: Leaf, order: Order, instrument: Instrument, size: int, price: int) -> None:
        buying = order.side is OrderSide.BUY
        self.leaf = leaf
        self.side = order.side
        self.size = size
        self.price = price
        self.notional = instrument.notional(price, size)
        self.currency = instrument.quote_currency if buying else instrument.base_currency
        self.money = self.notional if buying else instrument.decimal_size(size)


class RiskChecks:
    """The limits of one account against its ledger and reservations."""

    def __init__(self, limits: RiskLimits, ledger: Ledger, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self.limits = limits
        self.prices = ReferencePrices()
        self.exposures = Exposures(ledger.account_id, limits, instruments, self.prices)
        self.firm_share: Decimal | None = None if limits.max_firm_notional is None else Decimal(0)
        """This account's part of the firm's limit; None where the firm has none."""
        self.firm_wanted = Decimal(0)
        """The largest exposure that was refused for want of a share since it was last looked at."""
        self._ledger = ledger
        self._reservations: dict[ClientOrderId, _Reservation] = {}
        self._money: dict[str, Decimal] = defaultdict(Decimal)
        self._restricted: dict[str, TradingState] = {}
        self._order_prices: dict[ClientOrderId, int] = {}
        self._new_prices: dict[ClientOrderId, int] = {}
        self._ended: list[ClientOrderId] = []
        self._day = -1
        self._dirty: set[Profit] = set()
        ledger.watch(self.exposures)

    # -- state ---------------------------------------------------------------------------------------------------------

    def load(self, stored: StoredRisk) -> None:
        """Take over what the store knows; before the orders, whose prices are among it."""
        self._order_prices = dict(stored.order_prices)
        rows = {row.scope: row for row in stored.counters}
        for scope in rows:
            kind, _, name = scope.partition(":")
            if kind == "strategy":
                self.exposures.strategy(StrategyId(name))
        for profit in self.exposures.profits():
            if row := rows.get(profit.scope):
                profit.load(row)
        for sent in stored.sent_orders:
            for use in self.exposures.leaf(sent.strategy_id, sent.instrument_id).scopes:
                for rate in use.rates:
                    rate.count(sent.ts_init)

    def observe(self, now_ns: int) -> None:
        """Follow the prices: exposures, unrealized profit, the day and the peak. Costs nothing when none has moved."""
        self.exposures.revalue()
        day = (now_ns // SECOND_NS - self.limits.day_start_s) // _DAY_S
        if day != self._day:
            self._day = day
            self.exposures.moved.update(self.exposures.profits())
        if self.exposures.moved:
            moved, self.exposures.moved = self.exposures.moved, set()
            for profit in moved:
                profit.settle(day)
            self._dirty.update(profit for profit in moved if profit.dirty)

    def take_rows(self, now_ns: int) -> RiskRows | None:
        """What must be stored since the last call, None if nothing; it is then no more kept here."""
        self.observe(now_ns)
        if not (self._dirty or self._new_prices or self._ended):
            return None
        rows = RiskRows(
            counters=[profit.row() for profit in self._dirty],
            order_prices=[OrderPriceRow(client_order_id=name, price=p) for name, p in self._new_prices.items()],
            ended_orders=self._ended,
        )
        self._dirty, self._new_prices, self._ended = set(), {}, []
        return rows

    def usage(self, now_ns: int) -> Iterator[LimitUse]:
        """Every limit that is set, with what is used of it."""
        self.observe(now_ns)
        exposures = self.exposures
        for use in (exposures.account, *exposures.strategies.values(), *exposures.instruments.values()):
            yield from _uses(use, now_ns)
        if self.firm_share is not None:
            name, used = "max_firm_notional", exposures.account.exposure
            yield LimitUse(scope="firm", limit=name, used=used, bound=self.firm_share)

    # -- checks --------------------------------------------------------------------------------------------------------

    def check(self, order: Order, instrument: Instrument, now_ns: int) -> None:
        """Refuse an order that breaks its instrument's steps, a limit, the balance or the trading state.

        An order that passes is counted in the rates of its scopes: the caller sends it. One that can only make its
        strategy's position smaller passes every limit on positions, losses, rates and the age of prices.

        Raises:
            Denial: with its code, limit and value.
        """
        self.observe(now_ns)
        self._check_form(order, instrument)
        reducing = self.reduces(order)
        self._check_trading_state(order, reducing)
        leaf = self.exposures.leaf(order.strategy_id, order.instrument_id)
        if not reducing:
            self._check_prices(order, now_ns)
        notional = instrument.notional(self._worst_price(order, leaf, instrument), order.size)
        self._check_order_limits(order, instrument, notional, leaf)
        for use, code in zip(leaf.scopes, _OPEN_ORDERS_CODES, strict=True):
            most = use.limits.max_open_orders
            if most is not None and use.open_orders >= most:
                raise Denial(code, limit=most, value=use.open_orders + 1, scope=use.name)
        if not reducing:
            self._check_increase(order, notional, leaf, now_ns)
        self._check_balance(order, instrument, notional)
        for use in leaf.scopes:
            for rate in use.rates:
                rate.count(now_ns)

    def check_reducing(self, order: Order, instrument: Instrument) -> None:
        """For the kill switch's own orders, in every trading state: limits never stand in the way of a smaller book.

        Raises:
            Denial: a form that the venue would refuse, or more than the book holds.
        """
        self._check_form(order, instrument)
        if not self.reduces(order):
            raise Denial(DenyCode.REDUCE_ONLY_WOULD_INCREASE, limit=abs(self._held(order)), value=order.size)

    def reduces(self, order: Order) -> bool:
        """Whether an order can only make its strategy's position smaller, if all that is open on its side fills too."""
        leaf = self.exposures.leaf(order.strategy_id, order.instrument_id)
        counted = self._reservations.get(order.client_order_id)
        others = leaf.open_size[order.side] - (counted.size if counted is not None else 0)
        return leaf.held * order.side.sign < 0 and order.size + others <= abs(leaf.held)

    # -- reservations --------------------------------------------------------------------------------------------------

    def reserve(self, order: Order, instrument: Instrument) -> None:
        """Count what ``order`` can still do; called again after every change of the order."""
        name, size = order.client_order_id, order.at_risk_size
        leaf = self.exposures.leaf(order.strategy_id, order.instrument_id)
        counted = self._reservations.get(name)
        if counted is not None:
            if counted.size == size and counted.leaf is leaf:
                return
            self._count(counted, -1)
        if size <= 0:
            if counted is not None:
                self._release(name)
            return
        price = counted.price if counted is not None else self._price_for_life(order, leaf, instrument)
        self._reservations[name] = reservation = _Reservation(leaf, order, instrument, size, price)
        self._count(reservation, 1)

    def forget(self, name: ClientOrderId) -> None:
        """Count an order no more; it is about to be reserved anew for another strategy, at the price it has."""
        counted = self._reservations.pop(name, None)
        if counted is not None:
            self._count(counted, -1)

    def reserved_notional(self, instrument_id: InstrumentId, side: OrderSide) -> Decimal:
        """Notional of what could still fill on one side of an instrument."""
        return sum((leaf.open_notional[side] for leaf in self.exposures.leaves_of(instrument_id)), Decimal(0))

    def reservations(self) -> dict[ClientOrderId, tuple[int, int]]:
        """Size and price (mantissas) of everything that is counted."""
        return {name: (one.size, one.price) for name, one in self._reservations.items()}

    # -- trading states ------------------------------------------------------------------------------------------------

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

    # -- inside --------------------------------------------------------------------------------------------------------

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

    def _check_trading_state(self, order: Order, reducing: bool) -> None:
        state = self.state_of(order.account_id, order.strategy_id, order.instrument_id)
        if state is TradingState.HALTED:
            raise Denial(DenyCode.TRADING_HALTED, value=state)
        if not reducing and (state is TradingState.REDUCING or order.reduce_only):
            code = DenyCode.TRADING_REDUCING if state is TradingState.REDUCING else DenyCode.REDUCE_ONLY_WOULD_INCREASE
            raise Denial(code, limit=abs(self._held(order)), value=order.size)

    def _held(self, order: Order) -> int:
        return self.exposures.leaf(order.strategy_id, order.instrument_id).held

    def _check_prices(self, order: Order, now_ns: int) -> None:
        """Fresh prices of the order's instrument, and of all that the account holds: exposure is counted at them."""
        heard_ns = self.prices.heard_ns(order.instrument_id)
        if heard_ns is not None:
            self._age_limit(order.instrument_id, heard_ns, now_ns)
        elif order.price is None or self.limits.limit_orders_need_price:
            raise Denial(DenyCode.PRICE_REFERENCE_MISSING, value=order.instrument_id)
        account = self.exposures.account
        if account.fresh_from_ns <= now_ns <= account.fresh_until_ns:
            return
        until_ns = now_ns + _DAY_S * SECOND_NS
        for instrument_id in account.held:
            heard_ns = self.prices.heard_ns(instrument_id)
            if heard_ns is not None:
                until_ns = min(until_ns, self._age_limit(instrument_id, heard_ns, now_ns))
            elif self.limits.limit_orders_need_price:
                raise Denial(DenyCode.PRICE_REFERENCE_MISSING, value=instrument_id)
        if account.held:
            account.fresh_from_ns, account.fresh_until_ns = now_ns, until_ns

    def _age_limit(self, instrument_id: InstrumentId, heard_ns: int, now_ns: int) -> int:
        """Until when a price is fresh.

        Raises:
            Denial: it is not.
        """
        max_age_s = self.exposures.max_price_age_s(instrument_id)
        if max_age_s is None:
            return now_ns
        until_ns = heard_ns + int(max_age_s * SECOND_NS)
        if now_ns > until_ns:
            age_s = round((now_ns - heard_ns) / SECOND_NS, 3)
            scope = f"instrument:{instrument_id}"
            raise Denial(DenyCode.MARKET_DATA_STALE, limit=max_age_s, value=age_s, scope=scope)
        return until_ns

    def _worst_price(self, order: Order, leaf: Leaf, instrument: Instrument) -> int:
        """The price that an order counts at: a buy's limit, a sell's limit or the bid if that is higher, a market
        order's opposite best; where no price is known, what the position cost."""
        opposite = self.prices.best(order.instrument_id, order.side.opposite)
        if order.price is None:
            cost = int(leaf.average.scaleb(instrument.price_precision).to_integral_value(ROUND_UP))
            return opposite or self.prices.best(order.instrument_id, order.side) or cost
        return max(order.price, opposite or 0) if order.side is OrderSide.SELL else order.price

    def _price_for_life(self, order: Order, leaf: Leaf, instrument: Instrument) -> int:
        """The price that an order counts at until it ends, also after a restart."""
        stored = self._order_prices.get(order.client_order_id)
        if stored is not None:
            return stored
        price = self._worst_price(order, leaf, instrument)
        if price and price != order.price:
            self._order_prices[order.client_order_id] = self._new_prices[order.client_order_id] = price
        return price

    def _check_order_limits(self, order: Order, instrument: Instrument, notional: Decimal, leaf: Leaf) -> None:
        if notional < instrument.min_notional:
            raise Denial(DenyCode.NOTIONAL_BELOW_MIN, limit=instrument.min_notional, value=notional)
        size = instrument.decimal_size(order.size)
        order_scope = (None, self.limits.max_order_notional, self.limits.max_order_size)
        own = ((use.name, use.limits.max_order_notional, use.limits.max_order_size) for use in leaf.scopes)
        for scope, most_notional, most_size in (order_scope, *own):
            if most_notional is not None and notional > most_notional:
                code = DenyCode.NOTIONAL_EXCEEDS_MAX_PER_ORDER
                raise Denial(code, limit=most_notional, value=notional, scope=scope)
            if most_size is not None and size > most_size:
                raise Denial(DenyCode.SIZE_EXCEEDS_MAX_PER_ORDER, limit=most_size, value=size, scope=scope)

    def _check_increase(self, order: Order, notional: Decimal, leaf: Leaf, now_ns: int) -> None:
        """What only binds orders that can make a position larger."""
        for use in leaf.scopes:
            for rate in use.rates:
                if not rate.has_room(now_ns):
                    limit = f"{rate.limit}/{rate.window_s}s"
                    raise Denial(DenyCode.ORDER_RATE_EXCEEDED, limit=limit, value=rate.limit + 1, scope=use.name)
            if use.profit is not None:
                _check_losses(use, use.profit)
        more = leaf.worst_case(order.side, notional) - leaf.exposure
        if more <= 0:
            return
        for use, code in zip(leaf.scopes, _POSITION_CODES, strict=True):
            most = use.limits.max_position_notional
            if most is not None and use.exposure + more > most:
                raise Denial(code, limit=most, value=use.exposure + more, scope=use.name)
        after = self.exposures.account.exposure + more
        if self.firm_share is not None and after > self.firm_share:
            self.firm_wanted = max(self.firm_wanted, after)
            raise Denial(DenyCode.FIRM_ALLOCATION_EXCEEDED, limit=self.firm_share, value=after, scope="firm")

    def _check_balance(self, order: Order, instrument: Instrument, notional: Decimal) -> None:
        if order.side is OrderSide.BUY:
            currency, needed = instrument.quote_currency, notional
        else:
            currency, needed = instrument.base_currency, instrument.decimal_size(order.size)
        free = self._ledger.totals[currency] - self._money[currency]
        if needed > free:
            raise Denial(DenyCode.BALANCE_INSUFFICIENT, limit=f"{free:f} {currency}", value=f"{needed:f} {currency}")

    def _count(self, reservation: _Reservation, sign: int) -> None:
        self._money[reservation.currency] += sign * reservation.money
        size, notional = sign * reservation.size, sign * reservation.notional
        self.exposures.count(reservation.leaf, reservation.side, size, notional, sign)

    def _release(self, name: ClientOrderId) -> None:
        del self._reservations[name]
        if self._order_prices.pop(name, None) is not None:
            self._ended.append(name)


def _check_losses(use: ScopeUse, profit: Profit) -> None:
    if profit.unmarked:
        raise Denial(DenyCode.PRICE_REFERENCE_MISSING, value=f"{profit.unmarked} positions", scope=use.name)
    for code, most, lost in (
        (DenyCode.DAILY_LOSS_EXCEEDED, profit.limits.max_daily_loss, profit.daily_loss),
        (DenyCode.DRAWDOWN_EXCEEDED, profit.limits.max_drawdown, profit.drawdown),
    ):
        if most is not None and lost >= most:
            raise Denial(code, limit=most, value=f"{lost:f}", scope=use.name)


def _uses(use: ScopeUse, now_ns: int) -> Iterator[LimitUse]:
    figures: list[tuple[str, Decimal | int, Decimal | int | None]] = [
        ("max_position_notional", use.exposure, use.limits.max_position_notional),
        ("max_open_orders", use.open_orders, use.limits.max_open_orders),
        *((f"max_orders_per_{rate.window_s}s", rate.used(now_ns), rate.limit) for rate in use.rates),
    ]
    if use.profit is not None:
        figures.append(("max_daily_loss", max(use.profit.daily_loss, Decimal(0)), use.profit.limits.max_daily_loss))
        figures.append(("max_drawdown", max(use.profit.drawdown, Decimal(0)), use.profit.limits.max_drawdown))
    for name, used, bound in figures:
        if bound is not None:
            yield LimitUse(scope=use.name, limit=name, used=Decimal(used), bound=Decimal(bound))
