from decimal import Decimal

import pytest

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import EXTERNAL, AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.store.database import Database
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import LeaseLost, OrderBatch, OrderStore
from tradewind.store.risk_counters import OrderPriceRow, RiskCounterRow, RiskRows, SentOrder, load_risk

ACCOUNT = AccountId("BINANCE-main")
STRATEGY = StrategyId("ema-cross")
INSTRUMENT = InstrumentId("BTCUSDT.BINANCE")
NOW = 1_700_000_000_000_000_000
MONEY = Decimal("-12.00000000000000000000001")


def order(name: str, order_status: OrderStatus, strategy_id: StrategyId = STRATEGY, ts_init: int = NOW) -> Order:
    return Order(
        client_order_id=ClientOrderId(name),
        strategy_id=strategy_id,
        account_id=ACCOUNT,
        instrument_id=INSTRUMENT,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        size=100,
        command_id=name,
        correlation_id=name,
        status=order_status,
        ts_init=ts_init,
        ts_last=ts_init,
    )


def counters(scope: str, day: int = 5) -> RiskCounterRow:
    return RiskCounterRow(
        scope=scope, day=day, day_start_pnl=MONEY, peak_pnl=Decimal(7), last_pnl=Decimal("0.5"), fees=Decimal("1E-9")
    )


def price(name: str, mantissa: int = 6_000_000) -> OrderPriceRow:
    return OrderPriceRow(client_order_id=ClientOrderId(name), price=mantissa)


@pytest.fixture
async def lease(either_database: Database) -> Lease:
    lease = await LeaseRepository(either_database, duration_s=60).acquire("execution:test", "here")
    assert lease is not None
    return lease


async def commit(database: Database, lease: Lease, orders: list[Order], risk: RiskRows | None) -> None:
    batch = OrderBatch(new_orders=orders, risk=risk)
    await OrderStore(database, ACCOUNT).commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=NOW)


async def test_counters_come_back_to_the_last_digit_and_are_replaced(either_database: Database, lease: Lease) -> None:
    first = RiskRows(counters=[counters("account"), counters("strategy:ema-cross")])
    await commit(either_database, lease, [], first)
    await commit(either_database, lease, [], RiskRows(counters=[counters("account", day=6)]))
    found = {row.scope: row for row in (await load_risk(either_database, ACCOUNT, NOW)).counters}
    assert found == {"account": counters("account", day=6), "strategy:ema-cross": counters("strategy:ema-cross")}
    assert (await load_risk(either_database, AccountId("BINANCE-other"), 0)).counters == []


async def test_prices_are_kept_as_long_as_their_order_may_fill(either_database: Database, lease: Lease) -> None:
    orders = [order("open", OrderStatus.ACCEPTED), order("gone", OrderStatus.ACCEPTED), order("f", OrderStatus.FILLED)]
    rows = RiskRows(order_prices=[price("open"), price("gone"), price("f")])
    await commit(either_database, lease, orders, rows)
    await commit(either_database, lease, [], RiskRows(ended_orders=[ClientOrderId("gone")]))
    stored = await load_risk(either_database, ACCOUNT, NOW)
    assert stored.order_prices == {"open": 6_000_000}, "one that ended in a crash is forgotten at the start"


async def test_orders_sent_within_the_window_are_known_again(either_database: Database, lease: Lease) -> None:
    orders = [
        order("new", OrderStatus.SUBMITTED, ts_init=NOW + 2),
        order("old", OrderStatus.FILLED, ts_init=NOW + 1),
        order("before", OrderStatus.FILLED, ts_init=NOW),
        order("denied", OrderStatus.DENIED, ts_init=NOW + 1),
        order("foreign", OrderStatus.ACCEPTED, strategy_id=EXTERNAL, ts_init=NOW + 1),
    ]
    await commit(either_database, lease, orders, None)
    sent = (await load_risk(either_database, ACCOUNT, NOW)).sent_orders
    assert sent == [SentOrder(strategy_id=STRATEGY, instrument_id=INSTRUMENT, ts_init=NOW + later) for later in (1, 2)]


async def test_a_lost_lease_writes_no_counters(either_database: Database, lease: Lease) -> None:
    stale = Lease(lease.name, lease.holder, lease.epoch - 1, lease.good_until)
    with pytest.raises(LeaseLost):
        await commit(either_database, stale, [], RiskRows(counters=[counters("account")]))
    assert (await load_risk(either_database, ACCOUNT, NOW)).counters == []
