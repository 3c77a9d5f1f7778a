"""Kill switches over REST: taken as commands, shown from the store, refused in words."""

from typing import Any

import pytest
from api_platform import RunningApi, bearer

from tradewind.bus.interface import Start
from tradewind.model.enums import KillStage, TradingState
from tradewind.store.database import Database
from tradewind.store.kill_switches import Evidence, KillSwitch, KillSwitchRepository
from tradewind.wire.commands import EngageKillSwitch, ReleaseKillSwitch
from tradewind.wire.topics import RISK_COMMANDS

ENGAGE = {"scope": "firm", "flatten": True, "why": "odd fills"}
RELEASE = {"scope": "firm", "why": "cause found"}
HALT = {"scope": "firm", "state": "HALTED", "why": "odd fills"}


async def engaged(database: Database) -> KillSwitch:
    switch, _ = await KillSwitchRepository(database).engage(
        "firm", command_id="c-1", flatten=True, actor="rita", why="odd fills"
    )
    return switch


async def first_command(api: RunningApi) -> Any:
    subscription = await api.bus.subscribe(RISK_COMMANDS, start=Start.EARLIEST)
    [delivery] = await subscription.receive(timeout_s=5.0)
    await subscription.close()
    return delivery.payload


async def test_engaging_needs_no_store(api: RunningApi) -> None:
    status, taken = await api.post("/api/v1/kill-switches", ENGAGE)
    assert (status, taken["scope"]) == (202, "firm")
    command = await first_command(api)
    assert isinstance(command, EngageKillSwitch)
    assert (command.scope, command.flatten, command.actor, command.why) == ("firm", True, "anna", "odd fills")
    assert command.event_id == taken["event_id"]
    assert (await api.get("/api/v1/kill-switches"))[0] == 503
    assert (await api.post("/api/v1/kill-switches/release", RELEASE))[0] == 503


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "everything"},
        {"scope": "strategy:No Such Name!"},
        {"flatten": "yes"},
        {"why": ""},
        {"actor": "anna"},
        {"more": 1},
    ],
)
async def test_what_has_no_form_is_refused(api: RunningApi, wrong: dict[str, Any]) -> None:
    assert (await api.post("/api/v1/kill-switches", ENGAGE | wrong))[0] == 422
    assert await api.bus.replay(RISK_COMMANDS, from_offset=0) == []


async def test_a_halt_goes_through_while_the_store_is_away_and_its_end_does_not(api: RunningApi) -> None:
    assert (await api.post("/api/v1/trading-state", HALT))[0] == 202
    status, body = await api.post("/api/v1/trading-state", HALT | {"state": "ACTIVE"})
    assert (status, "cannot be audited" in body["detail"]) == (503, True)


async def test_who_engaged_a_switch_does_not_release_it(stored_api: RunningApi, database: Database) -> None:
    switch = await engaged(database)
    await KillSwitchRepository(database).move(switch, KillStage.FLAT, "")
    status, body = await stored_api.post("/api/v1/kill-switches/release", RELEASE, headers=bearer("rita"))
    assert (status, "another person" in body["detail"]) == (409, True)
    forced = await stored_api.post("/api/v1/kill-switches/release", RELEASE | {"force": True}, headers=bearer("rita"))
    assert forced[0] == 409
    assert await stored_api.bus.replay(RISK_COMMANDS, from_offset=0) == []
    assert (await stored_api.post("/api/v1/kill-switches/release", RELEASE))[0] == 202
    assert (await first_command(stored_api)).actor == "anna"


async def test_a_switch_is_shown_with_its_steps_and_its_proof(stored_api: RunningApi, database: Database) -> None:
    switch = await engaged(database)
    repository = KillSwitchRepository(database)
    evidence = Evidence(ts=1_700_000_000_000_000_000, open_orders=0, dust=("a BTC 1",), balances=("BTC 10",))
    assert await repository.move(switch, KillStage.FLAT, "", evidence) is not None
    [shown] = (await stored_api.get("/api/v1/kill-switches"))[1]
    assert (shown["scope"], shown["stage"], shown["flatten"], shown["engaged_by"]) == ("firm", "FLAT", True, "rita")
    assert (shown["proven_at"], shown["dust"], shown["balances"]) == ("1700000000000000000", ["a BTC 1"], ["BTC 10"])
    assert shown["released_at"] is None
    _, steps = await stored_api.get(f"/api/v1/kill-switches/{switch.kill_id}/steps")
    assert [(step["stage"], step["actor"]) for step in steps] == [("ENGAGED", "rita"), ("FLAT", "risk")]
    for unknown in (0, 999, 2**64):
        assert (await stored_api.get(f"/api/v1/kill-switches/{unknown}/steps"))[1] == []


async def test_a_release_is_taken_only_of_what_is_flat_or_by_force(stored_api: RunningApi, database: Database) -> None:
    status, body = await stored_api.post("/api/v1/kill-switches/release", RELEASE)
    assert (status, "no kill switch is engaged" in body["detail"]) == (409, True)
    switch = await engaged(database)
    status, body = await stored_api.post("/api/v1/kill-switches/release", RELEASE)
    assert (status, "not FLAT" in body["detail"]) == (409, True)
    assert await stored_api.bus.replay(RISK_COMMANDS, from_offset=0) == []
    await KillSwitchRepository(database).move(switch, KillStage.FLAT, "")
    assert (await stored_api.post("/api/v1/kill-switches/release", RELEASE | {"state": "REDUCING"}))[0] == 202
    command = await first_command(stored_api)
    assert isinstance(command, ReleaseKillSwitch)
    assert (command.state, command.force) == (TradingState.REDUCING, False)


async def test_a_forced_release_is_taken_at_any_stage(stored_api: RunningApi, database: Database) -> None:
    await engaged(database)
    assert (await stored_api.post("/api/v1/kill-switches/release", RELEASE | {"force": True}))[0] == 202
    assert (await first_command(stored_api)).force


async def test_a_trading_state_does_not_end_a_kill_switch(stored_api: RunningApi, database: Database) -> None:
    await engaged(database)
    status, body = await stored_api.post("/api/v1/trading-state", HALT | {"state": "ACTIVE"})
    assert (status, "tradewind kill release firm" in body["detail"]) == (409, True)
    assert (await stored_api.post("/api/v1/trading-state", HALT))[0] == 202
    other = HALT | {"state": "ACTIVE", "scope": "strategy:ema-cross"}
    assert (await stored_api.post("/api/v1/trading-state", other))[0] == 202
