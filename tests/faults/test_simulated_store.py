"""The simulated store against PostgreSQL: the same operations through the same repositories give the same answers."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from faults.client import ACCOUNT_ID
from faults.processes import StoryLog
from faults.schedule import Schedule
from faults.sim_database import SimulatedDatabase
from faults.virtual_time import BEGIN_NS, NS, patched_clock
from faults.world import World
from tradewind.model.enums import LiquiditySide, OrderSide, OrderType, Outcome, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId, StrategyId, TradeId, Venue, VenueOrderId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.database import Database
from tradewind.store.leases import Lease, LeaseRepository
from tradewind.store.order_store import BookRow, FillRow, LeaseLost, OrderBatch, OrderStore, Outgoing, StoreConflict
from tradewind.store.recovery_rows import ClaimRow, ReconciliationRepository, ReconciliationRow, RecoveryRows
from tradewind.store.risk_counters import OrderPriceRow, RiskCounterRow, RiskRows, load_risk
from tradewind.store.strategy_control import newest_runs
from tradewind.store.trading_states import TradingStateRepository
from tradewind.wire.events import BalanceDifference, OrderSubmitted
from tradewind.wire.topics import ORDERS_EVENTS

STRATEGY = StrategyId("alpha")
INSTRUMENT = InstrumentId("BTCUSDT.BINANCE")
LEASE = "execution:test"
Operations = Callable[[Database], Awaitable[list[Any]]]


async def leases(database: Database) -> list[Any]:
    short = LeaseRepository(database, duration_s=0.3, grace_s=0.2)
    first = await short.acquire(LEASE, "a")
    assert first is not None
    said: list[Any] = [first.epoch, await short.acquire(LEASE, "b"), await short.renew(first)]
    await asyncio.sleep(0.4)
    said.append(await short.acquire(LEASE, "b"))
    await asyncio.sleep(0.4)
    second = await short.acquire(LEASE, "b")
    assert second is not None
    said += [second.epoch, await short.renew(first), await short.renew(second)]
    await short.release(first)
    said.append(await short.acquire(LEASE, "a"))
    await short.release(second)
    third = await short.acquire(LEASE, "a")
    return [*said, third and third.epoch, (await short.describe(LEASE)).split()[:3], await short.describe("none")]


async def batches(database: Database) -> list[Any]:
    store, lease = await _begin(database)
    said = [
        await _commit(store, lease, OrderBatch(new_orders=[_order("a")], outgoing=[_told("a", 1), _told("a", 2)])),
        await _commit(store, lease, OrderBatch(new_orders=[_order("a"), _order("b")])),
        await _commit(store, lease, OrderBatch(new_orders=[_order("c"), _order("c")])),
        await _commit(store, lease, OrderBatch(orders=[_order("nobody")], outgoing=[_told("a", 2)])),
        await _commit(store, lease, OrderBatch(outgoing=[_told("a", 0), _told("a", 0)])),
    ]
    changed = _order("a", status=OrderStatus.CANCELED, venue_order_id=VenueOrderId("v1"), reason="why", event_count=3)
    said.append(await _commit(store, lease, OrderBatch(orders=[changed], new_orders=[_order("d", ts_init=5)])))
    said.append(await _commit(store, Lease(LEASE, "x", lease.epoch + 1, 0.0), OrderBatch(new_orders=[_order("e")])))
    said.append(await _commit(store, Lease("other", "x", 1, 0.0), OrderBatch(new_orders=[_order("e")])))
    doubt = _order("f", status=OrderStatus.REJECTED, outcome=Outcome.UNKNOWN, unknown_since=7)
    said.append(await _commit(store, lease, OrderBatch(new_orders=[doubt])))
    ids = [ClientOrderId(name) for name in ("a", "b", "c", "d", "e", "f")]
    by_id = sorted(await store.orders_by_id(ids), key=lambda order: order.client_order_id)
    by_venue = [await store.order_by_venue_id(INSTRUMENT, VenueOrderId(name)) for name in ("v1", "v2")]
    told = await store.unpublished()
    await store.mark_published(told[1].position)
    await store.mark_published(told[0].position)
    left = await store.unpublished()
    messages = [[row.message for row in rows] for rows in (told, left)]
    return [*said, await store.unfinished_orders(), by_id, by_venue, messages]


async def fills(database: Database) -> list[Any]:
    store, lease = await _begin(database)
    said: list[Any] = [await store.opened_ns(), await store.last_fill_ns(), await store.recent_trade_ids(5)]
    said.append(await store.open_balances({"BTC": Decimal("1.50"), "USDT": Decimal(7)}, 50))
    said.append(await store.open_balances({"BTC": Decimal(9), "ETH": Decimal(2)}, 60))
    one, two = _fill("t1", 100), _fill("t2", 90)
    said.append(await _commit(store, lease, OrderBatch(fills=[one, two], positions=[_position(5)], books=[_book("1")])))
    said.append(await _commit(store, lease, OrderBatch(fills=[_fill("t3", 95), one], books=[_book("8")])))
    said.append(await _commit(store, lease, OrderBatch(positions=[_position(-3)], books=[_book("0.25")])))
    known = await store.known_trade_ids([TradeId("t1"), TradeId("t3"), TradeId("t2")])
    said += [known, await store.recent_trade_ids(1), await store.recent_trade_ids(9), await store.last_fill_ns()]
    return [*said, await store.opened_ns(), await store.positions(), await store.books()]


async def risk_and_recovery(database: Database) -> list[Any]:
    store, lease = await _begin(database)
    zero = Decimal(0)
    counter = RiskCounterRow(
        scope="account", day=3, day_start_pnl=zero, peak_pnl=Decimal("1.5"), last_pnl=Decimal(-2), fees=Decimal("0.10")
    )
    prices = [OrderPriceRow(client_order_id=ClientOrderId(name), price=7) for name in ("a", "b")]
    orders = [_order("a"), _order("b", status=OrderStatus.DENIED), _order("old", ts_init=1)]
    rows = RiskRows(counters=[counter], order_prices=prices)
    said = [await _commit(store, lease, OrderBatch(new_orders=orders, risk=rows))]
    ended = RiskRows(ended_orders=[ClientOrderId("a")])
    difference = BalanceDifference(currency="BTC", at_venue=Decimal(1), in_books=Decimal("0.5"))
    compared = ReconciliationRow(ts=9, differences=(difference,), details={"orders": 2})
    claim = ClaimRow(client_order_id=ClientOrderId("b"), strategy_id=StrategyId("beta"))
    recovery = RecoveryRows(claims=[claim], reconciliations=[compared])
    said.append(await _commit(store, lease, OrderBatch(risk=ended, recovery=recovery)))
    said += [await load_risk(database, ACCOUNT_ID, 2), await TradingStateRepository(database).all()]
    ids = [ClientOrderId("b")]
    said.append(await newest_runs(database))
    return [*said, await store.orders_by_id(ids), await ReconciliationRepository(database).newest(ACCOUNT_ID, 5)]


async def transactions(database: Database) -> list[Any]:
    """What a transaction did is undone when it fails, and only then."""
    store = OrderStore(database, ACCOUNT_ID)
    try:
        async with database.transaction() as connection:
            await connection.execute(
                "INSERT INTO opening_balances VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                ACCOUNT_ID, "BTC", Decimal(1), 5,
            )  # fmt: skip
            raise KeyError("in the middle")
    except KeyError:
        before = await store.open_balances({}, 6)
    return [before, await store.open_balances({"BTC": Decimal(2)}, 7)]


@pytest.mark.parametrize("operations", [leases, batches, fills, risk_and_recovery, transactions])
async def test_the_simulated_store_answers_as_postgresql_does(database: Database, operations: Operations) -> None:
    real = await operations(database)
    assert _simulated(operations) == real
    assert any(real)


def test_a_statement_that_the_simulation_does_not_know_is_an_error() -> None:
    async def operations(database: Database) -> list[Any]:
        async with database.connection() as connection:
            return list(await connection.fetch("SELECT 'something else'"))

    with pytest.raises(NotImplementedError, match="teach it"):
        _simulated(operations)


def _simulated(operations: Operations) -> list[Any]:
    """Run the operations in a simulated process, on virtual time."""
    world = World(Schedule(1, ()))
    process = world.processes[0]
    process.alive = True
    loop = world.scheduler.add_loop("test", lambda _: None)
    loop.owner = process
    database = SimulatedDatabase(world.server, process, StoryLog(world, "test"))

    async def run() -> list[Any]:
        return await operations(database)

    with patched_clock(world.scheduler):
        task = loop.create_task(run())
        assert world.scheduler.run_until(task.done, BEGIN_NS + 60 * NS)
    return list(task.result())


async def _begin(database: Database) -> tuple[OrderStore, Lease]:
    lease = await LeaseRepository(database).acquire(LEASE, "a")
    assert lease is not None
    return OrderStore(database, ACCOUNT_ID), lease


async def _commit(store: OrderStore, lease: Lease, batch: OrderBatch) -> Any:
    """Whether something was told, or how it failed: positions have holes after a failure, the simulation's do not."""
    try:
        position = await store.commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=BEGIN_NS)
    except (StoreConflict, LeaseLost) as error:
        return type(error).__name__
    finally:
        await store.aclose()
    return position is not None


def _order(name: str, **fields: Any) -> Order:
    known: dict[str, Any] = {
        "client_order_id": ClientOrderId(name),
        "strategy_id": STRATEGY,
        "account_id": ACCOUNT_ID,
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
        "ts_init": 10,
        "ts_last": 10,
    }
    return Order(**(known | fields))


def _told(name: str, sequence: int) -> Outgoing:
    message = OrderSubmitted(
        event_id=f"event-{name}-{sequence}",
        correlation_id=name,
        causation_id="",
        ts_event=10,
        ts_init=10,
        account_id=ACCOUNT_ID,
        strategy_id=STRATEGY,
        instrument_id=INSTRUMENT,
        client_order_id=ClientOrderId(name),
        sequence=sequence,
        status=OrderStatus.SUBMITTED,
    )
    return Outgoing(topic=ORDERS_EVENTS, message=message, client_order_id=ClientOrderId(name), sequence=sequence)


def _fill(trade: str, ts_event: int) -> FillRow:
    return FillRow(
        trade_id=TradeId(trade),
        client_order_id=ClientOrderId("a"),
        venue_order_id=VenueOrderId("v1"),
        account_id=ACCOUNT_ID,
        strategy_id=STRATEGY,
        instrument_id=INSTRUMENT,
        side=OrderSide.BUY,
        price=6_000_000,
        size=50,
        fee=Decimal("0.010"),
        fee_currency="BTC",
        liquidity_side=LiquiditySide.MAKER,
        ts_event=ts_event,
        venue=Venue("BINANCE"),
        base_currency="BTC",
        base_amount=Decimal("0.5"),
        quote_currency="USDT",
        quote_amount=Decimal(-30_000),
    )


def _position(size: int) -> Position:
    return Position(account_id=ACCOUNT_ID, strategy_id=STRATEGY, instrument_id=INSTRUMENT, signed_size=size)


def _book(text: str) -> BookRow:
    return BookRow(account_id=ACCOUNT_ID, strategy_id=STRATEGY, currency="BTC", amount=Decimal(text))
