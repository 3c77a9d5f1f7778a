"""REST endpoints of an account: orders, trades, balances, listen keys.

An answer leaves only after everything that it says is in the venue's record. Source: Binance spot API, "Trading
endpoints", "Account endpoints", "User data stream endpoints".
"""

from decimal import Decimal
from typing import Any, Final

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.account_views import AccountViews
from tradewind.services.sim_venue.amounts import ONE, amount_text
from tradewind.services.sim_venue.calls import Call
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.races import cancel_with_race, race_after_placing
from tradewind.services.sim_venue.ledger_file import LedgerFile, Span
from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.order_requests import new_client_id, order_request, response_type
from tradewind.services.sim_venue.order_views import cancel_view, order_view, placed_view, trade_view
from tradewind.services.sim_venue.rate_limits import RateLimits
from tradewind.services.sim_venue.refusals import Refused
from tradewind.services.sim_venue.user_streams import UserStreams

MAX_ROWS: Final = 1_000
DAY_MS: Final = 86_400_000
_BASIS_POINTS: Final = 10_000


class AccountEndpoints:
    """Handlers of the endpoints that need a key."""

    def __init__(
        self, exchange: Exchange, ledger: LedgerFile, users: UserStreams, limits: RateLimits, desk: FaultDesk
    ) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._users = users
        self._limits = limits
        self._desk = desk
        self._views = AccountViews(exchange, ledger, desk)

    async def new_order(self, call: Call) -> Any:
        request = order_request(self._exchange, call.parameters)
        kind = response_type(call.parameters, request)
        self._limits.count_order(call.account, call.now_ms)
        if self._ledger.overfull:
            raise refusals.overloaded()
        placed = self._exchange.place(call.account, request)
        step, race = placed.step, call.plan.race
        if race is not None and (traded := race_after_placing(self._exchange, placed, race)) is not None:
            step = traded.step
        await self._ledger.written(step)
        return placed_view(self._exchange.listing(request.symbol), placed.order, placed.trades, kind)

    async def test_order(self, call: Call) -> Any:
        self._exchange.check(call.account, order_request(self._exchange, call.parameters))
        return {}

    async def query_order(self, call: Call) -> Any:
        listing = self._listing(call)
        order_id, client_id = self._order_ids(call, "origClientOrderId")
        order = await self._views.order(call, listing.symbol, order_id, client_id)
        if order is None:
            raise refusals.no_such_order()
        return order_view(listing, order)

    async def cancel_order(self, call: Call) -> Any:
        listing = self._listing(call)
        order_id, client_id = self._order_ids(call, "origClientOrderId")
        cancel_id = call.parameters.client_id("newClientOrderId") or new_client_id()
        order = self._exchange.find_open(call.account, listing.symbol, order_id, client_id)
        if (race := call.plan.race) is None:
            canceled = self._exchange.cancel(order, cancel_id)
        else:
            canceled = cancel_with_race(self._exchange, order, cancel_id, race, self._desk.liar)
        await self._ledger.written(canceled.step)
        return cancel_view(listing, canceled.order, cancel_id)

    async def cancel_all(self, call: Call) -> Any:
        listing = self._listing(call)
        orders = self._exchange.orders_of(call.account, listing.symbol)
        if not orders:
            raise refusals.unknown_cancel()
        cancel_id = new_client_id()
        canceled = [self._exchange.cancel(order, cancel_id) for order in orders]
        await self._ledger.written(canceled[-1].step)
        return [cancel_view(listing, each.order, cancel_id) for each in canceled]

    async def open_orders(self, call: Call) -> Any:
        symbol = self._listing(call).symbol if "symbol" in call.parameters else None
        orders = self._views.open_orders(call, symbol)
        views = [order_view(self._exchange.listing(order.symbol), order) for order in orders]
        await self._ledger.written()
        return views

    async def all_orders(self, call: Call) -> Any:
        listing = self._listing(call)
        span = self._span(call, from_name="orderId")
        orders = await self._views.orders(call, listing.symbol, span)
        return [order_view(listing, order) for order in orders]

    async def my_trades(self, call: Call) -> Any:
        listing = self._listing(call)
        span = self._span(call, from_name="fromId")
        trades = await self._views.trades(call, listing.symbol, span)
        return [trade_view(listing, trade) for trade in trades]

    async def account(self, call: Call) -> Any:
        shown = list(self._views.holdings(call))
        if call.parameters.optional("omitZeroBalances") == "true":
            shown = [(asset, held) for asset, held in shown if held.free or held.locked]
        fees = self._exchange.fees
        answer = {
            "makerCommission": fees.maker * _BASIS_POINTS // ONE,
            "takerCommission": fees.taker * _BASIS_POINTS // ONE,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {
                "maker": amount_text(fees.maker),
                "taker": amount_text(fees.taker),
                "buyer": amount_text(0),
                "seller": amount_text(0),
            },
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": call.now_ms,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": amount_text(held.free), "locked": amount_text(held.locked)}
                for asset, held in shown
            ],
            "permissions": ["SPOT"],
            "uid": self._exchange.owner(call.account),
        }
        await self._ledger.written()
        return answer

    async def open_user_stream(self, call: Call) -> Any:
        return {"listenKey": self._users.open(call.account)}

    async def prolong_user_stream(self, call: Call) -> Any:
        self._users.prolong(call.parameters.text("listenKey"))
        return {}

    async def end_user_stream(self, call: Call) -> Any:
        await self._users.end(call.parameters.text("listenKey"))
        return {}

    def _listing(self, call: Call) -> Listing:
        return self._exchange.listing(call.parameters.text("symbol"))

    def _order_ids(self, call: Call, client_name: str) -> tuple[int | None, str | None]:
        order_id, client_id = call.parameters.optional_whole("orderId"), call.parameters.client_id(client_name)
        if order_id is None and client_id is None:
            raise Refused(-1102, f"Param '{client_name}' or 'orderId' must be sent, but both were empty/null!")
        return order_id, client_id

    def _span(self, call: Call, *, from_name: str) -> Span:
        given = call.parameters
        start_ms, end_ms = given.optional_whole("startTime"), given.optional_whole("endTime")
        if start_ms is not None and end_ms is not None and end_ms - start_ms > DAY_MS:
            raise Refused(-1127, "More than 24 hours between startTime and endTime.")
        return Span(
            limit=given.limit(500, MAX_ROWS),
            from_id=given.optional_whole(from_name),
            order_id=given.optional_whole("orderId") if from_name != "orderId" else None,
            start_ms=start_ms,
            end_ms=end_ms,
        )


def fee_rate(rate: Decimal) -> int:
    """A rate as an amount for each unit."""
    return int(rate * ONE)
