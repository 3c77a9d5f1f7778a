"""Deliberate bugs of the order path, each as a switch: the simulation must catch every one of them.

A mutation replaces one real function by what somebody might write in a hurry. ``make faults-mutations`` says after how
many schedules each was caught; ``replay`` takes one too, to see what it does.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
import pytest

from faults.exploring import outcomes
from faults.schedule import Schedule
from faults.world import Outcome, simulation
from tradewind.execution.absences import Absences
from tradewind.execution.command_planning import CommandPlanner
from tradewind.execution.plans import Plan
from tradewind.execution.report_planning import ReportPlanner
from tradewind.model.identifiers import TradeId
from tradewind.model.orders import Order
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.outbox import Outbox
from tradewind.services.execution.session import Session
from tradewind.services.execution.tracing_orders import PlanTimes
from tradewind.store.order_store import OrderStore
from tradewind.venue.adapter import NewOrder, OrderNotFound, OutcomeUnknown, VenueError
from tradewind.venue.reports import FillReport

Switch = Callable[[pytest.MonkeyPatch], None]
MOST_SCHEDULES: Final = 2_000


@dataclasses.dataclass(frozen=True, slots=True)
class Caught:
    """A mutation's end: after how many schedules, and by which invariant; ``outcome`` None: never."""

    name: str
    schedules: int
    outcome: Outcome | None


def send_before_commit(patch: pytest.MonkeyPatch) -> None:
    """The order goes to the venue first and into the store then."""
    commit_and_send = OrderPath._apply

    async def send_and_commit(self: OrderPath, plan: Plan, batch: Any, times: PlanTimes) -> None:
        prepared: list[Any] = []
        self._prepare(plan.submits, prepared)
        for order, request in prepared:
            self.sending.add(order.client_order_id)
            self._tasks.create_task(self._send(order, request, times))
        plan.submits = []
        await asyncio.sleep(0)
        await commit_and_send(self, plan, batch, times)

    patch.setattr(OrderPath, "_apply", send_and_commit)


def retry_a_post(patch: pytest.MonkeyPatch) -> None:
    """An order without an answer is sent again."""
    send_once = OrderPath._send

    async def send_again(self: OrderPath, order: NewOrder, request: Any, times: PlanTimes) -> None:
        client = self.client

        class Stubborn:
            async def send(self, on_first_byte: Callable[[], None]) -> Sequence[Any]:
                try:
                    return await request.send(on_first_byte)  # type: ignore[no-any-return]
                except OutcomeUnknown:
                    return await client.prepare_order(order).send(on_first_byte)

        await send_once(self, order, request if isinstance(request, VenueError) else Stubborn(), times)

    patch.setattr(OrderPath, "_send", send_again)


def skip_the_epoch_check(patch: pytest.MonkeyPatch) -> None:
    """A transaction takes the epoch that stands in the store instead of its own."""
    commit = OrderStore.commit

    async def commit_anyway(self: OrderStore, batch: Any, *, lease: str, epoch: int, now_ns: int) -> int | None:
        async with self._database.connection() as connection:
            row: Any = await connection.fetchrow("SELECT holder, epoch, expires_at FROM leases WHERE name = $1", lease)
        return await commit(self, batch, lease=lease, epoch=row["epoch"], now_ns=now_ns)

    patch.setattr(OrderStore, "commit", commit_anyway)


def guess_rejected(patch: pytest.MonkeyPatch) -> None:
    """An order without an answer is taken for refused."""

    async def give_up(self: OrderPath, client_order_id: Any, reason: str) -> None:
        await self.take_not_sent(client_order_id, reason)

    patch.setattr(OrderPath, "take_unknown", give_up)


def forget_known_commands(patch: pytest.MonkeyPatch) -> None:
    """A command that comes twice is taken twice."""
    patch.setattr(CommandPlanner, "_known", lambda *_: None)


def forget_known_fills(patch: pytest.MonkeyPatch) -> None:
    """A fill that is told twice is booked twice, the second time under a name that the store does not know either."""
    fill = ReportPlanner._fill

    def fill_always(self: ReportPlanner, report: FillReport) -> None:
        while report.trade_id in self.trade_ids:
            report = msgspec.structs.replace(report, trade_id=TradeId(f"{report.trade_id}+"))
        fill(self, report)

    patch.setattr(ReportPlanner, "_fill", fill_always)


def skip_the_outbox(patch: pytest.MonkeyPatch) -> None:
    """What an earlier process committed and did not publish is not published."""

    async def nothing(_: Outbox) -> int:
        return 0

    patch.setattr(Outbox, "replay", nothing)


def trust_one_absence(patch: pytest.MonkeyPatch) -> None:
    """An order that one query does not show is taken for never sent."""

    patch.setattr(Absences, "missed", lambda *_: True)
    patch.setattr(Absences, "next_look_s", lambda *_: 0.0)


def ignore_the_send_deadline(patch: pytest.MonkeyPatch) -> None:
    """Whoever once had the lease may send."""
    patch.setattr(OrderPath, "_check_margin", lambda _: None)


def drop_working_orders(patch: pytest.MonkeyPatch) -> None:
    """A new process begins without the orders of the one before it."""

    async def none(_: OrderStore) -> list[Order]:
        return []

    patch.setattr(OrderStore, "unfinished_orders", none)


def reserve_nothing(patch: pytest.MonkeyPatch) -> None:
    """Risk counts what is held, and not what rests or is on its way."""
    patch.setattr(Order, "at_risk_size", property(lambda _: 0))


def commit_the_bus_first(patch: pytest.MonkeyPatch) -> None:
    """Commands are declared done when they are read, before they are in the store."""
    read = Session._read_commands

    async def read_and_commit(self: Session, subscription: Any, *more: Any) -> Any:
        commands = await read(self, subscription, *more)
        await subscription.commit()
        return commands

    patch.setattr(Session, "_read_commands", read_and_commit)


def take_an_unknown_cancel_for_done(patch: pytest.MonkeyPatch) -> None:
    """A cancel that the venue does not know the order of means that the order was cancelled."""
    cancel_at_venue = OrderPath.cancel_at_venue

    async def surely_cancelled(self: OrderPath, instrument_id: Any, client_order_id: Any, *more: Any) -> Any:
        try:
            return await cancel_at_venue(self, instrument_id, client_order_id, *more)
        except OrderNotFound:
            if (order := self.engine.orders.get(client_order_id)) is not None:
                await self.take(lambda now_ns: _canceled(self, order, now_ns))
            raise

    patch.setattr(OrderPath, "cancel_at_venue", surely_cancelled)


def _canceled(path: OrderPath, order: Order, now_ns: int) -> Plan:
    from tradewind.model.order_status import OrderStatus
    from tradewind.wire.events import OrderCanceled

    stories = path.engine._stories
    stories.begin(now_ns)
    if not order.status.is_closed:
        stories.move(order, OrderStatus.CANCELED, OrderCanceled, reason="not found")
    return stories.finish()


MUTATIONS: Final[dict[str, Switch]] = {
    switch.__name__.replace("_", "-"): switch
    for switch in (
        send_before_commit,
        retry_a_post,
        skip_the_epoch_check,
        guess_rejected,
        forget_known_commands,
        forget_known_fills,
        skip_the_outbox,
        trust_one_absence,
        ignore_the_send_deadline,
        drop_working_orders,
        reserve_nothing,
        commit_the_bus_first,
        take_an_unknown_cancel_for_done,
    )
}


@contextlib.contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """The real code, with one deliberate bug in it."""
    with pytest.MonkeyPatch.context() as patch:
        if name is not None:
            MUTATIONS[name](patch)
        yield


def hunt_from(what: tuple[str, int, int]) -> Caught:
    """``hunt`` in a process of a pool: the story stays there."""
    caught = hunt(*what)
    if caught.outcome is not None:
        caught.outcome.story = []
    return caught


def hunt(name: str, first_seed: int = 1, most: int = MOST_SCHEDULES) -> Caught:
    """Run schedules until one catches the mutation."""
    with simulation(), mutated(name):
        for number, outcome in enumerate(outcomes(Schedule.drawn(first_seed + n) for n in range(most)), 1):
            if outcome.violations:
                return Caught(name, number, outcome)
    return Caught(name, most, None)
