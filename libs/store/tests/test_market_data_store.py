"""Market records in and out of PostgreSQL, with and without TimescaleDB: counts, duplicates, pairs, pages, candles."""

from collections import defaultdict

import numpy as np
import pytest

from tradewind.store import market_writing
from tradewind.store.database import Database
from tradewind.store.market_data import Candle, MarketDataRepository, Trade, WrittenCounts
from tradewind.store.page_limits import LARGEST_LIMIT
from tradewind.wire.market_records import RecordArray, RecordKind, RecordSide, empty_records

START_NS = 1_700_000_000_123_456_789
BTC = 0xFFFF_FFFF  # the largest instrument number
ETH = 7


def trade_records(count: int, *, instrument: int = BTC, step_ns: int = 250_000_001, seed: int = 1) -> RecordArray:
    random = np.random.default_rng(seed)
    records = empty_records(count)
    records["ts_event"] = START_NS + np.arange(count) * step_ns
    records["ts_recv"] = records["ts_event"] + 1_500
    records["order_id"] = np.arange(count) + 1
    records["price"] = random.integers(6_000_000, 6_100_000, count)
    records["size"] = random.integers(1, 100_000, count)
    records["instrument"] = instrument
    records["kind"] = RecordKind.TRADE
    records["side"] = random.integers(1, 3, count)
    return records


def quote_records(count: int, *, instrument: int = BTC) -> RecordArray:
    records = empty_records(2 * count)
    pair = np.arange(2 * count) // 2
    records["ts_event"] = START_NS + pair * 1_000_000
    records["ts_recv"] = records["ts_event"] + 10
    records["sequence"] = 100 + pair
    records["price"] = 6_000_000 + np.arange(2 * count)
    records["size"] = 1 + np.arange(2 * count)
    records["instrument"] = instrument
    records["kind"] = RecordKind.TOP_OF_BOOK
    records["side"][0::2] = RecordSide.BUY
    records["side"][1::2] = RecordSide.SELL
    return records


def as_trade(record: np.void) -> Trade:
    return Trade(
        instrument_number=int(record["instrument"]),
        trade_id=int(record["order_id"]),
        ts_event=int(record["ts_event"]),
        ts_recv=int(record["ts_recv"]),
        price=int(record["price"]),
        size=int(record["size"]),
        side=RecordSide(int(record["side"])),
    )


@pytest.fixture
def repository(either_database: Database) -> MarketDataRepository:
    return MarketDataRepository(either_database)


async def test_trades_come_back_as_they_went_in(repository: MarketDataRepository) -> None:
    records = trade_records(500)
    assert await repository.write(records) == WrittenCounts(trades=500)
    assert await repository.count_trades() == 500
    assert await repository.trades(BTC, limit=500) == [as_trade(record) for record in records]
    assert await repository.trades(BTC, limit=3) == [as_trade(record) for record in records[-3:]]
    assert await repository.trades(ETH) == []


async def test_a_time_range_takes_its_start_and_leaves_its_end(repository: MarketDataRepository) -> None:
    records = trade_records(20, step_ns=1_000_000)
    await repository.write(records)
    found = await repository.trades(
        BTC, start_ns=int(records["ts_event"][5]), end_ns=int(records["ts_event"][9]), limit=100
    )
    assert [trade.trade_id for trade in found] == [6, 7, 8, 9]


async def test_a_repeated_or_overlapping_batch_makes_no_duplicate(repository: MarketDataRepository) -> None:
    records = trade_records(300)
    await repository.write(records[:200])
    assert await repository.write(records[:200]) == WrittenCounts(duplicate_trades=200)
    assert await repository.write(records[100:]) == WrittenCounts(trades=100, duplicate_trades=100)
    assert await repository.write(np.concatenate([records[:5], records[:5]])) == WrittenCounts(duplicate_trades=10)
    assert await repository.count_trades(BTC) == 300


async def test_the_same_trade_id_of_two_instruments_is_two_trades(repository: MarketDataRepository) -> None:
    await repository.write(np.concatenate([trade_records(10), trade_records(10, instrument=ETH)]))
    assert (await repository.count_trades(BTC), await repository.count_trades(ETH)) == (10, 10)


async def test_top_of_book_pairs_become_quotes_and_half_pairs_are_counted(repository: MarketDataRepository) -> None:
    records = quote_records(4)
    half = np.concatenate([records[:2], records[2:3], records[4:6], records[7:8], records[:1]])
    assert await repository.write(half) == WrittenCounts(quotes=2, unpaired=3)
    assert await repository.write(records) == WrittenCounts(quotes=2, duplicate_quotes=2)
    first, *_, last = await repository.quotes(BTC)
    assert (first.sequence, first.bid_price, first.bid_size, first.ask_price, first.ask_size) == (
        100,
        6_000_000,
        1,
        6_000_001,
        2,
    )
    assert (last.sequence, await repository.count_quotes(BTC)) == (103, 4)


async def test_sides_of_different_events_or_instruments_are_no_pair(repository: MarketDataRepository) -> None:
    records = quote_records(2)
    records["sequence"][1] = 999
    records["instrument"][3] = ETH
    assert await repository.write(records) == WrittenCounts(unpaired=4)


async def test_trades_between_the_sides_of_a_pair_do_not_part_them(repository: MarketDataRepository) -> None:
    pair = quote_records(1)
    mixed = np.concatenate([pair[:1], trade_records(1), pair[1:]])
    assert await repository.write(mixed) == WrittenCounts(trades=1, quotes=1)


async def test_other_kinds_are_ignored_and_counted(repository: MarketDataRepository) -> None:
    records = trade_records(9)
    records["kind"] = np.arange(9) + 1  # one of each kind
    assert await repository.write(records) == WrittenCounts(trades=1, book=2, unpaired=1, ignored=5)
    assert await repository.write(empty_records(0)) == WrittenCounts()


async def test_a_large_array_is_written_in_parts_that_split_no_pair(
    repository: MarketDataRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_writing, "RECORDS_PER_COPY", 7)
    records = np.concatenate([trade_records(50), quote_records(50)])
    assert await repository.write(records) == WrittenCounts(trades=50, quotes=50)


async def test_extreme_values_survive(repository: MarketDataRepository) -> None:
    records = trade_records(3)
    records["order_id"] = [0, 2**63, 2**64 - 1]
    records["price"] = [-(2**63), 0, 2**63 - 1]
    records["size"] = 2**63 - 1
    records["ts_event"] = [-(2**63), 0, 2**63 - 1]
    await repository.write(records)
    assert await repository.trades(BTC) == [as_trade(record) for record in records]
    (candle,) = await repository.candles(BTC, 60, start_ns=0, end_ns=1_000)
    assert candle == Candle(ts=0, open=0, high=0, low=0, close=0, volume=2**63 - 1, trades=1)


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros((2, 2)), empty_records(4).reshape(2, 2)])
async def test_anything_but_market_records_is_refused(repository: MarketDataRepository, wrong: RecordArray) -> None:
    with pytest.raises(ValueError, match="one-dimensional array of market records"):
        await repository.write(wrong)


async def test_limits_and_times_out_of_range_are_refused(repository: MarketDataRepository) -> None:
    for limit in (0, -1, LARGEST_LIMIT + 1):
        with pytest.raises(ValueError, match="limit"):
            await repository.trades(BTC, limit=limit)
        with pytest.raises(ValueError, match="limit"):
            await repository.candles(BTC, 60, limit=limit)
    with pytest.raises(ValueError, match="ns since the epoch"):
        await repository.quotes(BTC, start_ns=2**64)
    with pytest.raises(ValueError, match="candles of 0 s"):
        await repository.candles(BTC, 0)


def expected_candles(records: RecordArray, interval_s: int) -> list[Candle]:
    groups: dict[int, list[Trade]] = defaultdict(list)
    for trade in map(as_trade, records):
        interval_ns = interval_s * 10**9
        groups[trade.ts_event // interval_ns * interval_ns].append(trade)
    candles = []
    for start, trades in sorted(groups.items()):
        trades.sort(key=lambda trade: (trade.ts_event, trade.trade_id))
        prices = [trade.price for trade in trades]
        candles.append(
            Candle(
                ts=start,
                open=prices[0],
                high=max(prices),
                low=min(prices),
                close=prices[-1],
                volume=sum(trade.size for trade in trades),
                trades=len(trades),
            )
        )
    return candles


@pytest.mark.parametrize("interval_s", [1, 7, 60, 3_600])
async def test_candles_equal_a_computation_in_python(repository: MarketDataRepository, interval_s: int) -> None:
    records = trade_records(2_000)
    records["ts_event"][1::3] = records["ts_event"][0::3][: len(records["ts_event"][1::3])]  # several in one instant
    shuffled = np.random.default_rng(3).permutation(records)
    await repository.write(shuffled)
    expected = expected_candles(records, interval_s)
    assert await repository.candles(BTC, interval_s, limit=LARGEST_LIMIT) == expected
    newest = expected[-1].ts - 4 * interval_s * 10**9
    assert await repository.candles(BTC, interval_s, limit=5) == [c for c in expected if c.ts >= newest]


async def test_the_limit_counts_intervals_not_candles(repository: MarketDataRepository) -> None:
    records = trade_records(4, step_ns=100 * 10**9)
    await repository.write(records)
    assert len(await repository.candles(BTC, 60, limit=2)) == 1
    assert len(await repository.candles(BTC, 60, limit=6)) == 4


@pytest.mark.parametrize(
    ("view", "interval_s"), [("1s", 1), ("1m", 60), ("5m", 300), ("1h", 3_600), ("1d", 86_400)], ids=lambda value: value
)
async def test_bar_views_say_the_same_as_candles(
    repository: MarketDataRepository, either_database: Database, view: str, interval_s: int
) -> None:
    records = np.concatenate([trade_records(1_000), trade_records(10, instrument=ETH)])
    await repository.write(records)
    async with either_database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT (extract(epoch FROM ts) * 1000000000)::bigint AS ts, open, high, low, close, volume, trades "
            f"FROM bars_{view} WHERE instrument_number = $1 ORDER BY ts",
            BTC,
        )
    found = [Candle(**{**row, "volume": int(row["volume"])}) for row in rows]
    assert found == expected_candles(records[:1_000], interval_s)
    assert await repository.candles(BTC, interval_s, limit=LARGEST_LIMIT) == found


async def test_candles_of_a_range_are_those_that_begin_in_it(repository: MarketDataRepository) -> None:
    records = trade_records(2_000)
    await repository.write(records)
    minutes = expected_candles(records, 60)
    start, end = minutes[2].ts - 30 * 10**9, minutes[5].ts + 1
    assert await repository.candles(BTC, 60, start_ns=start, end_ns=end) == minutes[2:6]
    assert await repository.candles(BTC, 60, start_ns=start, end_ns=end, limit=2) == minutes[4:6]
    assert await repository.candles(BTC, 60, end_ns=minutes[0].ts) == []
