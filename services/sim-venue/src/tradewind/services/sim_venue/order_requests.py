"""New orders as requests say them. Source: Binance spot API, "Trading endpoints"."""

import secrets

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.exchange import Exchange, OrderRequest
from tradewind.services.sim_venue.listings import ORDER_TYPES, SELF_TRADE_PREVENTION, TIMES_IN_FORCE
from tradewind.services.sim_venue.orders import SIDES
from tradewind.services.sim_venue.parameters import Parameters
from tradewind.services.sim_venue.refusals import Refused

_RESPONSE_TYPES = ("ACK", "RESULT", "FULL")


def order_request(exchange: Exchange, given: Parameters) -> OrderRequest:
    """The new order that a request asks for. Raises Refused."""
    listing = exchange.listing(given.text("symbol"))
    side = given.choice("side", SIDES, Refused(-1117, "Invalid side."))
    order_type = given.choice("type", ORDER_TYPES, Refused(-1116, "Invalid orderType."))
    if given.optional("selfTradePreventionMode") not in (None, SELF_TRADE_PREVENTION):
        raise refusals.rejected(refusals.STP_NOT_ALLOWED)
    time_in_force = "GTC"
    if order_type == "LIMIT":
        time_in_force = given.choice("timeInForce", TIMES_IN_FORCE, Refused(-1115, "Invalid timeInForce."))
    elif "timeInForce" in given:
        raise refusals.not_required("timeInForce")
    for name in ("stopPrice", "icebergQty", "quoteOrderQty", "trailingDelta"):
        if name in given:
            raise refusals.not_required(name)
    if order_type == "MARKET" and "price" in given:
        raise refusals.not_required("price")
    return OrderRequest(
        symbol=listing.symbol,
        side=SIDES[side],
        order_type=order_type,
        time_in_force=time_in_force,
        price=0 if order_type == "MARKET" else given.amount("price"),
        size=given.amount("quantity"),
        client_order_id=given.client_id("newClientOrderId") or new_client_id(),
    )


def response_type(given: Parameters, request: OrderRequest) -> str:
    """ACK, RESULT or FULL. Raises Refused."""
    default = "ACK" if request.order_type == "LIMIT_MAKER" else "FULL"
    return given.choice("newOrderRespType", _RESPONSE_TYPES, refusals.out_of_range("newOrderRespType"), default)


def new_client_id() -> str:
    """A client order id for who gave none: 22 letters, as the exchange makes them."""
    return secrets.token_urlsafe(16)
