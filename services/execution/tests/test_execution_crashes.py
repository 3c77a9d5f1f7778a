"""The process dies before and after each step of an order's way, and the next one goes on: bus, store and venue stay.

One place for each column "dies before" and "dies after" of docs/protocols/orders.md. ``make faults`` looks for the
places between and for two faults at once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import scripted_venue
from order_path_kit import ACCOUNT, cancel
from scripted_venue import Prepared, ScriptedVenue
from test_execution_service import FAST, Desk, fresh, until

from tradewind.bus.memory import MemoryBus
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.testing import service_context
from tradewind.services.execution import service
from tradewind.services.execution.outbox import Outbox
from tradewind.store.database import Database
from tradewind.store.order_store import OrderBatch, OrderStore
from tradewind.wire.events import OrderEvent
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS

S = OrderStatus
NAME = "a-1-1"


class Crash(Exception):
    """The process is gone."""


class Bomb:
    """Goes off once, at one place, when it is armed."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.armed = True
        self.process_is_gone = False

    def at(self, place: str) -> None:
        if self.armed and place == self.place:
            self.armed = False
            self.process_is_gone = True
            raise Crash(place)


def set_up(bomb: Bomb, patch: pytest.MonkeyPatch) -> None:
    """Wrap every step of the way. A dead process writes nothing more, so its last mark is lost too."""
    commit, publish, send, mark = OrderStore.commit, Outbox.publish, Prepared.send, OrderStore.mark_published
    ask = ScriptedVenue.cancel_order

    async def bombed_commit(store: OrderStore, batch: OrderBatch, **rest: Any) -> int | None:
        what = "command" if batch.new_orders else "cancel" if _cancels(batch) else "report"
        bomb.at(f"before commit of {what}")
        position = await commit(store, batch, **rest)
        bomb.at(f"after commit of {what}")
        return position

    async def bombed_publish(outbox: Outbox, outgoing: Any, position: int | None) -> None:
        bomb.at("before publish")
        await publish(outbox, outgoing, position)
        bomb.at("after publish")

    async def bombed_send(prepared: Prepared, on_first_byte: Callable[[], None]) -> Any:
        bomb.at("before send")
        answer = await send(prepared, on_first_byte)
        bomb.at("after send")
        return answer

    async def bombed_cancel(venue: ScriptedVenue, *arguments: Any) -> Any:
        bomb.at("before cancel")
        answer = await ask(venue, *arguments)
        bomb.at("after cancel")
        return answer

    async def bombed_mark(store: OrderStore, through: int) -> None:
        if not bomb.process_is_gone:
            await mark(store, through)

    patch.setattr(OrderStore, "commit", bombed_commit)
    patch.setattr(OrderStore, "mark_published", bombed_mark)
    patch.setattr(Outbox, "publish", bombed_publish)
    patch.setattr(Prepared, "send", bombed_send)
    patch.setattr(scripted_venue.ScriptedVenue, "cancel_order", bombed_cancel)


def _cancels(batch: OrderBatch) -> bool:
    return any(order.status is S.PENDING_CANCEL for order in batch.orders)


@contextlib.asynccontextmanager
async def life(database: Database, venue: ScriptedVenue, bus: MemoryBus, patch: Any) -> AsyncIterator[Any]:
    """One process, until it dies by itself or the block ends."""
    patch.setattr(service, "execution_client_of", lambda *_: venue)
    async with service_context("execution", ServiceKind.ORDER_PATH, FAST, database, bus=bus) as context:
        task = asyncio.ensure_future(service.run(context))
        try:
            yield Desk(context, bus, venue), task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # it has been looked at by the test, or it is the end


async def died(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(20):
        await asyncio.wait([task])
    error: BaseException | None = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Crash), error


@pytest.mark.parametrize(
    ("place", "end", "sent"),
    [
        ("before commit of command", S.ACCEPTED, 1),
        ("after commit of command", S.REJECTED, 0),
        ("before send", S.REJECTED, 0),
        ("after send", S.ACCEPTED, 1),
        ("before publish", S.ACCEPTED, 1),
        ("after publish", S.ACCEPTED, 1),
        ("before commit of report", S.ACCEPTED, 1),
        ("after commit of report", S.ACCEPTED, 1),
    ],
)
async def test_a_crash_around_each_step_of_an_order(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str, end: OrderStatus, sent: int
) -> None:
    venue, bus = ScriptedVenue(), MemoryBus()
    bomb = Bomb(place)
    async with life(database, venue, bus, monkeypatch) as (desk, task):
        await until(lambda: _ready(desk))
        set_up(bomb, monkeypatch)
        await desk.send(fresh(NAME))
        await died(task)
    bomb.process_is_gone = False
    async with life(database, venue, bus, monkeypatch) as (desk, _):
        order = await desk.reaches(NAME, end)
        assert order.outcome == "KNOWN"
        assert venue.submits == [NAME] * sent
        await one_whole_story(desk, order.event_count)
        await desk.send(fresh("b-1-1"))
        await desk.reaches("b-1-1", S.ACCEPTED)
    await bus.close()


@pytest.mark.parametrize(
    "place", ["before commit of cancel", "after commit of cancel", "before cancel", "after cancel"]
)
async def test_a_crash_around_each_step_of_a_cancel(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    venue, bus = ScriptedVenue(), MemoryBus()
    bomb = Bomb(place)
    async with life(database, venue, bus, monkeypatch) as (desk, task):
        await until(lambda: _ready(desk))
        await desk.send(fresh(NAME))
        await desk.reaches(NAME, S.ACCEPTED)
        set_up(bomb, monkeypatch)
        await bus.publish(ORDERS_COMMANDS, ACCOUNT, cancel(NAME))
        await died(task)
    bomb.process_is_gone = False
    async with life(database, venue, bus, monkeypatch) as (desk, _):
        order = await desk.reaches(NAME, S.CANCELED)
        assert venue.submits == [NAME]
        await one_whole_story(desk, order.event_count)
    await bus.close()


@pytest.mark.parametrize("place", ["before commit of report", "after commit of report"])
async def test_a_crash_around_a_fill_books_it_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    venue, bus = ScriptedVenue(), MemoryBus()
    bomb = Bomb(place)
    async with life(database, venue, bus, monkeypatch) as (desk, task):
        await until(lambda: _ready(desk))
        await desk.send(fresh(NAME))
        await desk.reaches(NAME, S.ACCEPTED)
        set_up(bomb, monkeypatch)
        venue.events.put_nowait(venue.fill(NAME, 4_000))
        await died(task)
    bomb.process_is_gone = False
    async with life(database, venue, bus, monkeypatch) as (desk, _):
        order = await desk.reaches(NAME, S.PARTIALLY_FILLED)
        assert order.filled_size == 4_000
        await until(lambda: desk.books_are_exact())
        await one_whole_story(desk, order.event_count)
    await bus.close()


async def _ready(desk: Desk) -> bool:
    return desk.context.health.ready


async def one_whole_story(desk: Desk, events: int) -> None:
    """Every event of the order is on the bus; those that are there twice are the same ones."""
    by_sequence: dict[int, set[str]] = {}

    async def whole() -> bool:
        by_sequence.clear()
        for delivery in await desk.bus.replay(ORDERS_EVENTS, from_offset=0):
            event = delivery.payload
            if isinstance(event, OrderEvent) and event.client_order_id == NAME:
                by_sequence.setdefault(event.sequence, set()).add(event.event_id)
        return sorted(by_sequence) == list(range(1, events + 1))

    await until(whole)
    assert all(len(ids) == 1 for ids in by_sequence.values())
