"""Races of the market with a client: the trade is real and in the record, only what the client is told is a lie."""

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.exchange import Exchange, Placed
from tradewind.services.sim_venue.faults.liar import Liar
from tradewind.services.sim_venue.faults.plans import Race
from tradewind.services.sim_venue.orders import OrderState, VenueOrder


def race_size(exchange: Exchange, order: VenueOrder, percent: int) -> int:
    """How much of an open order trades: whole steps, at least one, at most what is left."""
    step = exchange.listing(order.symbol).step
    return min(order.remaining, max(step, order.remaining * percent // 100 // step * step))


def race_after_placing(exchange: Exchange, placed: Placed, race: Race) -> Placed | None:
    """Let the market trade with a new order that rests; None when it does not rest. ``placed`` stays as it was."""
    order = exchange.open_orders.get(placed.order.order_id)
    if order is None:
        return None
    return exchange.fill_resting(order, race_size(exchange, order, race.percent))


def cancel_with_race(exchange: Exchange, order: VenueOrder, cancel_id: str, race: Race, liar: Liar) -> Placed:
    """Cancel an open order after the market has traded with it. What is given back is what the client is told.

    Raises:
        Refused: -2011, the order is wholly filled and the client may know it (the fill is in the record).
    """
    size = race_size(exchange, order, race.percent)
    told_executed, told_cash = order.executed, order.cash
    if race.when == "after_cancel":
        liar.hold_trade(exchange.next_trade_id, race.hold_trade_ms)
    canceled = exchange.cancel(order, cancel_id, filled_first=size)
    if race.when == "after_cancel":
        # ``canceled.order`` is a copy: the record and the exchange keep the truth.
        canceled.order.executed, canceled.order.cash = told_executed, told_cash
        canceled.order.state = OrderState.CANCELED
        return canceled
    if canceled.order.state is not OrderState.CANCELED:
        raise refusals.unknown_cancel()
    return canceled
