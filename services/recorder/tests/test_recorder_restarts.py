"""A recorder that stops anywhere goes on where the database says: no record twice, none missing."""

import asyncio
import random
from decimal import Decimal

import pytest
from recorder_kit import VENUE, Run, levels, metric, publish, quotes, stored, trades, until

from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.runtime.service import ServiceContext
from tradewind.services.recorder import service
from tradewind.services.recorder.settings import RecorderSettings
from tradewind.store.database import Database
from tradewind.store.order_events import OrderEventRepository
from tradewind.store.postgres_server import PostgresServer
from tradewind.store.recorder_positions import RecorderPositionRepository
from tradewind.wire.events import OrderEvent, OrderInitialized, PositionChanged
from tradewind.wire.topics import ORDERS_EVENTS, market_events

ACCOUNT = AccountId("BINANCE-main")
TOPIC = market_events(VENUE)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is as sudden as a kill: nothing is written after it."""

    async def nothing(*_: object) -> None:
        return

    monkeypatch.setattr(service, "_write_the_rest", nothing)


def use_bus(context: ServiceContext, bus: MemoryBus) -> None:
    context.market_bus = context.order_bus = bus


def initialized(number: int) -> OrderInitialized:
    return OrderInitialized(
        event_id=f"event-{number}",
        correlation_id="",
        causation_id="",
        ts_event=1_700_000_000_000_000_000 + number,
        ts_init=1_700_000_000_000_000_001 + number,
        account_id=ACCOUNT,
        strategy_id=StrategyId("ema-cross"),
        instrument_id=InstrumentId("BTCUSDT.BINANCE"),
        client_order_id=ClientOrderId(f"order-{number}"),
        sequence=1,
        status=OrderStatus.INITIALIZED,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.GTC,
        size=5,
    )


async def publish_order(context: ServiceContext, event: OrderEvent, account: str = ACCOUNT) -> None:
    await context.order_bus.publish(ORDERS_EVENTS, account, event)


async def test_a_restart_goes_on_where_the_last_one_stopped(context: ServiceContext, running: Run) -> None:
    await publish(context, trades(1, 10), levels(1, 5))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 10)
    await publish(context, trades(11, 10))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 20)
    async with running():
        await publish(context, trades(21, 1))
        await until(lambda: metric(context, "recorded_trades") == 21)
    assert metric(context, "recorder_received_trades") == 21
    assert (metric(context, "recorder_duplicate_rows"), metric(context, "recorder_gaps")) == (0, 0)
    position = (await RecorderPositionRepository(context.database).load(TOPIC.name))[0]
    assert position.next_offset == 4


@pytest.mark.usefixtures("killed")
async def test_kills_at_any_moment_lose_and_double_nothing(context: ServiceContext, running: Run) -> None:
    context.settings = RecorderSettings(chunk_records=40, flush_interval_s=0.001)
    use_bus(context, MemoryBus(market_retention=100_000))
    choose = random.Random(5)
    published = 0
    for _ in range(25):
        async with running():
            for _ in range(choose.randrange(30)):
                await publish(context, trades(1 + 10 * published, 10), quotes(1 + 10 * published, 10))
                await publish(context, levels(1 + 10 * published, 10))
                published += 1
                await asyncio.sleep(choose.choice([0, 0, 0.001, 0.01]))
    async with running():
        await publish(context, trades(1 + 10 * published, 1))
        expected = (10 * published + 1, 10 * published, 10 * published)
        async with asyncio.timeout(20):
            while await stored(context) != expected:
                await asyncio.sleep(0.02)
    # A transaction that the kill cut off may have been committed; what it holds is then never read again.
    assert metric(context, "recorder_duplicate_rows") == 0
    await context.market_bus.close()


@pytest.mark.parametrize("messages", [0, 2, 5, 9])
async def test_another_broker_is_noticed_and_read_from_the_beginning(
    context: ServiceContext, running: Run, messages: int
) -> None:
    await publish(context, *(trades(1 + 10 * number, 10) for number in range(5)))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 50)
    use_bus(context, MemoryBus())
    for number in range(messages):
        await publish(context, trades(1_001 + 10 * number, 10))
    async with running():
        await publish(context, trades(5_001, 10))
        await until(lambda: metric(context, "recorded_trades") == 50 + 10 * messages + 10)
    assert (await stored(context))[0] == 60 + 10 * messages
    assert metric(context, "recorder_gaps") == 0
    await context.market_bus.close()


async def test_what_the_broker_dropped_meanwhile_is_a_counted_gap(context: ServiceContext, running: Run) -> None:
    use_bus(context, MemoryBus(market_retention=4))
    async with running():
        await publish(context, trades(1, 10))
        await until(lambda: metric(context, "recorded_trades") == 10)
    for number in range(1, 10):
        await publish(context, trades(1 + 10 * number, 10))
    async with running():
        await until(lambda: metric(context, "recorded_trades") == 50)
    assert metric(context, "recorder_gaps") == 1
    await context.market_bus.close()


async def test_a_start_without_database_waits_for_it(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    async with Database(own_server.dsn) as context.database:
        await asyncio.to_thread(own_server.stop)
        async with running():
            await publish(context, trades(1, 10))
            await until(lambda: "where recording goes on" in context.health.reason)
            await asyncio.to_thread(own_server.start)
            await until(lambda: metric(context, "recorded_trades") == 10)
            assert context.health.ready


async def test_order_events_are_recorded_once(context: ServiceContext, running: Run) -> None:
    repository = OrderEventRepository(context.database)
    for number in range(3):
        await publish_order(context, initialized(number))
    async with running():
        await until(lambda: metric(context, "recorded_order_events") == 3)
        for number in range(2, 6):
            await publish_order(context, initialized(number), account=f"another-{number}")
        await until(lambda: metric(context, "recorded_order_events") == 6)
    async with running():
        await publish_order(context, initialized(6))
        await until(lambda: metric(context, "recorded_order_events") == 7)
    assert await repository.events(ACCOUNT) == [initialized(number) for number in range(7)]


@pytest.mark.usefixtures("killed")
async def test_order_events_survive_kills(context: ServiceContext, running: Run) -> None:
    choose = random.Random(6)
    published = 0
    for _ in range(15):
        async with running():
            for _ in range(choose.randrange(40)):
                await publish_order(context, initialized(published), account=f"account-{published % 7}")
                published += 1
                await asyncio.sleep(choose.choice([0, 0.001]))
    async with running():
        await until(lambda: metric(context, "recorded_order_events") >= 1)
        async with asyncio.timeout(20):
            while len(await OrderEventRepository(context.database).events(ACCOUNT, limit=10_000)) != published:
                await asyncio.sleep(0.02)


async def test_other_messages_of_the_order_topic_pass_by(context: ServiceContext, running: Run) -> None:
    moved = PositionChanged(
        event_id="p",
        correlation_id="",
        causation_id="",
        ts_event=1,
        ts_init=1,
        account_id=ACCOUNT,
        strategy_id=StrategyId("ema-cross"),
        instrument_id=InstrumentId("BTCUSDT.BINANCE"),
        signed_size=1,
        average_price=Decimal(1),
        realized_pnl=Decimal(0),
    )
    async with running():
        await context.order_bus.publish(ORDERS_EVENTS, ACCOUNT, moved)
        await publish_order(context, initialized(1))
        await until(lambda: metric(context, "recorded_order_events") == 1)


async def test_an_outage_holds_order_events_on_the_bus(
    context: ServiceContext, running: Run, own_server: PostgresServer
) -> None:
    async with Database(own_server.dsn) as context.database, running():
        await until(lambda: context.health.ready)
        await asyncio.to_thread(own_server.stop)
        for number in range(2_000):
            await publish_order(context, initialized(number))
        await until(lambda: "order events wait" in context.health.reason)
        await asyncio.to_thread(own_server.start)
        await until(lambda: metric(context, "recorded_order_events") == 2_000)
        assert context.health.ready
