"""Checkpoints stand at a place in the journal, an older start never writes over a newer one, and a picture is whole."""

from decimal import Decimal

import pytest

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.checkpoints import LARGEST_CHECKPOINT_BYTES, CheckpointRefused, CheckpointRepository
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository
from tradewind.store.order_store import OrderBatch, OrderStore, Outgoing
from tradewind.wire.events import OrderSubmitted
from tradewind.wire.topics import ORDERS_EVENTS

ACCOUNT = AccountId("BINANCE-main")
EMA = StrategyId("ema-cross")
MAKER = StrategyId("market-maker")
BTC = InstrumentId("BTCUSDT.BINANCE")
NOW = 1_700_000_000_000_000_000


def order(name: str, strategy: StrategyId, status: OrderStatus) -> Order:
    return Order(
        client_order_id=ClientOrderId(name),
        strategy_id=strategy,
        account_id=ACCOUNT,
        instrument_id=BTC,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        size=100,
        price=6_000_000,
        command_id=f"command-{name}",
        status=status,
        event_count=1,
    )


def told(name: str, strategy: StrategyId, sequence: int) -> Outgoing:
    message = OrderSubmitted(
        event_id=f"{name}-{sequence}",
        correlation_id=name,
        causation_id="",
        ts_event=NOW,
        ts_init=NOW,
        account_id=ACCOUNT,
        strategy_id=strategy,
        instrument_id=BTC,
        client_order_id=ClientOrderId(name),
        sequence=sequence,
        status=OrderStatus.SUBMITTED,
    )
    return Outgoing(topic=ORDERS_EVENTS, message=message, client_order_id=ClientOrderId(name), sequence=sequence)


async def write_orders(database: Database) -> None:
    """ema-cross has one open and one ended order, market-maker one open; their events are mixed."""
    lease = await LeaseRepository(database).acquire(f"execution:{ACCOUNT}", "a")
    assert lease is not None
    ids = (("ema-cross-1-1", EMA), ("market-maker-1-1", MAKER), ("ema-cross-1-2", EMA))
    batch = OrderBatch(
        new_orders=[
            order("ema-cross-1-1", EMA, OrderStatus.SUBMITTED),
            order("ema-cross-1-2", EMA, OrderStatus.FILLED),
            order("market-maker-1-1", MAKER, OrderStatus.SUBMITTED),
        ],
        positions=[
            Position(
                account_id=ACCOUNT, strategy_id=EMA, instrument_id=BTC, signed_size=100, average_price=Decimal(60_000)
            )
        ],
        outgoing=[told(name, strategy, sequence) for sequence in (1, 2) for name, strategy in ids],
    )
    store = OrderStore(database, ACCOUNT)
    await store.commit(batch, lease=lease.name, epoch=lease.epoch, now_ns=NOW)
    await store.aclose()


async def test_a_checkpoint_is_replaced_and_bounded(database: Database) -> None:
    repository = CheckpointRepository(database, ACCOUNT)
    assert await repository.load(EMA) is None
    assert await repository.save(EMA, b"", run=1, journal_id=0) == 0
    assert await repository.save(EMA, b"\x00\xff", run=1, journal_id=7) == 7
    await repository.save(MAKER, bytes(1_000_000), run=1, journal_id=0)
    loaded = await repository.load(EMA)
    assert loaded is not None
    assert (loaded.state, loaded.run, loaded.journal_id) == (b"\x00\xff", 1, 7)
    assert loaded.saved_ns > NOW
    with pytest.raises(CheckpointRefused, match="at most"):
        await repository.save(EMA, bytes(LARGEST_CHECKPOINT_BYTES + 1), run=1, journal_id=0)


async def test_an_older_start_does_not_write_over_a_newer_one(database: Database) -> None:
    repository = CheckpointRepository(database, ACCOUNT)
    await repository.save(EMA, b"new", run=3, journal_id=0)
    with pytest.raises(CheckpointRefused, match=r"start 3 of ema-cross .* this is start 2; stop one of the two"):
        await repository.save(EMA, b"old", run=2, journal_id=9)
    loaded = await repository.load(EMA)
    assert loaded is not None
    assert loaded.state == b"new"


async def test_a_checkpoint_stands_where_its_last_event_does_and_never_goes_back(database: Database) -> None:
    await write_orders(database)
    repository = CheckpointRepository(database, ACCOUNT)
    start = (await repository.picture(EMA)).journal_id
    first = ClientOrderId("ema-cross-1-1"), 1
    place = await repository.save(EMA, b"1", run=1, journal_id=0, last_event=first)
    assert 0 < place < start
    assert [(event.client_order_id, event.sequence) for event in (await repository.picture(EMA)).events] == [
        ("ema-cross-1-2", 1),
        ("ema-cross-1-1", 2),
        ("ema-cross-1-2", 2),
    ]
    assert await repository.save(EMA, b"2", run=1, journal_id=start, last_event=first) == start
    assert (await repository.picture(EMA)).events == []
    with pytest.raises(CheckpointRefused, match="does not hold event 9 of ema-cross-1-1"):
        await repository.save(EMA, b"3", run=1, journal_id=start, last_event=(ClientOrderId("ema-cross-1-1"), 9))


async def test_a_picture_has_one_strategy_and_nothing_of_the_others(database: Database) -> None:
    await write_orders(database)
    picture = await CheckpointRepository(database, ACCOUNT).picture(EMA)
    assert picture.checkpoint is None
    assert [one.client_order_id for one in picture.orders] == ["ema-cross-1-1"]
    assert [one.client_order_id for one in picture.closed] == ["ema-cross-1-2"]
    assert [(one.instrument_id, one.signed_size) for one in picture.positions] == [(BTC, 100)]
    assert picture.events == []
    other = await CheckpointRepository(database, AccountId("BINANCE-other")).picture(EMA)
    assert (other.orders, other.positions, other.journal_id) == ([], [], 0)
