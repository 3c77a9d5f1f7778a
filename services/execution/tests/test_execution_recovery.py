"""UNKNOWN, reconciliation and operators' words: the whole service on a real PostgreSQL against a scripted venue."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from order_path_kit import ACCOUNT, submit
from scripted_venue import ScriptedVenue, VenueOrder
from test_execution_service import Desk, fresh, not_ready, order_events, ready, running, until

from tradewind.model.enums import OrderSide, OrderType, Outcome, Resolution, TimeInForce
from tradewind.model.identifiers import ClientOrderId, StrategyId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.recovery_rows import ReconciliationRepository
from tradewind.venue.adapter import NewOrder
from tradewind.venue.reports import StreamInterrupted, StreamResumed
from tradewind.wire.commands import CancelOrder, ClaimOrder, ResolveOrder
from tradewind.wire.events import BooksCompared, OrderClaimed, OrderFilled
from tradewind.wire.topics import ACCOUNT_EVENTS

S = OrderStatus
_numbers = itertools.count(1)


@pytest.fixture
async def desk(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with running(database, ScriptedVenue(), monkeypatch) as one:
        await until(lambda: ready(one))
        yield one


def story() -> dict[str, Any]:
    name = f"operator-{next(_numbers)}"
    return {"event_id": name, "correlation_id": name, "causation_id": "", "ts_event": 1, "ts_init": time.time_ns()}


def resolve(name: str, resolution: Resolution) -> ResolveOrder:
    return ResolveOrder(
        **story(), account_id=ACCOUNT, client_order_id=ClientOrderId(name), resolution=resolution, actor="ann",
        why="the venue's desk says so",
    )  # fmt: skip


def cancel(name: str) -> CancelOrder:
    return CancelOrder(
        **story(), account_id=ACCOUNT, strategy_id=StrategyId("ema-cross"), client_order_id=ClientOrderId(name)
    )


def claim(name: str, strategy: str) -> ClaimOrder:
    return ClaimOrder(
        **story(), account_id=ACCOUNT, client_order_id=ClientOrderId(name), strategy_id=StrategyId(strategy),
        actor="ann", why="it is this strategy's after all",
    )  # fmt: skip


def foreign(name: str, **fields: Any) -> NewOrder:
    known: dict[str, Any] = {
        "client_order_id": ClientOrderId(name),
        "instrument_id": submit().instrument_id,
        "side": OrderSide.SELL,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "size": 1_000,
        "price": 7_000_000,
    }
    return NewOrder(**(known | fields))


async def outcome(desk: Desk, name: str, wanted: Outcome) -> Any:
    async def there() -> bool:
        order = await desk.order(name)
        return order is not None and order.outcome is wanted

    await until(there)
    return await desk.order(name)


def counted(desk: Desk, name: str) -> float:
    return desk.context.metrics._process.total(name)


async def settled_passes(desk: Desk, count: int = 3) -> None:
    """Several further reconciliations over the same reports."""
    asked = len(desk.venue.passes)

    async def done() -> bool:
        return len(desk.venue.passes) >= asked + count

    await until(done)


# -- UNKNOWN -----------------------------------------------------------------------------------------------------------


async def test_one_absence_is_not_enough(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view lags: at first no query shows the order, later they do, and it was never called dead."""
    venue = ScriptedVenue(visibility_delay_s=1.5, views_lag=True, on_submit="lost_after")
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        await desk.send(fresh("a-1-1"))
        order = await outcome(desk, "a-1-1", Outcome.UNKNOWN)

        async def asked_past_the_delay() -> bool:
            return venue.asked_ns.get("a-1-1", 0) > order.unknown_since + 1.6e9

        await until(asked_past_the_delay)
        venue.views_lag = False
        assert (await outcome(desk, "a-1-1", Outcome.KNOWN)).status is S.ACCEPTED
        assert "OrderRejected" not in [type(event).__name__ for event in await desk.events()]


@pytest.mark.parametrize("script", ["lost_before", "lost_after"])
async def test_a_cancel_without_an_answer_is_unknown_until_the_venue_speaks(desk: Desk, script: str) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    desk.venue.on_cancel = script
    await desk.send(cancel("a-1-1"))
    await outcome(desk, "a-1-1", Outcome.UNKNOWN)
    desk.venue.on_cancel = "done"
    assert (await desk.reaches("a-1-1", S.CANCELED)).outcome is Outcome.KNOWN
    names = [type(event).__name__ for event in await desk.events()]
    assert names.count("OrderOutcomeUnknown") == names.count("OrderOutcomeResolved") >= 1


async def test_an_order_that_the_venue_forgets_after_it_took_it_is_unknown_and_waits_for_a_person(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    desk.venue.views_lag = True
    order = await outcome(desk, "a-1-1", Outcome.UNKNOWN)
    assert order.status is S.ACCEPTED
    await desk.send(resolve("a-1-1", Resolution.CANCELED))
    order = await desk.reaches("a-1-1", S.CANCELED)
    assert order.outcome is Outcome.KNOWN
    assert order.reason.startswith("OPERATOR: CANCELED by ann")
    [line] = await AuditRepository(desk.context.database).newest()
    assert (line.actor, line.action, line.why) == ("ann", "ResolveOrder a-1-1", "the venue's desk says so")
    assert (line.before, line.after) == ("ema-cross ACCEPTED UNKNOWN", "ema-cross CANCELED KNOWN")


async def test_an_operator_may_not_end_an_order_that_is_not_in_doubt(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    await desk.send(resolve("a-1-1", Resolution.NOT_AT_VENUE), resolve("none-1-1", Resolution.CANCELED))
    repository = AuditRepository(desk.context.database)

    async def noted() -> bool:
        return len(await repository.newest()) == 2

    await until(noted)
    assert all("refused" in line.after for line in await repository.newest())
    assert (await desk.order("a-1-1")).status is S.ACCEPTED


async def test_the_venue_contradicts_an_operator_and_is_believed(desk: Desk) -> None:
    desk.venue.views_lag, desk.venue.on_submit = True, "lost_after"
    desk.venue.visibility_delay_s = 0.2
    await desk.send(fresh("a-1-1"))
    await outcome(desk, "a-1-1", Outcome.UNKNOWN)
    await desk.send(resolve("a-1-1", Resolution.NOT_AT_VENUE))
    await desk.reaches("a-1-1", S.REJECTED)
    desk.venue.events.put_nowait(desk.venue.fill("a-1-1", 4_000))
    await desk.reaches("a-1-1", S.PARTIALLY_FILLED)
    assert await desk.books_are_exact()
    assert any(isinstance(event, OrderFilled) for event in await desk.events())
    assert counted(desk, "order_ends_contradicted") >= 1


async def test_an_order_held_to_be_dead_that_appears_is_cancelled_there(desk: Desk) -> None:
    desk.venue.views_lag, desk.venue.on_submit = True, "lost_after"
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.REJECTED)
    desk.venue.views_lag = False

    async def cancelled() -> bool:
        return "a-1-1" in desk.venue.cancels and desk.venue.orders["a-1-1"].status is S.CANCELED

    await until(cancelled)
    order = await outcome(desk, "a-1-1", Outcome.KNOWN)
    assert order.status is S.REJECTED
    assert desk.venue.submits == ["a-1-1"]


# -- reconciliation ----------------------------------------------------------------------------------------------------


async def test_not_ready_and_denying_until_the_private_stream_is_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = ScriptedVenue(stream_is_up=False)
    async with running(database, venue, monkeypatch) as desk:
        await asyncio.sleep(0.3)
        assert not desk.context.health.ready
        await desk.send(fresh("a-1-1"))
        assert venue.submits == []
        venue.stream_is_up = True
        await until(lambda: ready(desk))
        await desk.reaches("a-1-1", S.ACCEPTED)


async def test_a_stream_that_breaks_while_reconciling_leaves_it_not_ready(desk: Desk) -> None:
    desk.venue.queries_fail = True
    desk.venue.events.put_nowait(StreamInterrupted(account_id=ACCOUNT, reason="one"))
    desk.venue.events.put_nowait(StreamResumed(account_id=ACCOUNT))
    desk.venue.events.put_nowait(StreamInterrupted(account_id=ACCOUNT, reason="two"))
    await until(lambda: not_ready(desk))
    desk.venue.queries_fail = False
    await settled_passes(desk)
    assert not desk.context.health.ready
    await desk.send(fresh("b-1-1"))
    assert (await desk.reaches("b-1-1", S.DENIED)).reason.startswith("NOT_READY")
    desk.venue.events.put_nowait(StreamResumed(account_id=ACCOUNT))
    await until(lambda: ready(desk))


async def test_a_difference_of_balances_is_kept_told_once_and_never_set_right(desk: Desk) -> None:
    repository = ReconciliationRepository(desk.context.database)
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    desk.venue.deposits["USDT"] = Decimal(500)

    async def kept() -> bool:
        return len(await repository.newest(ACCOUNT, 10)) == 1

    await until(kept)
    [row] = await repository.newest(ACCOUNT)
    [difference] = row.differences
    assert difference.currency == "USDT"
    assert difference.at_venue - difference.in_books == 500
    desk.venue.events.put_nowait(desk.venue.fill("a-1-1", 4_000))
    await desk.reaches("a-1-1", S.PARTIALLY_FILLED)
    await settled_passes(desk)
    assert len(await repository.newest(ACCOUNT, 10)) == 1
    told = [d.payload for d in await desk.bus.replay(ACCOUNT_EVENTS, from_offset=0)]
    assert len([one for one in told if isinstance(one, BooksCompared)]) == 1
    assert counted(desk, "reconciliation_differences") == 1
    del desk.venue.deposits["USDT"]

    async def gone() -> bool:
        return (await repository.newest(ACCOUNT))[0].differences == ()

    await until(gone)


async def test_a_name_used_again_by_somebody_else_is_a_stranger(desk: Desk) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    await desk.send(cancel("a-1-1"))
    await desk.reaches("a-1-1", S.CANCELED)
    desk.venue.orders["a-1-1"] = VenueOrder(foreign("a-1-1"), VenueOrderId("v77"))
    adopted = await desk.reaches("venue-BTCUSDT-v77", S.ACCEPTED)
    assert (adopted.strategy_id, adopted.venue_order_id) == ("EXTERNAL", "v77")
    desk.venue.events.put_nowait(desk.venue.fill("a-1-1", 400))
    await desk.reaches("venue-BTCUSDT-v77", S.PARTIALLY_FILLED)
    assert (await desk.order("a-1-1")).filled_size == 0
    count = await order_events(desk.context.database)
    await settled_passes(desk)
    assert await order_events(desk.context.database) == count
    await desk.send(cancel("venue-BTCUSDT-v77"))
    await desk.reaches("venue-BTCUSDT-v77", S.CANCELED)


async def test_an_order_that_looks_like_ours_and_is_not_in_the_store_is_external(desk: Desk) -> None:
    desk.venue.take(foreign("ema-cross-1-999999"))
    assert (await desk.reaches("ema-cross-1-999999", S.ACCEPTED)).strategy_id == "EXTERNAL"


async def test_an_external_order_is_claimed_and_its_later_fills_are_the_strategys(desk: Desk) -> None:
    desk.venue.take(foreign("web_1"))
    await desk.reaches("web_1", S.ACCEPTED)
    desk.venue.events.put_nowait(desk.venue.fill("web_1", 300))
    await desk.reaches("web_1", S.PARTIALLY_FILLED)
    await desk.send(claim("web_1", "carry"))

    async def claimed() -> bool:
        return (await desk.order("web_1")).strategy_id == "carry"

    await until(claimed)
    desk.venue.events.put_nowait(desk.venue.fill("web_1", 700))
    await desk.reaches("web_1", S.FILLED)
    held = {row.strategy_id: row.signed_size for row in await desk.store.positions()}
    assert held == {"EXTERNAL": -300, "carry": -700}
    assert await desk.books_are_exact()
    [event] = [event for event in await desk.events() if isinstance(event, OrderClaimed)]
    assert (event.strategy_id, event.filled_size) == ("carry", 300)
    [line] = await AuditRepository(desk.context.database).newest()
    assert (line.before, line.after) == ("EXTERNAL PARTIALLY_FILLED KNOWN", "carry PARTIALLY_FILLED KNOWN")


async def test_a_forgotten_order_is_looked_for_in_the_store_before_it_is_called_a_strangers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart memory does not know an ended order; a late fill of it is its own all the same."""
    venue = ScriptedVenue()
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        await desk.send(fresh("a-1-1"))
        await desk.reaches("a-1-1", S.ACCEPTED)
        await desk.send(cancel("a-1-1"))
        await desk.reaches("a-1-1", S.CANCELED)
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        late = venue.fill("a-1-1", 500)
        venue.orders["a-1-1"].status = S.CANCELED
        venue.events.put_nowait(late)

        async def booked() -> bool:
            return (await desk.order("a-1-1")).filled_size == 500

        await until(booked)
        order = await desk.order("a-1-1")
        assert (order.status, order.strategy_id) == (S.CANCELED, "ema-cross")
        assert await desk.books_are_exact()
