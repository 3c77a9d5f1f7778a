"""How a strategy's start reads what the store and the bus know of it, with order events heard from before that on."""

import time
from contextlib import AsyncExitStack
from typing import Final

from tradewind.bus.interface import Subscription
from tradewind.model.identifiers import StrategyId
from tradewind.runtime.service import ServiceContext
from tradewind.store.checkpoints import CheckpointRepository, StoredCheckpoint
from tradewind.store.database import DatabaseUnavailable
from tradewind.strategy.engine import StrategyEngine
from tradewind.strategy.recovery import Findings, examine, sent_before
from tradewind.wire.commands import SubmitOrder
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS

LOOK_BACK_S: Final = 600
"""How far back commands are looked for that nobody has taken yet: execution refuses older ones for their age."""
SKEW_S: Final = 60
"""By how much the clocks of database and publishers may differ, and how long a command may wait for a checkpoint."""
_PAGE: Final = 10_000
_NS: Final = 1_000_000_000


async def subscribed_and_examined(
    stack: AsyncExitStack, context: ServiceContext, engine: StrategyEngine, *, uses_checkpoint: bool
) -> tuple[Subscription, Findings]:
    """Order events from before the store is read on, so that nothing falls between the two; waits for the database."""
    while True:
        orders = await context.order_bus.subscribe(ORDERS_EVENTS)
        try:
            findings = await _findings(context, engine, uses_checkpoint=uses_checkpoint)
        except DatabaseUnavailable as error:
            await orders.close()
            context.health.set_not_ready(str(error))
            await context.database.wait_until_available()
            continue
        except BaseException:
            await orders.close()
            raise
        stack.push_async_callback(orders.close)
        return orders, findings


async def _findings(context: ServiceContext, engine: StrategyEngine, *, uses_checkpoint: bool) -> Findings:
    tracker = engine.tracker
    repository = CheckpointRepository(context.database, tracker.account_id)
    sent: list[SubmitOrder] = []
    if uses_checkpoint and (last := await repository.load(tracker.strategy_id)) is not None:
        sent = await _sent(context, tracker.strategy_id, engine.desk.run, last)
    picture = await repository.picture(tracker.strategy_id)
    findings = examine(
        engine.strategy,
        tracker.account_id,
        picture,
        sent,
        engine.market.instruments,
        uses_checkpoint=uses_checkpoint,
    )
    if findings.checkpoint is not None:
        context.log.info(
            "checkpoint read",
            run=findings.checkpoint.run,
            intents=findings.checkpoint.intents,
            events_since=len(picture.events),
            commands_on_their_way=len(findings.sent),
        )
    elif findings.problem:
        context.log.error("checkpoint not used", reason=findings.problem)
    return findings


async def _sent(
    context: ServiceContext, strategy_id: StrategyId, run: int, last: StoredCheckpoint
) -> list[SubmitOrder]:
    """What earlier runs published since about their checkpoint, and may not have reached the store yet."""
    start_ns = max(last.saved_ns - SKEW_S * _NS, time.time_ns() - LOOK_BACK_S * _NS)
    found: list[SubmitOrder] = []
    while True:
        page = await context.order_bus.replay(ORDERS_COMMANDS, from_time_ns=start_ns, limit=_PAGE)
        commands = [delivery.payload for delivery in page if isinstance(delivery.payload, SubmitOrder)]
        found += sent_before(commands, strategy_id, run)
        if len(page) < _PAGE or page[-1].ts_publish <= start_ns:
            return sent_before(found, strategy_id, run)
        start_ns = page[-1].ts_publish
