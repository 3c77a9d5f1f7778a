"""What the order path tests share: an instrument, an account with money, commands and reports in few words."""

import itertools
from decimal import Decimal
from typing import Any

from tradewind.execution.engine import ExecutionEngine
from tradewind.execution.limits import RiskLimits
from tradewind.execution.plans import Plan
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, TradeId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.reports import FillReport, OrderStatusReport
from tradewind.wire.commands import CancelOrder, SubmitOrder
from tradewind.wire.messages import EventIds

ACCOUNT = AccountId("BINANCE-main")
STRATEGY = StrategyId("ema-cross")
BTCUSDT = Instrument(
    instrument_id=InstrumentId("BTCUSDT.BINANCE"),
    venue=Venue("BINANCE"),
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
NOW = 1_700_000_000_000_000_000
_ids = itertools.count(1)


def new_engine(limits: RiskLimits | None = None, **money: int) -> ExecutionEngine:
    """An engine that is ready, with money in EXTERNAL's book."""
    engine = ExecutionEngine(ACCOUNT, [BTCUSDT], limits or RiskLimits(), EventIds())
    engine.plan_opening({c: Decimal(a) for c, a in (money or {"BTC": 10, "USDT": 1_000_000}).items()}, NOW)
    engine.not_ready_reason = None
    return engine


def submit(name: str = "", **fields: Any) -> SubmitOrder:
    """A command to buy 0.1 BTC at 60,000.00, or what ``fields`` say."""
    number = next(_ids)
    name = name or f"ema-cross-1-{number}"
    known: dict[str, Any] = {
        "event_id": f"command-{number}",
        "correlation_id": name,
        "causation_id": "md:BINANCE:1",
        "ts_event": NOW,
        "ts_init": NOW,
        "strategy_id": STRATEGY,
        "account_id": ACCOUNT,
        "client_order_id": ClientOrderId(name),
        "instrument_id": BTCUSDT.instrument_id,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "size": 10_000,
        "price": 6_000_000,
    }
    return SubmitOrder(**(known | fields))


def cancel(name: str) -> CancelOrder:
    """A command to cancel an order."""
    return CancelOrder(
        event_id=f"command-{next(_ids)}",
        correlation_id=name,
        causation_id="",
        ts_event=NOW,
        ts_init=NOW,
        strategy_id=STRATEGY,
        account_id=ACCOUNT,
        client_order_id=ClientOrderId(name),
    )


def status(name: str, order_status: OrderStatus, **fields: Any) -> OrderStatusReport:
    """What the venue says of an order; its venue id is derived from its name."""
    known: dict[str, Any] = {
        "account_id": ACCOUNT,
        "instrument_id": BTCUSDT.instrument_id,
        "client_order_id": ClientOrderId(name),
        "venue_order_id": VenueOrderId(f"v-{name}"),
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "status": order_status,
        "size": 10_000,
        "filled_size": 0,
        "price": 6_000_000,
        "ts_event": NOW,
    }
    return OrderStatusReport(**(known | fields))


def fill(name: str, trade: str, **fields: Any) -> FillReport:
    """A fill of 0.05 BTC at 60,000.00 with a fee of 0.00005 BTC, or what ``fields`` say."""
    known: dict[str, Any] = {
        "account_id": ACCOUNT,
        "instrument_id": BTCUSDT.instrument_id,
        "client_order_id": ClientOrderId(name),
        "venue_order_id": VenueOrderId(f"v-{name}"),
        "trade_id": TradeId(trade),
        "side": OrderSide.BUY,
        "price": 6_000_000,
        "size": 5_000,
        "fee": Decimal("0.00005"),
        "fee_currency": "BTC",
        "liquidity_side": LiquiditySide.MAKER,
        "ts_event": NOW,
    }
    return FillReport(**(known | fields))


def event_names(plan: Plan) -> list[str]:
    """Types of the messages that a plan publishes."""
    return [type(item.message).__name__ for item in plan.outgoing]
