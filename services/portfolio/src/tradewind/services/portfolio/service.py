"""The service ``portfolio``: profit and loss per strategy, at the latest mid prices.

Tasks of one TaskGroup: order events (fees), account events (positions), instrument definitions, market data (marks,
conflated: every ``mark_interval_s`` only the newest quote of each instrument), the bus's and the database's teller.
Bounds: the subscriptions' own; market data that is dropped only makes a mark older. On cancel: the last equity is told
and written, within FLUSH_BUDGET_S.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from tradewind.bus.interface import BusClosed, Delivery, Start, Subscription
from tradewind.model.identifiers import AccountId, Venue
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.runtime.tracing import Step, tracer
from tradewind.services.portfolio.books import Books
from tradewind.services.portfolio.equity_telling import EquityTeller
from tradewind.services.portfolio.marks import newest_touches
from tradewind.services.portfolio.rebuilding import rebuilt_books
from tradewind.services.portfolio.settings import PortfolioSettings
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.events import InstrumentDefined, OrderFilled, PositionChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_EVENTS, REF_INSTRUMENTS, Topic, market_events

FLUSH_BUDGET_S: Final = 2.0
_STILL_S: Final = 0.01
MARKET_LIMIT: Final = 4_096


async def run(context: ServiceContext) -> None:
    """Keep the books until cancelled."""
    settings: PortfolioSettings = context.settings
    # Not before the database is there: a subscription that nobody reads would hold up the order path.
    context.health.set_not_ready("waits for the database")
    await context.database.wait_until_available()
    async with AsyncExitStack() as stack:
        # But before the store is read, so that no event falls between the two.
        orders = await _subscribed(stack, context, ORDERS_EVENTS)
        account = await _subscribed(stack, context, ACCOUNT_EVENTS)
        reference = await _subscribed(stack, context, REF_INSTRUMENTS, Start.EARLIEST)
        market = await _subscribed(stack, context, market_events(Venue(context.platform.venue)), Start.EARLIEST)
        books = await _rebuilt(context)
        teller = EquityTeller(context, books, settings.capacity_points)
        takers = {orders: _order_taker(books), account: _account_taker(books), reference: _reference_taker(books)}
        context.health.set_ready()
        try:
            async with asyncio.TaskGroup() as tasks:
                for subscription, take in takers.items():
                    tasks.create_task(_read(subscription, take))
                tasks.create_task(_read_marks(market, books, settings.mark_interval_s), name="portfolio.marks")
                tasks.create_task(_repeat(teller.tell, settings.interval_s), name="portfolio.teller")
                tasks.create_task(_repeat(teller.write, settings.interval_s), name="portfolio.writer")
        finally:
            await _tell_the_last(context, takers, market, books, teller)


Taker = Callable[[Delivery], None]


def _order_taker(books: Books) -> Taker:
    def take(delivery: Delivery) -> None:
        if isinstance(event := delivery.payload, OrderFilled):
            books.fill(event)

    return take


def _account_taker(books: Books) -> Taker:
    def take(delivery: Delivery) -> None:
        if isinstance(event := delivery.payload, PositionChanged):
            begun_ns = time.time_ns() if tracer.is_on else 0
            books.change_position(event)
            if tracer.is_on:
                _trace(event, begun_ns)

    return take


def _trace(event: PositionChanged, begun_ns: int) -> None:
    tracer.span(
        SERVICE.name,
        Step.BOOKING,
        story=event.correlation_id,
        identity=event.event_id,
        parent=event.causation_id,
        begun_ns=begun_ns,
        ended_ns=time.time_ns(),
        attributes={"tradewind.strategy": event.strategy_id, "tradewind.instrument": event.instrument_id},
    )


def _reference_taker(books: Books) -> Taker:
    def take(delivery: Delivery) -> None:
        if isinstance(event := delivery.payload, InstrumentDefined):
            books.define(event.instrument)

    return take


async def _read(subscription: Subscription, take: Taker) -> None:
    while True:
        for delivery in await subscription.receive():
            take(delivery)


async def _read_marks(subscription: Subscription, books: Books, interval_s: float) -> None:
    while True:
        _mark(books, await subscription.receive(MARKET_LIMIT))
        await asyncio.sleep(interval_s)


def _mark(books: Books, deliveries: list[Delivery]) -> None:
    batches = (d.payload.records for d in reversed(deliveries) if isinstance(d.payload, MarketBatch))
    books.mark(newest_touches(batches, books.numbers))


async def _repeat(step: Callable[[], Awaitable[None]], interval_s: float) -> None:
    while True:
        await asyncio.sleep(interval_s)
        await step()


async def _tell_the_last(
    context: ServiceContext, takers: dict[Subscription, Taker], market: Subscription, books: Books, teller: EquityTeller
) -> None:
    try:
        async with asyncio.timeout(FLUSH_BUDGET_S):
            for subscription, take in takers.items():
                while deliveries := await subscription.receive(timeout_s=_STILL_S):
                    for delivery in deliveries:
                        take(delivery)
            _mark(books, await market.receive(MARKET_LIMIT, timeout_s=_STILL_S))
            await teller.tell()
            await teller.write()
    except (TimeoutError, BusClosed) as error:
        context.log.warning("stopped before the last equity was told", reason=repr(error))
    teller.close()


async def _rebuilt(context: ServiceContext) -> Books:
    account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
    while True:
        try:
            return await rebuilt_books(context.database, account_id)
        except DatabaseUnavailable as error:
            context.health.set_not_ready(str(error))
            await context.database.wait_until_available()


async def _subscribed(
    stack: AsyncExitStack, context: ServiceContext, topic: Topic, start: Start = Start.LATEST
) -> Subscription:
    subscription = await context.bus_for(topic).subscribe(topic, start=start)
    stack.push_async_callback(subscription.close)
    return subscription


SERVICE = Service(
    name="portfolio", kind=ServiceKind.BOOKS, run=run, settings=PortfolioSettings, stop_budget_s=FLUSH_BUDGET_S + 0.5
)
