"""Kill switches in the store: one per scope, whole or not at all, also when several hands are at it."""

import asyncio

import pytest

from tradewind.model.enums import KillStage, TradingState
from tradewind.store.audit import AuditRepository
from tradewind.store.database import Database
from tradewind.store.kill_switches import Evidence, KillSwitch, KillSwitchRefused, KillSwitchRepository
from tradewind.store.trading_states import KillSwitchEngaged, TradingStateRepository

K = KillStage


async def engage(repository: KillSwitchRepository, command: str = "c-1", *, flatten: bool = False) -> KillSwitch:
    switch, _ = await repository.engage("firm", command_id=command, flatten=flatten, actor="anna", why="drill")
    return switch


async def release(repository: KillSwitchRepository, command: str = "r-1", *, force: bool = False) -> KillSwitch:
    switch, _ = await repository.release(
        "firm", command_id=command, state=TradingState.ACTIVE, force=force, actor="bob", why="over"
    )
    return switch


async def test_many_hands_engage_one_switch(database: Database) -> None:
    repository = KillSwitchRepository(database)
    made = await asyncio.gather(*(engage(repository, f"c-{n}", flatten=n == 3) for n in range(8)))
    assert {one.kill_id for one in made} == {made[0].kill_id}
    [switch] = await repository.engaged()
    assert switch.flatten
    assert len(await repository.history(switch.kill_id)) == 8
    assert (await TradingStateRepository(database).all())["firm"].state is TradingState.HALTED


async def test_the_same_command_is_done_once(database: Database) -> None:
    repository = KillSwitchRepository(database)
    first, second = await engage(repository), await engage(repository)
    assert first == second
    assert len(await AuditRepository(database).newest()) == 2
    await release(repository, force=True)
    again = await release(repository, force=True)
    assert again.stage is K.RELEASED
    assert len(await AuditRepository(database).newest()) == 4
    assert (await engage(repository)).released_at is not None


async def test_a_proof_does_not_count_for_more_than_was_asked(database: Database) -> None:
    repository = KillSwitchRepository(database)
    kept = await engage(repository)
    more = await engage(repository, "c-2", flatten=True)
    evidence = Evidence(ts=5, open_orders=0, balances=("BTC 1",))
    assert await repository.move(kept, K.FLAT, "", evidence) is None
    flat = await repository.move(more, K.FLAT, "", evidence)
    assert flat is not None
    assert flat.evidence == evidence
    assert await repository.find(flat.kill_id) == flat
    assert (await release(repository)).forced is False
    assert await repository.move(flat, K.CANCELING, "late") is None
    assert await repository.engaged() == []


async def test_a_step_is_written_when_the_stage_changes(database: Database) -> None:
    repository = KillSwitchRepository(database)
    switch = await engage(repository)
    for stage, reason in ((K.CANCELING, "a"), (K.CANCELING, "b"), (K.STUCK, "b"), (K.CANCELING, "c")):
        moved = await repository.move(switch, stage, reason)
        assert moved is not None
        switch = moved
    assert [step.stage for step in await repository.history(switch.kill_id)] == [
        K.ENGAGED,
        K.CANCELING,
        K.STUCK,
        K.CANCELING,
    ]
    assert switch.reason == "c"


async def test_nothing_but_a_release_ends_it(database: Database) -> None:
    repository, states = KillSwitchRepository(database), TradingStateRepository(database)
    await engage(repository)
    for state in (TradingState.ACTIVE, TradingState.REDUCING):
        with pytest.raises(KillSwitchEngaged, match="tradewind kill release firm"):
            await states.set("firm", state, actor="bob", why="oops")
    await states.set("firm", TradingState.HALTED, actor="bob", why="again")
    with pytest.raises(KillSwitchRefused, match="ENGAGED and not FLAT"):
        await release(repository)
    assert (await states.all())["firm"].state is TradingState.HALTED
    assert (await release(repository, "r-2", force=True)).forced
    with pytest.raises(KillSwitchRefused, match="no kill switch is engaged"):
        await release(repository, "r-3")
    second = await engage(repository, "c-9")
    assert [one.released_at is None for one in await repository.newest()] == [True, False]
    assert second.kill_id == (await repository.newest())[0].kill_id
