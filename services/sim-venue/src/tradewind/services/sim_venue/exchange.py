"""The exchange's core: accounts, orders and fills, without I/O. All its arithmetic is on integers.

Every public method is one step: it changes the state, hands the changes to the journal, and leaves the sum of all
balances and of the venue's own books at zero. Source: Binance spot API, "Trading endpoints", "Filters" and the
messages of -2010 and -2011 in "Error Codes".
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.accounts import Balances
from tradewind.services.sim_venue.amounts import MAX_AMOUNT, ONE
from tradewind.services.sim_venue.changes import Changes, Journal
from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import BUY, AccountTrade, Market, OrderState, Placement, VenueOrder
from tradewind.services.sim_venue.reports import account_position, execution_report


@dataclasses.dataclass(frozen=True, slots=True)
class FeeRates:
    """Fees as amounts of 0.00000001 for each unit that is received."""

    maker: int
    taker: int


@dataclasses.dataclass(frozen=True, slots=True)
class OrderRequest:
    """A new order as a client asks for it. ``price`` and ``size`` are amounts; ``price`` is 0 for MARKET."""

    symbol: str
    side: int
    order_type: str
    time_in_force: str
    price: int
    size: int
    client_order_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """The order as it stands after its arrival, what it took, and the step to wait for before the client is told."""

    order: VenueOrder
    trades: list[AccountTrade]
    step: int


class Exchange:
    """All accounts and orders. ``markets`` is filled by the owner before the first order."""

    def __init__(
        self,
        listings: dict[str, Listing],
        balances: Balances,
        fees: FeeRates,
        journal: Journal,
        now_ms: Callable[[], int],
        *,
        next_order_id: int = 1,
        next_trade_id: int = 1,
        max_open_orders: int = 200,
    ) -> None:
        self.listings = listings
        self.markets: dict[str, Market] = {}
        self.balances = balances
        self.fees = fees
        self.max_open_orders = max_open_orders
        self.open_orders: dict[int, VenueOrder] = {}
        self._journal = journal
        self._now_ms = now_ms
        self._next_order_id = next_order_id
        self._next_trade_id = next_trade_id
        self._owners: dict[str, int] = {}
        self._by_client_id: dict[tuple[str, str, str], VenueOrder] = {}

    def listing(self, symbol: str) -> Listing:
        """The listing of a symbol. Raises Refused -1121."""
        if (listing := self.listings.get(symbol)) is None:
            raise refusals.invalid_symbol()
        return listing

    def deposit(self, account: str, amounts: dict[str, int]) -> int:
        """Pay in from outside; answers the step."""
        step = _Step(self)
        for asset, amount in amounts.items():
            self.balances.deposit(account, asset, amount)
            step.touch(account, asset)
        return step.commit()

    def check(self, account: str, request: OrderRequest) -> VenueOrder:
        """The order that a request would be, without a number: what ``order/test`` does.

        Raises:
            Refused: a filter, a duplicate id, or the number of open orders.
        """
        price = self.check_filters(request)
        if (account, request.symbol, request.client_order_id) in self._by_client_id:
            raise refusals.rejected(refusals.DUPLICATE_ORDER)
        rests = request.order_type != "MARKET" and request.time_in_force == "GTC"
        if rests and len(self.orders_of(account, request.symbol)) >= self.max_open_orders:
            raise refusals.filter_failure("MAX_NUM_ORDERS")
        now_ms = self._now_ms()
        return VenueOrder(
            order_id=0,
            account=account,
            symbol=request.symbol,
            client_order_id=request.client_order_id,
            side=request.side,
            order_type=request.order_type,
            time_in_force=request.time_in_force,
            price=price,
            size=request.size,
            created_ms=now_ms,
            updated_ms=now_ms,
        )

    def check_filters(self, request: OrderRequest) -> int:
        """The price mantissa of a request, 0 for MARKET. Raises Refused -1013."""
        listing = self.listing(request.symbol)
        price = _price(listing, request)
        if request.size <= 0 or request.size % listing.step or request.size > listing.max_size:
            raise refusals.filter_failure("LOT_SIZE")
        valued_at = price or self.markets[request.symbol].reference_price()
        if valued_at is not None:
            notional = listing.notional(valued_at, request.size)
            too_large = request.order_type != "MARKET" and notional > listing.max_notional
            if notional < listing.min_notional or too_large:
                raise refusals.filter_failure("NOTIONAL")
        return price

    def place(self, account: str, request: OrderRequest) -> Placed:
        """Take a new order, match it, let it rest.

        Raises:
            Refused: nothing has changed.
        """
        order = self.check(account, request)
        market = self.markets[order.symbol]
        self._lock(market, order)
        order.order_id = self._next_order_id
        placement = market.submit(order, self.owner(account))
        if placement.would_take:
            self._release(order)
            raise refusals.rejected(refusals.WOULD_TAKE)
        self._next_order_id += 1
        step = _Step(self)
        step.opened(order)
        trades = self._arrive(order, placement, step)
        return Placed(copy.copy(order), trades, step.commit())

    def cancel(self, order: VenueOrder, cancel_id: str, *, filled_first: int = 0) -> Placed:
        """Cancel an open order on the client's word.

        ``filled_first`` of it trades with the market before the cancel takes effect; an order that is wholly filled
        by that is not canceled any more: look at its state.
        """
        self.markets[order.symbol].cancel(order.order_id)
        step = _Step(self)
        trades = [self._book(order, order.price, filled_first, step, maker=True)] if filled_first else []
        if order.remaining:
            self._close(order, OrderState.CANCELED, step, "CANCELED", cancel_id)
        else:
            self._end_if_filled(order)
        return Placed(copy.copy(order), trades, step.commit())

    def fill_resting(self, order: VenueOrder, size: int) -> Placed:
        """The market trades with an open order now, at its price; what is left goes to the back of its queue."""
        market = self.markets[order.symbol]
        market.cancel(order.order_id)
        step = _Step(self)
        trades = [self._book(order, order.price, size, step, maker=True)]
        if order.remaining:
            trades += self._arrive(order, market.submit(order, self.owner(order.account)), step)
        else:
            self._end_if_filled(order)
        return Placed(copy.copy(order), trades, step.commit())

    @property
    def next_trade_id(self) -> int:
        """The number that the next trade will have."""
        return self._next_trade_id

    def find_open(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None) -> VenueOrder:
        """An open order by either id. Raises Refused -2011."""
        if order_id is not None:
            order = self.open_orders.get(order_id)
        else:
            order = self._by_client_id.get((account, symbol, client_order_id or ""))
        fits = order is not None and (order.account, order.symbol) == (account, symbol)
        if order is None or not fits or (client_order_id is not None and order.client_order_id != client_order_id):
            raise refusals.unknown_cancel()
        return order

    def orders_of(self, account: str, symbol: str | None = None) -> list[VenueOrder]:
        """An account's open orders, oldest first."""
        return [
            order for order in self.open_orders.values() if order.account == account and symbol in (None, order.symbol)
        ]

    def on_fill(self, order_id: int, price: int, size: int) -> None:
        """A market's word that a resting order traded as maker."""
        order = self.open_orders[order_id]
        step = _Step(self)
        self._book(order, price, size, step, maker=True)
        self._end_if_filled(order)
        step.commit()

    def restore(self, orders: Iterable[VenueOrder], *, expire: bool) -> int:
        """Take over the open orders of an earlier run: expire them, or let them enter their markets again.

        They enter at the back of their queues. Answers the last step, to wait for before clients are let in.
        """
        restored = 0
        for order in sorted(orders, key=lambda each: each.order_id):
            self._index(order)
            step = _Step(self)
            market = self.markets.get(order.symbol)
            if expire or market is None:
                self._close(order, OrderState.EXPIRED, step, "EXPIRED")
            else:
                placement = market.submit(order, self.owner(order.account))
                self._arrive(order, placement, step)
            restored = step.commit()
        return restored

    def owner(self, account: str) -> int:
        """The number that stands for an account in a matching engine, from 1."""
        return self._owners.setdefault(account, len(self._owners) + 1)

    def _lock(self, market: Market, order: VenueOrder) -> None:
        listing = self.listings[order.symbol]
        if order.side != BUY:
            asset, amount = listing.base, order.size
        elif order.order_type == "MARKET":
            asset, amount = listing.quote, market.takeable(order.side, order.size, self.owner(order.account))[1]
        else:
            asset, amount = listing.quote, listing.notional(order.price, order.size)
        if amount > MAX_AMOUNT or not self.balances.lock(order.account, asset, amount):
            raise refusals.rejected(refusals.INSUFFICIENT_BALANCE)
        order.locked = amount

    def _release(self, order: VenueOrder) -> None:
        listing = self.listings[order.symbol]
        self.balances.release(order.account, listing.quote if order.side == BUY else listing.base, order.locked)
        order.locked = 0

    def _arrive(self, order: VenueOrder, placement: Placement, step: "_Step") -> list[AccountTrade]:
        for maker_id in placement.expired_makers:
            self._close(self.open_orders[maker_id], OrderState.EXPIRED_IN_MATCH, step, "TRADE_PREVENTION")
        trades = []
        for execution in placement.executions:
            if execution.maker_order_id is not None:
                maker = self.open_orders[execution.maker_order_id]
                self._book(maker, execution.price, execution.size, step, maker=True)
                self._end_if_filled(maker)
            trades.append(self._book(order, execution.price, execution.size, step, maker=False))
        if placement.rests:
            self._index(order)
        elif order.remaining:
            self._close(order, OrderState.EXPIRED, step, "EXPIRED")
        else:
            self._end_if_filled(order)
        return trades

    def _book(self, order: VenueOrder, price: int, size: int, step: "_Step", *, maker: bool) -> AccountTrade:
        """Move the money of one match and report it."""
        listing = self.listings[order.symbol]
        cash = listing.notional(price, size)
        if order.side == BUY:
            paid, received, (pays, gets) = cash, size, (listing.quote, listing.base)
            reserved = listing.notional(order.price, size) if order.price else cash
        else:
            paid, received, (pays, gets) = size, cash, (listing.base, listing.quote)
            reserved = size
        fee = received * (self.fees.maker if maker else self.fees.taker) // ONE
        self.balances.pay(order.account, pays, paid)
        self.balances.release(order.account, pays, reserved - paid)
        self.balances.receive(order.account, gets, received, fee)
        order.locked -= reserved
        order.executed += size
        order.cash += cash
        order.updated_ms = self._now_ms()
        order.state = OrderState.PARTIALLY_FILLED if order.remaining else OrderState.FILLED
        trade = AccountTrade(
            self._next_trade_id, order.account, order.symbol, order.order_id, order.side,
            price, size, cash, fee, gets, maker, order.updated_ms,
        )  # fmt: skip
        self._next_trade_id += 1
        step.traded(order, trade)
        return trade

    def _end_if_filled(self, order: VenueOrder) -> None:
        if not order.remaining:
            self._release(order)
            self._forget(order)

    def _close(
        self, order: VenueOrder, state: OrderState, step: "_Step", execution_type: str, cancel_id: str | None = None
    ) -> None:
        self._release(order)
        order.state = state
        order.updated_ms = self._now_ms()
        self._forget(order)
        step.report(order, execution_type, cancel_id=cancel_id)

    def _index(self, order: VenueOrder) -> None:
        self.open_orders[order.order_id] = order
        self._by_client_id[order.account, order.symbol, order.client_order_id] = order

    def _forget(self, order: VenueOrder) -> None:
        self.open_orders.pop(order.order_id, None)
        key = (order.account, order.symbol, order.client_order_id)
        if self._by_client_id.get(key) is order:
            del self._by_client_id[key]

    def journal(self, changes: Changes) -> int:
        """Hand a finished step over."""
        return self._journal(changes)

    def now_ms(self) -> int:
        """The venue's clock."""
        return self._now_ms()


class _Step:
    """Collects what one step touches, and the messages about it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._orders: dict[int, VenueOrder] = {}
        self._trades: list[AccountTrade] = []
        self._touched: dict[str, set[str]] = {}
        self._messages: list[tuple[str, bytes]] = []

    def touch(self, account: str, *assets: str) -> None:
        """Balances may have changed."""
        self._touched.setdefault(account, set()).update(assets)

    def opened(self, order: VenueOrder) -> None:
        self.report(order, "NEW")

    def traded(self, order: VenueOrder, trade: AccountTrade) -> None:
        self._trades.append(trade)
        self.report(order, "TRADE", trade=trade)

    def report(
        self,
        order: VenueOrder,
        execution_type: str,
        *,
        trade: AccountTrade | None = None,
        cancel_id: str | None = None,
    ) -> None:
        listing = self._exchange.listings[order.symbol]
        self._orders[order.order_id] = order
        self.touch(order.account, listing.base, listing.quote)
        execution_id = 2 * order.order_id + len(self._messages)
        message = execution_report(listing, order, execution_type, execution_id, trade=trade, cancel_id=cancel_id)
        self._messages.append((order.account, message))

    def commit(self) -> int:
        balances = self._exchange.balances
        holdings = {}
        for account, assets in self._touched.items():
            held = [(asset, copy.copy(balances.of(account, asset))) for asset in sorted(assets)]
            holdings.update({(account, asset): holding for asset, holding in held})
            self._messages.append((account, account_position(held, self._exchange.now_ms())))
        changed_assets = {asset for assets in self._touched.values() for asset in assets}
        house = {key: amount for key, amount in balances.house.items() if key[1] in changed_assets}
        orders = [copy.copy(order) for order in self._orders.values()]
        return self._exchange.journal(Changes(orders, self._trades, holdings, house, self._messages))


def _price(listing: Listing, request: OrderRequest) -> int:
    """The price mantissa of a request, 0 for MARKET."""
    if request.order_type == "MARKET":
        return 0
    price, rest = divmod(request.price, listing.price_unit)
    if rest or price <= 0 or price % listing.tick or price > listing.max_price:
        raise refusals.filter_failure("PRICE_FILTER")
    return price
