"""What the REST API shows of an account: now, or as it was when the liar says that the view lags.

Every read waits for all writes: also what an answer says by silence must be in the record.
"""

from collections.abc import Iterable
from typing import Final

from tradewind.services.sim_venue.accounts import Holding
from tradewind.services.sim_venue.calls import Call
from tradewind.services.sim_venue.exchange import Exchange
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.ledger_file import LedgerFile, Span
from tradewind.services.sim_venue.orders import AccountTrade, VenueOrder

_OLDER_NAMESAKES: Final = 100


class AccountViews:
    """Reads for the endpoints that show orders, trades and balances."""

    def __init__(self, exchange: Exchange, ledger: LedgerFile, desk: FaultDesk) -> None:
        self._exchange = exchange
        self._ledger = ledger
        self._desk = desk

    async def order(self, call: Call, symbol: str, order_id: int | None, client_id: str | None) -> VenueOrder | None:
        """An order by its number or, the newest, by its client's id; with both it must have both."""
        then_ms = self._then_ms(call)
        if order_id is not None:
            order = await self._ledger.order(call.account, symbol, order_id)
            found = [order] if order is not None else []
        else:
            limit = 1 if then_ms is None else _OLDER_NAMESAKES
            found = await self._ledger.orders_named(call.account, symbol, client_id or "", limit)
        if then_ms is not None:
            found = self._desk.history.orders(found, then_ms)
        return next((each for each in found if client_id in (None, each.client_order_id)), None)

    def open_orders(self, call: Call, symbol: str | None) -> list[VenueOrder]:
        """An account's open orders, oldest first."""
        orders = self._exchange.orders_of(call.account, symbol)
        if (then_ms := self._then_ms(call)) is not None:
            orders = self._desk.history.open_orders(call.account, symbol, orders, then_ms)
        return orders

    async def orders(self, call: Call, symbol: str, span: Span) -> list[VenueOrder]:
        """Orders of one symbol, oldest first."""
        orders = await self._ledger.orders(call.account, symbol, span)
        then_ms = self._then_ms(call)
        return orders if then_ms is None else self._desk.history.orders(orders, then_ms)

    async def trades(self, call: Call, symbol: str, span: Span) -> list[AccountTrade]:
        """Trades of one symbol, oldest first."""
        trades = await self._ledger.trades(call.account, symbol, span)
        then_ms = self._then_ms(call)
        return trades if then_ms is None else self._desk.history.trades(trades, then_ms)

    def holdings(self, call: Call) -> Iterable[tuple[str, Holding]]:
        """All assets that an account ever held, sorted."""
        balances, then_ms = self._exchange.balances, self._then_ms(call)
        for asset in balances.assets(call.account):
            held = balances.of(call.account, asset)
            if then_ms is not None:
                held = self._desk.history.holding(call.account, asset, held, then_ms)
            yield asset, held

    def _then_ms(self, call: Call) -> int | None:
        """The time that is shown; None: now."""
        lag_ms = call.plan.view_lag_ms
        return self._desk.true_ms() - lag_ms if lag_ms and self._desk.history.is_kept else None
