"""What the risk checks cost an order: check and reservation, then the end of the order.

``python libs/execution/benches/bench_risk.py``. Every limit of every scope is set. The same with one strategy in one
instrument, and with many strategies in many instruments that all hold positions and have prices that moved since the
last order: the cost must not grow with them. Nothing here passes or fails.
"""

import itertools
import json
import time
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.execution.ledger import Ledger
from tradewind.execution.limits import RiskLimits
from tradewind.execution.risk import RiskChecks
from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, Venue
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.order_store import BookRow

ORDERS: Final = 20_000
STRATEGIES: Final = 1_000
INSTRUMENTS: Final = 200
ACCOUNT: Final = AccountId("V-bench")
NOW: Final = 1_700_000_000_000_000_000
PRICE: Final = 6_000_000
ONE: Final = Instrument(
    instrument_id=InstrumentId("BTCUSDT.V"),
    venue=Venue("V"),
    symbol="BTCUSDT",
    base_currency="BTC",
    quote_currency="USDT",
    price_precision=2,
    size_precision=5,
    price_increment=1,
    size_increment=1,
    min_size=1,
    max_size=900_000_000,
    max_price=100_000_000,
    min_notional=Decimal(5),
)
_LARGE: Final = Decimal(10**12)
LIMITS: Final = RiskLimits(
    max_order_notional=_LARGE,
    max_order_size=_LARGE,
    max_strategy_notional=_LARGE,
    max_instrument_notional=_LARGE,
    max_account_notional=_LARGE,
    max_firm_notional=_LARGE,
    max_open_orders_per_strategy=10**6,
    max_open_orders_per_instrument=10**6,
    max_open_orders=10**6,
    max_orders_per_second=10**6,
    max_orders_per_minute_per_strategy=10**6,
    max_daily_loss=_LARGE,
    max_drawdown=_LARGE,
    max_strategy_daily_loss=_LARGE,
)


def run() -> dict[str, float]:
    """Nanoseconds per order, from its check to its end; and how much of that many strategies and prices add."""
    alone_ns = _measure(1, 1, moving=0)
    many_ns = _measure(STRATEGIES, INSTRUMENTS, moving=0)
    busy_ns = _measure(STRATEGIES, INSTRUMENTS, moving=1)
    return {
        "alone_ns": alone_ns,
        "many_ns": many_ns,
        "many_over_alone": many_ns / alone_ns,
        "with_a_price_move_per_order_ns": busy_ns,
    }


def _measure(strategies: int, instruments: int, *, moving: int) -> float:
    """The best of three, so that a hiccup of the machine is no cost of ours."""
    return min(_once(strategies, instruments, moving) for _ in range(3))


def _once(strategies: int, instruments: int, moving: int) -> float:
    listed = {
        name: msgspec.structs.replace(ONE, instrument_id=name)
        for name in (InstrumentId(f"I{number}.V") for number in range(instruments))
    }
    risk = _risk(listed, strategies)
    orders = [_order(number, strategies, list(listed)) for number in range(ORDERS)]
    names = itertools.cycle(listed)
    begun_ns = time.perf_counter_ns()
    for number, order in enumerate(orders):
        for _ in range(moving):
            risk.prices.take(next(names), OrderSide.BUY, PRICE - number % 7, NOW)
        instrument = listed[order.instrument_id]
        risk.check(order, instrument, NOW + number)
        risk.reserve(order, instrument)
        order.status = OrderStatus.REJECTED
        risk.reserve(order, instrument)
    return (time.perf_counter_ns() - begun_ns) / ORDERS


def _risk(listed: dict[InstrumentId, Instrument], strategies: int) -> RiskChecks:
    ledger = Ledger(ACCOUNT)
    risk = RiskChecks(LIMITS, ledger, listed)
    risk.firm_share = _LARGE
    for name in listed:
        for side in OrderSide:
            risk.prices.take(name, side, PRICE, NOW)
    names = itertools.cycle(listed)
    positions = [
        Position(
            account_id=ACCOUNT,
            strategy_id=StrategyId(f"s{number}"),
            instrument_id=next(names),
            signed_size=100,
            average_price=Decimal(60_000),
        )
        for number in range(strategies)
    ]
    money = [
        BookRow(account_id=ACCOUNT, strategy_id=StrategyId("s0"), currency=currency, amount=_LARGE)
        for currency in ("BTC", "USDT")
    ]
    ledger.load(positions, money)
    return risk


def _order(number: int, strategies: int, names: list[InstrumentId]) -> Order:
    strategy = number % strategies
    return Order(
        client_order_id=ClientOrderId(f"o{number}"),
        strategy_id=StrategyId(f"s{strategy}"),
        account_id=ACCOUNT,
        instrument_id=names[strategy % len(names)],
        side=OrderSide.BUY if number % 2 else OrderSide.SELL,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=10_000,
        price=PRICE,
        status=OrderStatus.SUBMITTED,
    )


if __name__ == "__main__":
    print(json.dumps({name: round(value, 2) for name, value in run().items()}, indent=2))
