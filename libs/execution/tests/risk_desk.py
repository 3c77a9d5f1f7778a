"""A desk for random days: an engine over the rows that its plans leave, a venue's habits and a clock, all in memory."""

import copy
from decimal import Decimal
from typing import Any

import msgspec
from order_path_kit import ACCOUNT, BTCUSDT, NOW, fill, status, submit

from tradewind.execution.engine import ExecutionEngine, batch_of
from tradewind.execution.limits import InstrumentLimits, RiskLimits, StrategyLimits
from tradewind.execution.order_rates import MINUTE_NS
from tradewind.execution.plans import Plan
from tradewind.model.enums import OrderSide, OrderType, TradingState
from tradewind.model.identifiers import ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.order_store import BookRow
from tradewind.store.risk_counters import RiskCounterRow, SentOrder, StoredRisk
from tradewind.wire.messages import EventIds

STRATEGIES = [StrategyId(name) for name in ("one", "two", "three")]
INSTRUMENTS = [
    msgspec.structs.replace(BTCUSDT, instrument_id=InstrumentId(f"{name}.BINANCE")) for name in ("BTCUSDT", "XBTUSDT")
]
LIMITS = RiskLimits(
    max_order_notional=Decimal(7_000),
    max_strategy_notional=Decimal(14_000),
    max_instrument_notional=Decimal(22_000),
    max_account_notional=Decimal(30_000),
    max_open_orders_per_strategy=4,
    max_open_orders_per_instrument=5,
    max_open_orders=7,
    max_orders_per_minute_per_strategy=12,
    max_daily_loss=Decimal(10**9),
    strategies={STRATEGIES[2]: StrategyLimits(max_position_notional=Decimal(9_000))},
    instruments={INSTRUMENTS[1].instrument_id: InstrumentLimits(max_open_orders=3)},
)
PRICE = 6_000_000


class Store:
    """The rows of the order path, as its transactions leave them."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.positions: dict[tuple[str, str], Position] = {}
        self.books: dict[tuple[str, str], BookRow] = {}
        self.counters: dict[str, RiskCounterRow] = {}
        self.prices: dict[ClientOrderId, int] = {}

    def commit(self, plan: Plan) -> None:
        batch = copy.deepcopy(batch_of(plan))
        self.orders |= {order.client_order_id: order for order in [*batch.new_orders, *batch.orders]}
        self.positions |= {(one.strategy_id, one.instrument_id): one for one in batch.positions}
        self.books |= {(one.strategy_id, one.currency): one for one in batch.books}
        if batch.risk is not None:
            self.counters |= {row.scope: row for row in batch.risk.counters}
            self.prices |= {row.client_order_id: row.price for row in batch.risk.order_prices}
            for name in batch.risk.ended_orders:
                del self.prices[name]


class Desk:
    """An engine over a store, its venue's habits, and the clock."""

    def __init__(self) -> None:
        self.store = Store()
        self.now_ns = NOW
        self.sent: list[SentOrder] = []
        self.increases: list[SentOrder] = []
        self.trades = 0
        self.state = TradingState.ACTIVE
        self.last_plan = Plan()
        self.engine = self.started()
        money = {"BTC": Decimal(1_000), "USDT": Decimal(10**8)}
        self.take(self.engine.plan_opening(money, self.now_ns))

    def started(self) -> ExecutionEngine:
        engine = ExecutionEngine(ACCOUNT, INSTRUMENTS, LIMITS, EventIds())
        stored = copy.deepcopy(self.store)
        sent = [one for one in self.sent if one.ts_init > self.now_ns - MINUTE_NS]
        counters = list(stored.counters.values())
        engine.risk.load(StoredRisk(counters=counters, order_prices=stored.prices, sent_orders=sent))
        engine.ledger.load(stored.positions.values(), stored.books.values())
        engine.load_orders(order for order in stored.orders.values() if order.at_risk_size)
        engine.set_trading_state("firm", self.state)
        engine.not_ready_reason = None
        self.quote(engine)
        return engine

    def quote(self, engine: ExecutionEngine) -> None:
        for instrument in INSTRUMENTS:
            for side in OrderSide:
                engine.risk.prices.take(instrument.instrument_id, side, PRICE, self.now_ns)

    def take(self, plan: Plan) -> Plan:
        self.last_plan = plan
        self.store.commit(plan)
        return plan

    def open(self) -> list[Order]:
        return sorted(self.engine.orders.values(), key=lambda order: order.client_order_id)

    def step(self, what: str, *details: Any) -> None:
        self.now_ns += 1_000_000
        self.quote(self.engine)
        if what == "submit":
            self.submit(*details)
        elif details:
            if orders := self.open():
                self.report(what, orders[details[0] % len(orders)])
        elif what == "restart":
            self.engine = self.started()
        elif what == "minute":
            self.now_ns += MINUTE_NS // 2
        else:
            self.state = TradingState.REDUCING if what == "reduce" else TradingState.ACTIVE
            self.engine.set_trading_state("firm", self.state)

    def submit(
        self, strategy: StrategyId, instrument: Any, side: OrderSide, size: int, reduce_only: bool, market: bool
    ) -> None:
        terms = {"order_type": OrderType.MARKET, "price": None} if market else {"price": PRICE}
        command = submit(
            strategy_id=strategy, instrument_id=instrument.instrument_id, side=side, size=size,
            reduce_only=reduce_only, ts_init=self.now_ns, **terms,
        )  # fmt: skip
        for passed in self.take(self.engine.plan_commands([command], self.now_ns)).submits:
            one = SentOrder(strategy_id=strategy, instrument_id=passed.instrument_id, ts_init=self.now_ns)
            self.sent.append(one)
            if not passed.reduces:
                self.increases.append(one)

    def report(self, what: str, order: Order) -> None:
        name = order.client_order_id
        terms = {"instrument_id": order.instrument_id, "side": order.side, "size": order.size}
        if what == "unknown":
            self.take(self.engine.plan_unknown(name, "timeout", self.now_ns))
        elif what == "gone":
            self.take(self.engine.plan_not_sent(name, "NOT_AT_VENUE", self.now_ns))
        elif what in ("fill", "part"):
            left = order.size - order.filled_size
            self.trades += 1
            size = left if what == "fill" else max(left // 2, 1)
            told = fill(name, f"t{self.trades}", **(terms | {"size": size, "price": PRICE, "fee": Decimal(0)}))
            self.take(self.engine.plan_reports([told], self.now_ns))
        else:
            end = OrderStatus.CANCELED if what == "cancel" or order.status is not OrderStatus.SUBMITTED else None
            said = status(name, end or OrderStatus.REJECTED, **terms, filled_size=order.filled_size, price=order.price)
            self.take(self.engine.plan_reports([said], self.now_ns))


def scope_sums(engine: ExecutionEngine) -> dict[str, tuple[Decimal, int]]:
    """What each scope that uses anything uses."""
    exposures = engine.risk.exposures
    uses = (exposures.account, *exposures.strategies.values(), *exposures.instruments.values())
    return {use.name: (use.exposure, use.open_orders) for use in uses if use.exposure or use.open_orders}
