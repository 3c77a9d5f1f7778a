"""For the tests of strategies: market records, instruments, order events, and an engine that needs no bus.

``feed`` shows a strategy some data and answers the commands that it made; ``accepted``, ``filled``, ``canceled`` and
``denied`` are the order path's answers.
"""

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import structlog

from tradewind.model.enums import LiquiditySide
from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, TradeId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.strategy.engine import StrategyEngine
from tradewind.strategy.settings import StrategySettings
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.throttle import SubmitThrottle
from tradewind.wire.events import OrderAccepted, OrderCanceled, OrderDenied, OrderFilled
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind.wire.messages import EventIds

VENUE = Venue("BINANCE")
ACCOUNT = AccountId("BINANCE-main")
BTC = InstrumentId("BTCUSDT.BINANCE")
ETH = InstrumentId("ETHUSDT.BINANCE")
STRATEGY = StrategyId("test-one")
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND

_event_ids = EventIds()
_trade_ids = itertools.count(1)


def instrument(instrument_id: InstrumentId = BTC) -> Instrument:
    """Price step 0.01, size step 0.00001."""
    symbol = instrument_id.partition(".")[0]
    return Instrument(
        instrument_id=instrument_id,
        venue=VENUE,
        symbol=symbol,
        base_currency=symbol[:3],
        quote_currency="USDT",
        price_precision=2,
        size_precision=5,
        price_increment=1,
        size_increment=1,
        min_size=1,
        max_size=900_000_000,
        max_price=100_000_000_00,
        min_notional=Decimal(5),
    )


def engine(strategy: Strategy, *, rate: float = 1000.0, settings: Any = None, **options: Any) -> StrategyEngine:
    """An engine with BTC and ETH; its wall clock stands at T0."""
    made = StrategyEngine(
        strategy,
        strategy_id=STRATEGY,
        account_id=ACCOUNT,
        settings=settings or StrategySettings(),
        run=options.get("run", 1),
        throttle=SubmitThrottle(rate),
        wall_clock=options.get("wall_clock", lambda: T0),
        log=structlog.get_logger(),
    )
    made.define_instrument(instrument(BTC))
    made.define_instrument(instrument(ETH))
    return made


def quote(
    bid: int, ask: int, at: int = T0, *, of: InstrumentId = BTC, size: int = 100_000, sequence: int = 1
) -> RecordArray:
    """One top-of-book event: two records."""
    records = empty_records(2)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["side"] = (RecordSide.BUY, RecordSide.SELL)
    records["price"] = (bid, ask)
    records["size"] = size
    records["flags"] = (0, RecordFlag.LAST)
    return _stamped(records, at, of, sequence)


def trade(
    price: int, size: int = 1_000, at: int = T0, *, of: InstrumentId = BTC, side: RecordSide = RecordSide.BUY
) -> RecordArray:
    """One print."""
    records = empty_records(1)
    records["kind"] = RecordKind.TRADE
    records["side"] = side
    records["price"] = price
    records["size"] = size
    records["order_id"] = 77
    records["flags"] = RecordFlag.LAST
    return _stamped(records, at, of, 1)


def levels(
    changes: Sequence[tuple[RecordSide, int, int]], at: int = T0, *, of: InstrumentId = BTC, snapshot: bool = False
) -> RecordArray:
    """One depth event; a snapshot begins with CLEAR."""
    records = empty_records(len(changes) + snapshot)
    records["kind"] = RecordKind.LEVEL
    if snapshot:
        records["kind"][0] = RecordKind.CLEAR
        records["flags"] = RecordFlag.SNAPSHOT
    for record, (side, price, size) in zip(records[int(snapshot) :], changes, strict=True):
        record["side"], record["price"], record["size"] = side, price, size
    records["flags"][-1] |= RecordFlag.LAST
    return _stamped(records, at, of, 1)


def batch(*parts: RecordArray, gap: bool = False) -> RecordArray:
    """Events of one socket read."""
    records = np.concatenate(parts)
    if gap:
        records["flags"][0] |= RecordFlag.GAP
    return read_only(records)


def feed(made: StrategyEngine, *parts: RecordArray) -> list[Any]:
    """Walk one batch to its end; answers the commands that came out, in order."""
    commands = []
    for _ in made.walk(batch(*parts)):
        commands += drain(made)
    return commands


def drain(made: StrategyEngine) -> list[Any]:
    """Take the commands that wait."""
    pending = made.desk.pending
    return [pending.popleft()[0] for _ in range(len(pending))]


def accepted(order: Order) -> OrderAccepted:
    """The venue took the order."""
    return OrderAccepted(**_head(order, OrderStatus.ACCEPTED), venue_order_id=VenueOrderId("9"))


def canceled(order: Order) -> OrderCanceled:
    """The venue canceled the order."""
    return OrderCanceled(**_head(order, OrderStatus.CANCELED))


def denied(order: Order, reason: str) -> OrderDenied:
    """Our own risk refused the order."""
    return OrderDenied(**_head(order, OrderStatus.DENIED), reason=reason)


def filled(order: Order, size: int, price: int | None = None, trade_id: str | None = None) -> OrderFilled:
    """A fill of ``size`` at the order's price."""
    total = order.filled_size + size
    status = OrderStatus.FILLED if total >= order.size else OrderStatus.PARTIALLY_FILLED
    return OrderFilled(
        **_head(order, status),
        venue_order_id=VenueOrderId("9"),
        trade_id=TradeId(trade_id or f"t{next(_trade_ids)}"),
        side=order.side,
        price=price or order.price or 1,
        size=size,
        filled_size=total,
        fee=Decimal(0),
        fee_currency="USDT",
        liquidity_side=LiquiditySide.MAKER,
    )


def _head(order: Order, status: OrderStatus) -> dict[str, Any]:
    return {
        "event_id": _event_ids(),
        "correlation_id": order.client_order_id,
        "causation_id": "",
        "ts_event": T0,
        "ts_init": T0,
        "account_id": order.account_id,
        "strategy_id": order.strategy_id,
        "instrument_id": order.instrument_id,
        "client_order_id": order.client_order_id,
        "sequence": order.event_count + 1,
        "status": status,
    }


def _stamped(records: RecordArray, at: int, of: InstrumentId, sequence: int) -> RecordArray:
    records["ts_event"] = at
    records["ts_recv"] = at + 1_000
    records["sequence"] = sequence
    records["instrument"] = instrument_number(of)
    return records
