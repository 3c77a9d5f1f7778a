"""What people want of a strategy: one row, one line of history per command, and only by the newest run."""

import pytest

from tradewind.model.identifiers import StrategyId
from tradewind.store.database import Database
from tradewind.store.strategy_control import (
    RunSuperseded,
    StrategyChange,
    StrategyControl,
    StrategyControlRepository,
    StrategyHistory,
    newest_runs,
)
from tradewind.store.strategy_runs import StrategyRunRepository

STRATEGY = StrategyId("alpha")


def change(command_id: str, refusal: str = "", ts: int = 5) -> StrategyChange:
    return StrategyChange(
        command_id=command_id,
        action="STOP",
        refusal=refusal,
        before={"wanted": "RUNNING"},
        after={"wanted": "STOPPED"},
        actor="anna",
        why="drill",
        ts=ts,
    )


STOPPED = StrategyControl(
    wanted="STOPPED",
    stop_policy="flatten",
    policy="hold",
    settings={"fast_s": 0.5, "size": "0.01"},
    version=3,
    actor="anna",
    why="drill",
    changed_at=5,
)


async def test_a_strategy_of_which_nothing_was_asked_is_to_run(database: Database) -> None:
    assert await StrategyControlRepository(database, STRATEGY, "a").load() == StrategyControl()


async def test_a_command_is_taken_once_with_its_row_and_a_refused_one_leaves_the_row(database: Database) -> None:
    repository = StrategyControlRepository(database, STRATEGY, "a")
    await StrategyRunRepository(database).next_run(STRATEGY, "a")
    assert await repository.take(change("c1"), STOPPED)
    assert not await repository.take(change("c1"), StrategyControl(actor="x", why="x"))
    assert await repository.take(change("c2", "version 2 is over", ts=9), None)
    assert await repository.load() == STOPPED
    assert await repository.known_commands(0) == {"c1", "c2"}
    assert await repository.known_commands(6) == {"c2"}
    history = await StrategyHistory(database).page(STRATEGY, 10)
    assert [(one.command_id, one.refusal) for _, one in history] == [("c2", "version 2 is over"), ("c1", "")]
    assert [one.command_id for _, one in await StrategyHistory(database).page(STRATEGY, 10, history[0][0])] == ["c1"]


async def test_only_the_host_that_started_last_writes(database: Database) -> None:
    runs = StrategyRunRepository(database)
    first, second = (StrategyControlRepository(database, STRATEGY, name) for name in "ab")
    assert await runs.next_run(STRATEGY, "a") == 1
    assert await first.next_run() == 2
    assert await runs.next_run(STRATEGY, "b") == 3
    assert await newest_runs(database) == {STRATEGY: 3}
    with pytest.raises(RunSuperseded):
        await first.take(change("c1"), STOPPED)
    with pytest.raises(RunSuperseded):
        await first.put(STOPPED)
    with pytest.raises(RunSuperseded):
        await first.next_run()
    assert await second.known_commands(0) == set()
    await second.put(STOPPED)
    assert await second.load() == STOPPED
    assert await second.next_run() == 4


async def test_the_history_is_append_only(database: Database) -> None:
    await StrategyRunRepository(database).next_run(STRATEGY, "a")
    await StrategyControlRepository(database, STRATEGY, "a").take(change("c1"), STOPPED)
    async with database.connection() as connection:
        for words in ("UPDATE strategy_changes SET why = ''", "DELETE FROM strategy_changes"):
            with pytest.raises(Exception, match="append-only"):
                await connection.execute(words)
