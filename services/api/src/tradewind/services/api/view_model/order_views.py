"""Orders, their events and fills turned into what a reader sees."""

from decimal import Decimal
from enum import Enum
from typing import Final

import msgspec

from tradewind.model.instruments import Instrument
from tradewind.model.orders import Fill, Order
from tradewind.services.api.view_model.views import FillView, OrderEventView, OrderView
from tradewind.wire.encoding import type_name
from tradewind.wire.events import OrderEvent, OrderFilled

FillMark = tuple[int, str, str, str, str]
"""Our time in ms, price, size, side, strategy."""


class SeenFill(Fill, frozen=True, kw_only=True):
    """A fill with our own time of it; one that was read from the store has the venue's."""

    ts_init: int


_PRICES: Final = frozenset({"price", "trigger_price"})
_SIZES: Final = frozenset({"size", "filled_size"})
_SHARED: Final = frozenset(field.name for field in msgspec.structs.fields(OrderEvent))


def price_text(instrument: Instrument | None, mantissa: int | None) -> str | None:
    """A price; while the instrument is not known its mantissa, marked as one."""
    if mantissa is None:
        return None
    return instrument.format_price(mantissa) if instrument else f"{mantissa} (mantissa)"


def size_text(instrument: Instrument | None, mantissa: int) -> str:
    """A size; while the instrument is not known its mantissa, marked as one."""
    return instrument.format_size(mantissa) if instrument else f"{mantissa} (mantissa)"


def money_text(amount: Decimal) -> str:
    """An amount without exponent and without trailing zeros, but with at least two decimals."""
    text = f"{amount:f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def order_view(order: Order, instrument: Instrument | None) -> OrderView:
    """Where an order stands."""
    return OrderView(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        strategy_id=order.strategy_id,
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        side=order.side.value,
        order_type=order.order_type.value,
        time_in_force=order.time_in_force.value,
        size=size_text(instrument, order.size),
        filled_size=size_text(instrument, order.filled_size),
        price=price_text(instrument, order.price),
        trigger_price=price_text(instrument, order.trigger_price),
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        status=order.status.value,
        is_closed=order.status.is_closed,
        outcome=order.outcome.value,
        unknown_since=None if order.unknown_since is None else str(order.unknown_since),
        reason=order.reason,
        correlation_id=order.correlation_id,
        ts_init=str(order.ts_init),
        ts_last=str(order.ts_last),
    )


def event_view(event: OrderEvent, instrument: Instrument | None) -> OrderEventView:
    """One step of an order's story."""
    details: dict[str, str | bool | None] = {}
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if field in _SHARED or (field.startswith("ts_") and not value):  # a time of 0 is one that was not told
            continue
        if field in _PRICES:
            details[field] = price_text(instrument, value)
        elif field in _SIZES:
            details[field] = size_text(instrument, value)
        else:
            details[field] = _plain(value)
    return OrderEventView(
        type=type_name(event),
        sequence=event.sequence,
        status=event.status.value,
        event_id=event.event_id,
        causation_id=event.causation_id,
        ts_event=str(event.ts_event),
        ts_init=str(event.ts_init),
        details=details,
    )


def seen_fill(event: OrderFilled) -> SeenFill:
    """The fill that an event tells of."""
    return SeenFill(
        trade_id=event.trade_id,
        client_order_id=event.client_order_id,
        venue_order_id=event.venue_order_id,
        account_id=event.account_id,
        strategy_id=event.strategy_id,
        instrument_id=event.instrument_id,
        side=event.side,
        price=event.price,
        size=event.size,
        fee=event.fee,
        fee_currency=event.fee_currency,
        liquidity_side=event.liquidity_side,
        ts_event=event.ts_event,
        ts_init=event.ts_init,
    )


def fill_mark(fill: SeenFill, instrument: Instrument) -> FillMark:
    """A fill as a point on the line of prices: a tenth of its view, so that many can be shown."""
    return (
        fill.ts_init // 1_000_000,
        instrument.format_price(fill.price),
        instrument.format_size(fill.size),
        fill.side.value,
        fill.strategy_id,
    )


def fill_view(fill: SeenFill, instrument: Instrument | None) -> FillView:
    """One execution."""
    return FillView(
        trade_id=fill.trade_id,
        client_order_id=fill.client_order_id,
        strategy_id=fill.strategy_id,
        account_id=fill.account_id,
        instrument_id=fill.instrument_id,
        side=fill.side.value,
        price=price_text(instrument, fill.price) or "",
        size=size_text(instrument, fill.size),
        fee=f"{fill.fee:f}",
        fee_currency=fill.fee_currency,
        liquidity_side=fill.liquidity_side.value,
        ts_event=str(fill.ts_event),
        ts_init=str(fill.ts_init),
    )


def _plain(value: object) -> str | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
