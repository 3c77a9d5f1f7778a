"""What the venue says over FIX, made from the events of its user data stream.

One report for each event, so FIX and the stream tell the same in the same order. Source: FIX 4.2 and 4.4, "Execution
Report", "Order Cancel Reject". FIX 4.2 has neither the currency of a commission nor the liquidity of a fill: they stand
in user-defined fields, 5000 above the tags of 4.4.
"""

from decimal import Decimal
from typing import Any, Final

from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.order_views import order_view
from tradewind.services.sim_venue.orders import VenueOrder
from tradewind.services.sim_venue.refusals import Refused
from tradewind.venue.fix_fields import Field, fix_body, utc_timestamp

OLD: Final = "FIX.4.2"
USER_DEFINED: Final = 5_000
NO_ORDER: Final = "NONE"
STATUSES: Final = {
    "NEW": "0",
    "PARTIALLY_FILLED": "1",
    "FILLED": "2",
    "CANCELED": "4",
    "EXPIRED": "C",
    "EXPIRED_IN_MATCH": "C",
}
REJECTED: Final = "8"
UNKNOWN_SYMBOL, UNKNOWN_ORDER, DUPLICATE_ORDER, OTHER = 1, 5, 6, 0
_EVENTS: Final = {"NEW": "0", "CANCELED": "4", "EXPIRED": "C", "TRADE_PREVENTION": "C"}
_SIDES: Final = {"BUY": "1", "SELL": "2"}
_TYPES: Final = {"MARKET": "1", "LIMIT": "2", "LIMIT_MAKER": "2"}
_TIMES_IN_FORCE: Final = {"GTC": "1", "IOC": "3", "FOK": "4"}
_NS_PER_MS: Final = 1_000_000
_ABSOLUTE: Final = "3"
_MAKER, _TAKER = "1", "2"
_MOST_TEXT: Final = 200


def event_report(version: str, event: dict[str, Any]) -> bytes:
    """The ExecutionReport of one ``executionReport`` event."""
    is_trade = event["x"] == "TRADE"
    status = STATUSES[event["X"]]
    canceled = bool(event["C"])
    fields: list[Field] = [(37, event["i"]), (11, event["c"])]
    if canceled:
        fields.append((41, event["C"]))
    fields.append((17, event["t"] if is_trade else f"{event['i']}-{event['x']}"))
    fields += _kind(version, (status if version == OLD else "F") if is_trade else _EVENTS[event["x"]])
    fields += _order(status, event["s"], event["S"], event["o"], event["f"], event["q"], event["p"])
    fields += _amounts(status, event["q"], event["z"], event["Z"])
    fields.append((60, utc_timestamp(event["T"] * _NS_PER_MS)))
    if is_trade:
        more = USER_DEFINED if version == OLD else 0
        fields += [(32, _plain(event["l"])), (31, _plain(event["L"]))]
        fields += [(12, _plain(event["n"])), (13, _ABSOLUTE), (more + 479, event["N"])]
        fields.append((more + 851, _MAKER if event["m"] else _TAKER))
    return fix_body("8", fields)


def status_report(version: str, listing: Listing, order: VenueOrder, number: int, about: list[Field]) -> bytes:
    """The answer to a question: where an order stands. ``about``: what names the question."""
    view = order_view(listing, order)
    status = STATUSES[view["status"]]
    fields: list[Field] = [(37, order.order_id), (11, order.client_order_id), *about, (17, f"Q{number}")]
    fields += [(20, "3"), (150, status)] if version == OLD else [(150, "I")]
    fields += _order(
        status, order.symbol, view["side"], view["type"], view["timeInForce"], view["origQty"], view["price"]
    )
    fields += _amounts(status, view["origQty"], view["executedQty"], view["cummulativeQuoteQty"])
    fields.append((60, utc_timestamp(order.updated_ms * _NS_PER_MS)))
    return fix_body("8", fields)


def refusal_report(version: str, given: dict[int, str], reason: int, text: str, number: int) -> bytes:
    """The ExecutionReport that refuses a new order, or that knows none to a question."""
    fields: list[Field] = [(37, NO_ORDER), (11, said(given, 11)), (17, f"R{number}")]
    fields += _kind(version, REJECTED)
    fields += [(39, REJECTED), (103, reason), (55, said(given, 55)), (54, given.get(54, "1"))]
    fields += [(151, "0"), (14, "0"), (6, "0"), (58, _text(text))]
    return fix_body("8", fields)


def cancel_refusal(given: dict[int, str], text: str) -> bytes:
    """The OrderCancelReject of a cancel that found nothing open."""
    return fix_body(
        "9",
        [
            (37, said(given, 37)),
            (11, said(given, 11)),
            (41, said(given, 41)),
            (39, REJECTED),
            (434, "1"),
            (102, "1"),
            (58, _text(text)),
        ],
    )


def business_refusal(given: dict[int, str], text: str) -> bytes:
    """The BusinessMessageReject of what this session does not take."""
    return fix_body("j", [(45, given.get(34, "0")), (372, given.get(35, "?")), (380, "3"), (58, _text(text))])


def reject_reason(refused: Refused) -> int:
    """OrdRejReason of the venue's own code."""
    unknown_symbol, rejected = -1121, -2010
    if refused.code == unknown_symbol:
        return UNKNOWN_SYMBOL
    return DUPLICATE_ORDER if refused.code == rejected and refused.message.startswith("Duplicate") else OTHER


def said(given: dict[int, str], tag: int) -> str:
    """What a client said, fit to be said back to it."""
    return _text(given.get(tag, "")) or NO_ORDER


def _kind(version: str, exec_type: str) -> list[Field]:
    return [(20, "0"), (150, exec_type)] if version == OLD else [(150, exec_type)]


def _order(status: str, symbol: str, side: str, kind: str, force: str, size: str, price: str) -> list[Field]:
    fields: list[Field] = [(39, status), (55, symbol), (54, _SIDES[side]), (38, _plain(size)), (40, _TYPES[kind])]
    if kind != "MARKET":
        fields.append((44, _plain(price)))
    fields.append((59, _TIMES_IN_FORCE[force]))
    return [*fields, (18, "6")] if kind == "LIMIT_MAKER" else fields


def _amounts(status: str, size: str, executed: str, cash: str) -> list[Field]:
    done = Decimal(executed)
    leaves = Decimal(size) - done if status in ("0", "1") else Decimal(0)
    average = Decimal(cash) / done if done else Decimal(0)
    return [(151, _plain(leaves)), (14, _plain(done)), (6, _plain(average))]


def _plain(number: str | Decimal) -> str:
    text = f"{Decimal(number):.8f}"
    return text.rstrip("0").rstrip(".")


def _text(text: str) -> str:
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text[:_MOST_TEXT])
