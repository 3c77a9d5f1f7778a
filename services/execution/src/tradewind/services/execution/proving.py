"""Brings the scope of a kill switch to flat at the venue, one step per ``ProveFlat``, and says what each step found.

Owner: one session, which runs ``run`` as a task. A step cancels what rests in the scope (ours, EXTERNAL's, and what
only the venue shows), reconciles, closes the books if asked, one order per book at a time, and reports. The stage FLAT
is said only of a snapshot that was asked for later than the venue's visibility delay after the last thing that could
have moved. Nothing here is needed after a crash: orders are in the store under names that tell the attempt, the risk
service asks again, and the wait for the proof begins anew. Order: one step at a time. Bound: one command per switch,
the newest. On cancel: as everywhere in a session, a commit or send in flight is settled by the next session.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from tradewind.execution.flattening import (
    CLOSING_PREFIX,
    Cover,
    attempt_name,
    book_text,
    closing_order,
    closing_price,
    closing_size,
    cover_of,
)
from tradewind.model.enums import KillStage
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.reconciling import Reconciler
from tradewind.services.execution.tracing_orders import trace_own
from tradewind.store.kill_switches import KillSwitchRepository
from tradewind.venue.adapter import OrderNotFound, RateLimited, VenueError
from tradewind.venue.reports import MassStatus, OrderStatusReport
from tradewind.wire.commands import CancelAllOrders, ProveFlat, SubmitOrder
from tradewind.wire.events import FlatnessReported
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS

_MOST_SWITCHES: Final = 100
_ASK_AGAIN_S: Final = 5.0
"""While orders of the scope are still to end, the costly mass status is asked for this often at most."""
_LOOK_AGAIN_S: Final = 2.0
"""And this often at most, while only the venue can bring the switch on: a mass status has its weight in rate limits."""
_ATTEMPTS_READ: Final = 20
_FREE_ATTEMPTS: Final = 3
_LONGEST_PAUSE_S: Final = 30.0
_NAMED: Final = 3
_TOO_SMALL: Final = ("NOTIONAL", "LOT_SIZE")
"""In the venue's reason of a refusal: the order was below its smallest, whatever we thought of its worth."""


class _Progress:
    """What the prover remembers of one switch between two steps; losing it only makes the proof come later."""

    def __init__(self) -> None:
        self.asked_at = float("-inf")
        self.last: FlatnessReported | None = None
        self.flatten = False
        self.held: tuple[tuple[str, str, int], ...] = ()
        self.rest_until = float("-inf")
        """Until then nothing that the venue could say would bring the switch on, as long as ``held`` stays."""
        self.quiet_since: float | None = None
        self.attempts: dict[tuple[str, str], int] = {}
        self.tried_at = float("-inf")
        self.too_small: dict[tuple[str, str], int] = {}


class _Books(msgspec.Struct, kw_only=True):
    """What a look at the scope's books found."""

    open: list[str] = []
    dust: list[str] = []
    orders: list[SubmitOrder] = []
    reason: str = ""


class FlatProver:
    """The switches of one session."""

    def __init__(self, context: ServiceContext, path: OrderPath, reconciler: Reconciler, event_ids: EventIds) -> None:
        self._bus = context.order_bus
        self._log = context.log
        self._path = path
        self._reconciler = reconciler
        self._engine = path.engine
        self._event_ids = event_ids
        self._switches = KillSwitchRepository(context.database)
        self._wanted: dict[int, ProveFlat] = {}
        self._progress: dict[int, _Progress] = {}
        self._wake = asyncio.Event()
        self._orders = context.metrics.counter("kill_switch_orders", "Orders that closed books for a kill switch")

    def take(self, command: ProveFlat) -> None:
        """Note a step to be made; a newer one of the same switch replaces it."""
        mine = command.account_id == self._engine.account_id
        if mine and (command.kill_id in self._wanted or len(self._wanted) < _MOST_SWITCHES):
            self._wanted[command.kill_id] = command
            self._wake.set()

    async def run(self) -> None:
        """Make steps until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._wanted:
                command = self._wanted.pop(next(iter(self._wanted)))
                report = await self._step(command)
                if report is not None:
                    await self._bus.publish(ACCOUNT_EVENTS, self._engine.account_id, report)

    async def _step(self, command: ProveFlat) -> FlatnessReported | None:
        switch = await self._switches.find(command.kill_id)
        if switch is None or switch.released_at is not None:
            self._progress.pop(command.kill_id, None)
            return None
        cover = cover_of(command)
        if not cover.is_halted(self._engine.risk):
            return self._report(command, KillStage.CANCELING, "the halt has not reached the order path yet")
        progress = self._progress.setdefault(command.kill_id, _Progress())
        if command.flatten != progress.flatten:
            progress.flatten, progress.rest_until = command.flatten, float("-inf")
        report = await self._take_step(command, cover, progress)
        progress.last = report
        progress.held = self._held(cover)
        return report

    async def _take_step(self, command: ProveFlat, cover: Cover, progress: _Progress) -> FlatnessReported:
        await self._cancel_all(command)
        resting = cover.unfinished(self._engine.orders.values())
        if resting and time.monotonic() - progress.asked_at < _ASK_AGAIN_S:
            progress.quiet_since = None
            return self._report(command, _stage_of(resting), _named(resting), open_orders=len(resting))
        waits = not resting and time.monotonic() < progress.rest_until and self._held(cover) == progress.held
        if waits and progress.last is not None:
            return self._again(command, progress.last)
        asked_at, asked_ns = time.monotonic(), time.time_ns()
        progress.asked_at, progress.rest_until = asked_at, float("-inf")
        try:
            status = await self._reconciler.reconcile()
        except VenueError as error:
            return self._unanswered(command, cover, progress, error)
        only_there = await self._cancel_strangers(command, cover, status)
        resting = cover.unfinished(self._engine.orders.values())
        if resting or only_there:
            progress.quiet_since = None
            reason = _named(resting) if resting else f"the venue still shows {', '.join(only_there[:_NAMED])}"
            open_orders = max(len(resting), len(only_there))
            return self._report(command, _stage_of(resting), reason, open_orders=open_orders)
        return await self._close_or_prove(command, cover, progress, status, asked_at, asked_ns)

    async def _close_or_prove(
        self,
        command: ProveFlat,
        cover: Cover,
        progress: _Progress,
        status: MassStatus,
        asked_at: float,
        asked_ns: int,
    ) -> FlatnessReported:
        """Nothing rests: close what is open, or see whether this snapshot proves that nothing is."""
        books = await self._look_at_books(command, cover, progress)
        if command.flatten and books.open:
            progress.quiet_since = None
            if books.orders:
                await self._close(books.orders, progress)
            else:
                progress.rest_until = asked_at + _LOOK_AGAIN_S
            reason = books.reason or f"closing {', '.join(books.open[:_NAMED])}"
            return self._report(command, KillStage.FLATTENING, reason, books)
        now = time.monotonic()
        if progress.quiet_since is None:
            progress.quiet_since = now
        wait_s = self._path.client.visibility_delay_s
        if asked_at < progress.quiet_since + wait_s:
            progress.rest_until = progress.quiet_since + wait_s
            reason = f"a snapshot later than the venue's visibility delay of {wait_s:g} s is awaited"
            return self._report(command, KillStage.VERIFYING, reason, books)
        if difference := self._difference(cover, status):
            progress.rest_until = asked_at + _LOOK_AGAIN_S
            return self._report(command, KillStage.VERIFYING, difference, books)
        return self._report(command, KillStage.FLAT, "", books, status=status, ts_snapshot=asked_ns)

    # -- cancelling ------------------------------------------------------------------------------------------------

    async def _cancel_all(self, command: ProveFlat) -> None:
        now_ns = time.time_ns()
        cancel = CancelAllOrders(
            event_id=self._event_ids(),
            correlation_id=f"kill:{command.kill_id}",
            causation_id=command.event_id,
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=command.account_id,
            strategy_id=command.strategy_id,
            instrument_id=command.instrument_id,
            reason=f"kill switch of {command.scope}",
        )
        await self._path.take_commands([cancel])

    async def _cancel_strangers(self, command: ProveFlat, cover: Cover, status: MassStatus) -> list[str]:
        """Cancel what the reconciliation has just brought in, and at the venue alone what we hold to be closed."""
        await self._cancel_all(command)
        only_there = []
        for report in status.open_orders:
            order = self._order_of(report)
            if order is None or order.status.is_closed:
                owner = cover.strategy_id if order is None else order.strategy_id
                if owner is None or cover.covers(owner, report.instrument_id):
                    only_there.append(await self._cancel_there(report))
        return only_there

    def _order_of(self, report: OrderStatusReport) -> Order | None:
        return self._engine.find_at_venue(report.instrument_id, report.venue_order_id)

    async def _cancel_there(self, report: OrderStatusReport) -> str:
        """A cancel is safe to repeat: an older view of the venue costs one request."""
        name = report.client_order_id
        if name is None:
            return f"order {report.venue_order_id} without a client id"
        try:
            await self._path.take_reports(await self._path.cancel_at_venue(report.instrument_id, name))
        except OrderNotFound:
            return f"{name} (it has ended by now)"
        except VenueError as error:
            self._log.warning("cancel unanswered", client_order_id=name, reason=str(error))
        return name

    def _unanswered(self, command: ProveFlat, cover: Cover, progress: _Progress, error: VenueError) -> FlatnessReported:
        """A failed query is not flat, and costs the venue's patience all the same."""
        pause_s, reason = _LOOK_AGAIN_S, f"the venue did not answer: {error}"
        if isinstance(error, RateLimited):
            pause_s = min(max(error.retry_after_s, _LOOK_AGAIN_S), _LONGEST_PAUSE_S)
            reason = "the venue did not answer: its rate limit is used up for a while"
        progress.rest_until = time.monotonic() + pause_s
        resting = cover.unfinished(self._engine.orders.values())
        stage = KillStage.VERIFYING if progress.last is None else progress.last.stage
        if resting:
            progress.quiet_since = None
            stage = _stage_of(resting)
        elif stage is KillStage.FLAT:
            stage = KillStage.VERIFYING
        return self._report(command, stage, reason, open_orders=len(resting))

    def _held(self, cover: Cover) -> tuple[tuple[str, str, int], ...]:
        held = cover.holdings(self._engine.ledger.positions.values())
        return tuple((one.strategy_id, one.instrument_id, one.signed_size) for one in held)

    def _again(self, command: ProveFlat, last: FlatnessReported) -> FlatnessReported:
        """The last finding, as the answer to another question."""
        now_ns = time.time_ns()
        return msgspec.structs.replace(
            last, event_id=self._event_ids(), causation_id=command.event_id, ts_event=now_ns, ts_init=now_ns
        )

    # -- closing -----------------------------------------------------------------------------------------------------

    async def _look_at_books(self, command: ProveFlat, cover: Cover, progress: _Progress) -> _Books:
        books = _Books()
        for position in cover.holdings(self._engine.ledger.positions.values()):
            instrument = self._engine.instruments.get(position.instrument_id)
            if instrument is None:
                books.open.append(f"{position.strategy_id} {position.instrument_id}")
                books.reason = f"{position.instrument_id} is no instrument of the venue any more; close it by hand"
                continue
            text = book_text(position, instrument)
            size = closing_size(position, instrument, closing_price(position, self._best(position), instrument))
            if not size or progress.too_small.get(_key(position)) == position.signed_size:
                books.dust.append(text)
                continue
            books.open.append(text)
            if command.flatten:
                attempt = await self._attempt(command, position, progress, books)
                if attempt:
                    books.orders.append(closing_order(command, position, size, attempt, time.time_ns()))
        return books

    def _best(self, position: Position) -> int | None:
        return self._engine.risk.prices.exit_price(position.instrument_id, position.signed_size)

    async def _attempt(self, command: ProveFlat, position: Position, progress: _Progress, books: _Books) -> int:
        """The number of the next try, or 0: not now. Nothing of the scope is open, so the try before has ended."""
        key = _key(position)
        tried, last = await self._tried(command.kill_id, position, progress.attempts.get(key, 0))
        progress.attempts[key] = max(tried - 1, 0)  # the last one is read again: its end tells how it went
        attempt, pause_s = tried + 1, 0.0
        if last is not None and not last.filled_size:
            words = last.reason or ""
            books.reason = f"closing {position.strategy_id} {position.instrument_id}: {last.status} {words}"
            if last.status is OrderStatus.REJECTED and any(word in words for word in _TOO_SMALL):
                progress.too_small[key] = position.signed_size
                return 0
            pause_s = 0.0 if attempt <= _FREE_ATTEMPTS else min(float(attempt), _LONGEST_PAUSE_S)
        return attempt if time.monotonic() - progress.tried_at >= pause_s else 0

    async def _tried(self, kill_id: int, position: Position, known: int) -> tuple[int, Order | None]:
        """How many tries the store has, at least ``known``, and the last of them."""
        tried, last = known, None
        while True:
            names = [attempt_name(kill_id, position, tried + n) for n in range(1, _ATTEMPTS_READ + 1)]
            found = {order.client_order_id: order for order in await self._path.store.orders_by_id(names)}
            for name in names:
                if name not in found:
                    return tried, last
                tried, last = tried + 1, found[name]

    async def _close(self, orders: Sequence[SubmitOrder], progress: _Progress) -> None:
        progress.tried_at = time.monotonic()
        self._orders.inc(len(orders))
        trace_own(orders)
        await self._path.take(lambda now_ns: self._engine.plan_flattening(orders, now_ns), orders)

    # -- proving -----------------------------------------------------------------------------------------------------

    def _difference(self, cover: Cover, status: MassStatus) -> str:
        """What the snapshot says against our books; empty when it agrees. Others may trade beside a narrower scope."""
        missing = [order for order, _ in self._engine.incomplete.items() if self._is_covered(order, cover)]
        if missing:
            return f"fills of {', '.join(missing[:_NAMED])} are still to come"
        if not cover.is_whole_account:
            return ""
        if len(self._engine.orphans):
            return "the venue has fills whose orders are not known yet"
        ledger = self._engine.ledger
        for position in status.positions:
            if position.signed_size != ledger.net_size(position.instrument_id):
                return f"the venue holds another position of {position.instrument_id} than our books"
        there = {balance.currency: balance.total for balance in status.balances.balances}
        for currency, total in sorted(ledger.totals.items()):
            if there.get(currency, 0) != total:
                return f"the venue holds {there.get(currency, 0):f} {currency}, our books {total:f}"
        return ""

    def _is_covered(self, client_order_id: ClientOrderId, cover: Cover) -> bool:
        order = self._engine.find(client_order_id)
        waiting = self._engine.incomplete.get(client_order_id)
        if order is None or waiting is None or order.filled_size >= waiting.filled_size:
            return False
        return cover.covers(order.strategy_id, order.instrument_id)

    def _report(
        self,
        command: ProveFlat,
        stage: KillStage,
        reason: str,
        books: _Books | None = None,
        *,
        open_orders: int = 0,
        status: MassStatus | None = None,
        ts_snapshot: int = 0,
    ) -> FlatnessReported:
        now_ns = time.time_ns()
        return FlatnessReported(
            event_id=self._event_ids(),
            correlation_id=f"kill:{command.kill_id}",
            causation_id=command.event_id,
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=command.account_id,
            kill_id=command.kill_id,
            scope=command.scope,
            stage=stage,
            reason=reason,
            open_orders=open_orders,
            positions=tuple(books.open) if books else (),
            dust=tuple(books.dust) if books else (),
            balances=status.balances.balances if status else (),
            ts_snapshot=ts_snapshot,
        )


def _key(position: Position) -> tuple[str, str]:
    return position.strategy_id, position.instrument_id


def _stage_of(resting: Sequence[Order]) -> KillStage:
    """What is waited for: the end of orders that were there, or of our own that close books."""
    closing = resting and all(order.client_order_id.startswith(CLOSING_PREFIX) for order in resting)
    return KillStage.FLATTENING if closing else KillStage.CANCELING


def _named(orders: Sequence[Order]) -> str:
    """The first few of the orders that are awaited, with how each is."""
    texts = [f"{order.client_order_id} ({order.status}, {order.outcome})" for order in orders[:_NAMED]]
    more = f" and {len(orders) - _NAMED} more" if len(orders) > _NAMED else ""
    return f"waiting for {', '.join(texts)}{more}"
