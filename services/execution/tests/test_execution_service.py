"""The whole service on a real PostgreSQL and the memory bus, against a venue that does what the test says."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from order_path_kit import ACCOUNT, NOW, cancel, submit
from scripted_venue import ScriptedVenue

from tradewind.bus.interface import Bus, Start
from tradewind.model.enums import OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import ClientOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import running as running_service
from tradewind.runtime.testing import service_context
from tradewind.services.execution import service
from tradewind.services.execution.settings import Settings
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderStore
from tradewind.store.postgres_server import PostgresServer
from tradewind.venue.adapter import NewOrder
from tradewind.venue.reports import StreamInterrupted, StreamResumed
from tradewind.wire.commands import CancelAllOrders, SubmitOrder
from tradewind.wire.events import OrderDenied, OrderEvent, TradingStateChanged
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, RISK_STATE

S = OrderStatus
FAST = Settings(lease_duration_s=1.0, lease_grace_s=0.1, send_margin_s=0.1, inflight_check_s=0.1, reconcile_every_s=0.5)


class Desk:
    """One running execution service and what a test may do with it."""

    def __init__(self, context: ServiceContext, bus: Bus, venue: ScriptedVenue) -> None:
        self.context = context
        self.bus = bus
        self.venue = venue
        self.store = OrderStore(context.database, ACCOUNT)

    async def send(self, *commands: Any) -> None:
        for command in commands:
            await self.bus.publish(ORDERS_COMMANDS, ACCOUNT, command)

    async def order(self, name: str) -> Any:
        rows = await self.store.orders_by_id([ClientOrderId(name)])
        return rows[0] if rows else None

    async def reaches(self, name: str, status: OrderStatus) -> Any:
        async def there() -> bool:
            order = await self.order(name)
            return order is not None and order.status is status

        await until(there)
        return await self.order(name)

    async def events(self) -> list[OrderEvent]:
        deliveries = await self.bus.replay(ORDERS_EVENTS, from_offset=0)
        return [d.payload for d in deliveries if isinstance(d.payload, OrderEvent)]

    async def books_are_exact(self) -> bool:
        totals = self.venue.totals()
        lines = await self.store.ledger()
        return bool(lines) and all(line.account_amount == line.books_amount == totals[line.currency] for line in lines)


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(database: Database, venue: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(service, "execution_client_of", lambda *_: venue)
    async with (
        service_context("execution", ServiceKind.ORDER_PATH, FAST, database) as context,
        running_service(service.SERVICE, context),
    ):
        yield Desk(context, context.order_bus, venue)


@pytest.fixture
async def desk(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with running(database, ScriptedVenue(), monkeypatch) as one:
        await until(lambda: ready(one))
        yield one


async def ready(desk: Desk) -> bool:
    return desk.context.health.ready


def fresh(name: str = "", **fields: Any) -> SubmitOrder:
    return submit(name, **({"ts_init": time.time_ns()} | fields))


async def test_an_order_is_sent_filled_and_booked(desk: Desk) -> None:
    desk.venue.on_submit = "fill"
    await desk.send(fresh("a-1-1"))
    order = await desk.reaches("a-1-1", S.FILLED)
    assert order.filled_size == 10_000
    assert await desk.books_are_exact()
    names = [type(event).__name__ for event in await desk.events()]
    assert names == ["OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled"]
    assert [event.sequence for event in await desk.events()] == [1, 2, 3, 4]
    assert (await desk.store.positions())[0].signed_size == 10_000


async def test_a_repeated_command_is_sent_once(desk: Desk) -> None:
    command = fresh("a-1-1")
    await desk.send(command, command)
    await desk.reaches("a-1-1", S.ACCEPTED)
    await desk.send(command, fresh("b-1-1"))
    await desk.reaches("b-1-1", S.ACCEPTED)
    assert desk.venue.submits == ["a-1-1", "b-1-1"]


async def test_denied_orders_never_reach_the_venue(desk: Desk) -> None:
    await desk.send(fresh("a-1-1", price=-5), fresh("b-1-1", size=10**25), fresh("c-1-1", ts_init=NOW))
    reasons = [(await desk.reaches(name, S.DENIED)).reason for name in ("a-1-1", "b-1-1", "c-1-1")]
    assert [reason.split(":")[0] for reason in reasons] == ["PRICE_NOT_POSITIVE", "SIZE_EXCEEDS_MAX", "COMMAND_TOO_OLD"]
    assert desk.venue.submits == []


async def test_poison_is_put_aside_and_the_rest_goes_on(desk: Desk) -> None:
    await desk.send(fresh("bad id\x00"), fresh("a-1-1", strategy_id="x" * 500), fresh("b-1-1"))
    await desk.reaches("b-1-1", S.ACCEPTED)
    assert desk.venue.submits == ["b-1-1"]
    assert desk.bus.statistics().subscriptions


async def test_a_venue_refusal_ends_the_order(desk: Desk) -> None:
    desk.venue.on_submit = "reject"
    await desk.send(fresh("a-1-1"))
    assert "insufficient balance" in (await desk.reaches("a-1-1", S.REJECTED)).reason


async def test_nothing_written_means_rejected_at_once(desk: Desk) -> None:
    desk.venue.on_submit = "unavailable"
    await desk.send(fresh("a-1-1"))
    assert (await desk.reaches("a-1-1", S.REJECTED)).reason.startswith("NOT_SENT")


async def test_a_lost_answer_is_unknown_until_the_venue_speaks(desk: Desk) -> None:
    desk.venue.on_submit = "lost_after"
    await desk.send(fresh("a-1-1"))
    order = await desk.reaches("a-1-1", S.ACCEPTED)
    assert order.outcome == "KNOWN"
    names = [type(event).__name__ for event in await desk.events()]
    assert names[2:4] == ["OrderOutcomeUnknown", "OrderOutcomeResolved"]
    assert desk.venue.submits == ["a-1-1"]


async def test_a_lost_submit_ends_only_after_the_visibility_delay(desk: Desk) -> None:
    desk.venue.on_submit = "lost_before"
    await desk.send(fresh("a-1-1"))
    order = await desk.reaches("a-1-1", S.REJECTED)
    assert order.reason.startswith("NOT_AT_VENUE")
    events = await desk.events()
    unknown, rejected = (
        next(e for e in events if type(e).__name__ == n) for n in ("OrderOutcomeUnknown", "OrderRejected")
    )
    assert rejected.ts_init - unknown.ts_init > desk.venue.visibility_delay_s * 1e9
    assert desk.venue.submits == ["a-1-1"]


async def test_while_queries_fail_an_unknown_order_stays_unknown(desk: Desk) -> None:
    desk.venue.on_submit = "lost_after"
    desk.venue.queries_fail = True
    await desk.send(fresh("a-1-1"))
    await asyncio.sleep(0.6)
    assert (await desk.order("a-1-1")).outcome == "UNKNOWN"
    desk.venue.queries_fail = False
    assert (await desk.reaches("a-1-1", S.ACCEPTED)).outcome == "KNOWN"


@pytest.mark.parametrize("script", ["rest", "fill", "unavailable"])
async def test_a_cancel_of_an_order_that_waits_to_be_sent_follows_it_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    venue = ScriptedVenue(on_submit=script)
    nobody_asks = msgspec.structs.replace(FAST, inflight_check_s=1_000.0, reconcile_every_s=1_000.0)
    monkeypatch.setattr(sys.modules[__name__], "FAST", nobody_asks)
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        venue.may_send.clear()
        venue.may_answer.clear()
        await desk.send(fresh("a-1-1"))
        await desk.reaches("a-1-1", S.SUBMITTED)
        await desk.send(cancel("a-1-1"), fresh("b-1-1"))
        await desk.reaches("b-1-1", S.SUBMITTED)
        venue.may_send.set()
        if script == "rest":
            await desk.reaches("a-1-1", S.PENDING_CANCEL)  # the stream has told of it, and its answer is still to come
        venue.may_answer.set()
        ends = {"rest": S.CANCELED, "fill": S.FILLED, "unavailable": S.REJECTED}
        await desk.reaches("a-1-1", ends[script])


async def test_cancels_reach_the_venue_even_when_halted(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"), fresh("b-1-1"))
    await desk.reaches("b-1-1", S.ACCEPTED)
    halt = TradingStateChanged(
        event_id="h", correlation_id="h", causation_id="", ts_event=1, ts_init=1, scope="firm",
        state=TradingState.HALTED, actor="test", why="test",
    )  # fmt: skip
    await desk.bus.publish(RISK_STATE, "firm", halt)
    await asyncio.sleep(0.05)
    await desk.send(fresh("c-1-1"), cancel("a-1-1"))
    assert (await desk.reaches("c-1-1", S.DENIED)).reason.startswith("TRADING_HALTED")
    await desk.reaches("a-1-1", S.CANCELED)
    everything = CancelAllOrders(
        event_id="all", correlation_id="all", causation_id="", ts_event=1, ts_init=1, account_id=ACCOUNT
    )
    await desk.send(everything)
    await desk.reaches("b-1-1", S.CANCELED)


async def test_fills_from_the_stream_and_from_queries_are_booked_once(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    report = desk.venue.fill("a-1-1", 4_000)
    for _ in range(3):
        desk.venue.events.put_nowait(report)
    await desk.reaches("a-1-1", S.PARTIALLY_FILLED)
    desk.venue.fill("a-1-1", 6_000)  # never told on the stream: only reconciliation finds it
    await desk.reaches("a-1-1", S.FILLED)
    assert await desk.books_are_exact()


async def test_a_broken_stream_denies_until_reconciled(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    desk.venue.events.put_nowait(StreamInterrupted(account_id=ACCOUNT, reason="reset by peer"))
    await until(lambda: not_ready(desk))
    await desk.send(fresh("b-1-1"))
    assert (await desk.reaches("b-1-1", S.DENIED)).reason.startswith("NOT_READY")
    desk.venue.fill("a-1-1", 10_000)
    desk.venue.events.put_nowait(StreamResumed(account_id=ACCOUNT))
    await desk.reaches("a-1-1", S.FILLED)
    await until(lambda: ready(desk))


async def not_ready(desk: Desk) -> bool:
    return not desk.context.health.ready


async def test_foreign_orders_are_kept_as_external(desk: Desk) -> None:
    order = NewOrder(
        client_order_id=ClientOrderId("web_1"), instrument_id=fresh().instrument_id, side=OrderSide.SELL,
        order_type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, size=1_000, price=7_000_000,
    )  # fmt: skip
    row = desk.venue.take(order)
    desk.venue.events.put_nowait(desk.venue.report(row))
    assert (await desk.reaches("web_1", S.ACCEPTED)).strategy_id == "EXTERNAL"
    desk.venue.fill("web_1", 1_000)
    await desk.reaches("web_1", S.FILLED)
    assert await desk.books_are_exact()


async def test_a_restart_asks_for_what_is_open_and_makes_no_event_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = ScriptedVenue()
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        await desk.send(fresh("a-1-1"), fresh("b-1-1"))
        await desk.reaches("b-1-1", S.ACCEPTED)
    venue.fill("a-1-1", 10_000)
    async with running(database, venue, monkeypatch) as desk:
        await desk.reaches("a-1-1", S.FILLED)
        await until(lambda: ready(desk))
        assert (await desk.order("b-1-1")).status is S.ACCEPTED
        assert await desk.books_are_exact()
        count = await journal_length(database)
        await asyncio.sleep(1.2)  # two further reconciliations over the same reports
        assert await order_events(database) == 7
        assert count >= 7


async def journal_length(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM journal"))


async def order_events(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM order_stories"))


async def test_what_was_committed_and_not_published_is_published_at_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = ScriptedVenue()
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        await desk.send(fresh("a-1-1"))
        await desk.reaches("a-1-1", S.ACCEPTED)
    async with database.connection() as connection:
        await connection.execute("UPDATE journal_published SET through_id = 0")
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        names = [type(event).__name__ for event in await desk.events()]
        assert names[:3] == ["OrderInitialized", "OrderSubmitted", "OrderAccepted"]


async def test_a_lease_taken_away_ends_the_session_and_nothing_is_sent(desk: Desk) -> None:
    async with desk.context.database.connection() as connection:
        await connection.execute("UPDATE leases SET epoch = epoch + 1, holder = 'other', expires_at = 'infinity'")
    await desk.send(fresh("a-1-1"))
    await until(lambda: not_ready(desk))
    await asyncio.sleep(0.5)
    assert desk.venue.submits == []
    assert await LeaseRepository(desk.context.database).acquire(f"execution:{ACCOUNT}", "third") is None


async def test_while_the_database_is_away_orders_are_refused_and_nothing_is_lost(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        Database(own_server.dsn) as database,
        running(database, ScriptedVenue(), monkeypatch) as desk,
    ):
        await until(lambda: ready(desk))
        await survives_an_outage(desk, own_server)


async def survives_an_outage(desk: Desk, server: PostgresServer) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    events = await desk.bus.subscribe(ORDERS_EVENTS, start=Start.LATEST)
    await asyncio.to_thread(server.stop)
    await until(lambda: not_ready(desk))
    await desk.send(fresh("b-1-1"))
    [delivery] = await events.receive(timeout_s=5)
    assert isinstance(delivery.payload, OrderDenied)
    assert delivery.payload.reason == "STORE_UNAVAILABLE"
    desk.venue.fill("a-1-1", 10_000)
    await asyncio.to_thread(server.start)
    await until(lambda: ready(desk), timeout_s=20)
    assert (await desk.reaches("b-1-1", S.DENIED)).reason == "STORE_UNAVAILABLE"
    await desk.reaches("a-1-1", S.FILLED)
    await desk.send(fresh("c-1-1"))
    await desk.reaches("c-1-1", S.ACCEPTED)
    assert desk.venue.submits == ["a-1-1", "c-1-1"]
    assert await desk.books_are_exact()
