"""Questions about one account: orders, fills, balances. A question without an answer raises; it is never 'none'.

Source: Binance spot API, "Account endpoints (USER_DATA)".
"""

import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import OrderNotFound, VenueRejected, VenueUnavailable
from tradewind.venue.binance.messages import Account, AccountTrade, ListenKey, OrderState
from tradewind.venue.binance.namesakes import Namesakes
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.signing import NS_PER_MS, PRECISE_MS
from tradewind.venue.binance.translation import order_status_report, rest_balances, trade_fill
from tradewind.venue.reports import BalanceReport, FillReport, MassStatus, OrderStatusReport

TRADES_PER_PAGE: Final = 1_000
ORDERS_PER_PAGE: Final = 1_000
MAX_PAGES: Final = 10_000
DAY_MS: Final = 24 * 3600 * 1_000
"""The longest span between startTime and endTime that the venue takes."""
MAX_DAYS: Final = 30
"""Further back it is cheaper to read the account's trades from its first one on."""
INVALID_SYMBOL: Final = -1121
NO_SUCH_ORDER: Final = -2013
_MAY_BE_RENAMED: Final = frozenset({"CANCELED", "PENDING_CANCEL"})
ORDER_WEIGHT: Final = 4
OPEN_ORDERS_WEIGHT: Final = 80
TRADES_WEIGHT: Final = 20
ALL_ORDERS_WEIGHT: Final = 20
ACCOUNT_WEIGHT: Final = 20
LISTEN_KEY_WEIGHT: Final = 2


class AccountQueries:
    """Signed questions of one account. Instruments must have been asked for before anything that names one."""

    def __init__(
        self,
        venue: Venue,
        account_id: AccountId,
        symbols: Sequence[str],
        rest: BinanceRest,
        names: Namesakes | None = None,
    ) -> None:
        self._names = names or Namesakes()
        self.venue = venue
        self._account_id = account_id
        self._symbols = tuple(symbols)
        self._rest = rest
        self._by_symbol: dict[str, Instrument] = {}

    async def instruments(self) -> list[Instrument]:
        """The configured symbols as the venue defines them now. Raises VenueError."""
        found = await self._rest.instruments(self._symbols, self.venue)
        self._by_symbol.update((instrument.symbol, instrument) for instrument in found)
        return found

    def known_instrument(self, symbol: str) -> Instrument | None:
        """The instrument of a symbol, if its definition is here."""
        return self._by_symbol.get(symbol)

    def instrument(self, wanted: InstrumentId) -> Instrument:
        """The instrument of an id.

        Raises:
            VenueRejected: it is not defined here; nothing was sent.
        """
        symbol, _, venue = wanted.rpartition(".")
        if venue != self.venue or (found := self._by_symbol.get(symbol)) is None:
            raise VenueRejected(INVALID_SYMBOL, f"{wanted} is not among the instruments of {self.venue} here")
        return found

    async def order_status(
        self, wanted: InstrumentId, client_order_id: ClientOrderId, venue_order_id: VenueOrderId | None = None
    ) -> OrderStatusReport:
        """Where an order stands; with ``venue_order_id`` it is named by that alone.

        Raises:
            OrderNotFound: the venue does not know it now, or only an older order of the same name.
            VenueUnavailable: no answer.
        """
        instrument = self.instrument(wanted)
        parameters: dict[str, str | int] = {"symbol": instrument.symbol}
        if venue_order_id is None:
            parameters["origClientOrderId"] = client_order_id
        else:
            parameters["orderId"] = venue_order_id
        state = await self._rest.query("/api/v3/order", parameters, ORDER_WEIGHT, OrderState, signed=True)
        asked_id = state.orderId if venue_order_id is None else int(venue_order_id)
        # After a cancel the venue may show the order under the cancel's name.
        renamed = venue_order_id is not None or state.status in _MAY_BE_RENAMED
        if (state.symbol, state.orderId) != (instrument.symbol, asked_id) or not (
            renamed or state.clientOrderId == client_order_id
        ):
            raise VenueUnavailable(f"the answer is about another order, {state.clientOrderId}; ask again")
        report = self._status(instrument, state)
        if report.client_order_id is None and venue_order_id is None:
            raise OrderNotFound(NO_SUCH_ORDER, f"the venue knows only the older order {state.orderId} of this name")
        return report

    async def orders_from(self, wanted: InstrumentId, first: VenueOrderId) -> list[OrderStatusReport]:
        """All orders of an instrument from an id of the venue on, oldest first, all pages. Raises VenueError."""
        instrument, from_id, path = self.instrument(wanted), int(first), "/api/v3/allOrders"
        found: list[OrderStatusReport] = []
        for _ in range(MAX_PAGES):
            span = {"orderId": from_id, "limit": ORDERS_PER_PAGE}
            parameters: dict[str, str | int] = {"symbol": instrument.symbol, **span}
            page = await self._rest.query(path, parameters, ALL_ORDERS_WEIGHT, tuple[OrderState, ...], signed=True)
            found += [self._status(instrument, state) for state in page]
            if len(page) < ORDERS_PER_PAGE:
                return found
            from_id = page[-1].orderId + 1
        raise VenueUnavailable(f"more than {MAX_PAGES} pages of orders in {instrument.symbol}; ask for later ones")

    async def open_orders(self) -> list[OrderStatusReport]:
        """All open orders of the account, in whatever symbol and whoever made them. Raises VenueError."""
        path = "/api/v3/openOrders"
        states = await self._rest.query(path, {}, OPEN_ORDERS_WEIGHT, tuple[OrderState, ...], signed=True)
        await self._define(state.symbol for state in states)
        return [self._status(self._by_symbol[state.symbol], state) for state in states]

    async def fills(
        self, wanted: InstrumentId, *, since_ns: int | None = None, venue_order_id: VenueOrderId | None = None
    ) -> list[FillReport]:
        """Fills of an instrument, oldest first, all pages. Raises VenueError."""
        instrument = self.instrument(wanted)
        since_ms = None if since_ns is None else self._venue_ms(since_ns)
        if venue_order_id is not None:
            trades = await self._from_id(instrument, {"orderId": int(venue_order_id)}, 0)
        elif since_ms is None:
            trades = await self._from_id(instrument, {}, 0)
        else:
            trades = await self._since(instrument, since_ms)
        if since_ms is not None:
            trades = [trade for trade in trades if trade.time >= since_ms]
        try:
            return [trade_fill(self._account_id, instrument, trade) for trade in trades]
        except (ValueError, ArithmeticError) as error:
            raise VenueUnavailable(f"a fill in the venue's answer cannot be read: {error}") from error

    async def balances(self) -> BalanceReport:
        """All balances. Raises VenueError."""
        account = await self._rest.query("/api/v3/account", {}, ACCOUNT_WEIGHT, Account, signed=True)
        try:
            balances = rest_balances(account.balances)
        except ArithmeticError as error:
            raise VenueUnavailable(f"a balance in the venue's answer cannot be read: {error}") from error
        ts_event = account.updateTime * NS_PER_MS or time.time_ns()
        return BalanceReport(account_id=self._account_id, balances=balances, snapshot=True, ts_event=ts_event)

    async def mass_status(self, since_ns: int) -> MassStatus:
        """Open orders, fills of all known instruments since then, balances: complete or an error (VenueError).

        Orders are asked for before fills: an order that fills in between is then seen as open with its fill, never
        as gone without one.
        """
        ts_event = time.time_ns()
        open_orders = await self.open_orders()
        fills: list[FillReport] = []
        for instrument in list(self._by_symbol.values()):
            fills += await self.fills(instrument.instrument_id, since_ns=since_ns)
        return MassStatus(
            account_id=self._account_id,
            open_orders=tuple(open_orders),
            fills=tuple(fills),
            positions=(),
            balances=await self.balances(),
            ts_event=ts_event,
        )

    async def listen_key(self) -> str:
        """The key of the private stream; a new one, or the present one with a new life. Raises VenueError."""
        path = "/api/v3/userDataStream"
        body = await self._rest.request("POST", path, {}, LISTEN_KEY_WEIGHT, keyed=True)
        return self._rest.read(path, body, ListenKey).listenKey

    async def _define(self, symbols: Iterable[str]) -> None:
        """Learn symbols that are not configured here but that the account has orders in."""
        if missing := sorted(set(symbols) - set(self._by_symbol)):
            found = await self._rest.instruments(missing, self.venue)
            self._by_symbol.update((instrument.symbol, instrument) for instrument in found)

    def _status(self, instrument: Instrument, state: OrderState) -> OrderStatusReport:
        try:
            report = order_status_report(self._account_id, instrument, state)
        except (KeyError, ValueError, ArithmeticError) as error:
            raise VenueUnavailable(f"order {state.orderId} in the venue's answer cannot be read: {error}") from error
        if self._names.is_older(state.symbol, state.clientOrderId, state.orderId, state.time):
            return msgspec.structs.replace(report, client_order_id=None)
        return report

    def _venue_ms(self, since_ns: int) -> int:
        """A time of ours on the venue's clock, if that is clearly behind: what traded since carries earlier times.

        If it is ahead the time stays: it may be one that the venue gave.
        """
        offset_ms = self._rest.signer.clock.offset_ms if self._rest.signer is not None else 0
        return since_ns // NS_PER_MS + (offset_ms if offset_ms < -PRECISE_MS else 0)

    async def _since(self, instrument: Instrument, since_ms: int) -> list[AccountTrade]:
        """Days are tried one by one until the first trade is found; from it on the pages go by id."""
        now_ms = time.time_ns() // NS_PER_MS
        if now_ms - since_ms > MAX_DAYS * DAY_MS:
            return await self._from_id(instrument, {}, 0)
        start_ms = since_ms
        while start_ms <= now_ms:
            window = {"startTime": start_ms, "endTime": start_ms + DAY_MS - 1}
            if trades := await self._page(instrument, window):
                rest = await self._from_id(instrument, {}, trades[-1].id + 1)
                return [*trades, *rest]
            start_ms += DAY_MS
        return []

    async def _from_id(self, instrument: Instrument, filters: dict[str, int], from_id: int) -> list[AccountTrade]:
        trades: list[AccountTrade] = []
        for _ in range(MAX_PAGES):
            page = await self._page(instrument, {**filters, "fromId": from_id})
            trades += page
            if len(page) < TRADES_PER_PAGE:
                return trades
            from_id = page[-1].id + 1
        raise VenueUnavailable(f"more than {MAX_PAGES} pages of fills in {instrument.symbol}; ask for a later time")

    async def _page(self, instrument: Instrument, filters: dict[str, int]) -> tuple[AccountTrade, ...]:
        parameters: dict[str, str | int] = {"symbol": instrument.symbol, **filters, "limit": TRADES_PER_PAGE}
        path = "/api/v3/myTrades"
        page = await self._rest.query(path, parameters, TRADES_WEIGHT, tuple[AccountTrade, ...], signed=True)
        if any(later.id <= earlier.id for earlier, later in itertools.pairwise(page)):
            raise VenueUnavailable("the venue's page of fills is not in the order of their ids")
        return page
