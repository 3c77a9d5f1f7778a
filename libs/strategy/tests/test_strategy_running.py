"""A strategy as a service: on a real memory bus and a real database, against a scripted order path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from recording_strategy import Recorder

from tradewind.bus.interface import Start, Subscription
from tradewind.model.identifiers import IdentifierError
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.strategy import Strategy, StrategySettings
from tradewind.strategy.commanding import order_of
from tradewind.strategy.running import strategy_service
from tradewind.strategy.strategy_run import run_strategy
from tradewind.strategy.testing import (
    ACCOUNT,
    BTC,
    STRATEGY,
    T0,
    VENUE,
    accepted,
    canceled,
    filled,
    instrument,
    quote,
)
from tradewind.wire.commands import CancelAllOrders, SubmitOrder
from tradewind.wire.events import InstrumentDefined, OrderEvent
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import RecordArray, read_only
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS, market_events

WAIT_S = 20.0


class BuyOnce(Strategy):
    """Rests one order below the market, and writes down what happened."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_start(self) -> None:
        self.calls.append("start")

    def on_quote(self, quote: Any) -> None:
        self.calls.append("quote")
        if not self.context.open_orders():
            self.context.buy(quote.instrument_id, "0.01", quote.bid)

    def on_order_event(self, event: OrderEvent) -> None:
        self.calls.append(event.status)

    def on_stop(self) -> None:
        self.calls.append("stop")


class BreaksOnSecondQuote(BuyOnce):
    def on_quote(self, quote: Any) -> None:
        super().on_quote(quote)
        if self.calls.count("quote") == 2:
            raise RuntimeError("the sky is falling")


class OrderPath:
    """Takes commands as execution would: accepts, and cancels when told."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self.commands: list[Any] = []
        self.orders: dict[str, Order] = {}
        self.cancels = True

    async def run(self, subscription: Subscription) -> None:
        while True:
            for delivery in await subscription.receive():
                command = delivery.payload
                self.commands.append(command)
                if isinstance(command, SubmitOrder):
                    order = self.orders[command.client_order_id] = order_of(command)
                    await self.say(order, accepted(order))
                elif isinstance(command, CancelAllOrders) and self.cancels:
                    for order in self.orders.values():
                        if order.strategy_id == command.strategy_id and not order.status.is_closed:
                            await self.say(order, canceled(order))

    async def say(self, order: Order, event: OrderEvent) -> None:
        order.status, order.event_count = event.status, event.sequence
        await self._context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, event)


@pytest.fixture
async def order_path(context: ServiceContext) -> AsyncIterator[OrderPath]:
    path = OrderPath(context)
    subscription = await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
    task = asyncio.ensure_future(path.run(subscription))
    yield path
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@contextlib.asynccontextmanager
async def running(context: ServiceContext, strategy: Strategy) -> AsyncIterator[None]:
    task = asyncio.ensure_future(run_strategy(context, strategy, STRATEGY))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def define(context: ServiceContext) -> None:
    event = InstrumentDefined(
        event_id="i-1", correlation_id="i-1", causation_id="", ts_event=T0, ts_init=T0, instrument=instrument()
    )
    await context.order_bus.publish(REF_INSTRUMENTS, BTC, event)


async def show(context: ServiceContext, records: RecordArray) -> None:
    await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(records)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


def metric(context: ServiceContext, name: str) -> float:
    process: Any = context.metrics._process
    return float(process.total(name))


async def test_a_quote_becomes_a_command_and_its_answer_comes_back(
    context: ServiceContext, order_path: OrderPath
) -> None:
    strategy = BuyOnce()
    async with running(context, strategy):
        await until(lambda: "definition of BTCUSDT" in context.health.reason)
        await define(context)
        await until(lambda: context.health.ready)
        await show(context, quote(6_000_000, 6_000_100, sequence=12))
        await until(lambda: OrderStatus.ACCEPTED in strategy.calls)
        await show(context, quote(6_000_000, 6_000_100))
        await until(lambda: strategy.calls.count("quote") == 2)
    submit, cancel_all = order_path.commands
    assert (submit.client_order_id, submit.causation_id) == (f"{STRATEGY}-1-1", "md:BINANCE:12")
    assert (submit.price, submit.size) == (6_000_000, 1_000)
    assert isinstance(cancel_all, CancelAllOrders)
    assert cancel_all.strategy_id == STRATEGY
    assert strategy.calls == ["start", "quote", OrderStatus.ACCEPTED, "quote", "stop"]
    assert metric(context, "strategy_commands") == 1
    assert context.metrics.latency("tick_to_command").n == 1


async def test_a_stop_waits_for_the_cancels_but_not_for_ever(context: ServiceContext, order_path: OrderPath) -> None:
    await define(context)
    order_path.cancels = False
    async with running(context, BuyOnce()):
        await until(lambda: context.health.ready)
        await show(context, quote(6_000_000, 6_000_100))
        await until(lambda: bool(order_path.orders))
    assert isinstance(order_path.commands[-1], CancelAllOrders)


async def test_each_start_has_a_run_of_its_own(context: ServiceContext, order_path: OrderPath) -> None:
    await define(context)
    for _ in range(2):
        seen = len(order_path.orders)
        async with running(context, strategy := BuyOnce()):
            await until(lambda strategy=strategy: "start" in strategy.calls)  # type: ignore[misc]
            await asyncio.sleep(0.05)
            await show(context, quote(6_000_000, 6_000_100))
            await until(lambda seen=seen: len(order_path.orders) > seen)  # type: ignore[misc]
    assert list(order_path.orders) == [f"{STRATEGY}-1-1", f"{STRATEGY}-2-1"]


async def test_a_strategy_that_raises_is_stopped_its_orders_go_and_the_service_stays(
    context: ServiceContext, order_path: OrderPath
) -> None:
    await define(context)
    strategy = BreaksOnSecondQuote()
    async with running(context, strategy):
        await until(lambda: context.health.ready)
        await show(context, quote(6_000_000, 6_000_100))
        await until(lambda: OrderStatus.ACCEPTED in strategy.calls)
        await show(context, quote(6_000_000, 6_000_100))
        await until(lambda: "FAILED" in context.health.reason)
        assert "RuntimeError: the sky is falling" in context.health.reason
        assert metric(context, "strategy_failed") == 1
        await until(lambda: all(order.status is OrderStatus.CANCELED for order in order_path.orders.values()))
        calls = len(strategy.calls)
        await show(context, quote(6_000_000, 6_000_100))
        # Order events are still read, so that the topic does not push back on the others.
        stranger = next(iter(order_path.orders.values()))
        for _ in range(5_000):
            await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, accepted(stranger))
        assert len(strategy.calls) == calls
    assert strategy.calls[-1] != "stop"


async def test_raising_at_the_start_is_a_failure_too(context: ServiceContext, order_path: OrderPath) -> None:
    class BreaksAtStart(Recorder):
        def on_start(self) -> None:
            self.context.buy(BTC, 1, 1)
            raise ValueError("no such setting")

    await define(context)
    async with running(context, BreaksAtStart()):
        await until(lambda: "FAILED: ValueError: no such setting" in context.health.reason)
        await until(lambda: bool(order_path.commands))
    assert order_path.orders == {}


async def test_positions_and_orders_of_the_run_before_are_known(context: ServiceContext, order_path: OrderPath) -> None:
    async with context.database.connection() as connection:
        await connection.execute("INSERT INTO positions VALUES ($1, $2, $3, 500, 60000, 1)", ACCOUNT, STRATEGY, BTC)
        await connection.execute(
            "INSERT INTO orders VALUES ($1, 'test-one-0-1', 'c', $2, $3, 'BUY', 'LIMIT', 'GTC', 10, 5, NULL, false, "
            "false, NULL, 'c', 'ACCEPTED', NULL, 'KNOWN', NULL, '7', 0, NULL, 3, 1, 1)",
            ACCOUNT,
            STRATEGY,
            BTC,
        )
    await define(context)
    strategy = Recorder()
    async with running(context, strategy):
        await until(lambda: context.health.ready)
        assert strategy.context.position(BTC).signed_size == 500
        (left,) = strategy.context.open_orders()
        await until(lambda: bool(order_path.commands))
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, filled(left, 10))
        await until(lambda: strategy.context.position(BTC).signed_size == 510)
    assert order_path.commands[0].reason == "orders of an earlier run"


async def test_without_a_database_it_waits_and_then_runs(
    context: ServiceContext, order_path: OrderPath, own_server: PostgresServer
) -> None:
    await asyncio.to_thread(own_server.stop)
    context.database = Database(own_server.dsn)
    await define(context)
    async with running(context, BuyOnce()):
        await until(lambda: "database" in context.health.reason)
        await asyncio.to_thread(own_server.start)
        await until(lambda: context.health.ready)
    await context.database.close()


def test_the_service_of_a_folder_is_one_line() -> None:
    service = strategy_service("strategy-carry", BuyOnce)
    assert (service.name, service.kind, service.settings) == ("strategy-carry", ServiceKind.STRATEGY, StrategySettings)
    with pytest.raises(IdentifierError):
        strategy_service("strategy-Carry!", BuyOnce)
