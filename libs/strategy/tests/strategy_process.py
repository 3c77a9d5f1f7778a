"""A process that trades until it is killed: the Diarist over a real database, with bus and order path of its own.

``python strategy_process.py <dsn> <seed>`` prints ``ready`` when the strategy runs.
"""

import asyncio
import itertools
import random
import sys

from checkpoint_events import defined
from checkpointed_strategy import Diarist
from stored_order_path import StoredOrderPath

from tradewind.bus.interface import Start
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import service_context
from tradewind.store.database import Database
from tradewind.strategy import StrategySettings
from tradewind.strategy.strategy_run import run_strategy
from tradewind.strategy.testing import BTC, STRATEGY, T0, VENUE, quote
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import read_only
from tradewind.wire.topics import ORDERS_COMMANDS, REF_INSTRUMENTS, market_events

PAUSE_S = 0.002


async def trade(dsn: str, seed: int) -> None:
    """Until killed."""
    async with (
        Database(dsn) as database,
        service_context("strategy-test-one", ServiceKind.STRATEGY, StrategySettings(), database) as context,
    ):
        await context.order_bus.publish(REF_INSTRUMENTS, BTC, defined())
        path = await StoredOrderPath.made(context.order_bus, database)
        commands = await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(path.run(commands))
            tasks.create_task(run_strategy(context, Diarist(), STRATEGY))
            tasks.create_task(make_market(context, path, random.Random(seed)))


async def make_market(context: ServiceContext, path: StoredOrderPath, chance: random.Random) -> None:
    """Quotes, fills and cancels for ever, from when the strategy is ready."""
    while not context.health.ready:
        await asyncio.sleep(PAUSE_S)
    print("ready", flush=True)
    for number in itertools.count():
        records = read_only(quote(6_000_000, 6_000_100, at=T0 + number))
        await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, records))
        if chance.random() < 0.5:
            await path.fill_one(chance)
        await asyncio.sleep(PAUSE_S * chance.random())


if __name__ == "__main__":
    asyncio.run(trade(sys.argv[1], int(sys.argv[2])))
