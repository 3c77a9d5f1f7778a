"""Events of the user data stream.

Source: Binance spot API, "User Data Streams": executionReport, outboundAccountPosition, listenKeyExpired.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from tradewind.services.sim_venue.accounts import Holding
from tradewind.services.sim_venue.amounts import amount_text
from tradewind.services.sim_venue.listings import SELF_TRADE_PREVENTION, Listing
from tradewind.services.sim_venue.orders import SIDE_NAMES, AccountTrade, VenueOrder

_ZERO = amount_text(0)


def execution_report(
    listing: Listing,
    order: VenueOrder,
    execution_type: str,
    execution_id: int,
    *,
    trade: AccountTrade | None = None,
    cancel_id: str | None = None,
) -> bytes:
    """One executionReport. ``cancel_id`` is the client's id of the cancel, then ``C`` holds the order's own."""
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": order.updated_ms,
        "s": order.symbol,
        "c": order.client_order_id if cancel_id is None else cancel_id,
        "S": SIDE_NAMES[order.side],
        "o": order.order_type,
        "f": order.time_in_force,
        "q": amount_text(order.size),
        "p": listing.price_text(order.price),
        "P": _ZERO,
        "F": _ZERO,
        "g": -1,
        "C": "" if cancel_id is None else order.client_order_id,
        "x": execution_type,
        "X": order.state.value,
        "r": "NONE",
        "i": order.order_id,
        "l": amount_text(trade.size) if trade else _ZERO,
        "z": amount_text(order.executed),
        "L": listing.price_text(trade.price) if trade else _ZERO,
        "n": amount_text(trade.fee) if trade else "0",
        "N": trade.fee_asset if trade else None,
        "T": order.updated_ms,
        "t": trade.trade_id if trade else -1,
        "I": execution_id,
        "w": order.state.is_open and order.order_type != "MARKET",
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.created_ms,
        "Z": amount_text(order.cash),
        "Y": amount_text(trade.cash) if trade else _ZERO,
        "Q": _ZERO,
        "W": order.created_ms,
        "V": SELF_TRADE_PREVENTION,
    }
    return msgspec.json.encode(report)


def account_position(holdings: Iterable[tuple[str, Holding]], now_ms: int) -> bytes:
    """One outboundAccountPosition with the assets that may have changed."""
    balances = [{"a": asset, "f": amount_text(held.free), "l": amount_text(held.locked)} for asset, held in holdings]
    return msgspec.json.encode({"e": "outboundAccountPosition", "E": now_ms, "u": now_ms, "B": balances})


def listen_key_expired(listen_key: str, now_ms: int) -> bytes:
    """The last event of a user data stream whose key ran out or was closed."""
    return msgspec.json.encode({"e": "listenKeyExpired", "E": now_ms, "listenKey": listen_key})
