"""The steps of a kill switch at a venue that does what the test says: cancel, close, prove; nothing without proof."""

import dataclasses
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from order_path_kit import ACCOUNT, BTCUSDT, submit
from scripted_venue import ScriptedVenue, VenueOrder
from test_execution_service import Desk, fresh, ready, running, until

from tradewind.bus.interface import Start
from tradewind.execution.flattening import attempt_name
from tradewind.model.enums import KillStage, OrderSide, OrderType, TradingState
from tradewind.model.identifiers import ClientOrderId, InstrumentId, StrategyId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.model.positions import Position
from tradewind.store.database import Database
from tradewind.store.kill_switches import KillSwitchRepository
from tradewind.venue.adapter import NewOrder, VenueRejected
from tradewind.venue.reports import MassStatus, StreamInterrupted
from tradewind.wire.commands import ProveFlat
from tradewind.wire.events import FlatnessReported, TradingStateChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_COMMANDS, RISK_STATE

K, S = KillStage, OrderStatus
event_ids = EventIds()


@dataclasses.dataclass
class ClosingVenue(ScriptedVenue):
    """Market orders trade at 60,000.00, at most ``depth`` of them at a time; the rest expires."""

    depth: int = 10**9
    refusal: str = ""
    mass_queries: int = 0
    mass_fails: bool = False

    def take(self, order: NewOrder) -> VenueOrder:
        row = super().take(order)
        if order.order_type is OrderType.MARKET:
            if self.refusal:
                del self.orders[order.client_order_id]
                raise VenueRejected(-1013, self.refusal)
            row.order = dataclass_replace(order, price=6_000_000)
            self.fill(order.client_order_id, min(self.depth, order.size))
            if row.status is not S.FILLED:
                row.status = S.EXPIRED
        return row

    async def mass_status(self, since_ns: int) -> MassStatus:
        self.mass_queries += 1
        self.queries_fail = self.mass_fails
        try:
            return await super().mass_status(since_ns)
        finally:
            self.queries_fail = False


def dataclass_replace(order: NewOrder, **changes: Any) -> NewOrder:
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    return NewOrder(**(fields | changes))


class Killing:
    """A desk with an engaged switch, whose steps a test asks for."""

    def __init__(self, desk: Desk, venue: ClosingVenue) -> None:
        self.desk = desk
        self.venue = venue
        self.switches = KillSwitchRepository(desk.context.database)
        self.reports: list[FlatnessReported] = []

    async def engage(self, scope: str = "firm", *, flatten: bool = True, told: bool = True) -> int:
        switch, _ = await self.switches.engage(scope, command_id=event_ids(), flatten=flatten, actor="a", why="test")
        if told:
            await self.tell(scope, TradingState.HALTED)
        return switch.kill_id

    async def tell(self, scope: str, state: TradingState) -> None:
        change = TradingStateChanged(
            event_id=event_ids(),
            correlation_id="x",
            causation_id="",
            ts_event=1,
            ts_init=1,
            scope=scope,
            state=state,
            actor="a",
            why="test",
        )
        await self.desk.bus.publish(RISK_STATE, scope, change)

    async def step(self, kill_id: int, scope: str = "firm", *, flatten: bool = True) -> FlatnessReported:
        """Ask for one step and await its report."""
        strategy = scope.partition(":")[2] if scope.startswith("strategy:") else None
        command = ProveFlat(
            event_id=event_ids(),
            correlation_id="x",
            causation_id="",
            ts_event=1,
            ts_init=1,
            account_id=ACCOUNT,
            kill_id=kill_id,
            scope=scope,
            strategy_id=StrategyId(strategy) if strategy else None,
            flatten=flatten,
        )
        subscription = await self.desk.bus.subscribe(ACCOUNT_EVENTS, start=Start.LATEST)
        await self.desk.bus.publish(ORDERS_COMMANDS, ACCOUNT, command)
        while True:
            for delivery in await subscription.receive(timeout_s=10):
                report = delivery.payload
                if isinstance(report, FlatnessReported) and report.causation_id == command.event_id:
                    await subscription.close()
                    self.reports.append(report)
                    return report

    async def flat(self, kill_id: int, scope: str = "firm", *, flatten: bool = True) -> FlatnessReported:
        """Steps until it is proven."""

        async def proven() -> bool:
            return (await self.step(kill_id, scope, flatten=flatten)).stage is K.FLAT

        await until(proven)
        return self.reports[-1]

    async def hold(self, name: str, size: int, side: OrderSide = OrderSide.BUY, strategy: str = "ema-cross") -> None:
        self.venue.on_submit = "fill"
        await self.desk.send(fresh(name, size=size, side=side, strategy_id=strategy))
        await self.desk.reaches(name, S.FILLED)
        self.venue.on_submit = "rest"

    def closing_orders(self) -> list[NewOrder]:
        return [row.order for name, row in self.venue.orders.items() if name.startswith("kill-")]

    async def sizes(self) -> list[int]:
        return [one.signed_size for one in await self.desk.store.positions() if one.signed_size]


@pytest.fixture
async def kill(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Killing]:
    venue = ClosingVenue()
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        yield Killing(desk, venue)


async def test_a_thin_market_is_sold_into_piece_by_piece(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill.venue.depth = 4_000
    report = await kill.flat(await kill.engage())
    assert (report.open_orders, report.positions, report.dust) == (0, (), ())
    assert report.ts_snapshot
    assert [order.size for order in kill.closing_orders()] == [10_000, 6_000, 2_000]
    assert await kill.sizes() == []
    assert await kill.desk.books_are_exact()


async def test_two_books_are_closed_each_by_its_own_order(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    await kill.hold("b-1-1", 4_000, OrderSide.SELL, "market-maker")
    await kill.flat(await kill.engage())
    assert sorted((order.side, order.size) for order in kill.closing_orders()) == [("BUY", 4_000), ("SELL", 10_000)]
    assert await kill.sizes() == []


async def test_dust_is_told_and_counts_as_flat(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    await kill.hold("b-1-1", 9_995, OrderSide.SELL)
    report = await kill.flat(await kill.engage())
    assert report.dust == ("ema-cross BTCUSDT.BINANCE 0.00005",)  # 3 USDT; the venue takes no order below 5
    assert report.positions == ()
    assert kill.closing_orders() == []


async def test_what_the_venue_calls_too_small_is_dust_too(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill.venue.refusal = "Filter failure: NOTIONAL"
    report = await kill.flat(await kill.engage())
    assert report.dust == ("ema-cross BTCUSDT.BINANCE 0.10000",)


async def test_a_refusal_is_told_and_tried_again_under_the_next_name(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill.venue.refusal = "Account has insufficient balance for requested action."
    kill_id = await kill.engage()

    async def told() -> bool:
        return "insufficient balance" in (await kill.step(kill_id)).reason

    await until(told)
    assert all(report.stage is not K.FLAT for report in kill.reports)
    kill.venue.refusal = ""
    await kill.flat(kill_id)
    [order] = kill.closing_orders()
    assert int(order.client_order_id.rpartition("-")[2]) > 1


async def test_positions_are_kept_and_told_when_nobody_asked_to_close_them(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    report = await kill.flat(await kill.engage(flatten=False), flatten=False)
    assert report.positions == ("ema-cross BTCUSDT.BINANCE 0.10000",)
    assert kill.closing_orders() == []


async def test_no_order_begins_before_the_order_path_knows_of_the_halt(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill_id = await kill.engage(told=False)
    report = await kill.step(kill_id)
    assert (report.stage, report.reason) == (K.CANCELING, "the halt has not reached the order path yet")
    assert kill.closing_orders() == []
    await kill.tell("firm", TradingState.HALTED)
    await kill.flat(kill_id)


async def test_a_failed_snapshot_is_never_flat(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill.venue.mass_fails = True
    kill_id = await kill.engage()
    deadline = time.monotonic() + 2 * kill.venue.visibility_delay_s
    while time.monotonic() < deadline:
        report = await kill.step(kill_id)
        assert report.stage is not K.FLAT
        assert "did not answer" in report.reason
    kill.venue.mass_fails = False
    await kill.flat(kill_id)


async def test_the_proof_is_asked_for_after_the_visibility_delay(kill: Killing) -> None:
    await kill.desk.send(fresh("a-1-1"))
    await kill.desk.reaches("a-1-1", S.ACCEPTED)
    report = await kill.flat(await kill.engage())
    order = await kill.desk.reaches("a-1-1", S.CANCELED)
    assert report.ts_snapshot - order.ts_last >= kill.venue.visibility_delay_s * 1e9


async def test_what_only_the_venue_has_is_cancelled(kill: Killing) -> None:
    """An order that we hold to be closed, and one that we never heard of."""
    await kill.hold("a-1-1", 10_000)
    stranger = submit("stranger-1", size=5_000)
    for name in ("a-1-1", "stranger-1"):
        order = NewOrder(
            client_order_id=ClientOrderId(name),
            instrument_id=BTCUSDT.instrument_id,
            side=stranger.side,
            order_type=stranger.order_type,
            time_in_force=stranger.time_in_force,
            size=5_000,
            price=6_000_000,
        )
        kill.venue.orders[name] = VenueOrder(order, VenueOrderId(f"other-{name}"))
    await kill.flat(await kill.engage(flatten=False), flatten=False)
    assert {kill.venue.orders[name].status for name in ("a-1-1", "stranger-1")} == {S.CANCELED}


async def test_an_order_in_doubt_is_waited_for(kill: Killing) -> None:
    kill.venue.on_submit = "lost_after"
    kill.venue.queries_fail = True
    await kill.desk.send(fresh("a-1-1"))
    await kill.desk.reaches("a-1-1", S.SUBMITTED)
    kill_id = await kill.engage()
    report = await kill.step(kill_id)
    assert report.stage is not K.FLAT
    kill.venue.queries_fail = False
    await kill.flat(kill_id)
    assert kill.venue.orders["a-1-1"].status is S.CANCELED


async def test_books_that_differ_from_the_venue_are_no_proof(kill: Killing, monkeypatch: pytest.MonkeyPatch) -> None:
    await kill.hold("a-1-1", 10_000)
    kill_id = await kill.engage()
    honest = kill.venue.totals
    monkeypatch.setattr(kill.venue, "totals", lambda: honest() | {"BTC": honest()["BTC"] - Decimal("0.5")})

    async def told() -> bool:
        return "BTC, our books" in (await kill.step(kill_id)).reason

    await until(told)
    assert all(report.stage is not K.FLAT for report in kill.reports)
    monkeypatch.setattr(kill.venue, "totals", honest)
    await kill.flat(kill_id)


async def test_without_the_private_stream_it_still_comes_to_flat(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    await kill.desk.send(fresh("b-1-1"))
    await kill.desk.reaches("b-1-1", S.ACCEPTED)
    await kill.venue.events.put(StreamInterrupted(account_id=ACCOUNT, reason="cut"))

    async def down() -> bool:
        return not kill.desk.context.health.ready

    await until(down)
    await kill.flat(await kill.engage())
    assert await kill.sizes() == []
    assert kill.venue.orders["b-1-1"].status is S.CANCELED


async def test_two_switches_over_one_book_close_it_once(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    firm, strategy = await kill.engage(), await kill.engage("strategy:ema-cross")
    await kill.step(firm)
    await kill.step(strategy, "strategy:ema-cross")
    await kill.flat(strategy, "strategy:ema-cross")
    await kill.flat(firm)
    assert [order.size for order in kill.closing_orders()] == [10_000]


async def test_the_attempt_of_a_dead_session_is_not_made_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order was stored and sent by a session that died; the next one goes by the store and asks the venue."""
    venue = ClosingVenue()
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        first = Killing(desk, venue)
        await first.hold("a-1-1", 10_000)
        kill_id = await first.engage()
        venue.on_submit = "lost_after"
        assert (await first.step(kill_id)).stage is K.FLATTENING
        await until(lambda: has_closing_order(first))
    async with running(database, venue, monkeypatch) as desk:
        await until(lambda: ready(desk))
        second = Killing(desk, venue)
        await second.flat(kill_id)
        assert await second.sizes() == []
    position = Position(
        account_id=ACCOUNT, strategy_id=StrategyId("ema-cross"), instrument_id=InstrumentId("BTCUSDT.BINANCE")
    )
    assert [order.client_order_id for order in second.closing_orders()] == [attempt_name(kill_id, position, 1)]


async def has_closing_order(kill: Killing) -> bool:
    return bool(kill.closing_orders())


async def test_steps_of_a_released_switch_are_passed_over(kill: Killing) -> None:
    await kill.hold("a-1-1", 10_000)
    kill_id = await kill.engage()
    await kill.switches.release(
        "firm", command_id=event_ids(), state=TradingState.ACTIVE, force=True, actor="a", why="test"
    )
    await kill.tell("firm", TradingState.HALTED)
    before = kill.venue.mass_queries
    late = ProveFlat(
        event_id=event_ids(),
        correlation_id="x",
        causation_id="",
        ts_event=1,
        ts_init=1,
        account_id=ACCOUNT,
        kill_id=kill_id,
        scope="firm",
        flatten=True,
    )
    await kill.desk.bus.publish(ORDERS_COMMANDS, ACCOUNT, late)
    again = await kill.engage(flatten=False)
    await kill.flat(again, flatten=False)
    assert kill.closing_orders() == []
    assert kill.venue.mass_queries > before
    assert {report.kill_id for report in kill.reports} == {again}
