"""Ends what a strategy has in the market once its run is over: its orders, and its positions if asked.

No callback is called. It begins with what the store says, so that a start after a crash in the middle of a stop goes on
with it. It goes on until it is done or cancelled: a venue that is silent, or trading that is halted, makes it wait.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from tradewind.bus.interface import Start
from tradewind.model.identifiers import StrategyId
from tradewind.runtime.service import ServiceContext
from tradewind.strategy.engine import StrategyEngine
from tradewind.strategy.flattening import Flattening
from tradewind.strategy.recovery import settle
from tradewind.strategy.settings import Policy
from tradewind.strategy.starting import subscribed_and_examined
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.strategy_run import define_instruments, prepared_engine, subscribed
from tradewind.wire.events import OrderEvent
from tradewind.wire.topics import ORDERS_COMMANDS, REF_INSTRUMENTS

STEP_S: Final = 0.25


async def end_in_market(
    context: ServiceContext,
    strategy: Strategy,
    identity: StrategyId,
    run_number: int,
    policy: Policy,
    tell: Callable[[str], Awaitable[None]],
) -> list[str]:
    """Cancel all orders and, with FLATTEN, close all positions; answers the positions that were too small to close.

    ``tell`` hears what is waited for. With HOLD nothing is done.
    """
    if policy is Policy.HOLD:
        return []
    reason = "the strategy is stopped" + (", the policy is flatten" if policy is Policy.FLATTEN else "")
    async with AsyncExitStack() as stack:
        reference = await subscribed(stack, context, REF_INSTRUMENTS, Start.EARLIEST)
        engine = await prepared_engine(context, strategy, identity, run_number)
        await define_instruments(context, engine, reference)
        keeps = strategy.State is not None
        orders, findings = await subscribed_and_examined(stack, context, engine, uses_checkpoint=keeps)
        settle(findings, engine)
        engine.is_mute = True
        flattening = Flattening(engine, reason, closes=policy is Policy.FLATTEN)
        # Also for orders that nobody has heard of yet: they come before this command.
        command = engine.desk.cancel_all_command(reason)
        await context.order_bus.publish(ORDERS_COMMANDS, command.account_id, command)
        while (waiting := flattening.step(time.time_ns())) is not None:
            await tell(waiting)
            await _publish(context, engine)
            for delivery in await orders.receive(timeout_s=STEP_S):
                if isinstance(delivery.payload, OrderEvent):
                    engine.order_event(delivery.payload)
        return flattening.dust() if policy is Policy.FLATTEN else []


async def _publish(context: ServiceContext, engine: StrategyEngine) -> None:
    pending = engine.desk.pending
    while pending:
        command, _ = pending[0]
        await context.order_bus.publish(ORDERS_COMMANDS, command.account_id, command)
        pending.popleft()
