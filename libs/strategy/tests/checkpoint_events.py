"""Events that the library's own testing kit leaves out: an order's first, and the definition of its instrument."""

from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.strategy.testing import T0, accepted, instrument
from tradewind.wire.events import InstrumentDefined, OrderEvent, OrderInitialized


def initialized(order: Order) -> OrderInitialized:
    """The order path has taken the order."""
    event = accepted(order)
    head = {name: getattr(event, name) for name in OrderEvent.__struct_fields__}
    head["status"] = OrderStatus.INITIALIZED
    return OrderInitialized(
        **head,
        side=order.side,
        order_type=order.order_type,
        time_in_force=order.time_in_force,
        size=order.size,
        price=order.price,
    )


def defined() -> InstrumentDefined:
    """BTC can be traded."""
    return InstrumentDefined(
        event_id="i-1", correlation_id="i-1", causation_id="", ts_event=T0, ts_init=T0, instrument=instrument()
    )
