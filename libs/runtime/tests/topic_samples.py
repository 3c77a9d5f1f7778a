"""Messages and records that the tests of ``tradewind topics`` put on a bus."""

from decimal import Decimal
from typing import Any

from tradewind.bus.interface import Delivery
from tradewind.model.enums import LiquiditySide, OrderSide
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, TradeId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.events import DeadLettered, InstrumentDefined, OrderFilled
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind.wire.topics import (
    ORDERS_EVENTS,
    Topic,
    market_events,
)

MARKET = market_events(Venue("BINANCE"))
BTCUSDT = InstrumentId("BTCUSDT.BINANCE")
EVIL = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\u2028c\r\n\x7f"
COMMON: dict[str, Any] = {"correlation_id": "c", "causation_id": "", "ts_event": 1, "ts_init": 2}


def instrument() -> Instrument:
    return Instrument(
        instrument_id=BTCUSDT,
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


def defined() -> InstrumentDefined:
    return InstrumentDefined(event_id="i", instrument=instrument(), **COMMON)


def cancel(number: int, reason: str = "drill") -> CancelAllOrders:
    return CancelAllOrders(event_id=f"e{number}", account_id=AccountId("BINANCE-main"), reason=reason, **COMMON)


def filled(**other: Any) -> OrderFilled:
    values: dict[str, Any] = {
        "event_id": "f",
        "account_id": AccountId("BINANCE-main"),
        "strategy_id": StrategyId("ema-cross"),
        "instrument_id": BTCUSDT,
        "client_order_id": ClientOrderId("ema-cross-1-1"),
        "sequence": 4,
        "status": OrderStatus.FILLED,
        "venue_order_id": VenueOrderId("77"),
        "trade_id": TradeId("9"),
        "side": OrderSide.BUY,
        "price": 6_183_763,
        "size": 150_000,
        "filled_size": 150_000,
        "fee": Decimal("0.00012300"),
        "fee_currency": "BNB",
        "liquidity_side": LiquiditySide.MAKER,
    }
    return OrderFilled(**{**COMMON, **values, **other})


def batch(count: int = 2, **fields: Any) -> MarketBatch:
    records = empty_records(count)
    records["instrument"] = instrument_number(BTCUSDT)
    records["ts_event"] = 1_700_000_000_123_456_789
    records["kind"] = RecordKind.TRADE
    records["side"] = RecordSide.BUY
    records["price"] = 6_183_763
    records["size"] = 150_000
    records["sequence"] = range(1, count + 1)
    for name, value in fields.items():
        records[name] = value
    return MarketBatch(Venue("BINANCE"), read_only(records))


def delivered(payload: Any, topic: Topic = ORDERS_EVENTS, key: str = "BINANCE-main", ts: int = 10**18) -> Delivery:
    return Delivery(topic.name, 1, 17, key, payload, ts)


def letter(**other: Any) -> DeadLettered:
    values: dict[str, Any] = {
        "event_id": "d",
        "topic": "orders.commands",
        "partition": 0,
        "offset": 1,
        "key": "BINANCE",
        "message_type": "SubmitOrder",
        "message_version": 1,
        "reason": "bytes",
        "payload": b"\xc1",
    }
    return DeadLettered(**{**COMMON, **values, **other})
