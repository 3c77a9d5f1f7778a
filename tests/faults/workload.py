"""What the world around the execution service does: strategies, the market, an operator, and somebody else's orders.

All of it follows from the seed. Commands reach the bus as at-least-once delivers them: some twice, some late, some
with a name that was used before.
"""

import random
from typing import TYPE_CHECKING, Any, Final

from faults.client import ACCOUNT_ID, INSTRUMENTS, VENUE
from faults.sim_venue import ACCOUNT, SYMBOLS
from tradewind.model.enums import OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import ClientOrderId, InstrumentId, StrategyId
from tradewind.services.sim_venue.exchange import OrderRequest
from tradewind.services.sim_venue.orders import BUY, SELL
from tradewind.services.sim_venue.refusals import Refused
from tradewind.wire.commands import CancelAllOrders, CancelOrder, SubmitOrder
from tradewind.wire.events import TradingStateChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind.wire.messages import Message
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_STATE, market_events

if TYPE_CHECKING:
    from faults.world import World

FIRST_COMMAND_S: Final = 0.4
BUSY_S: Final = 8.0
STRATEGIES: Final = ("alpha", "beta", "gamma")
_SIZES: Final = {"BTCUSDT": 5_000_000, "ETHUSDT": 100_000_000}
_MARKET_DATA_EVERY_S: Final = 0.5


class Workload:
    """Everything that acts on the order path from outside."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._dice = random.Random(f"workload {world.schedule.seed}")
        self._numbers = 0
        self.intents: dict[ClientOrderId, SubmitOrder] = {}
        """Every intent, by the name that its order must have exactly once."""
        self.by_hand: set[str] = set()
        """Names of orders that somebody else placed."""
        self._market_data = _tops_of_books(world)

    def plan(self) -> None:
        """Put the whole of it on the timeline."""
        world, dice = self._world, self._dice
        at_s = FIRST_COMMAND_S
        for _ in range(dice.randint(7, 13)):
            at_s += dice.choice((0.0, 0.0, 0.02, 0.3, 0.6, 1.1))
            world.scheduler.after(min(at_s, BUSY_S), self._intend)
        sweep_s = 0.7
        while sweep_s < BUSY_S + 1.5:
            world.scheduler.after(sweep_s, self._sweep)
            sweep_s += dice.uniform(0.2, 0.9)
        if dice.random() < 0.15:
            world.scheduler.after(dice.uniform(0.5, BUSY_S), self.external_order)
        self._tell_prices()

    def publish(self, command: Message) -> None:
        """Hand a command to the bus, sometimes twice."""
        world, dice = self._world, self._dice
        world.scheduler.after(dice.uniform(0.0005, 0.004), world.broker.append, ORDERS_COMMANDS, ACCOUNT_ID, command)
        if dice.random() < 0.15:
            again_s = dice.choice((0.001, 0.2, 2.5))
            world.scheduler.after(again_s, world.broker.append, ORDERS_COMMANDS, ACCOUNT_ID, command)

    # -- strategies ------------------------------------------------------------------------------------------------

    def _intend(self) -> None:
        dice = self._dice
        strategy, symbol = StrategyId(dice.choice(STRATEGIES)), dice.choice(SYMBOLS)
        self._numbers += 1
        name = ClientOrderId(f"{strategy}-1-{self._numbers}")
        command = self._order(strategy, symbol, name)
        self.intents[name] = command
        self._world.tell("strategy", f"{name}: {command.side} {command.size} {symbol} at {command.price}")
        self.publish(command)
        if dice.random() < 0.06:
            self.publish(self._order(strategy, symbol, name))  # another intent under a name that is taken
        if dice.random() < 0.45:
            self._world.scheduler.after(dice.choice((0.0, 0.004, 0.05, 0.8, 2.0)), self._cancel, strategy, name)

    def _order(self, strategy: StrategyId, symbol: str, name: ClientOrderId) -> SubmitOrder:
        dice, market = self._dice, self._world.venue.market(symbol)
        side = dice.choice((OrderSide.BUY, OrderSide.BUY, OrderSide.SELL))
        kind = dice.choice(("rests", "rests", "rests", "takes", "takes", "market", "ioc"))
        away = {"rests": -dice.randint(0, 3), "takes": dice.randint(1, 4), "ioc": 2, "market": 0}[kind]
        price = market.center + side.sign * away * market.step
        now = self._world.scheduler.now_ns
        return SubmitOrder(
            event_id=self._event_id(),
            correlation_id=name,
            causation_id="",
            ts_event=now,
            ts_init=now - (60_000_000_000 if dice.random() < 0.04 else 0),
            strategy_id=strategy,
            account_id=ACCOUNT_ID,
            client_order_id=name,
            instrument_id=InstrumentId(f"{symbol}.{VENUE}"),
            side=side,
            order_type=OrderType.MARKET if kind == "market" else OrderType.LIMIT,
            time_in_force=TimeInForce.IOC if kind == "ioc" else TimeInForce.GTC,
            size=_SIZES[symbol] * dice.randint(1, 6),
            price=None if kind == "market" else price,
            post_only=kind == "rests" and dice.random() < 0.2,
        )

    def _cancel(self, strategy: StrategyId, name: ClientOrderId) -> None:
        now = self._world.scheduler.now_ns
        self._world.tell("strategy", f"cancels {name}")
        self.publish(
            CancelOrder(
                event_id=self._event_id(),
                correlation_id=name,
                causation_id="",
                ts_event=now,
                ts_init=now,
                strategy_id=strategy,
                account_id=ACCOUNT_ID,
                client_order_id=name,
            )
        )

    # -- the market ------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Somebody takes through the top of the book, and our orders that rest there are filled in whole or in part."""
        dice = self._dice
        symbol = dice.choice(SYMBOLS)
        market = self._world.venue.market(symbol)
        side = dice.choice((BUY, SELL))
        market.outside(side, 0, _SIZES[symbol] * dice.randint(1, 30))
        market.fill_up()

    def external_order(self) -> None:
        """A person trades on our account by hand."""
        dice, venue = self._dice, self._world.venue
        if not self._world.server.tables.opening:
            # Trading by hand in the very moment in which the account is first seen is not simulated (see docs).
            self._world.scheduler.after(0.5, self.external_order)
            return
        symbol = dice.choice(SYMBOLS)
        market = venue.market(symbol)
        away = dice.choice((-2, 1))
        request = OrderRequest(
            symbol=symbol,
            side=BUY,
            order_type="LIMIT",
            time_in_force="GTC",
            price=(market.center + away * market.step) * market.listing.price_unit,
            size=_SIZES[symbol],
            client_order_id=f"by-hand-{len(self.by_hand) + 1}",
        )
        self.by_hand.add(request.client_order_id)
        self._world.tell("somebody", f"places {request.client_order_id} by hand")
        try:
            venue.exchange.place(ACCOUNT, request)
        except Refused as refused:
            self._world.tell("somebody", f"is refused: {refused}")

    def _tell_prices(self) -> None:
        records = self._market_data.copy()
        records["ts_event"] = records["ts_recv"] = self._world.scheduler.now_ns
        self._world.broker.append(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(records)))
        self._world.scheduler.after(_MARKET_DATA_EVERY_S, self._tell_prices)

    # -- the operator ----------------------------------------------------------------------------------------------

    def halt(self, seconds: float) -> None:
        """As services/risk does for HALTED: the stored state, then the word of it, then the cancel of what rests."""
        self._set_state(TradingState.HALTED)
        self.cancel_all()
        self._world.scheduler.after(seconds, self._set_state, TradingState.ACTIVE)

    def cancel_all(self) -> None:
        """Everything that rests on the account."""
        now = self._world.scheduler.now_ns
        self._world.tell("operator", "cancels everything")
        self.publish(
            CancelAllOrders(
                event_id=self._event_id(),
                correlation_id="operator",
                causation_id="",
                ts_event=now,
                ts_init=now,
                account_id=ACCOUNT_ID,
                reason="by hand",
            )
        )

    def _set_state(self, state: TradingState) -> None:
        world = self._world
        now = world.scheduler.now_ns
        scope = f"account:{ACCOUNT_ID}"
        world.tell("operator", f"{scope} is {state}")
        world.server.tables.trading_states[scope] = {
            "scope": scope, "state": state.value, "actor": "operator", "why": "test", "ts": _timestamp(now),
        }  # fmt: skip
        message = TradingStateChanged(
            event_id=self._event_id(),
            correlation_id="operator",
            causation_id="",
            ts_event=now,
            ts_init=now,
            scope=scope,
            state=state,
            actor="operator",
            why="test",
        )
        world.scheduler.after(0.002, world.broker.append, RISK_STATE, scope, message)

    def _event_id(self) -> str:
        self._numbers += 1
        return f"world-{self._numbers}"


def _timestamp(now_ns: int) -> Any:
    from tradewind.store.timestamps import to_timestamp

    return to_timestamp(now_ns)


def _tops_of_books(world: "World") -> RecordArray:
    """Best bid and ask of every symbol: the market comes back to them after each sweep."""
    records = empty_records(2 * len(SYMBOLS))
    for index, symbol in enumerate(SYMBOLS):
        market = world.venue.market(symbol)
        both = slice(2 * index, 2 * index + 2)
        records["instrument"][both] = instrument_number(INSTRUMENTS[symbol].instrument_id)
        records["price"][both] = [market.center - market.step, market.center + market.step]
        records["side"][both] = [RecordSide.BUY, RecordSide.SELL]
        records["flags"][both] = [0, RecordFlag.LAST]
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["size"] = 40_000_000
    return records
