"""Profit and loss on a real bus, database and Redis: told on change, rebuilt after a restart, patient in outages."""

import asyncio
import functools
import itertools
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tradewind.bus.interface import Start
from tradewind.model.enums import LiquiditySide, OrderSide
from tradewind.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    Venue,
    VenueOrderId,
)
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.model.positions import Position
from tradewind.runtime.service import ServiceContext
from tradewind.services.portfolio.books import Books
from tradewind.services.portfolio.equity_telling import EquityTeller
from tradewind.services.portfolio.marks import newest_touches
from tradewind.services.portfolio.settings import PortfolioSettings
from tradewind.store.database import Database
from tradewind.store.equity import EquityRepository
from tradewind.store.postgres_server import PostgresServer
from tradewind.wire.events import EquityChanged, InstrumentDefined, OrderFilled, PositionChanged
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import (
    RecordArray,
    RecordKind,
    RecordSide,
    empty_records,
    instrument_number,
    read_only,
)
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_EVENTS, REF_INSTRUMENTS, market_events

WAIT_S = 20.0
VENUE = Venue("BINANCE")
ACCOUNT = AccountId("BINANCE-main")
BTC = InstrumentId("BTCUSDT.BINANCE")
BNB = InstrumentId("BNBUSDT.BINANCE")
EMA = StrategyId("ema-cross")
MAKER = StrategyId("market-maker")
Run = Callable[[], AbstractAsyncContextManager[None]]
event_ids = EventIds()
trade_numbers = itertools.count(1)


def instrument(instrument_id: InstrumentId = BTC) -> Instrument:
    symbol = instrument_id.partition(".")[0]
    return Instrument(
        instrument_id=instrument_id,
        venue=VENUE,
        symbol=symbol,
        base_currency=symbol[:3],
        quote_currency="USDT",
        price_precision=2,
        size_precision=5,
        price_increment=1,
        size_increment=1,
        min_size=1,
        max_size=900_000_000,
        max_price=100_000_000_00,
        min_notional=Decimal(5),
    )


def head() -> dict[str, Any]:
    event_id = event_ids()
    return {"event_id": event_id, "correlation_id": event_id, "causation_id": "", "ts_event": 1, "ts_init": 1}


def filled(strategy: StrategyId, fee: str, currency: str, *, price: int = 6_000_000, trade_id: str = "") -> OrderFilled:
    return OrderFilled(
        **head(),
        account_id=ACCOUNT,
        strategy_id=strategy,
        instrument_id=BTC,
        client_order_id=ClientOrderId(f"{strategy}-1-1"),
        sequence=4,
        status=OrderStatus.FILLED,
        venue_order_id=VenueOrderId("1"),
        trade_id=TradeId(trade_id or str(next(trade_numbers))),
        side=OrderSide.BUY,
        price=price,
        size=100_000,
        filled_size=100_000,
        fee=Decimal(fee),
        fee_currency=currency,
        liquidity_side=LiquiditySide.TAKER,
    )


def position(strategy: StrategyId, size: int, average: str, realized: str = "0") -> PositionChanged:
    return PositionChanged(
        **head(),
        account_id=ACCOUNT,
        strategy_id=strategy,
        instrument_id=BTC,
        signed_size=size,
        average_price=Decimal(average),
        realized_pnl=Decimal(realized),
    )


def quote(bid: int, ask: int, of: InstrumentId = BTC, size: int = 1) -> RecordArray:
    records = empty_records(2)
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["side"] = (RecordSide.BUY, RecordSide.SELL)
    records["price"] = (bid, ask)
    records["size"] = size
    records["instrument"] = instrument_number(of)
    return records


async def define(context: ServiceContext, *instruments: InstrumentId) -> None:
    for instrument_id in instruments:
        event = InstrumentDefined(**head(), instrument=instrument(instrument_id))
        await context.order_bus.publish(REF_INSTRUMENTS, instrument_id, event)


async def show(context: ServiceContext, records: RecordArray) -> None:
    await context.market_bus.publish(market_events(VENUE), VENUE, MarketBatch(VENUE, read_only(records)))


async def equity_where(context: ServiceContext, condition: Callable[[EquityChanged], bool]) -> EquityChanged:
    """The first equity on the bus that fits."""
    subscription = await context.order_bus.subscribe(ACCOUNT_EVENTS, start=Start.EARLIEST)
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                for delivery in await subscription.receive():
                    event = delivery.payload
                    if isinstance(event, EquityChanged) and condition(event):
                        return event
    finally:
        await subscription.close()


def is_unrealized(amount: Decimal, event: EquityChanged) -> bool:
    return event.unrealized_pnl == amount


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def fast(context: ServiceContext) -> None:
    context.settings = PortfolioSettings(interval_s=0.02, mark_interval_s=0.005)


async def test_equity_is_told_stored_and_remembered(context: ServiceContext, running: Run) -> None:
    async with running():
        await until(lambda: context.health.ready)
        await define(context, BTC)
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, filled(EMA, "6.00", "USDT"))
        await context.order_bus.publish(ACCOUNT_EVENTS, ACCOUNT, position(EMA, 100_000, "60000", "12.5"))
        await show(context, quote(6_010_000, 6_010_001))
        told = await equity_where(context, lambda event: event.unrealized_pnl > 0)
    assert (told.strategy_id, told.currency) == (EMA, "USDT")
    assert (told.realized_pnl, told.unrealized_pnl, told.fees) == (Decimal("12.5"), Decimal("100.005"), Decimal("6.00"))
    assert told.net_pnl == Decimal("106.505")
    curve = await EquityRepository(context.database).curve(ACCOUNT, EMA)
    assert curve[-1].unrealized_pnl == Decimal("100.005")
    last = await context.last_values.get(f"equity:{ACCOUNT}:{EMA}:USDT")
    amounts = {name: Decimal(text) for name, text in last.items()}
    assert amounts == {"realized_pnl": Decimal("12.5"), "unrealized_pnl": Decimal("100.005"), "fees": 6}
    assert await context.last_values.get(f"mid:{BTC}") == "60100.005"


async def test_nothing_is_told_while_nothing_changes(context: ServiceContext, running: Run) -> None:
    async with running():
        await until(lambda: context.health.ready)
        await define(context, BTC)
        await context.order_bus.publish(ACCOUNT_EVENTS, ACCOUNT, position(EMA, 100_000, "60000"))
        await equity_where(context, lambda event: event.strategy_id == EMA)
        for _ in range(20):
            await show(context, quote(6_000_000, 6_000_000))
            await asyncio.sleep(0.01)
    told = [d.payload for d in await context.order_bus.replay(ACCOUNT_EVENTS) if isinstance(d.payload, EquityChanged)]
    assert len(told) == 1


async def test_what_redis_forgets_comes_back(context: ServiceContext, running: Run) -> None:
    async with running():
        await until(lambda: context.health.ready)
        await define(context, BTC)
        await context.order_bus.publish(ACCOUNT_EVENTS, ACCOUNT, position(EMA, 1, "60000"))
        await equity_where(context, lambda event: event.strategy_id == EMA)
        await context.last_values._client.flushall()
        key = f"equity:{ACCOUNT}:{EMA}:USDT"
        async with asyncio.timeout(WAIT_S):
            while await context.last_values.get(key) is None:
                await asyncio.sleep(0.01)


async def test_a_restart_rebuilds_and_counts_no_fee_twice(context: ServiceContext, running: Run) -> None:
    fill = filled(EMA, "0.0001", "BTC", trade_id="in-the-store")
    async with context.database.connection() as connection:
        await connection.execute(
            "INSERT INTO fills VALUES ($1, 'BINANCE', $2, 'c', 'v', $3, $4, 'BUY', 6000000, 100000, $5, 'BTC', "
            "'TAKER', 'BTC', 1, 'USDT', -60000, 1)",
            ACCOUNT,
            fill.trade_id,
            EMA,
            BTC,
            fill.fee,
        )
        await connection.execute("INSERT INTO positions VALUES ($1, $2, $3, 100000, 60000, 7)", ACCOUNT, EMA, BTC)
    async with running():
        await until(lambda: context.health.ready)
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, fill)
        await define(context, BTC)
        told = await equity_where(context, lambda event: event.strategy_id == EMA)
        assert (told.realized_pnl, told.fees) == (Decimal(7), Decimal(6))
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, filled(EMA, "1", "USDT"))
        told = await equity_where(context, lambda event: event.fees != 6)
        assert told.fees == 7


async def test_an_outage_of_the_database_keeps_the_curve(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    async with Database(own_server.dsn) as context.database:
        async with running():
            await until(lambda: context.health.ready)
            await define(context, BTC)
            await context.order_bus.publish(ACCOUNT_EVENTS, ACCOUNT, position(EMA, 100_000, "60000"))
            await show(context, quote(6_000_000, 6_000_000))
            await equity_where(context, lambda event: event.strategy_id == EMA)
            await asyncio.to_thread(own_server.stop)
            for cents in (100, 200, 300):
                await show(context, quote(6_000_000 + cents, 6_000_000 + cents))
                await equity_where(context, functools.partial(is_unrealized, Decimal(cents) / 100))
            await until(lambda: "wait" in context.health.reason)
            await asyncio.to_thread(own_server.start)
            await until(lambda: context.health.ready)
        curve = await EquityRepository(context.database).curve(ACCOUNT, EMA)
    assert [point.unrealized_pnl for point in curve][-3:] == [1, 2, 3]


async def test_without_a_database_it_waits_and_holds_nobody_up(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    await asyncio.to_thread(own_server.stop)
    context.database = Database(own_server.dsn)
    async with running():
        await until(lambda: "database" in context.health.reason)
        async with asyncio.timeout(WAIT_S):
            for _ in range(6_000):
                await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, filled(EMA, "1", "USDT"))
        await asyncio.to_thread(own_server.start)
        await until(lambda: context.health.ready)
    await context.database.close()


async def test_points_past_the_capacity_are_dropped_and_counted(
    context: ServiceContext, own_server: PostgresServer
) -> None:
    async with Database(own_server.dsn) as context.database:
        await asyncio.to_thread(own_server.stop)
        books = Books(ACCOUNT)
        books.define(instrument())
        teller = EquityTeller(context, books, capacity_points=3)
        for number in range(5):
            books.change_position(position(EMA, 1, "1", str(number)))
            await teller.tell()
            await teller.write()
        assert teller.waiting_points == 3
        await asyncio.to_thread(own_server.start)
        await context.database.wait_until_available()
        await teller.write()
        curve = await EquityRepository(context.database).curve(ACCOUNT, EMA)
    assert [point.realized_pnl for point in curve] == [2, 3, 4]


def equity_of(books: Books, strategy: StrategyId = EMA) -> list[Any]:
    (found,) = [equity for equity in books.equity() if equity.strategy_id == strategy]
    return [found.realized_pnl, found.unrealized_pnl, found.fees]


def marked(books: Books, *touches: tuple[InstrumentId, int, int]) -> None:
    books.mark({instrument_number(of): (bid, ask) for of, bid, ask in touches})


def test_books_of_two_strategies_do_not_mix() -> None:
    books = Books(ACCOUNT)
    books.define(instrument())
    books.change_position(position(EMA, 100_000, "60000"))
    books.change_position(position(MAKER, -50_000, "60200"))
    marked(books, (BTC, 6_010_000, 6_010_000))
    assert equity_of(books) == [0, 100, 0]
    assert equity_of(books, MAKER) == [0, 50, 0]


def test_a_fee_in_a_third_currency_counts_once_it_has_a_price() -> None:
    books = Books(ACCOUNT)
    books.define(instrument())
    books.fill(filled(EMA, "0.01", "BNB"))
    assert equity_of(books)[2] == 0
    assert books.unconverted == {"BNB"}
    books.define(instrument(BNB))
    marked(books, (BNB, 50_000, 50_000))
    assert equity_of(books)[2] == 5
    assert books.unconverted == set()


def test_a_fill_of_another_account_is_not_ours() -> None:
    books = Books(AccountId("BINANCE-second"))
    books.define(instrument())
    books.fill(filled(EMA, "1", "USDT"))
    books.change_position(position(EMA, 1, "1"))
    assert books.equity() == []


def test_positions_before_their_instrument_wait_for_it() -> None:
    books = Books(ACCOUNT)
    books.load([Position(account_id=ACCOUNT, strategy_id=EMA, instrument_id=BTC, realized_pnl=Decimal(3))], [])
    assert books.equity() == []
    books.define(instrument())
    assert equity_of(books) == [3, 0, 0]


def test_the_newest_quote_of_each_instrument_is_taken() -> None:
    oldest = np.concatenate([quote(1, 2, BNB), quote(3, 4)])
    newest = np.concatenate([quote(5, 6), quote(7, 8)])
    numbers = {instrument_number(BTC), instrument_number(BNB)}
    found = newest_touches([newest, oldest], numbers)
    assert found == {instrument_number(BTC): (7, 8), instrument_number(BNB): (1, 2)}
    assert newest_touches([quote(9, 10, size=0), newest], numbers) == {}
    assert newest_touches([empty_records(3)], numbers) == {}
