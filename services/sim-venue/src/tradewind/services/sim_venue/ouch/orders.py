"""New orders as OUCH 4.2 says them, and what the venue answers, without I/O.

Source: "O*U*C*H Version 4.2", "Enter Order Message", "Accepted", "Executed", "Canceled" and "Rejected" with their
tables of codes. A share is one step of the symbol's size; prices have 4 decimals and must lie on its tick.
"""

from typing import Any, Final

from tradewind.services.sim_venue.amounts import DECIMALS, parse_amount
from tradewind.services.sim_venue.exchange import Exchange, OrderRequest
from tradewind.services.sim_venue.orders import BUY, SELL
from tradewind.services.sim_venue.refusals import Refused
from tradewind.venue.ouch.messages import (
    MARKET_PRICE,
    MAX_PRICE,
    MAX_SHARES,
    TIME_IMMEDIATE,
    TIME_MARKET_HOURS,
    Accepted,
    Canceled,
    EnterOrder,
    Executed,
)

PRICE_UNIT: Final = 10 ** (DECIMALS - 4)
"""The amount of 0.00000001 in one unit of an OUCH price."""
POST_ONLY: Final = "P"
SHOWN: Final = "YA"
_SIDES: Final = {"B": BUY, "S": SELL}
_OTHER, _INVALID_STOCK, _INVALID_PRICE, _TOO_LARGE, _INVALID_DISPLAY, _INVALID_MINIMUM = "O", "S", "X", "Z", "D", "N"
_REASONS: Final = {"PRICE_FILTER": _INVALID_PRICE, "LOT_SIZE": _TOO_LARGE, "NOTIONAL": _TOO_LARGE}
_USER, _IMMEDIATE, _SUPERVISORY, _SELF_MATCH = "U", "I", "S", "Q"
_ADDED, _REMOVED = "A", "R"
_INVALID_SYMBOL: Final = -1121


class NotTaken(ValueError):
    """The order is refused; ``reason`` is OUCH's letter."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


def order_request(exchange: Exchange, entered: EnterOrder) -> OrderRequest:
    """The order that a message asks for; its client order id is the token.

    Raises:
        NotTaken: this venue has no such order.
    """
    listing = exchange.listings.get(entered.stock)
    if listing is None:
        raise NotTaken(_INVALID_STOCK, f"the stock {entered.stock!r} is not listed")
    if entered.side not in _SIDES:
        raise NotTaken(_OTHER, "there is no short selling here: sides are B and S")
    if not 1 <= entered.shares <= MAX_SHARES:
        raise NotTaken(_TOO_LARGE, f"{entered.shares} shares: 1 to {MAX_SHARES} are possible")
    market = entered.price == MARKET_PRICE
    if not market and not 1 <= entered.price <= MAX_PRICE:
        raise NotTaken(_INVALID_PRICE, f"price {entered.price}: 1 to {MAX_PRICE} are possible")
    order_type, force = _type_and_force(entered, market=market)
    return OrderRequest(
        symbol=listing.symbol,
        side=_SIDES[entered.side],
        order_type=order_type,
        time_in_force=force,
        price=0 if market else entered.price * PRICE_UNIT,
        size=entered.shares * listing.step,
        client_order_id=entered.token,
    )


def _type_and_force(entered: EnterOrder, *, market: bool) -> tuple[str, str]:
    now = entered.time_in_force == TIME_IMMEDIATE
    if not now and entered.time_in_force < TIME_MARKET_HOURS:
        raise NotTaken(_OTHER, "orders do not end by time here: 0 (immediate), 99998 or 99999")
    if entered.cross_type != "N":
        raise NotTaken(_OTHER, "there are no crosses here")
    if entered.display not in (*SHOWN, POST_ONLY) or (entered.display == POST_ONLY and (now or market)):
        raise NotTaken(_INVALID_DISPLAY, "orders are shown (Y, A), or post-only (P) when they may rest")
    if entered.minimum_quantity not in (0, entered.shares if now and not market else 0):
        raise NotTaken(_INVALID_MINIMUM, "a minimum quantity is all of an immediate limit order, or 0")
    if market:
        return "MARKET", "GTC"
    if entered.display == POST_ONLY:
        return "LIMIT_MAKER", "GTC"
    return "LIMIT", ("FOK" if entered.minimum_quantity else "IOC") if now else "GTC"


def refused_reason(refused: Refused) -> str:
    """OUCH's letter for a refusal of the exchange."""
    if refused.code == _INVALID_SYMBOL:
        return _INVALID_STOCK
    return _REASONS.get(refused.message.rpartition(" ")[2], _OTHER)


def accepted(entered: EnterOrder, order_id: int, time_ns: int) -> Accepted:
    """The order as entered, live."""
    return Accepted(
        time_ns=time_ns,
        token=entered.token,
        side=entered.side,
        shares=entered.shares,
        stock=entered.stock,
        price=entered.price,
        time_in_force=entered.time_in_force,
        firm=entered.firm,
        display=entered.display,
        order_reference=order_id,
        capacity=entered.capacity,
        sweep=entered.sweep,
        minimum_quantity=entered.minimum_quantity,
        cross_type=entered.cross_type,
        order_state="L",
        bbo_weight=" ",
    )


def executed(event: dict[str, Any], token: str, step: int, time_ns: int) -> Executed:
    """A TRADE event of the private stream."""
    return Executed(
        time_ns=time_ns,
        token=token,
        shares=parse_amount(event["l"]) // step,
        price=parse_amount(event["L"]) // PRICE_UNIT,
        liquidity=_ADDED if event["m"] else _REMOVED,
        match_number=event["t"],
    )


def canceled(event: dict[str, Any], token: str, step: int, time_ns: int) -> Canceled:
    """A CANCELED, EXPIRED or TRADE_PREVENTION event."""
    reason = {"CANCELED": _USER, "TRADE_PREVENTION": _SELF_MATCH}.get(event["x"])
    if reason is None:
        rested = event["o"] != "MARKET" and event["f"] == "GTC"
        reason = _SUPERVISORY if rested else _IMMEDIATE
    left = parse_amount(event["q"]) - parse_amount(event["z"])
    return Canceled(time_ns=time_ns, token=token, shares=left // step, reason=reason)
