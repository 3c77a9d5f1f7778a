"""Our orders as OUCH says them, and what the session says as our reports. No I/O.

Instruments have 4 decimals of price and sizes in shares, so mantissas are OUCH's own numbers. OUCH says no fees: they
are reckoned by the rates of the settings, cut from what is received and rounded down to 8 decimals.
"""

import time
from decimal import ROUND_DOWN, Decimal
from typing import Final

import msgspec

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.venue.adapter import NewOrder, VenueRejected
from tradewind.venue.binance.translation import account_trade_id
from tradewind.venue.itch.days import midnight_before
from tradewind.venue.ouch.messages import (
    MARKET_PRICE,
    MAX_PRICE,
    MAX_SHARES,
    TIME_IMMEDIATE,
    TIME_SYSTEM_HOURS,
    EnterOrder,
    Executed,
)
from tradewind.venue.ouch.record import OuchOrder
from tradewind.venue.reports import FillReport, OrderStatusReport

PRICE_DECIMALS: Final = 4
SHARE_DECIMALS: Final = 5
_POST_ONLY: Final = "P"
_SIDES: Final = {OrderSide.BUY: "B", OrderSide.SELL: "S"}
_OUR_SIDES: Final = {wire: side for side, wire in _SIDES.items()}
_FORCES: Final = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
_BY_USER: Final = "U"
_ADDED: Final = "A"
_FEE_UNIT: Final = Decimal("0.00000001")
_HALF_DAY_NS: Final = 43_200_000_000_000
_DAY_NS: Final = 86_400_000_000_000


class FeeRates(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of what is received."""

    maker: Decimal = Decimal(0)
    taker: Decimal = Decimal(0)


def in_shares(instrument: Instrument, share_decimals: int = SHARE_DECIMALS) -> Instrument:
    """An instrument of the venue with OUCH's prices and sizes. Raises ValueError when it has finer ones."""
    price_factor = 10 ** (PRICE_DECIMALS - instrument.price_precision)
    size_divisor = 10 ** (instrument.size_precision - share_decimals)
    sizes = (instrument.size_increment, instrument.min_size)
    if not isinstance(price_factor, int) or not isinstance(size_divisor, int) or any(s % size_divisor for s in sizes):
        raise ValueError(
            f"{instrument.instrument_id}: its prices have more than {PRICE_DECIMALS} decimals, or its sizes more than "
            f"{share_decimals} or fewer; it cannot be traded over OUCH"
        )
    return msgspec.structs.replace(
        instrument,
        price_precision=PRICE_DECIMALS,
        size_precision=share_decimals,
        price_increment=instrument.price_increment * price_factor,
        size_increment=instrument.size_increment // size_divisor,
        min_size=instrument.min_size // size_divisor,
        max_size=min(instrument.max_size // size_divisor, MAX_SHARES),
        max_price=min(instrument.max_price * price_factor, MAX_PRICE),
    )


def enter_order(order: NewOrder, instrument: Instrument, token: str) -> EnterOrder:
    """The message of a new order.

    Raises:
        VenueRejected: OUCH, or the venue, has no such order; nothing was sent.
    """
    if order.order_type not in (OrderType.LIMIT, OrderType.MARKET) or order.time_in_force not in _FORCES:
        wanted = f"{order.order_type} {order.time_in_force}"
        raise VenueRejected(0, f"there are no {wanted} orders over OUCH here; use LIMIT or MARKET, GTC, IOC, FOK")
    market = order.order_type is OrderType.MARKET
    rests = not market and order.time_in_force is TimeInForce.GTC
    if order.post_only and not rests:
        raise VenueRejected(0, "only a LIMIT order that may rest can be post-only")
    if not market and not 1 <= (order.price or 0) <= MAX_PRICE:
        raise VenueRejected(0, f"a LIMIT order over OUCH has a price from 1 to {MAX_PRICE} (of 0.0001)")
    if not 1 <= order.size <= MAX_SHARES:
        raise VenueRejected(0, f"an order over OUCH has 1 to {MAX_SHARES} shares, not {order.size}")
    return EnterOrder(
        token=token,
        side=_SIDES[order.side],
        shares=order.size,
        stock=instrument.symbol,
        price=MARKET_PRICE if order.price is None or market else order.price,
        time_in_force=TIME_SYSTEM_HOURS if order.time_in_force is TimeInForce.GTC else TIME_IMMEDIATE,
        display=_POST_ONLY if order.post_only else "Y",
        minimum_quantity=order.size if order.time_in_force is TimeInForce.FOK and not market else 0,
    )


def status_of(
    order: OuchOrder, name: ClientOrderId | None, account_id: AccountId, instrument: Instrument
) -> OrderStatusReport:
    """Where an order stands."""
    accepted = order.accepted
    force = TimeInForce.GTC
    if accepted.time_in_force == TIME_IMMEDIATE:
        force = TimeInForce.FOK if accepted.minimum_quantity else TimeInForce.IOC
    return OrderStatusReport(
        account_id=account_id,
        instrument_id=instrument.instrument_id,
        client_order_id=name,
        venue_order_id=VenueOrderId(str(accepted.order_reference)),
        side=_OUR_SIDES[accepted.side],
        order_type=OrderType.MARKET if accepted.price == MARKET_PRICE else OrderType.LIMIT,
        time_in_force=force,
        status=_status(order),
        size=accepted.shares,
        filled_size=order.filled,
        price=None if accepted.price == MARKET_PRICE else accepted.price,
        post_only=accepted.display == _POST_ONLY,
        reason=f"OUCH reason {order.cancel_reason}" if order.cancel_reason else "",
        ts_event=time_of_day(order.time_ns),
    )


def _status(order: OuchOrder) -> OrderStatus:
    if order.filled == order.accepted.shares:
        return OrderStatus.FILLED
    if not order.is_open:
        return OrderStatus.CANCELED if order.cancel_reason == _BY_USER else OrderStatus.EXPIRED
    return OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.ACCEPTED


def fill_of(
    message: Executed,
    order: OuchOrder,
    name: ClientOrderId | None,
    account_id: AccountId,
    instrument: Instrument,
    rates: FeeRates,
) -> FillReport:
    """One execution."""
    size = Decimal(message.shares).scaleb(-instrument.size_precision)
    price = Decimal(message.price).scaleb(-instrument.price_precision)
    buys = order.accepted.side == _SIDES[OrderSide.BUY]
    maker = message.liquidity == _ADDED
    received = size if buys else (price * size).quantize(_FEE_UNIT, ROUND_DOWN)
    fee = (received * (rates.maker if maker else rates.taker)).quantize(_FEE_UNIT, ROUND_DOWN)
    return FillReport(
        account_id=account_id,
        instrument_id=instrument.instrument_id,
        client_order_id=name,
        venue_order_id=VenueOrderId(str(order.accepted.order_reference)),
        trade_id=account_trade_id(instrument, message.match_number),
        side=_OUR_SIDES[order.accepted.side],
        price=message.price,
        size=message.shares,
        fee=fee,
        fee_currency=instrument.base_currency if buys else instrument.quote_currency,
        liquidity_side=LiquiditySide.MAKER if maker else LiquiditySide.TAKER,
        ts_event=time_of_day(message.time_ns),
    )


def time_of_day(time_ns: int) -> int:
    """UTC nanoseconds of a time of a day in New York: the newest that is not clearly in the future."""
    now_ns = time.time_ns()
    found = midnight_before(now_ns) + time_ns
    return found if found < now_ns + _HALF_DAY_NS else found - _DAY_NS
