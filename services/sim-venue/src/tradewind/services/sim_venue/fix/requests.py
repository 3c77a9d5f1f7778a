"""New orders as FIX says them. Source: FIX 4.2 and 4.4, "New Order - Single"."""

import re
from typing import Final, TypeVar

from tradewind.services.sim_venue.amounts import AmountError, TooPrecise, parse_amount
from tradewind.services.sim_venue.exchange import OrderRequest
from tradewind.services.sim_venue.orders import BUY, SELL

T = TypeVar("T")

_CLIENT_ID: Final = re.compile(r"[a-zA-Z0-9-_]{1,36}")
_SIDES: Final = {"1": BUY, "2": SELL}
_TIMES_IN_FORCE: Final = {"1": "GTC", "3": "IOC", "4": "FOK"}
_MARKET, _LIMIT = "1", "2"
_POST_ONLY: Final = "6"


class WrongField(ValueError):
    """What a message asks for cannot be done here; the words name the field."""


def order_request(given: dict[int, str]) -> OrderRequest:
    """The order that a NewOrderSingle asks for.

    Raises:
        WrongField: a field is missing or of another form; nothing has happened.
    """
    kind = _choice(given, 40, {_MARKET: "MARKET", _LIMIT: "LIMIT"}, "OrdType")
    instructions = given.get(18, "").split()
    if kind == "LIMIT" and instructions == [_POST_ONLY]:
        kind = "LIMIT_MAKER"
    elif instructions:
        raise WrongField("ExecInst(18): only 6 (participate, do not initiate) with a limit order")
    force = _choice({59: "1", **given}, 59, _TIMES_IN_FORCE, "TimeInForce") if kind == "LIMIT" else "GTC"
    if 99 in given:
        raise WrongField("StopPx(99): there are no stop orders here")
    return OrderRequest(
        symbol=given.get(55, ""),
        side=_choice(given, 54, _SIDES, "Side"),
        order_type=kind,
        time_in_force=force,
        price=0 if kind == "MARKET" else _amount(given, 44, "Price"),
        size=_amount(given, 38, "OrderQty"),
        client_order_id=client_id(given, 11, "ClOrdID"),
    )


def client_id(given: dict[int, str], tag: int, name: str) -> str:
    """A client's own id. Raises WrongField."""
    value = given.get(tag, "")
    if not _CLIENT_ID.fullmatch(value):
        raise WrongField(f"{name}({tag}): 1 to 36 letters, digits, - and _")
    return value


def _choice(given: dict[int, str], tag: int, choices: dict[str, T], name: str) -> T:
    value = given.get(tag, "")
    if value not in choices:
        raise WrongField(f"{name}({tag}): one of {', '.join(choices)}")
    return choices[value]


def _amount(given: dict[int, str], tag: int, name: str) -> int:
    try:
        return parse_amount(given.get(tag, ""))
    except (AmountError, TooPrecise):
        raise WrongField(f"{name}({tag}): a plain decimal number with at most 8 decimals") from None
