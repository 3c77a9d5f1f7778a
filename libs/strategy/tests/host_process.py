"""A process with one strategy's host, its bus and its order path, that people command through its standard input.

``python host_process.py <dsn>`` prints the state whenever it changes. A line ``stop <policy>`` stops the strategy, and
``set <version> <seconds>`` gives it another setting, with a restart.
"""

import asyncio
import itertools
import sys

from checkpoint_events import defined
from checkpointed_strategy import Diarist
from host_kit import configure, give, stop
from stored_order_path import StoredOrderPath

from tradewind.bus.interface import Start, Subscription
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.testing import service_context
from tradewind.store.database import Database
from tradewind.strategy import StrategySettings
from tradewind.strategy.running import StrategyHost
from tradewind.strategy.testing import BTC, STRATEGY, T0, VENUE, quote
from tradewind.wire.events import StrategyStatusChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import read_only
from tradewind.wire.topics import ORDERS_COMMANDS, REF_INSTRUMENTS, STRATEGY_STATE, market_events

PAUSE_S = 0.005


async def host(dsn: str) -> None:
    """Until killed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with (
        Database(dsn) as database,
        service_context("strategy-test-one", ServiceKind.STRATEGY, StrategySettings(), database) as context,
    ):
        await context.order_bus.publish(REF_INSTRUMENTS, BTC, defined())
        path = await StoredOrderPath.made(context.order_bus, database)
        commands = await context.order_bus.subscribe(ORDERS_COMMANDS, start=Start.EARLIEST)
        states = await context.order_bus.subscribe(STRATEGY_STATE, start=Start.EARLIEST)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(path.run(commands))
            tasks.create_task(tell(states))
            tasks.create_task(StrategyHost(context, Diarist, STRATEGY).run())
            tasks.create_task(make_market(context))
            tasks.create_task(take_words(context, reader))


async def tell(states: Subscription) -> None:
    """Print every state, with the version of the settings."""
    while True:
        for delivery in await states.receive():
            if isinstance(delivery.payload, StrategyStatusChanged):
                print(delivery.payload.state, delivery.payload.version, flush=True)


async def make_market(context: ServiceContext) -> None:
    """Quotes for ever."""
    for number in itertools.count():
        records = read_only(quote(6_000_000, 6_000_100, at=T0 + number))
        await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, records))
        await asyncio.sleep(PAUSE_S)


async def take_words(context: ServiceContext, reader: asyncio.StreamReader) -> None:
    """Give the commands that are asked for."""
    while line := (await reader.readline()).decode().split():
        if line[0] == "stop":
            await give(context.order_bus, stop(policy=line[1]))
        else:
            await give(context.order_bus, configure(int(line[1]), {"checkpoint_s": float(line[2])}, restart=True))


if __name__ == "__main__":
    asyncio.run(host(sys.argv[1]))
