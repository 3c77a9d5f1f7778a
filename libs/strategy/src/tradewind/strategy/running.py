"""Runs one strategy as a service: the bus on one side, the engine on the other.

Tasks, all owned by one TaskGroup of ``run_strategy``: market data, order events, instrument definitions. Each handles
its messages in their order, and calls the strategy inside ``receive`` > callback > publish, without another hop.
Commands leave in the order that they were made in, whichever task made them. Bounds: the subscriptions' own, and
``CommandDesk.pending``. When market data is dropped the books wait for the next snapshot. On cancel: ``on_stop``, one
CancelAllOrders, and at most STOP_WAIT_S for the orders to close.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final

from tradewind.bus.interface import BusClosed, Delivery, Start, Subscription
from tradewind.model.identifiers import AccountId, StrategyId, Venue, strategy_id
from tradewind.runtime.lockstep import lockstep_strategies
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_store import OrderStore
from tradewind.store.strategy_runs import StrategyRunRepository
from tradewind.strategy.engine import StrategyEngine, StrategyFailed
from tradewind.strategy.settings import StrategySettings, wanted_instruments
from tradewind.strategy.stepping import Stepper
from tradewind.strategy.stored_state import load_state
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.throttle import SubmitThrottle
from tradewind.wire.commands import OrderCommand, ReplayStepAnswered
from tradewind.wire.events import InstrumentDefined, OrderEvent, ReplayStepEnded
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS, Topic, market_events

STOP_WAIT_S: Final = 1.5
STOP_BUDGET_S: Final = 3.0
MARKET_LIMIT: Final = 1_024
"""Batches taken from the bus at once; order events of the same process get their turn in between."""


def strategy_service(
    name: str, strategy: type[Strategy], settings: type[StrategySettings] = StrategySettings
) -> Service:
    """The service of a strategy folder. Its strategy id is ``name`` without ``strategy-``.

    Raises:
        IdentifierError: the name has no valid form.
    """
    identity = strategy_id(name.removeprefix("strategy-"))

    async def run(context: ServiceContext) -> None:
        await run_strategy(context, strategy(), identity)

    return Service(name=name, kind=ServiceKind.STRATEGY, run=run, settings=settings, stop_budget_s=STOP_BUDGET_S)


async def run_strategy(context: ServiceContext, strategy: Strategy, identity: StrategyId) -> None:
    """Run until cancelled. A strategy that raises is stopped for good, and the service stays to say so."""
    async with AsyncExitStack() as stack:
        reference = await _subscribed(stack, context, REF_INSTRUMENTS, Start.EARLIEST)
        engine = await _prepared_engine(context, strategy, identity)
        await _define_instruments(context, engine, reference)
        orders = await _subscribed_and_loaded(stack, context, engine)
        market = await _subscribed(stack, context, market_events(Venue(context.platform.venue)), Start.LATEST)
        run = _Run(context, engine, orders)
        if identity in lockstep_strategies(context.platform.lockstep):
            run.go_in_step()
        try:
            await run.start()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run.read_market(market), name=f"{identity}.market")
                tasks.create_task(run.read_orders(), name=f"{identity}.orders")
                tasks.create_task(run.read_reference(reference), name=f"{identity}.reference")
        finally:
            await run.stop()


class _Run:
    """One start of one strategy, from ``on_start`` to the last cancelled order."""

    def __init__(self, context: ServiceContext, engine: StrategyEngine, orders: Subscription) -> None:
        self._context = context
        self._engine = engine
        self._orders = orders
        self._log = context.log
        self._flushing = False
        self._suppressed = 0
        self._stepper: Stepper | None = None
        metrics = context.metrics
        self._latency = metrics.latency("tick_to_command", "Market data received to command published")
        self._commands = metrics.counter("strategy_commands", "Commands published by the strategy")
        self._suppressions = metrics.counter("strategy_suppressed_orders", "Orders kept back by the throttle")
        self._failed = metrics.gauge("strategy_failed", "1 when the strategy was stopped by its own error")
        self._failed.set(0)

    def go_in_step(self) -> None:
        """Answer every step of a replay in lockstep, and count time by the data."""
        self._engine.follow_data_clock()
        tracker = self._engine.tracker
        self._stepper = Stepper(tracker.strategy_id, tracker.account_id, self._take_order_event, self._publish)

    async def start(self) -> None:
        """Cancel what an earlier run left resting, then ``on_start``."""
        if left := len(self._engine.tracker.open):
            self._log.warning("orders of an earlier run are cancelled", count=left)
            await self._cancel_all("orders of an earlier run")
        try:
            self._engine.start()
        except StrategyFailed as error:
            await self._fail(error)
            return
        await self._flush()
        self._context.health.set_ready()
        self._log.info("strategy runs", instruments=sorted(self._engine.market.instruments))

    async def read_market(self, subscription: Subscription) -> None:
        """Show the strategy every batch; ends when the strategy has failed, unless its steps must be answered."""
        engine, stepper = self._engine, self._stepper
        while stepper is not None or not engine.is_mute:
            for delivery in await subscription.receive(MARKET_LIMIT):
                payload = delivery.payload
                if stepper is not None and isinstance(payload, ReplayStepEnded):
                    await stepper.ended(payload)
                elif isinstance(payload, MarketBatch):
                    try:
                        for _ in engine.walk(payload.records):
                            await self._flush()
                    except StrategyFailed as error:
                        await self._fail(error)
            self._count_suppressed()
        await subscription.close()

    async def read_orders(self) -> None:
        """Follow the orders, after a failure too: the topic pushes back on those who do not read it."""
        if self._stepper is not None:
            await self._stepper.follow(self._orders)
        while True:
            for delivery in await self._orders.receive():
                await self._take_order_event(delivery)

    async def read_reference(self, subscription: Subscription) -> None:
        """Take new definitions of the strategy's instruments."""
        while True:
            for delivery in await subscription.receive():
                defined = delivery.payload
                known = self._engine.market.instruments
                if isinstance(defined, InstrumentDefined) and defined.instrument.instrument_id in known:
                    self._engine.define_instrument(defined.instrument)

    async def stop(self) -> None:
        """``on_stop``, cancel everything, wait a little for the venue's word."""
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                await self._say_goodbye()
                await self._cancel_all("the strategy stops")
                if self._stepper is not None:
                    await self._stepper.leave()
                while self._engine.tracker.open:
                    for delivery in await self._orders.receive():
                        await self._take_order_event(delivery)
        except (TimeoutError, BusClosed) as error:
            open_orders = sorted(self._engine.tracker.open)
            self._log.warning("stopped before all orders were closed", orders=open_orders, reason=repr(error))
        self._count_suppressed()

    async def _say_goodbye(self) -> None:
        try:
            self._engine.stop()
        except StrategyFailed as error:
            await self._fail(error)
        await self._flush()

    async def _take_order_event(self, delivery: Delivery) -> None:
        event = delivery.payload
        if isinstance(event, OrderEvent):
            try:
                self._engine.order_event(event)
            except StrategyFailed as error:
                await self._fail(error)
            await self._flush()

    async def _fail(self, error: StrategyFailed) -> None:
        self._failed.set(1)
        self._context.health.set_not_ready(f"FAILED: {error}")
        dropped = self._engine.desk.drop_pending()
        self._log.error(
            "strategy FAILED: its orders are cancelled, the others go on; correct it and restart the service",
            unpublished_commands=dropped,
            exc_info=error.__cause__,
        )
        await self._cancel_all("the strategy failed")

    async def _cancel_all(self, reason: str) -> None:
        await self._publish(self._engine.desk.cancel_all_command(reason))

    async def _flush(self) -> None:
        """Publish what waits, in order: whoever comes while another task publishes leaves its commands to that one."""
        pending = self._engine.desk.pending
        if self._flushing or not pending:
            return
        self._flushing = True
        publish = self._context.order_bus.publish
        try:
            while pending:
                command, tick_ns = waiting = pending.popleft()
                try:
                    await publish(ORDERS_COMMANDS, command.account_id, command)
                except BaseException:
                    pending.appendleft(waiting)
                    raise
                if tick_ns:
                    self._latency.record(time.time_ns() - tick_ns)
                self._commands.inc()
        finally:
            self._flushing = False

    async def _publish(self, command: OrderCommand | ReplayStepAnswered) -> None:
        await self._context.order_bus.publish(ORDERS_COMMANDS, command.account_id, command)

    def _count_suppressed(self) -> None:
        if (suppressed := self._engine.desk.throttle.suppressed) != self._suppressed:
            self._suppressions.inc(suppressed - self._suppressed)
            self._suppressed = suppressed


async def _subscribed(stack: AsyncExitStack, context: ServiceContext, topic: Topic, start: Start) -> Subscription:
    subscription = await context.bus_for(topic).subscribe(topic, start=start)
    stack.push_async_callback(subscription.close)
    return subscription


async def _prepared_engine(context: ServiceContext, strategy: Strategy, identity: StrategyId) -> StrategyEngine:
    platform = context.platform
    runs = StrategyRunRepository(context.database)
    while True:
        try:
            run = await runs.next_run(identity)
            break
        except DatabaseUnavailable as error:
            context.health.set_not_ready(str(error))
            await context.database.wait_until_available()
    return StrategyEngine(
        strategy,
        strategy_id=identity,
        account_id=AccountId(f"{platform.venue}-{platform.account}"),
        settings=context.settings,
        run=run,
        throttle=SubmitThrottle(context.settings.max_orders_per_s),
        wall_clock=time.time_ns,
        log=context.log,
    )


async def _define_instruments(context: ServiceContext, engine: StrategyEngine, reference: Subscription) -> None:
    platform = context.platform
    missing = set(wanted_instruments(context.settings.symbols, platform.symbols, Venue(platform.venue)))
    while missing:
        context.health.set_not_ready(f"waits for the definition of {', '.join(sorted(missing))}")
        for delivery in await reference.receive():
            defined = delivery.payload
            if isinstance(defined, InstrumentDefined) and defined.instrument.instrument_id in missing:
                engine.define_instrument(defined.instrument)
                missing.discard(defined.instrument.instrument_id)


async def _subscribed_and_loaded(
    stack: AsyncExitStack, context: ServiceContext, engine: StrategyEngine
) -> Subscription:
    """Order events from before the store is read on, so that no fill falls between the two."""
    store = OrderStore(context.database, engine.tracker.account_id)
    while True:
        orders = await context.order_bus.subscribe(ORDERS_EVENTS)
        try:
            state = await load_state(store)
        except DatabaseUnavailable as error:
            await orders.close()
            context.health.set_not_ready(str(error))
            await context.database.wait_until_available()
            continue
        except BaseException:
            await orders.close()
            raise
        stack.push_async_callback(orders.close)
        engine.load(state.positions, state.orders, state.trade_ids)
        return orders
