"""Orders and trades as the REST API shows them. Source: Binance spot API, "Trading endpoints", "Account endpoints"."""

from typing import Any

from tradewind.services.sim_venue.amounts import amount_text
from tradewind.services.sim_venue.listings import SELF_TRADE_PREVENTION, Listing
from tradewind.services.sim_venue.orders import BUY, SIDE_NAMES, AccountTrade, VenueOrder

_ZERO = amount_text(0)


def order_view(listing: Listing, order: VenueOrder) -> dict[str, Any]:
    """An order in the answers of queries."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        **_state(listing, order),
        "stopPrice": _ZERO,
        "icebergQty": _ZERO,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": True,
        "workingTime": order.created_ms,
        "origQuoteOrderQty": _ZERO,
        "selfTradePreventionMode": SELF_TRADE_PREVENTION,
    }


def cancel_view(listing: Listing, order: VenueOrder, cancel_id: str) -> dict[str, Any]:
    """The answer to a cancel: ``clientOrderId`` is the cancel's own."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": order.updated_ms,
        **_state(listing, order),
        "origQuoteOrderQty": _ZERO,
        "selfTradePreventionMode": SELF_TRADE_PREVENTION,
    }


def placed_view(listing: Listing, order: VenueOrder, trades: list[AccountTrade], kind: str) -> dict[str, Any]:
    """The answer to a new order; ``kind`` is ACK, RESULT or FULL."""
    view: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ms,
    }
    if kind == "ACK":
        return view
    view |= _state(listing, order)
    view |= {
        "origQuoteOrderQty": _ZERO,
        "workingTime": order.created_ms,
        "selfTradePreventionMode": SELF_TRADE_PREVENTION,
    }
    if kind == "FULL":
        view["fills"] = [_fill(listing, trade) for trade in trades]
    return view


def trade_view(listing: Listing, trade: AccountTrade) -> dict[str, Any]:
    """A row of ``myTrades``."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": listing.price_text(trade.price),
        "qty": amount_text(trade.size),
        "quoteQty": amount_text(trade.cash),
        "commission": amount_text(trade.fee),
        "commissionAsset": trade.fee_asset,
        "time": trade.time_ms,
        "isBuyer": trade.side == BUY,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def _state(listing: Listing, order: VenueOrder) -> dict[str, Any]:
    return {
        "price": listing.price_text(order.price),
        "origQty": amount_text(order.size),
        "executedQty": amount_text(order.executed),
        "cummulativeQuoteQty": amount_text(order.cash),
        "status": order.state.value,
        "timeInForce": order.time_in_force,
        "type": order.order_type,
        "side": SIDE_NAMES[order.side],
    }


def _fill(listing: Listing, trade: AccountTrade) -> dict[str, Any]:
    return {
        "price": listing.price_text(trade.price),
        "qty": amount_text(trade.size),
        "commission": amount_text(trade.fee),
        "commissionAsset": trade.fee_asset,
        "tradeId": trade.trade_id,
    }
