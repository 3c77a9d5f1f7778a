"""The kill switch over real sockets, a real database and a venue that lies: halted, cancelled, closed, proven, kept."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kill_switch_kit import PATIENCE_S, Desk, desk_of, token_of, until

from tradewind.model.enums import KillStage, OrderSide, TradingState
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.killing import Killing
from tradewind.runtime.platform_api import PlatformApi, Refused
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.trading_states import TradingStateRepository

K, BUY, SELL = KillStage, OrderSide.BUY, OrderSide.SELL
FAR = Decimal("30000")


@pytest.fixture
async def desk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with desk_of(database, tmp_path / "venue", monkeypatch) as running:
        yield running


async def by_hand(desk: Desk, name: str) -> None:
    """Somebody else's order on our account."""
    query = (
        f"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.02&price=30000&newClientOrderId={name}"
        f"&timestamp={int(time.time() * 1000)}"
    )
    signature = hmac.new(b"test-secret", query.encode(), hashlib.sha256).hexdigest()
    address = f"{desk.platform.venue_rest_url}/api/v3/order?{query}&signature={signature}"
    async with desk.http.post(address, headers={"X-MBX-APIKEY": "test-key"}) as answer:
        assert answer.status == 200, await answer.text()


async def is_flat(desk: Desk, scope: str = "firm") -> Any:
    switch = await desk.comes_to(K.FLAT, scope)
    assert switch.evidence is not None
    assert switch.evidence.open_orders == 0
    assert switch.evidence.balances
    assert await desk.books_add_up()
    return switch


async def test_what_rests_is_cancelled_without_a_position_and_the_release_gives_back(desk: Desk) -> None:
    await desk.rest_order("alpha-1-1")
    await desk.rest_order("beta-1-1")
    await by_hand(desk, "stranger")
    await desk.engage("firm")
    switch = await is_flat(desk)
    assert desk.resting() == []
    assert {name for name, state in desk.venue_orders() if state == "CANCELED"} == {"alpha-1-1", "beta-1-1", "stranger"}
    assert (await desk.passed(switch.kill_id))[0] is K.ENGAGED
    assert (await desk.passed(switch.kill_id))[-2:] == [K.VERIFYING, K.FLAT]
    await desk.order("alpha-1-2", BUY, "0.01", FAR)
    denied = await desk.reaches("alpha-1-2", OrderStatus.DENIED)
    assert denied.reason.startswith("TRADING_HALTED")
    await desk.release("firm")
    await until(lambda: released(desk))
    await desk.rest_order("alpha-1-3")
    actions = [(line.actor, line.action) for line in await AuditRepository(desk.database).newest()]
    assert ("anna", "kill switch of firm engaged") in actions
    assert ("anna", "kill switch of firm released") in actions
    assert desk.venue_orders("kill-") == []


async def released(desk: Desk, scope: str = "firm") -> bool:
    return await desk.switch(scope) is None


async def test_long_and_short_books_are_closed_with_one_order_each(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.engage("firm", flatten=True)
    switch = await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED", "FILLED"]
    assert desk.resting() == []
    stages = await desk.passed(switch.kill_id)
    assert stages.index(K.FLATTENING) < stages.index(K.VERIFYING) < stages.index(K.FLAT)


async def test_a_strategys_switch_leaves_the_others_alone(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", BUY, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.rest_order("beta-1-1")
    await desk.engage("strategy:alpha", flatten=True)
    await is_flat(desk, "strategy:alpha")
    assert await desk.positions() == {"beta": 10_000_000}
    assert desk.resting() == ["beta-1-1"]
    await desk.rest_order("beta-1-2")


async def test_flatten_may_be_added_to_an_engaged_switch(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.engage("firm")
    kept = await is_flat(desk)
    assert kept.evidence.positions == ("alpha BTCUSDT.BINANCE 0.20000000",)
    await desk.engage("firm", flatten=True)
    await until(lambda: no_positions(desk))
    again = await is_flat(desk)
    assert again.kill_id == kept.kill_id
    assert len(desk.venue_orders("kill-")) == 1


async def no_positions(desk: Desk) -> bool:
    return await desk.positions() == {}


@pytest.mark.parametrize("stage", [K.CANCELING, K.FLATTENING, K.VERIFYING, K.FLAT])
async def test_the_death_of_risk_at_any_stage_doubles_and_forgets_nothing(desk: Desk, stage: KillStage) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.engage("firm", flatten=True)

    async def there() -> bool:
        switch = await desk.switch()
        return switch is not None and stage in await desk.passed(switch.kill_id)

    await until(there)
    await desk.risk.end()
    await desk.risk.start()
    await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED", "FILLED"]
    assert desk.resting() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("message", range(1, 9))
async def test_the_death_of_risk_at_each_of_its_messages(desk: Desk, message: int, after: bool) -> None:
    """Between the store and the bus, and between the bus and the next store, whatever was to come next."""
    await desk.hold("alpha", BUY, "0.2")
    await desk.rest_order("beta-1-1")
    desk.risk.fate.arm(message, after=after)
    await desk.engage("firm", flatten=True)
    await asyncio.wait_for(desk.risk.fate.dead.wait(), PATIENCE_S)
    await desk.risk.end()
    await desk.risk.start()
    switch = await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED"]
    assert desk.resting() == []
    stages = await desk.passed(switch.kill_id)
    assert (stages.count(K.ENGAGED), stages[-1]) == (1, K.FLAT)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_number", range(1, 7))
async def test_the_death_of_execution_at_each_of_its_requests(desk: Desk, request_number: int, after: bool) -> None:
    """Cancels, queries and closing orders: sent or not, the next process asks the venue and doubles nothing."""
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    desk.execution.fate.arm(request_number, after=after)
    await desk.engage("firm", flatten=True)
    await asyncio.wait_for(desk.execution.fate.dead.wait(), PATIENCE_S)
    await desk.execution.end()
    await desk.execution.start()
    await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED", "FILLED"]
    assert desk.resting() == []


async def test_the_death_of_execution_with_a_closing_order_in_doubt_does_not_double_it(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.lies({"lie": "lost_answer", "endpoints": ["new_order"], "client_order_id": "kill-", "times": 1})
    await desk.engage("firm", flatten=True)
    await until(lambda: sent(desk))
    await desk.execution.end()
    await desk.execution.start()
    await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED"]


async def sent(desk: Desk) -> bool:
    return bool(desk.venue_orders("kill-"))


async def test_a_closing_order_that_never_arrived_is_tried_again_under_another_name(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.lies({"lie": "cut_before", "endpoints": ["new_order"], "client_order_id": "kill-", "times": 1})
    await desk.engage("firm", flatten=True)
    await is_flat(desk)
    assert await desk.positions() == {}
    [(name, state)] = desk.venue_orders("kill-")
    assert (name.rpartition("-")[2], state) == ("2", "FILLED")


async def test_while_the_venue_fails_nothing_is_flat_and_afterwards_it_is(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.rest_order("alpha-1-1")
    await desk.lies(
        {"lie": "error_before", "endpoints": ["open_orders", "my_trades", "account", "query_order"], "status": 503},
        {"lie": "error_before", "endpoints": ["cancel_order"], "status": 502},
    )
    await desk.engage("firm", flatten=True)

    async def unanswered() -> bool:
        switch = await desk.switch()
        return switch is not None and "did not answer" in switch.reason

    await until(unanswered)
    assert desk.resting() == ["alpha-1-1"]
    await desk.is_honest()
    switch = await is_flat(desk)
    assert await desk.positions() == {}
    assert desk.resting() == []
    assert (await desk.passed(switch.kill_id)).count(K.FLAT) == 1


@pytest.mark.parametrize("lie", ["fill_before_cancel", "fill_after_cancel"])
async def test_a_fill_that_races_the_cancel_is_closed_too(desk: Desk, lie: str) -> None:
    await desk.rest_order("alpha-1-1", "0.05")
    await desk.lies({"lie": lie, "endpoints": ["cancel_order"], "percent": 50, "ms": 200})
    await desk.engage("firm", flatten=True)
    await until(lambda: sent(desk))
    await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED"]
    assert desk.resting() == []


LIES: dict[str, list[dict[str, Any]]] = {
    "views lag": [{"lie": "stale_view", "ms": 400}],
    "closing orders are late": [{"lie": "late_request", "endpoints": ["new_order"], "ms": 50}],
    "closing orders are executed without an answer": [
        {"lie": "stuck_request", "endpoints": ["new_order"], "ms": 50, "times": 2}
    ],
    "closing orders are lost": [{"lie": "lost_request", "endpoints": ["new_order"], "times": 1}],
    "closing orders get a 5xx and are executed": [{"lie": "error_after", "endpoints": ["new_order"], "times": 2}],
    "cancels are lost": [{"lie": "lost_request", "endpoints": ["cancel_order"], "times": 1}],
    "cancels are executed and cut": [{"lie": "cut_after", "endpoints": ["cancel_order"]}],
    "everything is throttled for a while": [{"lie": "throttled", "times": 6}],
    "the stream tells nothing": [{"lie": "missing_event", "on": "private"}],
    "the stream tells everything twice and late": [
        {"lie": "doubled_event", "on": "private", "ms": 200, "copies": 3},
        {"lie": "late_event", "on": "private", "ms": 300},
    ],
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES.keys())
async def test_whatever_the_venue_does_each_book_is_closed_once(desk: Desk, lies: list[dict[str, Any]]) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.rest_order("beta-1-1")
    await desk.lies(*lies)
    await desk.engage("firm", flatten=True)
    await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED", "FILLED"]
    assert desk.resting() == []


@pytest.mark.parametrize("script", ["rude", "storm"])
async def test_under_a_whole_script_of_lies_it_comes_to_flat_when_they_end(desk: Desk, script: str) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.lies_like(script)
    await desk.engage("firm", flatten=True)
    await desk.comes_to(K.CANCELING)
    await until(lambda: has_lied(desk, 5))
    await desk.is_honest()
    await is_flat(desk)
    assert await desk.positions() == {}
    assert sum(state == "FILLED" for _, state in desk.venue_orders("kill-")) == 2
    assert desk.resting() == []


async def has_lied(desk: Desk, times: int) -> bool:
    return desk.venue.faults.told().total() >= times


async def test_the_database_may_go_away_in_the_middle(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database(own_server.dsn) as database, desk_of(database, tmp_path / "venue", monkeypatch) as desk:
        await desk.hold("alpha", BUY, "0.2")
        await desk.rest_order("alpha-1-1")
        await desk.lies({"lie": "late_answer", "endpoints": ["new_order"], "client_order_id": "kill-", "ms": 300})
        await desk.engage("firm", flatten=True)
        await until(lambda: sent(desk))
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(own_server.start)
        await is_flat(desk)
        assert await desk.positions() == {}
        assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED"]
        assert desk.resting() == []


async def test_it_works_without_the_private_stream(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.rest_order("alpha-1-1")
    await desk.lies(
        {"lie": "cut_stream", "on": "private"},
        {"lie": "error_before", "endpoints": ["open_user_stream"], "status": 503},
    )
    await by_hand(desk, "stranger")  # whose event cuts the stream
    await until(lambda: not_ready(desk))
    await desk.engage("firm", flatten=True)
    await is_flat(desk)
    assert await desk.positions() == {}
    assert desk.resting() == []


async def not_ready(desk: Desk) -> bool:
    return not await desk.execution.ready()


async def test_only_a_flat_switch_is_released_unless_forced(desk: Desk) -> None:
    await desk.rest_order("alpha-1-1")
    await desk.lies({"lie": "error_before", "endpoints": ["open_orders", "cancel_order"], "status": 503})
    await desk.engage("firm")
    await desk.comes_to(K.CANCELING)
    await desk.release("firm")

    async def refused() -> bool:
        return bool(await desk.refusals())

    await until(refused)
    assert await desk.switch() is not None
    await desk.release("firm", TradingState.REDUCING, force=True)
    await until(lambda: released(desk))
    states = await TradingStateRepository(desk.database).all()
    assert states["firm"].state is TradingState.REDUCING
    actions = [line.action for line in await AuditRepository(desk.database).newest()]
    assert "kill switch of firm released by force" in actions


async def test_it_survives_the_restart_of_everything(desk: Desk) -> None:
    await desk.hold("alpha", BUY, "0.2")
    await desk.hold("beta", SELL, "0.1")
    await desk.rest_order("alpha-1-1")
    await desk.lies({"lie": "late_answer", "endpoints": ["new_order"], "client_order_id": "kill-", "ms": 300})
    await desk.engage("firm", flatten=True)
    await until(lambda: sent(desk))
    port = desk.venue.port
    await desk.risk.end()
    await desk.execution.end()
    await desk.end_venue()
    await desk.start_venue(port)
    await desk.start()
    flat = await is_flat(desk)
    assert await desk.positions() == {}
    assert [state for _, state in desk.venue_orders("kill-")] == ["FILLED", "FILLED"]
    await desk.risk.end()
    await desk.execution.end()
    await desk.start()
    await desk.order("alpha-1-2", BUY, "0.01", FAR)
    await desk.reaches("alpha-1-2", OrderStatus.DENIED)
    kept = await desk.switch()
    assert kept is not None
    assert (kept.kill_id, kept.stage) == (flat.kill_id, K.FLAT)


async def test_the_command_line_shows_the_stages_and_releases(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_API_TOKEN", token_of("anna"))
    url = await desk.start_api()
    await desk.hold("alpha", BUY, "0.2")
    lines: list[str] = []
    killing = Killing(url, lines.append)
    engaged = partial(killing.engage, "firm", flatten=True, why="odd fills", wait_s=PATIENCE_S)
    assert await asyncio.to_thread(engaged) == 0
    text = "\n".join(lines)
    for word in ("ENGAGED", "CANCELING", "FLATTENING: closing alpha BTCUSDT.BINANCE", "VERIFYING", "FLAT", "proven by"):
        assert word in text
    assert await asyncio.to_thread(killing.status) == 1
    # The page's own release does not end it.
    with pytest.raises(Refused, match="tradewind kill release firm"):
        await asyncio.to_thread(
            PlatformApi(url).post,
            "/trading-state",
            {"scope": "firm", "state": "ACTIVE", "why": "over"},
        )
    release = partial(killing.release, "firm", state="ACTIVE", force=False, why="cause found")
    with pytest.raises(Refused, match="another person"):
        await asyncio.to_thread(release)
    monkeypatch.setenv("TRADEWIND_API_TOKEN", token_of("rita"))
    killing = Killing(url, lines.append)
    release = partial(killing.release, "firm", state="ACTIVE", force=False, why="cause found")
    assert await asyncio.to_thread(release) == 0
    assert await asyncio.to_thread(killing.status) == 0
    assert "released" in lines[-1]
    with pytest.raises(Refused, match="no kill switch is engaged"):
        await asyncio.to_thread(release)


async def test_the_command_line_refuses_to_release_what_is_not_flat(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWIND_API_TOKEN", token_of("anna"))
    url = await desk.start_api()
    await desk.rest_order("alpha-1-1")
    await desk.lies({"lie": "error_before", "endpoints": ["open_orders", "cancel_order"], "status": 503})
    lines: list[str] = []
    killing = Killing(url, lines.append)
    engaged = partial(killing.engage, "firm", flatten=False, why="odd fills", wait_s=1.0)
    assert await asyncio.to_thread(engaged) == 1
    assert "Not FLAT yet" in lines[-1]
    monkeypatch.setenv("TRADEWIND_API_TOKEN", token_of("rita"))
    release = partial(Killing(url, lines.append).release, "firm", state="REDUCING", why="cause found")
    with pytest.raises(Refused, match="not FLAT"):
        await asyncio.to_thread(partial(release, force=False))
    assert await asyncio.to_thread(partial(release, force=True)) == 0
