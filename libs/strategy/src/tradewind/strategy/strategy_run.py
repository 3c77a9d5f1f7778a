"""Runs one start of one strategy: the bus on one side, the engine on the other. ``running`` says when.

Tasks, all owned by one TaskGroup of ``run_strategy``: market data, order events, instrument definitions, checkpoints.
Each handles its messages in their order, and calls the strategy inside ``receive`` > callback > publish, without
another hop. Commands leave in the order that they were made in, whichever task made them. Bounds: the subscriptions'
own, and ``CommandDesk.pending``. When market data is dropped the books wait for the next snapshot. On cancel:
``on_stop``, one CancelAllOrders unless the watcher says that orders stay, at most STOP_WAIT_S for the orders to close,
and a last checkpoint.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Final, Protocol

from tradewind.bus.interface import BusClosed, Delivery, Start, Subscription
from tradewind.model.identifiers import AccountId, StrategyId, Venue
from tradewind.runtime.lockstep import lockstep_strategies
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.tracing import tracer
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.strategy_runs import StrategyRunRepository
from tradewind.strategy.checkpointing import Checkpointer
from tradewind.strategy.engine import StrategyEngine, StrategyFailed
from tradewind.strategy.flattening import REASON, Flattening
from tradewind.strategy.recovery import Findings, apply, settle
from tradewind.strategy.settings import Policy, wanted_instruments
from tradewind.strategy.starting import subscribed_and_examined
from tradewind.strategy.stepping import Stepper
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.throttle import SubmitThrottle
from tradewind.strategy.tracing_commands import CommandTraces
from tradewind.wire.commands import OrderCommand, ReplayStepAnswered
from tradewind.wire.events import InstrumentDefined, OrderEvent, ReplayStepEnded
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import ORDERS_COMMANDS, REF_INSTRUMENTS, Topic, market_events

STOP_WAIT_S: Final = 1.5
FLATTEN_STEP_S: Final = 0.25
SHOWN: Final = 3
MARKET_LIMIT: Final = 1_024
"""Batches taken from the bus at once; order events of the same process get their turn in between."""


class Watcher(Protocol):
    """Who looks after a run: told of its turns, in their order."""

    leaves_orders: bool
    """Read when the run is cancelled: its orders stay as they are, and ``on_stop`` can ask for nothing."""

    async def begun(self, note: str) -> None:
        """The strategy trades. ``note`` is what is worth a look, or empty."""
        ...

    async def held(self, words: str) -> None:
        """State and store disagree, and the policy is to do nothing."""
        ...

    async def waits(self, words: str) -> None:
        """It closes what an earlier run left, before the strategy begins."""
        ...

    async def failed(self, words: str) -> None:
        """The strategy was stopped by its own error."""
        ...


class Alone:
    """Nobody looks after the run."""

    leaves_orders = False

    async def begun(self, note: str) -> None:
        """Pass over."""

    async def held(self, words: str) -> None:
        """Pass over."""

    async def waits(self, words: str) -> None:
        """Pass over."""

    async def failed(self, words: str) -> None:
        """Pass over."""


async def run_strategy(
    context: ServiceContext,
    strategy: Strategy,
    identity: StrategyId,
    *,
    run_number: int | None = None,
    watcher: Watcher | None = None,
) -> None:
    """Run until cancelled. A strategy that raises is stopped for good, and the service stays to say so.

    Without a ``run_number`` the next one is taken.
    """
    async with AsyncExitStack() as stack:
        reference = await subscribed(stack, context, REF_INSTRUMENTS, Start.EARLIEST)
        engine = await prepared_engine(context, strategy, identity, run_number)
        await define_instruments(context, engine, reference)
        in_step = identity in lockstep_strategies(context.platform.lockstep)
        # A run in lockstep is compared with others: it begins with nothing and leaves nothing.
        keeps = strategy.State is not None and not in_step
        orders, findings = await subscribed_and_examined(stack, context, engine, uses_checkpoint=keeps)
        market = await subscribed(stack, context, market_events(Venue(context.platform.venue)), Start.LATEST)
        run = _Run(context, engine, orders, watcher or Alone())
        if in_step:
            run.go_in_step()
        if keeps:
            run.keep_checkpoints(findings.picture.journal_id)
        try:
            await run.start(findings)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(run.read_market(market), name=f"{identity}.market")
                tasks.create_task(run.read_orders(), name=f"{identity}.orders")
                tasks.create_task(run.read_reference(reference), name=f"{identity}.reference")
                tasks.create_task(run.save_checkpoints(), name=f"{identity}.checkpoints")
        finally:
            await run.stop()


class _Run:
    """One start of one strategy, from ``on_start`` to the last cancelled order."""

    def __init__(self, context: ServiceContext, engine: StrategyEngine, orders: Subscription, watcher: Watcher) -> None:
        self._context = context
        self._watcher = watcher
        self._engine = engine
        self._orders = orders
        self._log = context.log
        self._flushing = False
        self._suppressed = 0
        self._stepper: Stepper | None = None
        self._checkpoints: Checkpointer | None = None
        self._is_held = self._has_begun = False
        self._traces = CommandTraces(context.name)
        metrics = context.metrics
        self._latency = metrics.latency("tick_to_command", "Market data received to command published")
        self._commands = metrics.counter("strategy_commands", "Commands published by the strategy")
        self._suppressions = metrics.counter("strategy_suppressed_orders", "Orders kept back by the throttle")
        self._failed = metrics.gauge("strategy_failed", "1 when the strategy was stopped by its own error")
        self._failed.set(0)
        self._disagreements = metrics.gauge(
            "strategy_disagreements", "In what the checkpoint and the store differed at the last start"
        )

    def go_in_step(self) -> None:
        """Answer every step of a replay in lockstep, and count time by the data."""
        self._engine.follow_data_clock()
        tracker = self._engine.tracker
        self._stepper = Stepper(tracker.strategy_id, tracker.account_id, self._take_order_event, self._publish)

    def keep_checkpoints(self, journal_id: int) -> None:
        """Save the strategy's state from now on; the store stood at ``journal_id`` when it was read."""
        self._checkpoints = Checkpointer(self._context, self._engine, journal_id)

    async def start(self, findings: Findings) -> None:
        """Go on from the checkpoint; where it and the store disagree, as the policy says."""
        policy = Policy.RESUME if self._stepper is not None else self._context.settings.policy
        self._disagreements.set(len(findings.differences))
        if findings.differences:
            self._log.warning("state and store disagree", differences=findings.differences, policy=policy)
        else:
            policy = Policy.RESUME
        if policy is Policy.HOLD:
            await self._hold(findings)
            return
        try:
            await self._begin(findings, policy)
            await self._flush()
            self._has_begun = True
            if self._checkpoints is not None:
                await self._checkpoints.save_first()
        except StrategyFailed as error:
            await self._fail(error)
            return
        self._context.health.set_ready(note := _told(findings.differences, policy))
        await self._watcher.begun(note)
        self._log.info("strategy runs", instruments=sorted(self._engine.market.instruments))

    async def _begin(self, findings: Findings, policy: Policy) -> None:
        engine = self._engine
        if policy is Policy.FLATTEN:
            settle(findings, engine)
            await self._flatten(findings)
            engine.start()
            return
        # Without a checkpoint there may also be orders that no one has heard of yet: this command comes after them.
        if policy is Policy.RESUME and findings.checkpoint is None and (engine.desk.run > 1 or findings.unexplained):
            if left := len(findings.unexplained):
                self._log.warning("orders of an earlier run are cancelled", count=left)
            await self._cancel_all("orders of an earlier run")
        apply(findings, engine)
        if policy is Policy.ADOPT:
            engine.adopt()
        elif findings.checkpoint is not None:
            for order_id in findings.unexplained:
                engine.desk.cancel(engine.tracker.open[order_id])

    async def _flatten(self, findings: Findings) -> None:
        """Close everything; the strategy is not called meanwhile, and begins with a new state afterwards."""
        engine, flattening = self._engine, Flattening(self._engine)
        engine.is_mute = True
        # Also for orders that nobody has heard of yet: they come before this command.
        await self._cancel_all(REASON)
        while (waiting := flattening.step(time.time_ns())) is not None:
            words = f"{_told(findings.differences, Policy.FLATTEN)}: {waiting}"
            self._context.health.set_not_ready(words)
            await self._watcher.waits(words)
            await self._flush()
            for delivery in await self._orders.receive(timeout_s=FLATTEN_STEP_S):
                await self._take_order_event(delivery)
        engine.is_mute = False
        self._log.warning("flat", reason=REASON, left=flattening.dust())

    async def _hold(self, findings: Findings) -> None:
        self._is_held = self._engine.is_mute = True
        settle(findings, self._engine)
        words = f"{_told(findings.differences, Policy.HOLD)}; start it with policy resume, flatten or adopt"
        self._context.health.set_not_ready(words)
        await self._watcher.held(words)

    async def save_checkpoints(self) -> None:
        """Save beside the strategy's work, if it has a state."""
        if self._checkpoints is not None:
            await self._checkpoints.run(self._is_busy, self._fail)

    def _is_busy(self) -> bool:
        return self._flushing or bool(self._engine.desk.pending)

    async def read_market(self, subscription: Subscription) -> None:
        """Show the strategy every batch; ends when the strategy has failed, unless its steps must be answered."""
        engine, stepper = self._engine, self._stepper
        while stepper is not None or not engine.is_mute:
            for delivery in await subscription.receive(MARKET_LIMIT):
                payload = delivery.payload
                if stepper is not None and isinstance(payload, ReplayStepEnded):
                    await stepper.ended(payload)
                elif isinstance(payload, MarketBatch):
                    if tracer.is_on:
                        self._traces.begin()
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
        """``on_stop``, cancel everything, wait a little for the venue's word. What is held is left as it is."""
        if self._is_held:
            return
        try:
            async with asyncio.timeout(STOP_WAIT_S):
                await self._say_goodbye()
                if self._watcher.leaves_orders:
                    return
                await self._cancel_all("the strategy stops")
                if self._stepper is not None:
                    await self._stepper.leave()
                while self._engine.tracker.open:
                    for delivery in await self._orders.receive():
                        await self._take_order_event(delivery)
        except (TimeoutError, BusClosed) as error:
            open_orders = sorted(self._engine.tracker.open)
            self._log.warning("stopped before all orders were closed", orders=open_orders, reason=repr(error))
        finally:
            self._count_suppressed()
            if self._checkpoints is not None:
                await self._checkpoints.save_last()

    async def _say_goodbye(self) -> None:
        was_mute = self._engine.is_mute
        if self._watcher.leaves_orders:
            # What waits and what ``on_stop`` asks for may be about orders that somebody else looks after now.
            self._engine.desk.drop_pending()
            self._engine.desk.is_held_back = True
        try:
            self._engine.stop()
            await self._flush()
            if self._checkpoints is not None and self._has_begun and not was_mute:
                # Now, before the last orders end: the next start tells the strategy how they did.
                self._checkpoints.capture_last()
        except StrategyFailed as error:
            await self._fail(error)

    async def _take_order_event(self, delivery: Delivery) -> None:
        event = delivery.payload
        if isinstance(event, OrderEvent):
            if tracer.is_on:
                self._traces.begin(event)
            try:
                self._engine.order_event(event)
            except StrategyFailed as error:
                await self._fail(error)
            await self._flush()
            if self._checkpoints is not None and not self._is_busy():
                self._checkpoints.happened()

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
        await self._watcher.failed(f"FAILED: {error}")

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
                if tracer.is_on:
                    self._traces.published(command)
                self._commands.inc()
        finally:
            self._flushing = False
        if self._checkpoints is not None:
            self._checkpoints.happened()

    async def _publish(self, command: OrderCommand | ReplayStepAnswered) -> None:
        await self._context.order_bus.publish(ORDERS_COMMANDS, command.account_id, command)

    def _count_suppressed(self) -> None:
        if (suppressed := self._engine.desk.throttle.suppressed) != self._suppressed:
            self._suppressions.inc(suppressed - self._suppressed)
            self._suppressed = suppressed


async def subscribed(stack: AsyncExitStack, context: ServiceContext, topic: Topic, start: Start) -> Subscription:
    """A reader that is closed with the stack."""
    subscription = await context.bus_for(topic).subscribe(topic, start=start)
    stack.push_async_callback(subscription.close)
    return subscription


async def prepared_engine(
    context: ServiceContext, strategy: Strategy, identity: StrategyId, run_number: int | None = None
) -> StrategyEngine:
    """An engine of a start that has its number, or takes the next as soon as the database answers."""
    platform = context.platform
    run = run_number or await next_run(context, identity)
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


async def next_run(context: ServiceContext, identity: StrategyId, holder: str = "") -> int:
    """The number of a start, as soon as the database answers."""
    runs = StrategyRunRepository(context.database)
    while True:
        try:
            return await runs.next_run(identity, holder)
        except DatabaseUnavailable as error:
            context.health.set_not_ready(str(error))
            await context.database.wait_until_available()


async def define_instruments(context: ServiceContext, engine: StrategyEngine, reference: Subscription) -> None:
    """Wait until every instrument of the strategy is defined."""
    platform = context.platform
    missing = set(wanted_instruments(context.settings.symbols, platform.symbols, Venue(platform.venue)))
    while missing:
        context.health.set_not_ready(f"waits for the definition of {', '.join(sorted(missing))}")
        for delivery in await reference.receive():
            defined = delivery.payload
            if isinstance(defined, InstrumentDefined) and defined.instrument.instrument_id in missing:
                engine.define_instrument(defined.instrument)
                missing.discard(defined.instrument.instrument_id)


def _told(differences: list[str], policy: Policy) -> str:
    """For the operator; empty when there is nothing to tell."""
    if not differences:
        return ""
    more = f" (and {len(differences) - SHOWN} more)" if len(differences) > SHOWN else ""
    return f"state and store disagree, policy {policy}: {'; '.join(differences[:SHOWN])}{more}"
