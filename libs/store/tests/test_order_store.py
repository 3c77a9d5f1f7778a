import asyncio
from decimal import Decimal

import pytest

from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import (
    EXTERNAL,
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    Venue,
    VenueOrderId,
)
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.database import Database
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import BookRow, FillRow, LeaseLost, OrderBatch, OrderStore, Outgoing, StoreConflict
from tradewind.wire.events import OrderSubmitted
from tradewind.wire.topics import ORDERS_EVENTS

ACCOUNT = AccountId("BINANCE-main")
STRATEGY = StrategyId("ema-cross")
INSTRUMENT = InstrumentId("BTCUSDT.BINANCE")
NOW = 1_700_000_000_000_000_000


def order(name: str, **fields: object) -> Order:
    known: dict[str, object] = {
        "client_order_id": ClientOrderId(name),
        "strategy_id": STRATEGY,
        "account_id": ACCOUNT,
        "instrument_id": INSTRUMENT,
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "size": 100,
        "price": 6_000_000,
        "command_id": f"command-{name}",
        "correlation_id": name,
        "status": OrderStatus.SUBMITTED,
        "event_count": 1,
        "ts_init": NOW,
        "ts_last": NOW,
    }
    return Order(**(known | fields))  # type: ignore[arg-type]


def submitted(name: str, sequence: int = 1) -> Outgoing:
    message = OrderSubmitted(
        event_id=f"event-{name}-{sequence}",
        correlation_id=name,
        causation_id="",
        ts_event=NOW,
        ts_init=NOW,
        account_id=ACCOUNT,
        strategy_id=STRATEGY,
        instrument_id=INSTRUMENT,
        client_order_id=ClientOrderId(name),
        sequence=sequence,
        status=OrderStatus.SUBMITTED,
    )
    return Outgoing(topic=ORDERS_EVENTS, message=message, client_order_id=ClientOrderId(name), sequence=sequence)


def fill(name: str, trade: str) -> FillRow:
    return FillRow(
        trade_id=TradeId(trade),
        client_order_id=ClientOrderId(name),
        venue_order_id=VenueOrderId("v1"),
        account_id=ACCOUNT,
        strategy_id=STRATEGY,
        instrument_id=INSTRUMENT,
        side=OrderSide.BUY,
        price=6_000_000,
        size=100,
        fee=Decimal("0.0000001"),
        fee_currency="BTC",
        liquidity_side=LiquiditySide.TAKER,
        ts_event=NOW,
        venue=Venue("BINANCE"),
        base_currency="BTC",
        base_amount=Decimal("0.001"),
        quote_currency="USDT",
        quote_amount=Decimal("-60.00000001"),
    )


async def lease_of(database: Database) -> Lease:
    lease = await LeaseRepository(database, duration_s=60).acquire("execution:test", "here")
    assert lease is not None
    return lease


async def commit(store: OrderStore, lease: Lease, **rows: object) -> None:
    await store.commit(OrderBatch(**rows), lease=lease.name, epoch=lease.epoch, now_ns=NOW)  # type: ignore[arg-type]


async def test_an_order_comes_back_as_it_was_written(either_database: Database) -> None:
    store, lease = OrderStore(either_database, ACCOUNT), await lease_of(either_database)
    written = order("a-1-1", post_only=True, expire_time=5, trigger_price=7, reason="x")
    await commit(store, lease, new_orders=[written], outgoing=[submitted("a-1-1")])
    assert await store.unfinished_orders() == [written]
    written.status, written.filled_size, written.venue_order_id = OrderStatus.FILLED, 100, VenueOrderId("v1")
    await commit(store, lease, orders=[written])
    assert await store.unfinished_orders() == []
    assert await store.orders_by_id([ClientOrderId("a-1-1"), ClientOrderId("b")]) == [written]
    assert await store.order_by_venue_id(INSTRUMENT, VenueOrderId("v1")) == written


async def test_a_lost_lease_writes_nothing(either_database: Database) -> None:
    store, lease = OrderStore(either_database, ACCOUNT), await lease_of(either_database)
    stale = Lease(lease.name, lease.holder, lease.epoch - 1, lease.good_until)
    with pytest.raises(LeaseLost):
        await commit(store, stale, new_orders=[order("a-1-1")], outgoing=[submitted("a-1-1")])
    assert await store.unfinished_orders() == []
    assert await store.unpublished() == []


async def test_a_known_order_or_fill_is_a_conflict_and_writes_nothing(either_database: Database) -> None:
    store, lease = OrderStore(either_database, ACCOUNT), await lease_of(either_database)
    await commit(store, lease, new_orders=[order("a-1-1")], fills=[fill("a-1-1", "t1")])
    with pytest.raises(StoreConflict):
        await commit(store, lease, new_orders=[order("b-1-1"), order("a-1-1")])
    with pytest.raises(StoreConflict):
        await commit(store, lease, new_orders=[order("b-1-1")], fills=[fill("b-1-1", "t1")])
    assert [o.client_order_id for o in await store.unfinished_orders()] == ["a-1-1"]
    assert await store.known_trade_ids([TradeId("t1"), TradeId("t2")]) == {"t1"}
    assert await store.recent_trade_ids(10) == ["t1"]
    assert await store.last_fill_ns() == NOW


async def test_the_journal_keeps_commit_order_until_published(either_database: Database) -> None:
    store, lease = OrderStore(either_database, ACCOUNT), await lease_of(either_database)
    names = [f"a-1-{n}" for n in range(5)]
    for name in names:
        await commit(store, lease, new_orders=[order(name)], outgoing=[submitted(name)])
    rows = await store.unpublished()
    assert [row.message for row in rows] == [submitted(name).message for name in names]
    await store.mark_published(rows[2].position)
    await store.mark_published(rows[0].position)
    assert [row.message.event_id for row in await store.unpublished()] == ["event-a-1-3-1", "event-a-1-4-1"]


async def test_books_add_up_to_the_account(either_database: Database) -> None:
    store, lease = OrderStore(either_database, ACCOUNT), await lease_of(either_database)
    opening = {"BTC": Decimal(1), "USDT": Decimal(1000)}
    assert await store.open_balances(opening, NOW) == opening
    assert await store.open_balances({"BTC": Decimal(9)}, NOW + 1) == opening
    assert await store.opened_ns() == NOW
    books = {
        (EXTERNAL, "BTC"): Decimal(1),
        (EXTERNAL, "USDT"): Decimal(1000),
        (STRATEGY, "BTC"): Decimal("0.0009999"),
        (STRATEGY, "USDT"): Decimal("-60.00000001"),
    }
    rows = [BookRow(account_id=ACCOUNT, strategy_id=s, currency=c, amount=a) for (s, c), a in books.items()]
    position = Position(account_id=ACCOUNT, strategy_id=STRATEGY, instrument_id=INSTRUMENT, signed_size=100)
    await commit(store, lease, fills=[fill("a-1-1", "t1")], books=rows, positions=[position])
    for line in await store.ledger():
        assert line.account_amount == line.books_amount
    assert [line.currency for line in await store.ledger()] == ["BTC", "USDT"]
    assert sorted(row.amount for row in await store.books()) == sorted(books.values())
    assert await store.positions() == [position]


async def test_a_lease_has_one_holder_and_a_rising_epoch(database: Database) -> None:
    leases = LeaseRepository(database, duration_s=0.3, grace_s=0.1)
    first = await leases.acquire("x", "one")
    assert first is not None
    assert await leases.acquire("x", "two") is None
    assert first.has_margin(0.0)
    assert await leases.renew(first)
    await asyncio.sleep(0.5)
    assert not first.has_margin(0.0)
    second = await leases.acquire("x", "two")
    assert second is not None
    assert second.epoch == first.epoch + 1
    assert not await leases.renew(first)
    assert "two" in await leases.describe("x")
    await leases.release(second)
    third = await leases.acquire("x", "three")
    assert third is not None
    assert third.epoch == second.epoch + 1
