"""What an order asks for, on its way between command, order, event and venue; numbers are kept within int64."""

from typing import Any, overload

from tradewind.execution.limits import Denial, DenyCode
from tradewind.model.fixed_point import INT64_MAX
from tradewind.model.instruments import Instrument
from tradewind.model.orders import Order
from tradewind.venue.adapter import NewOrder
from tradewind.wire.commands import SubmitOrder


def order_of(command: SubmitOrder, now_ns: int) -> Order:
    """The order that a command asks for, INITIALIZED at ``now_ns``."""
    return Order(
        client_order_id=command.client_order_id,
        strategy_id=command.strategy_id,
        account_id=command.account_id,
        instrument_id=command.instrument_id,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        size=_clamped(command.size),
        price=_clamped(command.price),
        trigger_price=_clamped(command.trigger_price),
        post_only=command.post_only,
        reduce_only=command.reduce_only,
        expire_time=_clamped(command.expire_time),
        command_id=command.event_id,
        correlation_id=command.correlation_id,
        ts_init=now_ns,
    )


def check_int64(command: SubmitOrder, instrument: Instrument) -> None:
    """Numbers past int64 are denied with their true value; the order's row holds them cut to int64.

    Raises:
        Denial: a number cannot be held.
    """
    if _clamped(command.size) != command.size:
        raise Denial(DenyCode.SIZE_EXCEEDS_MAX, limit=instrument.max_size, value=command.size)
    for number in (command.price, command.trigger_price, command.expire_time):
        if _clamped(number) != number:
            raise Denial(DenyCode.PRICE_EXCEEDS_MAX, limit=instrument.max_price, value=number)


@overload
def _clamped(number: int) -> int: ...
@overload
def _clamped(number: None) -> None: ...
@overload
def _clamped(number: int | None) -> int | None: ...
def _clamped(number: int | None) -> int | None:
    return None if number is None else max(-INT64_MAX, min(INT64_MAX, number))


def terms_of(order: Order) -> dict[str, Any]:
    """The terms as the fields of OrderInitialized."""
    return {
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "size": order.size,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "post_only": order.post_only,
        "reduce_only": order.reduce_only,
        "expire_time": order.expire_time,
    }


def request_of(order: Order, *, reduces: bool) -> NewOrder:
    """What the venue is asked for."""
    return NewOrder(
        client_order_id=order.client_order_id,
        instrument_id=order.instrument_id,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        size=order.size,
        price=order.price,
        trigger_price=order.trigger_price,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        reduces=reduces,
    )
