"""``POST /api/v3/order/cancelReplace``: cancel one order and place another, which gets a new number.

Filters and the order count are looked at before either half. Source: Binance spot API, "Cancel an Existing Order and
Send a New Order (TRADE)" and error codes -2021, -2022.
"""

from typing import Any, Final

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.calls import Call
from tradewind.services.sim_venue.exchange import Exchange, OrderRequest
from tradewind.services.sim_venue.ledger_file import LedgerFile
from tradewind.services.sim_venue.order_requests import new_client_id, order_request, response_type
from tradewind.services.sim_venue.order_views import cancel_view, placed_view
from tradewind.services.sim_venue.rate_limits import RateLimits
from tradewind.services.sim_venue.refusals import Refused

_MODES: Final = ("STOP_ON_FAILURE", "ALLOW_FAILURE")
_DONE, _FAILED, _NOT_TRIED = "SUCCESS", "FAILURE", "NOT_ATTEMPTED"


class CancelReplace:
    """The handler of the endpoint."""

    def __init__(self, exchange: Exchange, ledger: LedgerFile, limits: RateLimits) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._limits = limits

    async def cancel_replace(self, call: Call) -> Any:
        given = call.parameters
        mode = given.choice("cancelReplaceMode", _MODES, refusals.out_of_range("cancelReplaceMode"))
        request = order_request(self._exchange, given)
        kind = response_type(given, request)
        if "cancelOrderId" not in given and "cancelOrigClientOrderId" not in given:
            message = "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were empty/null!"
            raise Refused(-1102, message)
        self._exchange.check_filters(request)
        self._limits.count_order(call.account, call.now_ms)
        if self._ledger.overfull:
            raise refusals.overloaded()
        canceled, cancel_answer = self._cancel(call, request.symbol)
        placed, order_answer = _NOT_TRIED, None
        if canceled == _DONE or mode == "ALLOW_FAILURE":
            placed, order_answer = self._place(call, request, kind)
        await self._ledger.written()
        data = {
            "cancelResult": canceled,
            "newOrderResult": placed,
            "cancelResponse": cancel_answer,
            "newOrderResponse": order_answer,
        }
        if canceled == placed == _DONE:
            return data
        if _DONE in (canceled, placed):
            raise refusals.replace_partially_failed(data)
        raise refusals.replace_failed(data)

    def _cancel(self, call: Call, symbol: str) -> tuple[str, dict[str, Any]]:
        given = call.parameters
        order_id, client_id = given.optional_whole("cancelOrderId"), given.client_id("cancelOrigClientOrderId")
        cancel_id = given.client_id("cancelNewClientOrderId") or new_client_id()
        try:
            order = self._exchange.find_open(call.account, symbol, order_id, client_id)
        except Refused as refusal:
            return _FAILED, refusal.body()
        canceled = self._exchange.cancel(order, cancel_id)
        return _DONE, cancel_view(self._exchange.listing(symbol), canceled.order, cancel_id)

    def _place(self, call: Call, request: OrderRequest, kind: str) -> tuple[str, dict[str, Any]]:
        try:
            placed = self._exchange.place(call.account, request)
        except Refused as refusal:
            return _FAILED, refusal.body()
        return _DONE, placed_view(self._exchange.listing(request.symbol), placed.order, placed.trades, kind)
