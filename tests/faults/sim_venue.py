"""The simulated venue: the real exchange core and matching engine, a record in memory, and a market around it.

The record keeps every version of every order, so that a view of the past can be shown and an oracle can read all.
Events of the private stream leave with their delay; what a lie does to them is decided here, by the schedule.
"""

import copy
from typing import TYPE_CHECKING, Any, Final

from tradewind.services.sim_venue.accounts import Balances, Holding
from tradewind.services.sim_venue.amounts import ONE
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.exchange import Exchange, FeeRates, OrderRequest, Placed
from tradewind.services.sim_venue.flow_market import FlowMarket
from tradewind.services.sim_venue.listings import KNOWN
from tradewind.services.sim_venue.orders import BUY, SELL, AccountTrade, VenueOrder
from tradewind_native.matching import MatchingEngine

if TYPE_CHECKING:
    from faults.client import SimulatedClient
    from faults.world import World

ACCOUNT: Final = "main"
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
DEPOSITS: Final = {"BTC": 10 * ONE, "ETH": 100 * ONE, "USDT": 1_000_000 * ONE}
FEES: Final = FeeRates(maker=100_000, taker=200_000)
_LEVELS: Final = 12
_LEVEL_SIZE: Final = 40_000_000


class ScriptedFlow:
    """The rest of the market: a book of some levels, and what the schedule sends against it. Its ids are negative."""

    def __init__(self) -> None:
        self.next_id = -1
        self.now_ns = 0

    def opening(self) -> list[Any]:
        return []

    def rests(self, _: Any) -> None:
        """Nothing is remembered."""

    def forget(self, _: int) -> None:
        """Nothing was remembered."""


class SimulatedMarket(FlowMarket):
    """The real market over the native engine, moved by hand."""

    def __init__(self, world: "World", symbol: str) -> None:
        flow: Any = ScriptedFlow()
        super().__init__(KNOWN[symbol], flow, _publish_nothing, world.venue_fill, start_ms=world.venue_ms())
        self.flow: ScriptedFlow = flow
        self.engine: MatchingEngine = self._engine
        self.center = KNOWN[symbol].start_price
        self.step = self.center // 2_000
        self.fill_up()

    def fill_up(self) -> None:
        """Every level has its size again."""
        for side, sign in ((BUY, -1), (SELL, 1)):
            for level in range(1, _LEVELS + 1):
                price = self.center + sign * level * self.step
                missing = _LEVEL_SIZE - self.engine.size_at(side, price)
                if missing > 0:
                    self.outside(side, price, missing)

    def outside(self, side: int, price: int, size: int) -> None:
        """An order of somebody else; price 0 is a market order."""
        result = self.engine.submit(self.flow.next_id, side, price, size, market=price == 0)
        self.flow.next_id -= 1
        for fill in result.fills:
            if fill.maker_order_id > 0:
                if fill.maker_remaining == 0:
                    del self._own[fill.maker_order_id]
                self._on_fill(fill.maker_order_id, fill.price, fill.size)


class SimulatedVenue:
    """One venue with one account of ours."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.orders: dict[int, list[tuple[int, VenueOrder]]] = {}
        self.trades: list[tuple[int, AccountTrade]] = []
        self.holdings: dict[str, list[tuple[int, Holding]]] = {}
        self.clients: list[SimulatedClient] = []
        self.lag_ns = 0
        self.queries_away_until_ns = 0
        self.placed: list[tuple[int, int, str]] = []
        """(time, order id, client order id) of every order that was ever taken."""
        self._steps = 0
        self._stream_free_ns = 0
        self.exchange = Exchange(
            {symbol: KNOWN[symbol] for symbol in SYMBOLS}, Balances(), FEES, self._note, world.venue_ms
        )
        self.exchange.deposit(ACCOUNT, DEPOSITS)

    def open_markets(self) -> None:
        """Make the books."""
        for symbol in SYMBOLS:
            self.exchange.markets[symbol] = SimulatedMarket(self.world, symbol)

    def market(self, symbol: str) -> SimulatedMarket:
        """A symbol's market."""
        market = self.exchange.markets[symbol]
        assert isinstance(market, SimulatedMarket)
        return market

    def place(self, request: OrderRequest) -> Placed:
        """Take a new order. Raises Refused."""
        placed = self.exchange.place(ACCOUNT, request)
        self.placed.append((self.world.scheduler.now_ns, placed.order.order_id, request.client_order_id))
        self.world.tell("venue", f"takes {request.client_order_id} as {placed.order.order_id}: {placed.order.state}")
        self.world.invariants.placed(request.client_order_id)
        return placed

    # -- views, as they are or as they were ------------------------------------------------------------------------

    def order_view(
        self, symbol: str, client_order_id: str, lag_ns: int, number: int | None = None
    ) -> VenueOrder | None:
        """The newest order of a name, or the one of a number."""
        found = None
        for versions in self.orders.values():
            order = _at(versions, self._then(lag_ns))
            named = order is not None and (order.client_order_id, order.symbol) == (client_order_id, symbol)
            if order is not None and (named if number is None else order.order_id == number):
                found = order
        return found

    def orders_view(self, symbol: str, first: int, lag_ns: int) -> list[VenueOrder]:
        """Orders of a symbol from a number on."""
        views = (_at(versions, self._then(lag_ns)) for versions in self.orders.values())
        return [order for order in views if order is not None and order.symbol == symbol and order.order_id >= first]

    def open_view(self, lag_ns: int) -> list[VenueOrder]:
        """Orders that rest."""
        then = self._then(lag_ns)
        views = (_at(versions, then) for versions in self.orders.values())
        return [order for order in views if order is not None and order.state.is_open]

    def trades_view(self, symbol: str, lag_ns: int) -> list[AccountTrade]:
        """Trades of a symbol, oldest first."""
        then = self._then(lag_ns)
        return [trade for at, trade in self.trades if at <= then and trade.symbol == symbol]

    def balances_view(self, lag_ns: int) -> dict[str, Holding]:
        """What the account holds."""
        then = self._then(lag_ns)
        return {asset: _at(versions, then) or versions[0][1] for asset, versions in self.holdings.items()}

    def newest(self) -> list[VenueOrder]:
        """Every order as it is now."""
        return [versions[-1][1] for versions in self.orders.values()]

    def _then(self, lag_ns: int) -> int:
        return self.world.scheduler.now_ns - max(lag_ns, self.lag_ns)

    def _note(self, changes: Changes) -> int:
        now = self.world.scheduler.now_ns
        for order in changes.orders:
            self.orders.setdefault(order.order_id, []).append((now, order))
        for trade in changes.trades:
            self.trades.append((now, trade))
        for (_, asset), holding in changes.holdings.items():
            self.holdings.setdefault(asset, []).append((now, copy.copy(holding)))
        for _, message in changes.messages:
            self._send(message)
        self._steps += 1
        return self._steps

    # -- the private stream ----------------------------------------------------------------------------------------

    def _send(self, message: bytes) -> None:
        world = self.world
        if not self.clients:
            return
        fault = world.fault("venue.event", None)
        kind = fault.fault if fault else ""
        if kind == "dropped":
            return
        if kind == "stream_broken":
            self.break_streams(world.magnitude(fault, 0.1, 2.0))
            return
        now = world.scheduler.now_ns
        # Events keep their order on a connection, unless the venue lies.
        when = max(now + int(world.delay_s(0.0005, 0.02) * 1e9), self._stream_free_ns)
        if kind == "late":
            when = now + int(world.magnitude(fault, 0.05, 3.0) * 1e9)
        else:
            self._stream_free_ns = when + 1
        for _ in range(2 if kind == "doubled" else 1):
            world.scheduler.at(when, self._arrive, list(self.clients), message)
            when += int(world.delay_s(0.001, 0.5) * 1e9)

    def _arrive(self, clients: "list[SimulatedClient]", message: bytes) -> None:
        for client in clients:
            client.hear(message)

    def break_streams(self, seconds: float) -> None:
        """Every private stream ends, and none begins for a while."""
        for client in list(self.clients):
            client.lose_stream(seconds)


def _publish_nothing(_kind: str, _event: bytes) -> None:
    """Nobody listens to public events."""


def _at(versions: list[tuple[int, Any]], then_ns: int) -> Any:
    if versions[-1][0] <= then_ns:
        return versions[-1][1]
    found = None
    for at, version in versions:
        if at > then_ns:
            break
        found = version
    return found
