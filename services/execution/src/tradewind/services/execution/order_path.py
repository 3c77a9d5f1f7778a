"""The order path: plan, commit, send, publish.

Owner: one session of the service (``session.py``). Order: batches are planned one after the other, committed in that
order and published in that order; while one is committed the next is planned, and the one before is published. Within a
batch the store commits before a byte goes to the venue or a message to the bus. Bound: a batch is what one receive
brought; sends are bounded by the limits on open orders. When a commit or its publishing fails, nothing that was planned
after it is written: it counted on what failed. On cancel: a commit in flight is settled by loading from the store; a
send in flight by asking the venue.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from tradewind.execution.absences import Absences
from tradewind.execution.engine import ExecutionEngine, batch_of
from tradewind.execution.plans import Cancel, Plan
from tradewind.model.identifiers import ClientOrderId, InstrumentId, VenueOrderId
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.tracing import tracer
from tradewind.services.execution.outbox import Outbox
from tradewind.services.execution.tracing_orders import PlanTimes, stories_of, trace_plan, trace_send
from tradewind.store.leases import Lease
from tradewind.store.order_store import LeaseLost, OrderBatch, OrderStore, StoreConflict
from tradewind.venue.adapter import (
    ExecutionClient,
    NewOrder,
    OrderNotFound,
    OutcomeUnknown,
    PreparedOrder,
    VenueError,
    VenueRejected,
    VenueUnavailable,
)
from tradewind.venue.reports import OrderStatusReport, Report
from tradewind.wire.commands import BeginStrategyRun, OperatorCommand, OrderCommand
from tradewind.wire.messages import Message

# A venue answers so when it has an order of this client id: then something may rest there, and only a query tells.
_DUPLICATE_WORDS: Final = "duplicate"
_BROKEN: Final = "what was planned before this could not be written; load again and plan again"


class _Group:
    """Reports that are committed together, by whoever brought the first, and what became of that."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.ended = asyncio.Event()
        self.is_durable = False


class OrderPath:
    """Everything that happens to orders of one account while one lease lasts."""

    def __init__(
        self,
        context: ServiceContext,
        engine: ExecutionEngine,
        store: OrderStore,
        lease: Lease,
        client: ExecutionClient,
        outbox: Outbox,
        tasks: asyncio.TaskGroup,
        send_margin_s: float,
    ) -> None:
        self.engine = engine
        self.store = store
        self.client = client
        self._lease = lease
        self._outbox = outbox
        self._tasks = tasks
        self._send_margin_s = send_margin_s
        # Whoever has one takes the next before it gives the first back: nobody overtakes.
        self._planning, self._committing, self._publishing = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._is_broken = False
        self._gathering = _Group()
        self._log = context.log
        self.sending: set[ClientOrderId] = set()
        self.absences = Absences(client.visibility_delay_s)
        for name in engine.orders:
            # Whoever sent them under an earlier lease can send no more: this one was taken after that ended.
            self.absences.send_ended(name, time.monotonic())
        self._cancel_when_sent: dict[ClientOrderId, Cancel] = {}
        metrics = context.metrics
        self._command_to_venue = metrics.latency("command_to_venue", "Command taken to first byte towards the venue")
        self._commit_time = metrics.latency("order_commit", "One transaction of the order path")
        self._commands = metrics.counter("order_commands", "Order commands taken")
        self._sent = metrics.counter("orders_sent", "Orders written towards the venue")
        self._fills = metrics.counter("fills", "Fills applied")
        self._contradicted = metrics.counter(
            "order_ends_contradicted", "Orders that the venue showed or filled after they were held to be dead"
        )

    async def take_commands(self, commands: Sequence[OrderCommand | BeginStrategyRun]) -> None:
        """Plan, commit and send what a batch of commands asks for."""
        self._commands.inc(len(commands))
        await self.take(lambda now_ns: self.engine.plan_commands(commands, now_ns), commands)

    async def take_reports(self, reports: Sequence[Report]) -> None:
        """Make the venue's word durable and tell it on.

        What comes before the first of them can be planned gathers, and is one transaction then.
        """
        await self._load_forgotten(reports)
        group = self._gathering
        is_first = not group.reports
        group.reports.extend(reports)
        if not is_first:
            await group.ended.wait()
            if not group.is_durable:
                raise StoreConflict(_BROKEN)
            return
        try:
            await self.take(lambda now_ns: self._plan_group(group, now_ns))
            group.is_durable = True
        finally:
            group.ended.set()

    def _plan_group(self, group: _Group, now_ns: int) -> Plan:
        self._gathering = _Group()
        return self.engine.plan_reports(group.reports, now_ns)

    async def take_not_sent(self, client_order_id: ClientOrderId, reason: str) -> None:
        """Nothing rests at the venue, for certain."""
        await self.take(lambda now_ns: self.engine.plan_not_sent(client_order_id, reason, now_ns))

    async def take_operators(self, commands: Sequence[OperatorCommand]) -> None:
        """Make operators' words durable, with their audit lines."""
        self.engine.load_ended(await self.store.orders_by_id([command.client_order_id for command in commands]))
        await self.take(lambda now_ns: self.engine.plan_operators(commands, now_ns), commands)

    async def _load_forgotten(self, reports: Sequence[Report]) -> None:
        """Before an order is called a stranger's, the store is asked for it: memory knows few of the ended."""
        unfamiliar = self.engine.unfamiliar(reports)
        if not unfamiliar:
            return
        names = [report.client_order_id for report in unfamiliar if report.client_order_id is not None]
        if names:
            self.engine.load_ended(await self.store.orders_by_id(names))
        for report in unfamiliar:
            known = await self.store.order_by_venue_id(report.instrument_id, report.venue_order_id)
            if known is not None:
                self.engine.load_ended([known])

    async def take(self, make_plan: Callable[[int], Plan], causes: Sequence[Message] = ()) -> None:
        """Make a plan (it is given the time in ns), commit it, and do what it says. ``causes`` are its commands.

        Raises:
            LeaseLost, StoreConflict, DatabaseUnavailable: memory is ahead of the store; throw it away.
        """
        async with self._planning:
            now_ns = time.time_ns()
            plan = make_plan(now_ns)
            batch = batch_of(plan)
            times = PlanTimes(now_ns, time.time_ns())
            # From here on, not from the commit: a slow one must not make the resolver ask for what is still to be sent.
            self.sending.update(order.client_order_id for order in plan.submits)
            await self._its_turn(self._committing)
        await self._apply(plan, batch, times)
        if tracer.is_on:
            trace_plan(plan, times, stories_of(causes))

    async def _apply(self, plan: Plan, batch: OrderBatch, times: PlanTimes) -> None:
        try:
            self._check_unbroken()
            with self._broken_by_errors():
                position = None if plan.is_empty else await self._commit(plan, batch, times)
            await self._its_turn(self._publishing)
        finally:
            self._committing.release()
        try:
            self._check_unbroken()
            with self._broken_by_errors():
                if plan.submits:
                    await asyncio.sleep(0)  # lets the sends write before anyone hears of them
                await self._outbox.publish(plan.outgoing, position)
        finally:
            self._publishing.release()

    async def _commit(self, plan: Plan, batch: OrderBatch, times: PlanTimes) -> int | None:
        """Commit, and let go what it allows: sends, cancels, alarms. Returns the journal's position."""
        prepared: list[tuple[NewOrder, PreparedOrder | VenueError]] = []
        if plan.submits:
            # Runs while the database works on the commit: building and signing cost the order nothing.
            asyncio.get_running_loop().call_soon(self._prepare, plan.submits, prepared)
        times.begun_ns = time.time_ns()
        lease = self._lease
        position = await self.store.commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=times.taken_ns)
        times.durable_ns = time.time_ns()
        self._commit_time.record(times.durable_ns - times.begun_ns)
        for order, request in prepared:
            self._tasks.create_task(self._send(order, request, times))
        for cancel in plan.cancels:
            self._tasks.create_task(self.cancel(cancel))
        self._fills.inc(len(plan.fills))
        for alarm in plan.alarms:
            self._contradicted.inc()
            self._log.error("an end that was concluded is contradicted by the venue", what=alarm)
        return position

    async def _its_turn(self, lock: asyncio.Lock) -> None:
        with self._broken_by_errors():
            await lock.acquire()

    @contextlib.contextmanager
    def _broken_by_errors(self) -> Iterator[None]:
        """A plan that is not written, or not told, stops all that were planned after it."""
        try:
            yield
        except BaseException:
            self._is_broken = True
            raise

    def _check_unbroken(self) -> None:
        if self._is_broken:
            raise StoreConflict(_BROKEN)

    def _prepare(self, orders: Sequence[NewOrder], prepared: list[tuple[NewOrder, PreparedOrder | VenueError]]) -> None:
        for order in orders:
            try:
                prepared.append((order, self.client.prepare_order(order)))
            except VenueError as error:
                prepared.append((order, error))

    async def _send(self, order: NewOrder, request: PreparedOrder | VenueError, times: PlanTimes) -> None:
        client_order_id = order.client_order_id
        try:
            if isinstance(request, VenueError):
                raise request
            reports = await self._answered(client_order_id, request, times)
        except VenueRejected as error:
            if _DUPLICATE_WORDS in error.reason.lower():
                await self.take_unknown(client_order_id, str(error))
            else:
                await self.take_not_sent(client_order_id, str(error))
        except VenueUnavailable as error:
            await self.take_not_sent(client_order_id, f"NOT_SENT: {error}")
        except OutcomeUnknown as error:
            await self.take_unknown(client_order_id, str(error))
        else:
            await self.take_reports(reports)
        finally:
            self.sending.discard(client_order_id)
            self.absences.send_ended(client_order_id, time.monotonic())
            cancel = self._cancel_when_sent.pop(client_order_id, None)
        if cancel is not None and client_order_id in self.engine.orders:
            await self.cancel(cancel)

    async def _answered(
        self, client_order_id: ClientOrderId, request: PreparedOrder, times: PlanTimes
    ) -> Sequence[Report]:
        begun_ns = time.time_ns()
        try:
            return await request.send(lambda: self._first_byte(client_order_id, times))
        finally:
            if tracer.is_on and (order := self.engine.find(client_order_id)) is not None:
                trace_send(order, begun_ns, time.time_ns())

    async def take_unknown(self, client_order_id: ClientOrderId, reason: str) -> None:
        """What became of the last thing that was sent for an order cannot be told."""
        self._log.warning("order outcome unknown", reason=reason, **self._ids(client_order_id))
        await self.take(lambda now_ns: self.engine.plan_unknown(client_order_id, reason, now_ns))

    def _ids(self, client_order_id: ClientOrderId) -> dict[str, str]:
        """What a line of the log about an order carries."""
        order = self.engine.find(client_order_id)
        return {
            "client_order_id": client_order_id,
            "correlation_id": order.correlation_id if order is not None else client_order_id,
        }

    def _first_byte(self, client_order_id: ClientOrderId, times: PlanTimes) -> None:
        self._check_margin()
        sent_ns = time.time_ns()
        self.engine.note_sent(client_order_id, times.durable_ns, sent_ns)
        self._command_to_venue.record(sent_ns - times.taken_ns)
        self._sent.inc()

    def _check_margin(self) -> None:
        """Called in the step of the event loop that writes: a process that was stopped for a while sends nothing.

        Raises:
            LeaseLost: another process may be about to take over.
        """
        if not self._lease.has_margin(self._send_margin_s):
            raise LeaseLost("too little of the lease is left to send; the venue will be asked under a new one")

    async def cancel_at_venue(
        self, instrument_id: InstrumentId, client_order_id: ClientOrderId, venue_order_id: VenueOrderId | None = None
    ) -> Sequence[OrderStatusReport]:
        """A cancel of any order at the venue, known to us or not. Raises as ``ExecutionClient.cancel_order``.

        Raises:
            LeaseLost: too little of the lease is left.
        """
        return await self.client.cancel_order(instrument_id, client_order_id, self._check_margin, venue_order_id)

    async def cancel(self, cancel: Cancel) -> None:
        """Ask the venue to cancel; what is left unanswered is asked again by the resolver."""
        if cancel.client_order_id in self.sending:
            # Of its send, which is told of in the same plan as the cancel; or of a cancel, which is then one too many.
            self._cancel_when_sent[cancel.client_order_id] = cancel
            return
        self.sending.add(cancel.client_order_id)
        try:
            reports = await self.cancel_at_venue(cancel.instrument_id, cancel.client_order_id, cancel.venue_order_id)
        except OrderNotFound:
            # Filled, cancelled or never there: only the order's own status tells, and the resolver asks for it.
            return
        except VenueRejected as error:
            reason = str(error)
            await self.take(lambda now_ns: self.engine.plan_cancel_refused(cancel.client_order_id, reason, now_ns))
        except OutcomeUnknown as error:
            await self.take_unknown(cancel.client_order_id, f"cancel: {error}")
        except VenueError as error:
            self._log.warning("cancel not sent", reason=str(error), **self._ids(cancel.client_order_id))
        else:
            await self.take_reports(reports)
        finally:
            self.sending.discard(cancel.client_order_id)
            self._cancel_when_sent.pop(cancel.client_order_id, None)
