"""Market records with keys of their own, and what the tests of the recorder wait for."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import numpy as np

from tradewind.model.identifiers import Venue
from tradewind.runtime.service import ServiceContext
from tradewind.store.market_data import MarketDataRepository
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordArray,
    RecordFlag,
    RecordKind,
    RecordSide,
    empty_records,
    read_only,
)
from tradewind.wire.topics import market_events

WAIT_S = 20.0
VENUE = Venue("BINANCE")
T0 = 1_700_000_000_000_000_000
Run = Callable[[], AbstractAsyncContextManager[None]]


def trades(first: int, count: int) -> RecordArray:
    records = empty_records(count)
    numbers = np.arange(first, first + count)
    records["kind"], records["side"] = RecordKind.TRADE, RecordSide.BUY
    records["order_id"] = numbers
    records["ts_event"] = records["ts_recv"] = T0 + numbers * 1_000
    records["price"], records["size"], records["instrument"] = 100, 5, 7
    return records


def quotes(first: int, count: int) -> RecordArray:
    records = empty_records(2 * count)
    numbers = np.repeat(np.arange(first, first + count), 2)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["side"] = np.tile([RecordSide.BUY, RecordSide.SELL], count)
    records["sequence"] = numbers
    records["ts_event"] = records["ts_recv"] = T0 + numbers * 1_000
    records["price"], records["size"], records["instrument"] = 100, 5, 7
    return records


def levels(first: int, count: int) -> RecordArray:
    """``count`` events of a bid and an ask."""
    records = quotes(first, count)
    records["kind"] = RecordKind.LEVEL
    records["flags"][1::2] = RecordFlag.LAST
    return records


async def publish(context: ServiceContext, *parts: RecordArray) -> None:
    for part in parts:
        await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(part)))


def metric(context: ServiceContext, name: str) -> float:
    process: Any = context.metrics._process
    return float(process.total(name))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


async def stored(context: ServiceContext) -> tuple[int, int, int]:
    """Rows of trades, quotes and level events."""
    repository = MarketDataRepository(context.database)
    return await repository.count_trades(), await repository.count_quotes(), await repository.count_book_events()
