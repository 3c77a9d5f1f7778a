"""The venue's orders, fills and balances as reports."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from tradewind.model.accounts import Balance
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.fixed_point import to_mantissa
from tradewind.model.identifiers import AccountId, ClientOrderId, TradeId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import VenueRejected
from tradewind.venue.binance.errors import UNSUPPORTED_ORDER_TYPE, UNSUPPORTED_TIME_IN_FORCE
from tradewind.venue.binance.messages import (
    AccountBalance,
    AccountTrade,
    ExecutionReport,
    OrderFill,
    OrderState,
    StreamBalance,
)
from tradewind.venue.binance.signing import NS_PER_MS
from tradewind.venue.reports import FillReport, OrderStatusReport

STATUSES: Final = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.PENDING_CANCEL,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
# Take-profit orders have no word of ours; like stops they wait for a price.
ORDER_TYPES: Final = {
    "MARKET": OrderType.MARKET,
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT_LIMIT": OrderType.STOP_LIMIT,
}
_WIRE_TYPES: Final = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP_MARKET: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
}
_WIRE_TIMES_IN_FORCE: Final = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
TRADE_EXECUTION: Final = "TRADE"


def wire_order_type(order_type: OrderType, *, post_only: bool) -> str:
    """The venue's word for an order type.

    Raises:
        VenueRejected: only a LIMIT order can be post-only there.
    """
    if not post_only:
        return _WIRE_TYPES[order_type]
    if order_type is not OrderType.LIMIT:
        raise VenueRejected(UNSUPPORTED_ORDER_TYPE, f"Binance spot has no post-only {order_type} order; use LIMIT")
    return "LIMIT_MAKER"


def wire_time_in_force(time_in_force: TimeInForce) -> str:
    """The venue's word for a time in force.

    Raises:
        VenueRejected: the venue has no such thing.
    """
    try:
        return _WIRE_TIMES_IN_FORCE[time_in_force]
    except KeyError:
        raise VenueRejected(
            UNSUPPORTED_TIME_IN_FORCE, f"Binance spot has no {time_in_force} orders; use GTC, IOC or FOK"
        ) from None


def order_status_report(account: AccountId, instrument: Instrument, state: OrderState) -> OrderStatusReport:
    """Where an order stands, from any answer that describes one.

    Raises:
        KeyError: a status, type or time in force that the venue did not have when this was written.
        FixedPointError: a number that the instrument cannot hold.
    """
    client_order_id = state.origClientOrderId or state.clientOrderId
    return OrderStatusReport(
        account_id=account,
        instrument_id=instrument.instrument_id,
        client_order_id=ClientOrderId(client_order_id) if client_order_id else None,
        venue_order_id=VenueOrderId(str(state.orderId)),
        side=OrderSide(state.side),
        order_type=ORDER_TYPES[state.type],
        time_in_force=TimeInForce(state.timeInForce),
        status=STATUSES[state.status],
        size=to_mantissa(state.origQty, instrument.size_precision),
        filled_size=to_mantissa(state.executedQty, instrument.size_precision),
        price=to_mantissa(state.price, instrument.price_precision) or None,
        post_only=state.type == "LIMIT_MAKER",
        reason=_reason(state.status),
        ts_event=(state.transactTime or state.updateTime or state.time) * NS_PER_MS,
    )


def account_trade_id(instrument: Instrument, number: int | str) -> TradeId:
    """Binance counts trades per symbol; a trade id of ours is unique on the account."""
    return TradeId(f"{instrument.symbol}-{number}")


def answer_fills(account: AccountId, instrument: Instrument, state: OrderState) -> list[FillReport]:
    """The fills that came with the answer to a new order: what it took from the book at once."""
    return [_answer_fill(account, instrument, state, fill) for fill in state.fills]


def _answer_fill(account: AccountId, instrument: Instrument, state: OrderState, fill: OrderFill) -> FillReport:
    return FillReport(
        account_id=account,
        instrument_id=instrument.instrument_id,
        client_order_id=ClientOrderId(state.clientOrderId),
        venue_order_id=VenueOrderId(str(state.orderId)),
        trade_id=account_trade_id(instrument, fill.tradeId),
        side=OrderSide(state.side),
        price=to_mantissa(fill.price, instrument.price_precision),
        size=to_mantissa(fill.qty, instrument.size_precision),
        fee=Decimal(fill.commission),
        fee_currency=fill.commissionAsset,
        liquidity_side=LiquiditySide.TAKER,
        ts_event=state.transactTime * NS_PER_MS,
    )


def trade_fill(account: AccountId, instrument: Instrument, trade: AccountTrade) -> FillReport:
    """A row of the account's trade list; the venue does not say the client order id there."""
    return FillReport(
        account_id=account,
        instrument_id=instrument.instrument_id,
        client_order_id=None,
        venue_order_id=VenueOrderId(str(trade.orderId)),
        trade_id=account_trade_id(instrument, trade.id),
        side=OrderSide.BUY if trade.isBuyer else OrderSide.SELL,
        price=to_mantissa(trade.price, instrument.price_precision),
        size=to_mantissa(trade.qty, instrument.size_precision),
        fee=Decimal(trade.commission),
        fee_currency=trade.commissionAsset,
        liquidity_side=LiquiditySide.MAKER if trade.isMaker else LiquiditySide.TAKER,
        ts_event=trade.time * NS_PER_MS,
    )


def execution_reports(
    account: AccountId, instrument: Instrument, report: ExecutionReport, *, named: bool = True
) -> list[FillReport | OrderStatusReport]:
    """What a private stream event says: a fill, if it is one, then where the order stands.

    Without ``named`` by the venue's id alone: its name means another order now.
    """
    # On a cancel, c is the cancel's own id and C the order's.
    client_order_id = ClientOrderId(report.C or report.c) if named else None
    order = OrderStatusReport(
        account_id=account,
        instrument_id=instrument.instrument_id,
        client_order_id=client_order_id,
        venue_order_id=VenueOrderId(str(report.i)),
        side=OrderSide(report.S),
        order_type=ORDER_TYPES[report.o],
        time_in_force=TimeInForce(report.f),
        status=STATUSES[report.X],
        size=to_mantissa(report.q, instrument.size_precision),
        filled_size=to_mantissa(report.z, instrument.size_precision),
        price=to_mantissa(report.p, instrument.price_precision) or None,
        post_only=report.o == "LIMIT_MAKER",
        reason=_reason(report.X) if report.r == "NONE" else report.r,
        ts_event=report.transacted * NS_PER_MS,
    )
    if report.x != TRADE_EXECUTION:
        return [order]
    fill = FillReport(
        account_id=account,
        instrument_id=instrument.instrument_id,
        client_order_id=client_order_id,
        venue_order_id=order.venue_order_id,
        trade_id=account_trade_id(instrument, report.trade_id),
        side=order.side,
        price=to_mantissa(report.L, instrument.price_precision),
        size=to_mantissa(report.l, instrument.size_precision),
        fee=Decimal(report.n),
        fee_currency=report.N or instrument.quote_currency,
        liquidity_side=LiquiditySide.MAKER if report.m else LiquiditySide.TAKER,
        ts_event=order.ts_event,
    )
    return [fill, order]


def rest_balances(balances: Iterable[AccountBalance]) -> tuple[Balance, ...]:
    """Balances of an account query."""
    return tuple(Balance(currency=b.asset, free=Decimal(b.free), locked=Decimal(b.locked)) for b in balances)


def stream_balances(balances: Iterable[StreamBalance]) -> tuple[Balance, ...]:
    """Balances of a private stream event."""
    return tuple(Balance(currency=b.a, free=Decimal(b.f), locked=Decimal(b.l)) for b in balances)


def _reason(status: str) -> str:
    return "self-trade prevention" if status == "EXPIRED_IN_MATCH" else ""
