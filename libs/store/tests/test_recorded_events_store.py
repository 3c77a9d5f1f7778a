"""Level events, order events and positions in and out of PostgreSQL, with and without TimescaleDB."""

import asyncpg
import msgspec
import numpy as np
import pytest

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import OrderStatus
from tradewind.store import market_writing
from tradewind.store.database import Database
from tradewind.store.market_data import BookEvent, MarketDataRepository, WrittenCounts
from tradewind.store.order_events import OrderEventRepository
from tradewind.store.recorder_positions import RecorderPosition, RecorderPositionRepository
from tradewind.wire.events import OrderSubmitted
from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide, empty_records

START_NS = 1_700_000_000_123_456_789
BTC = 0xFFFF_FFFF
ACCOUNT = AccountId("BINANCE-main")
BID, ASK, NONE = RecordSide.BUY, RecordSide.SELL, RecordSide.NONE


def event(sequence: int, *levels: tuple[int, int, int], clears: bool = False, flags: int = 0) -> RecordArray:
    """One event of (side, price, size) levels; a CLEAR record before them when it is a snapshot."""
    records = empty_records(len(levels) + clears)
    records["kind"] = RecordKind.LEVEL
    records["ts_event"], records["ts_recv"] = START_NS + sequence, START_NS + sequence + 5
    records["instrument"], records["sequence"], records["order_id"] = BTC, sequence, max(sequence - 3, 0)
    records["flags"] = flags
    if clears:
        records["kind"][0] = RecordKind.CLEAR
    for record, level in zip(records[int(clears) :], levels, strict=True):
        record["side"], record["price"], record["size"] = level
    records["flags"][-1] |= RecordFlag.LAST
    return records


def expected(records: RecordArray) -> BookEvent:
    first = records[0]
    return BookEvent(
        instrument_number=int(first["instrument"]),
        first_sequence=int(first["order_id"]),
        sequence=int(first["sequence"]),
        ts_event=int(first["ts_event"]),
        ts_recv=int(first["ts_recv"]),
        clears=bool(first["kind"] == RecordKind.CLEAR),
        gap=bool(np.any(records["flags"] & RecordFlag.GAP)),
        bids=[(int(r["price"]), int(r["size"])) for r in records if r["side"] == BID],
        asks=[(int(r["price"]), int(r["size"])) for r in records if r["side"] == ASK],
    )


def random_events(count: int, seed: int) -> list[RecordArray]:
    """Events of 0 to 40 levels, sides in any order, some snapshots and gaps."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        size = int(random.integers(1, 41))
        levels = list(zip(*random.integers((1, 0, 0), (3, 2**62, 2**62), (size, 3)).T.tolist(), strict=True))
        clears = bool(random.random() < 0.1)
        gap = int(RecordFlag.GAP) if random.random() < 0.1 else 0
        made.append(event(10 + number, *levels, clears=clears, flags=gap))
    return made


@pytest.fixture
def repository(either_database: Database) -> MarketDataRepository:
    return MarketDataRepository(either_database)


async def test_level_events_come_back_as_they_went_in(repository: MarketDataRepository) -> None:
    events = random_events(200, seed=1)
    assert await repository.write(np.concatenate(events)) == WrittenCounts(book=200)
    assert await repository.book_events(BTC) == [expected(each) for each in events]
    assert await repository.book_events(BTC, limit=3) == [expected(each) for each in events[-3:]]
    found = await repository.book_events(BTC, start_ns=START_NS + 10, end_ns=START_NS + 2_000_000)
    assert len(found) == 200
    assert await repository.count_book_events(BTC) == 200


async def test_level_events_twice_are_stored_once(repository: MarketDataRepository) -> None:
    events = random_events(20, seed=2)
    await repository.write(np.concatenate(events[:10]))
    assert await repository.write(np.concatenate(events)) == WrittenCounts(book=10, duplicate_book=10)
    assert await repository.book_events(BTC) == [expected(each) for each in events]


async def test_events_without_a_level_and_a_snapshot_of_the_same_update_are_kept(
    repository: MarketDataRepository,
) -> None:
    events = [
        event(5, (BID, 100, 1), (ASK, 101, 2)),
        event(5, (BID, 100, 1), (BID, 99, 7), (ASK, 101, 2), clears=True, flags=RecordFlag.SNAPSHOT),
        event(6, (NONE, 0, 0)),
        event(2_000, clears=True, flags=RecordFlag.GAP),
    ]
    assert await repository.write(np.concatenate(events)) == WrittenCounts(book=4)
    assert sorted(await repository.book_events(BTC), key=lambda e: (e.sequence, e.clears)) == [
        expected(each) for each in events
    ]


async def test_an_event_is_not_cut_where_an_array_is_written_in_parts(
    repository: MarketDataRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_writing, "RECORDS_PER_COPY", 7)
    events = random_events(50, seed=3)
    assert await repository.write(np.concatenate(events)) == WrittenCounts(book=50)
    assert await repository.book_events(BTC) == [expected(each) for each in events]


async def test_levels_can_be_left_out(repository: MarketDataRepository) -> None:
    records = np.concatenate(random_events(5, seed=4))
    assert await repository.write(records, with_book=False) == WrittenCounts(ignored=len(records))


async def test_positions_are_stored_with_the_rows_or_not_at_all(
    repository: MarketDataRepository, either_database: Database
) -> None:
    positions = RecorderPositionRepository(either_database)
    assert await positions.load("md") == {}
    first, second = RecorderPosition("md", 0, 7, START_NS), RecorderPosition("md", 1, 9, START_NS)
    await repository.write(event(1, (BID, 1, 1)), [first, second])
    assert await positions.load("md") == {0: first, 1: second}
    later = msgspec.structs.replace(first, next_offset=8)
    await repository.write(event(1, (BID, 1, 1)), [later])  # a duplicate row, a new position
    await repository.write(empty_records(0), [RecorderPosition("other", 0, 1, 1)])
    assert await positions.load("md") == {0: later, 1: second}
    assert (await positions.load("other"))[0].next_offset == 1
    with pytest.raises(asyncpg.DataError, match="int64"):
        await repository.write(event(2, (BID, 1, 1)), [RecorderPosition("md", 0, 2**63, 1)])
    assert await repository.count_book_events() == 1


def submitted(number: int) -> OrderSubmitted:
    return OrderSubmitted(
        event_id=f"event-{number}",
        correlation_id="",
        causation_id="",
        ts_event=START_NS + number * 10**9,
        ts_init=START_NS + number * 10**9 + 1,
        account_id=ACCOUNT,
        strategy_id=StrategyId("ema-cross"),
        instrument_id=InstrumentId("BTCUSDT.BINANCE"),
        client_order_id=ClientOrderId(f"order-{number % 3}"),
        sequence=number,
        status=OrderStatus.SUBMITTED,
    )


async def test_order_events_come_back_in_order_and_once(either_database: Database) -> None:
    repository = OrderEventRepository(either_database)
    events = [submitted(number) for number in range(20)]
    assert await repository.write([]) == 0
    assert await repository.write(events[:12], [RecorderPosition("orders.events", 3, 12, 1)]) == 12
    assert await repository.write([*events[5:], events[19]]) == 8
    assert await repository.events(ACCOUNT) == events
    assert await repository.events(ACCOUNT, limit=2) == events[-2:]
    assert await repository.events(ACCOUNT, start_ns=events[3].ts_event, end_ns=events[6].ts_event) == events[3:6]
    assert await repository.events(AccountId("another")) == []
    with pytest.raises(ValueError, match="limit 0"):
        await repository.events(ACCOUNT, limit=0)
