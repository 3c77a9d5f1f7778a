"""One session: from taking the lease to losing it, the store or the process.

Owner: ``service.run``. Everything in memory is loaded from the store at the beginning and thrown away at the end, so a
crash, a lost lease and a lost database are one case. Order of the start: lease, load, outbox, venue, reconcile, then
commands.
"""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Final

from tradewind.bus.interface import Start, Subscription
from tradewind.execution.engine import ExecutionEngine
from tradewind.execution.limits import DenyCode, without_clock
from tradewind.execution.order_rates import MINUTE_NS
from tradewind.execution.poison import fault_of
from tradewind.model.identifiers import AccountId, Venue
from tradewind.model.instruments import Instrument
from tradewind.runtime.lockstep import lockstep_strategies
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.asking import Asker
from tradewind.services.execution.limit_keeping import LimitKeeper
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.outbox import Outbox
from tradewind.services.execution.price_following import take_prices
from tradewind.services.execution.proving import FlatProver
from tradewind.services.execution.reconciling import Reconciler
from tradewind.services.execution.refusing import Carried, group_of
from tradewind.services.execution.resolving import Resolver
from tradewind.services.execution.settings import Settings
from tradewind.services.execution.stepping import StepKeeper
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import LeaseLost, OrderStore, StoreConflict
from tradewind.store.risk_counters import load_risk
from tradewind.store.strategy_control import newest_runs
from tradewind.store.trading_states import TradingStateRepository
from tradewind.venue.adapter import ExecutionClient, VenueError
from tradewind.venue.reports import BalanceReport, StreamInterrupted, StreamResumed
from tradewind.wire.commands import (
    BeginStrategyRun,
    ClaimOrder,
    OperatorCommand,
    OrderCommand,
    ProveFlat,
    ReplayStepAnswered,
    ResolveOrder,
    SubmitOrder,
)
from tradewind.wire.events import ReplayStepEnded, TradingStateChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import instrument_number
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_COMMANDS, RISK_STATE, market_events

_LEASE_POLL_S: Final = 0.25
_TRADE_IDS: Final = 10_000
_VENUE_RETRY_S: Final = 0.5
_PRICE_INTERVAL_S: Final = 0.05
_PRICE_BATCHES: Final = 4_096


class Session:
    """The tasks of one lease."""

    def __init__(
        self,
        context: ServiceContext,
        account_id: AccountId,
        client: ExecutionClient,
        carried: Carried,
        event_ids: EventIds,
    ) -> None:
        self._context = context
        self._settings: Settings = context.settings
        self._account_id = account_id
        self._client = client
        self._carried = carried
        self._event_ids = event_ids
        strategies = lockstep_strategies(context.platform.lockstep)
        self._stepper = StepKeeper(context, account_id, strategies, event_ids) if strategies else None
        self.leads_until = 0.0
        """Until when nobody else can have the lease that it held, on the monotonic clock; 0: none, or given back."""
        self._stream = 0
        """Number of the private stream's present connection; grows with each beginning and each break."""
        self._reconciled = asyncio.Event()
        self._takes_commands = False
        self._store = OrderStore(context.database, account_id)
        self._leases = LeaseRepository(
            context.database, duration_s=self._settings.lease_duration_s, grace_s=self._settings.lease_grace_s
        )

    async def run(self) -> None:
        """Work until something ends it.

        Raises:
            LeaseLost, DatabaseUnavailable, StoreConflict: throw the memory away and begin again.
        """
        async with self._lease() as lease, aclosing(self._store), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_lease(lease))
            engine = await self._load(await self._instruments())
            outbox = Outbox(self._context, self._store)
            path = OrderPath(
                self._context,
                engine,
                self._store,
                lease,
                self._client,
                outbox,
                tasks,
                self._settings.send_margin_s,
            )
            asker = Asker(self._context, path)
            resolver = Resolver(self._context, path, asker, self._settings.inflight_check_s)
            reconciler = Reconciler(self._context, path, outbox, asker)
            replayed = await outbox.replay()
            self._context.log.info("order path loaded", epoch=lease.epoch, open=len(engine.orders), replayed=replayed)
            tasks.create_task(outbox.keep_marking())
            tasks.create_task(self._follow_prices(engine))
            await self._follow_trading_states(engine, tasks)
            await reconciler.restore_books()
            keeper = LimitKeeper(self._context, self._account_id, path, lease)
            await keeper.begin()
            tasks.create_task(keeper.run())
            self._context.health.set_not_ready("the private stream is not up yet")
            tasks.create_task(self._follow_venue(path, reconciler, outbox, tasks))
            await self._reconciled.wait()
            tasks.create_task(resolver.keep_resolving())
            tasks.create_task(self._reconcile_now_and_then(reconciler))
            if self._stepper is not None:
                tasks.create_task(self._stepper.run(path, outbox, partial(self._take, path)))
            prover = FlatProver(self._context, path, reconciler, self._event_ids)
            tasks.create_task(prover.run())
            await self._take_commands(path, prover)

    # -- lease -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[Lease]:
        name = f"execution:{self._account_id}"
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        waiting = False
        while (lease := await self._leases.acquire(name, holder)) is None:
            if not waiting:
                waiting = True
                holder_now = await self._leases.describe(name)
                self._context.log.info("standing by for the lease", lease=name, holder=holder_now)
                self._context.health.set_not_ready(f"standing by: the lease is held by {holder_now}")
            await asyncio.sleep(_LEASE_POLL_S)
        try:
            yield lease
        finally:
            self.leads_until = lease.good_until
            try:
                async with asyncio.timeout(1.0):
                    await self._leases.release(lease)
                self.leads_until = 0.0
            except (TimeoutError, DatabaseUnavailable) as error:
                self._context.log.warning("lease not given back; it expires by itself", reason=str(error))

    async def _keep_lease(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._leases.duration_s / 4)
            if not await self._leases.renew(lease):
                raise LeaseLost(f"the lease {lease.name} is now held by {await self._leases.describe(lease.name)}")

    # -- start -----------------------------------------------------------------------------------------------------

    async def _instruments(self) -> list[Instrument]:
        while True:
            try:
                await self._client.connect()
                return list(await self._client.instruments())
            except VenueError as error:
                self._context.health.set_not_ready(f"venue: {error}")
                await asyncio.sleep(_VENUE_RETRY_S)

    async def _load(self, instruments: list[Instrument]) -> ExecutionEngine:
        limits = self._settings.limits
        if self._stepper is not None:
            limits = without_clock(limits)
        engine = ExecutionEngine(self._account_id, instruments, limits, self._event_ids)
        minute_ago_ns = time.time_ns() - MINUTE_NS
        engine.risk.load(await load_risk(self._context.database, self._account_id, minute_ago_ns))
        engine.ledger.load(await self._store.positions(), await self._store.books())
        engine.load_orders(await self._store.unfinished_orders())
        engine.load_ended(await self._store.orders_by_id(list(self._carried.forgotten)))
        engine.load_trade_ids(await self._store.recent_trade_ids(_TRADE_IDS))
        for strategy_id, run in (await newest_runs(self._context.database)).items():
            engine.begin_run(strategy_id, run)
        return engine

    async def _reconcile(self, path: OrderPath, reconciler: Reconciler, stream: int) -> None:
        """Until it has worked, or the private stream that it follows has ended: then a later one reconciles."""
        while stream == self._stream:
            self._context.health.set_not_ready("reconciling with the venue")
            path.engine.not_ready_reason = "reconciling with the venue"
            try:
                await reconciler.reconcile()
            except VenueError as error:
                if stream == self._stream:
                    self._context.health.set_not_ready(f"reconciliation: {error}")
                await asyncio.sleep(_VENUE_RETRY_S)
                continue
            if stream == self._stream:
                path.engine.not_ready_reason = None
                self._reconciled.set()
                self._say_ready(path)
            return

    def _say_ready(self, path: OrderPath) -> None:
        """Ready is who is reconciled and hears commands: a bus need not keep all that comes before its first reader."""
        if self._takes_commands and path.engine.not_ready_reason is None:
            self._context.health.set_ready()

    async def _reconcile_now_and_then(self, reconciler: Reconciler) -> None:
        while True:
            await asyncio.sleep(self._settings.reconcile_every_s)
            try:
                await reconciler.reconcile()
            except VenueError as error:
                self._context.log.warning("reconciliation put off", reason=str(error))

    # -- inputs ----------------------------------------------------------------------------------------------------

    async def _take_commands(self, path: OrderPath, prover: FlatProver) -> None:
        await self._carried.remember_words(self._context, self._account_id, self._settings.max_command_age_s)
        group = group_of(self._account_id)
        subscription = await self._context.order_bus.subscribe(ORDERS_COMMANDS, group=group, start=Start.EARLIEST)
        self._takes_commands = True
        self._say_ready(path)
        try:
            while True:
                commands, operators = await self._read_commands(subscription, prover)
                if operators:
                    await path.take_operators(operators)
                if self._stepper is None:
                    await self._take(path, commands)
                    await subscription.commit()
                    self._carried.in_doubt = set()
                else:
                    for command in commands:
                        self._stepper.hold(command)
                    if self._stepper.is_empty:
                        await subscription.commit()
        finally:
            await subscription.close()

    async def _read_commands(
        self, subscription: Subscription, prover: FlatProver
    ) -> tuple[list[OrderCommand | BeginStrategyRun], list[OperatorCommand]]:
        commands: list[OrderCommand | BeginStrategyRun] = []
        operators: list[OperatorCommand] = []
        for delivery in await subscription.receive():
            command = delivery.payload
            if isinstance(command, ReplayStepAnswered):
                if self._stepper is not None:
                    self._stepper.answered(command)
            elif isinstance(command, ProveFlat):
                prover.take(command)
            elif fault := fault_of(command):
                await subscription.dead_letter(delivery, fault)
            elif isinstance(command, ResolveOrder | ClaimOrder):
                if command.account_id == self._account_id:
                    operators.append(command)
            elif command.account_id == self._account_id:  # type: ignore[union-attr]
                commands.append(command)  # type: ignore[arg-type]
        return commands, operators

    async def _take(self, path: OrderPath, commands: list[OrderCommand | BeginStrategyRun]) -> None:
        """Commands whose commit fails stay in doubt: only planning them again, over the store, tells."""
        refused = [c for c in commands if isinstance(c, SubmitOrder) and self._carried.was_refused(c)]
        fresh = [c for c in commands if c not in refused]
        self._carried.in_doubt = {command.event_id for command in fresh}
        try:
            if refused:
                code = DenyCode.STORE_UNAVAILABLE
                await path.take(lambda now_ns: path.engine.plan_refusals(refused, code, now_ns))
                for command in refused:
                    self._carried.refused.pop(command.event_id, None)
            await path.take_commands(fresh)
        except StoreConflict:
            # An id that memory had forgotten: with those orders loaded, the same commands are known as repeated.
            self._carried.forgotten |= {c.client_order_id for c in commands if isinstance(c, SubmitOrder)}
            raise
        if self._stepper is not None:
            self._carried.in_doubt = set()
        self._carried.forgotten.clear()

    async def _follow_venue(
        self, path: OrderPath, reconciler: Reconciler, outbox: Outbox, tasks: asyncio.TaskGroup
    ) -> None:
        """The stream is read on while a reconciliation runs: a long one must not make it overflow."""
        async for event in self._client.stream():
            if isinstance(event, StreamInterrupted):
                self._stream += 1
                path.engine.not_ready_reason = f"private stream: {event.reason}"
                self._context.health.set_not_ready(path.engine.not_ready_reason)
            elif isinstance(event, StreamResumed):
                self._stream += 1
                tasks.create_task(self._reconcile(path, reconciler, self._stream))
            elif isinstance(event, BalanceReport):
                await outbox.tell_balances(event)
                if self._stepper is not None:
                    self._stepper.balances_seen(event.ts_event)
            else:
                await path.take_reports([event])

    async def _follow_trading_states(self, engine: ExecutionEngine, tasks: asyncio.TaskGroup) -> None:
        """Subscribed before the stored states are read, so that no change falls between."""
        subscription = await self._context.order_bus.subscribe(RISK_STATE)
        for row in (await TradingStateRepository(self._context.database).all()).values():
            engine.set_trading_state(row.scope, row.state)

        async def follow() -> None:
            while True:
                for delivery in await subscription.receive():
                    if isinstance(delivery.payload, TradingStateChanged):
                        engine.set_trading_state(delivery.payload.scope, delivery.payload.state)

        tasks.create_task(follow())

    async def _follow_prices(self, engine: ExecutionEngine) -> None:
        """Best bid and ask of each instrument: what market orders and exposures are counted at.

        Looked at a few times a second, so that market data costs the order path next to nothing.
        """
        by_number = {instrument_number(name): name for name in engine.instruments}
        topic = market_events(Venue(self._context.platform.venue))
        subscription = await self._context.market_bus.subscribe(topic)
        stepper = self._stepper
        try:
            while True:
                for delivery in await subscription.receive(limit=_PRICE_BATCHES):
                    if isinstance(delivery.payload, MarketBatch):
                        take_prices(engine.risk.prices, by_number, delivery.payload.records)
                    elif stepper is not None and isinstance(delivery.payload, ReplayStepEnded):
                        stepper.market_seen(delivery.payload.step)
                engine.risk.observe(time.time_ns())
                await asyncio.sleep(_PRICE_INTERVAL_S if stepper is None else 0.0)
        finally:
            await subscription.close()
