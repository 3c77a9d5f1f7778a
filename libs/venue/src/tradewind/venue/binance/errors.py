"""The venue's refusals as our exceptions.

Source: Binance spot API, "Error Codes" and "General API Information / HTTP Return Codes".
"""

from typing import Final

import msgspec

from tradewind.venue.adapter import (
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.binance.rate_limits import DEFAULT_RETRY_AFTER_S

# The venue says of these itself that what became of the request is not known.
UNKNOWN_CODES: Final = frozenset({-1000, -1001, -1006, -1007})
LIMIT_CODES: Final = frozenset({-1003, -1008, -1015, -1034})
NOT_FOUND_CODES: Final = frozenset({-2011, -2013})
CLOCK_CODE: Final = -1021
KEY_CODES: Final = frozenset({-1002, -1022, -2008, -2014, -2015})
UNSUPPORTED_TIME_IN_FORCE: Final = -1115
UNSUPPORTED_ORDER_TYPE: Final = -1116
_MAX_REASON: Final = 300


class ErrorBody(msgspec.Struct, frozen=True):
    """``{"code": -2010, "msg": "…"}``."""

    code: int
    msg: str


_decoder: Final = msgspec.json.Decoder(ErrorBody)


def error_of(status: int, body: bytes, *, changes_orders: bool) -> VenueError:
    """The exception that an answer other than 200 means. 429 and 418 are the caller's to tell to the rate limits.

    ``changes_orders`` is whether the request was a new order or a cancel: then what is not clearly refused is unknown.
    """
    try:
        error = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _without_code(status, body, changes_orders=changes_orders)
    reason = error.msg[:_MAX_REASON]
    # A 5xx to an order is never taken for a refusal, whatever its code: the venue says that it may have been executed.
    if status >= 500 and changes_orders:
        return _unclear(f"{error.code}: {reason}", changes_orders=True)
    if status in (429, 418) or error.code in LIMIT_CODES:
        return RateLimited(DEFAULT_RETRY_AFTER_S)
    if status >= 500 or error.code in UNKNOWN_CODES:
        return _unclear(f"{error.code}: {reason}", changes_orders=changes_orders)
    if error.code in NOT_FOUND_CODES:
        return OrderNotFound(error.code, reason)
    if error.code in KEY_CODES:
        reason += " (check TRADEWIND_VENUE_API_KEY and TRADEWIND_VENUE_API_SECRET, and the key's permissions)"
    return VenueRejected(error.code, reason)


def _without_code(status: int, body: bytes, *, changes_orders: bool) -> VenueError:
    shown = body[:80].decode("utf-8", "replace")
    if status in (429, 418, 403):
        return RateLimited(DEFAULT_RETRY_AFTER_S)
    # Without the venue's own code it may be somebody between us who speaks, and who knows what he let through.
    if 400 <= status < 500 and not changes_orders:
        return VenueRejected(status, f"HTTP {status}: {shown}")
    return _unclear(f"HTTP {status}: {shown}", changes_orders=changes_orders)


def _unclear(what: str, *, changes_orders: bool) -> VenueError:
    if changes_orders:
        return OutcomeUnknown(f"the venue answered {what}; ask for the order's status")
    return VenueUnavailable(f"the venue answered {what}; try again later")
