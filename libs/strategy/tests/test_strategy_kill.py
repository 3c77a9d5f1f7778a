"""A strategy process killed with SIGKILL again and again: what it remembers is exactly what the journal says."""

import asyncio
import random
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from checkpointed_strategy import Diarist

from tradewind.runtime.service import ServiceContext
from tradewind.store.database import Database
from tradewind.strategy.engine import StrategyEngine
from tradewind.strategy.recovery import apply
from tradewind.strategy.starting import subscribed_and_examined
from tradewind.strategy.strategy_run import prepared_engine
from tradewind.strategy.testing import ACCOUNT, BTC, STRATEGY, instrument
from tradewind.wire.encoding import decode
from tradewind.wire.events import OrderEvent

PROCESS = Path(__file__).parent / "strategy_process.py"
KILLS = 6
WAIT_S = 60.0


async def killed_in_the_middle(dsn: str, seed: int, after_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), dsn, str(seed), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while (line := await process.stdout.readline()) != b"ready\n":
                assert line, (await process.communicate())[1].decode()
        await asyncio.sleep(after_s)
        assert process.returncode is None, (await process.communicate())[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def recovered(context: ServiceContext) -> tuple[StrategyEngine, list[str]]:
    """What a start makes of what is left, without going on to trade."""
    async with AsyncExitStack() as stack:
        engine = await prepared_engine(context, Diarist(), STRATEGY)
        engine.define_instrument(instrument())
        _, findings = await subscribed_and_examined(stack, context, engine, uses_checkpoint=True)
        apply(findings, engine)
        return engine, findings.differences


async def journal(database: Database) -> list[OrderEvent]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT type, version, payload FROM journal WHERE account_id = $1 AND sequence > 0 ORDER BY id", ACCOUNT
        )
    events = [decode(row["type"], row["version"], row["payload"]) for row in rows]
    return [event for event in events if isinstance(event, OrderEvent)]


@pytest.mark.timeout(300)
async def test_after_every_kill_the_state_is_the_journal_and_nothing_is_sent_twice(context: ServiceContext) -> None:
    chance = random.Random(5)
    seen = 0
    for kill in range(KILLS):
        await killed_in_the_middle(context.database.dsn, kill, after_s=chance.random())
        engine, differences = await recovered(context)
        events = await journal(context.database)
        assert differences == []
        assert [tuple(one) for one in engine.strategy.state.told] == [(e.client_order_id, e.sequence) for e in events]
        assert engine.strategy.state.filled == engine.context.position(BTC).signed_size
        assert not engine.desk.pending
        assert len(events) > seen, "the process was killed before it did anything"
        seen = len(events)
