"""What REST reads from a real PostgreSQL, and what the service knows of the past when it starts."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from api_platform import (
    ACCOUNT,
    BTCUSDT,
    VENUE,
    Publisher,
    RunningApi,
    api_settings,
    instrument_named,
    running_api,
)

from tradewind.bus.memory import MemoryBus
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce, TradingState
from tradewind.model.identifiers import ClientOrderId, StrategyId, TradeId, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.services.api.view_model.queries import BadCursor, decode_cursor, encode_cursor
from tradewind.services.api.view_model.timelines import timeline
from tradewind.store.database import Database
from tradewind.store.equity import EquityPoint, EquityRepository
from tradewind.store.instruments import InstrumentRepository
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import FillRow, OrderBatch, OrderStore, Outgoing
from tradewind.store.trading_states import TradingStateRepository
from tradewind.wire.events import OrderInitialized
from tradewind.wire.topics import ORDERS_EVENTS

NOW = 1_700_000_000_000_000_000
STRATEGY = StrategyId("ema-cross")


def order(number: int, **changes: Any) -> Order:
    known: dict[str, Any] = {
        "client_order_id": ClientOrderId(f"ema-cross-1-{number:04d}"),
        "strategy_id": STRATEGY,
        "account_id": ACCOUNT,
        "instrument_id": BTCUSDT,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "size": 100_000,
        "price": 6_000_000,
        "command_id": f"command-{number}",
        "correlation_id": f"story-{number}",
        "status": OrderStatus.CANCELED,
        "event_count": 4,
        # Three orders share each time, so that a page may end in the middle of them.
        "ts_init": NOW + number // 3,
        "ts_last": NOW + number // 3,
    }
    return Order(**(known | changes))


def fill(number: int) -> FillRow:
    return FillRow(
        trade_id=TradeId(f"t{number:04d}"),
        client_order_id=ClientOrderId(f"ema-cross-1-{number:04d}"),
        venue_order_id=VenueOrderId("v1"),
        account_id=ACCOUNT,
        strategy_id=STRATEGY,
        instrument_id=BTCUSDT,
        side=OrderSide.BUY,
        price=6_000_000,
        size=100_000,
        fee=Decimal("0.0600"),
        fee_currency="USDT",
        liquidity_side=LiquiditySide.TAKER,
        ts_event=NOW + number // 3,
        venue=VENUE,
        base_currency="BTC",
        base_amount=Decimal("0.001"),
        quote_currency="USDT",
        quote_amount=Decimal("-60"),
    )


def equity_point(second: int) -> EquityPoint:
    return EquityPoint(
        ts=NOW + second * 1_000_000_000,
        account_id=ACCOUNT,
        strategy_id=STRATEGY,
        currency="USDT",
        realized_pnl=Decimal(second),
        unrealized_pnl=Decimal("0.5"),
        fees=Decimal("0.1"),
    )


@pytest.fixture
def database(either_database: Database) -> Database:
    """What the api reads is the same with and without TimescaleDB."""
    return either_database


@pytest.fixture
async def lease(database: Database) -> Lease:
    taken = await LeaseRepository(database).acquire("execution:test", "test")
    assert taken is not None
    return taken


async def store(database: Database, lease: Lease, batch: OrderBatch) -> None:
    await OrderStore(database, ACCOUNT).commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=NOW)


async def all_pages(api: RunningApi, path: str, field: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor, pages = "", 0
    while pages < 100:
        status, page = await api.get(f"{path}&cursor={cursor}")
        assert status == 200
        found.extend(page[field])
        pages += 1
        if page["next_cursor"] is None:
            return found
        cursor = page["next_cursor"]
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 4, 7, 25, 100])
async def test_pages_of_orders_have_each_order_once_newest_first(
    database: Database, lease: Lease, stored_api: RunningApi, limit: int
) -> None:
    stored = [order(number) for number in range(25)]
    await store(database, lease, OrderBatch(new_orders=stored))
    found = await all_pages(stored_api, f"/api/v1/orders?limit={limit}", "orders")
    wanted = sorted(stored, key=lambda one: (-one.ts_init, one.client_order_id))
    assert [one["client_order_id"] for one in found] == [one.client_order_id for one in wanted]


async def test_pages_of_fills_have_each_fill_once(database: Database, lease: Lease, stored_api: RunningApi) -> None:
    await store(
        database, lease, OrderBatch(new_orders=[order(n) for n in range(20)], fills=[fill(n) for n in range(20)])
    )
    found = await all_pages(stored_api, "/api/v1/fills?limit=6", "fills")
    assert sorted(one["trade_id"] for one in found) == [f"t{number:04d}" for number in range(20)]
    assert found[0]["fee"] == "0.0600"


async def test_orders_are_filtered_by_status_and_strategy(
    database: Database, lease: Lease, stored_api: RunningApi
) -> None:
    maker = StrategyId("market-maker")
    await store(
        database,
        lease,
        OrderBatch(new_orders=[order(1), order(2, strategy_id=maker), order(3, status=OrderStatus.FILLED)]),
    )
    _, page = await stored_api.get("/api/v1/orders?strategy_id=market-maker")
    assert [one["client_order_id"] for one in page["orders"]] == ["ema-cross-1-0002"]
    _, page = await stored_api.get("/api/v1/orders?status=FILLED")
    assert [one["client_order_id"] for one in page["orders"]] == ["ema-cross-1-0003"]
    assert page["source"] == "store"


async def test_an_order_has_its_story(database: Database, lease: Lease, stored_api: RunningApi) -> None:
    await stored_api.publisher.instrument()
    events = await Publisher(MemoryBus()).order("ema-cross-1-0007", OrderSide.BUY, 6_000_000, 100_000, "ema-cross")
    outgoing = [
        Outgoing(topic=ORDERS_EVENTS, message=event, client_order_id=event.client_order_id, sequence=event.sequence)
        for event in events
    ]
    await store(database, lease, OrderBatch(new_orders=[order(7)], outgoing=outgoing))
    await stored_api.eventually("/api/v1/instruments", bool)
    status, story = await stored_api.get("/api/v1/orders/ema-cross-1-0007")
    assert status == 200
    assert [event["type"] for event in story["events"]] == ["OrderInitialized", "OrderSubmitted", "OrderAccepted"]
    assert story["events"][0]["details"]["price"] == "60000.00"
    assert story["events"][2]["details"] == {"venue_order_id": "v-ema-cross-1-0007"}
    assert [step["step"] for step in story["timeline"]] == ["risk", "commit", "venue", "ack"]
    assert story["timeline"][0]["since_previous_ns"] is None
    assert (await stored_api.get("/api/v1/orders/ema-cross-1-9999"))[0] == 404
    _, page = await stored_api.get("/api/v1/orders/by-correlation/story-7")
    assert [one["client_order_id"] for one in page["orders"]] == ["ema-cross-1-0007"]
    assert (await stored_api.get("/api/v1/orders/by-correlation/story-8"))[1]["orders"] == []


async def test_the_steps_of_a_story_have_the_times_between_them() -> None:
    first, submitted, accepted = await Publisher(MemoryBus()).order("a-1-1", OrderSide.BUY, 1, 1, "a")
    assert isinstance(first, OrderInitialized)
    events = [
        msgspec.structs.replace(first, ts_cause=100, ts_intent=150, ts_init=180),
        msgspec.structs.replace(submitted, ts_init=180),
        msgspec.structs.replace(accepted, ts_event=170, ts_init=260),
    ]
    steps = [(one["step"], one["ts"], one["since_previous_ns"]) for one in timeline(events)]
    assert steps == [
        ("tick", "100", None),
        ("intent", "150", "50"),
        ("risk", "180", "30"),
        ("commit", "180", "0"),
        ("venue", "170", "-10"),
        ("ack", "260", "90"),
    ]
    sent = [*events[:2], msgspec.structs.replace(accepted, ts_event=240, ts_init=260, ts_durable=200, ts_sent=210)]
    assert [(one["step"], one["ts"]) for one in timeline(sent)][3:] == [
        ("commit", "200"),
        ("send", "210"),
        ("venue", "240"),
        ("ack", "260"),
    ]
    by_hand = msgspec.structs.replace(first, ts_cause=150, ts_intent=150)
    assert [one["step"] for one in timeline([by_hand])] == ["intent", "risk"]


async def test_a_fresh_start_knows_the_past(database: Database, lease: Lease) -> None:
    position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=BTCUSDT, signed_size=100_000)
    await store(
        database,
        lease,
        OrderBatch(new_orders=[order(1, status=OrderStatus.ACCEPTED), order(2)], fills=[fill(2)], positions=[position]),
    )
    await InstrumentRepository(database).register([instrument_named(BTCUSDT)])
    await TradingStateRepository(database).set("firm", TradingState.HALTED, actor="anna", why="drill")
    await EquityRepository(database).insert([equity_point(second) for second in range(3)])
    async with running_api(database, api_settings()) as api:
        page = await api.eventually("/api/v1/orders?status=open", lambda body: bool(body["orders"]))
        assert [one["client_order_id"] for one in page["orders"]] == ["ema-cross-1-0001"]
        assert page["orders"][0]["price"] == "60000.00"
        [state] = await api.eventually("/api/v1/trading-states", bool)
        assert (state["scope"], state["state"], state["actor"]) == ("firm", "HALTED", "anna")
        [held] = await api.eventually("/api/v1/positions", bool)
        assert held["signed_size"] == "0.00100000"
        async with api.http.ws_connect(api.origin + "/api/v1/stream") as stream:
            snapshot = (await stream.receive_json())["data"]
        assert [point["net_pnl"] for point in snapshot["equity_points"]] == ["0.40", "1.40", "2.40"]


async def test_an_order_of_before_the_start_is_read_when_an_event_names_it(
    database: Database, lease: Lease, stored_api: RunningApi
) -> None:
    """The service was not told of the order, for it was stored after the service had read the store."""
    await store(database, lease, OrderBatch(new_orders=[order(5, status=OrderStatus.ACCEPTED, event_count=3)]))
    publisher = stored_api.publisher
    publisher._sequences["ema-cross-1-0005"] = 2
    await publisher.filled("ema-cross-1-0005", OrderSide.BUY, 6_000_000, 100_000, "ema-cross")
    page = await stored_api.eventually("/api/v1/orders?status=open", lambda body: bool(body["orders"]))
    assert [one["client_order_id"] for one in page["orders"]] == ["ema-cross-1-0005"]


async def test_the_equity_curve_is_oldest_first(database: Database, stored_api: RunningApi) -> None:
    await EquityRepository(database).insert([equity_point(second) for second in range(5)])
    _, curve = await stored_api.get("/api/v1/equity/curve?strategy_id=ema-cross&limit=3")
    assert [point["net_pnl"] for point in curve] == ["2.40", "3.40", "4.40"]


async def test_a_database_without_tables_says_so(empty_database_dsn: str) -> None:
    async with Database(empty_database_dsn) as database, running_api(database, api_settings()) as api:
        status, body = await api.get("/api/v1/orders")
        assert status == 503
        assert "tradewind db migrate" in body["detail"]


def test_cursors_come_back_whole() -> None:
    cursor = (NOW, "manual-1:ü-2")
    assert decode_cursor(encode_cursor(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "====", "AAAA", "bm9uc2Vuc2U", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTp4", "MTox\0"])
def test_foreign_cursors_are_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor(text)
