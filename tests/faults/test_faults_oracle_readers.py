"""The records as they are read: from the venue's file, and from PostgreSQL."""

import sqlite3
from decimal import Decimal
from pathlib import Path

import msgspec

from faults.oracle import Limits, check
from faults.oracle_readers import keep_rows, read_store, read_venue
from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId, Venue
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import OrderStatus
from tradewind.services.sim_venue import ledger_schema
from tradewind.store.database import Database
from tradewind.wire.encoding import encode
from tradewind.wire.events import OrderDenied

ACCOUNT = AccountId("BINANCE-main")
INSTRUMENT = Instrument(
    instrument_id=InstrumentId("BTCUSDT.BINANCE"), venue=Venue("BINANCE"), symbol="BTCUSDT", base_currency="BTC",
    quote_currency="USDT", price_precision=2, size_precision=8, price_increment=1, size_increment=1_000, min_size=1_000,
    max_size=10**12, max_price=10**8, min_notional=Decimal(5),
)  # fmt: skip
ONE = 10**8


def venue_file(path: Path) -> Path:
    """An account with 10 BTC and 1000 USDT that has bought 1 BTC at 100 for a fee of 0.001 BTC."""
    with sqlite3.connect(path) as file:
        file.executescript(ledger_schema.SCHEMA)
        file.execute(
            ledger_schema.PUT_ORDER,
            (7, "main", "BTCUSDT", "a-1-1", 1, "LIMIT", "GTC", 10_000, ONE, 10, 11, ONE, 100 * ONE, 0, "FILLED"),
        )
        file.execute(
            ledger_schema.PUT_TRADE, (3, "main", "BTCUSDT", 7, 1, 10_000, ONE, 100 * ONE, ONE // 1000, "BTC", 1, 11)
        )
        for asset, free in (("BTC", 11 * ONE - ONE // 1000), ("USDT", 900 * ONE)):
            file.execute(ledger_schema.PUT_HOLDING, ("main", asset, free, 0))
        for book, asset, units in (
            ("deposits", "BTC", -10 * ONE), ("deposits", "USDT", -1000 * ONE), ("market", "BTC", -ONE),
            ("market", "USDT", 100 * ONE), ("fees", "BTC", ONE // 1000),
        ):  # fmt: skip
            file.execute(ledger_schema.PUT_HOUSE, (book, asset, units))
    return path


async def fill_store(database: Database, status: str = "FILLED") -> None:
    """The same as our order path would have it."""
    definition = msgspec.json.encode(INSTRUMENT)
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO instruments VALUES ($1, 1, $2)", "BTCUSDT.BINANCE", definition.decode())
        await connection.execute(
            f"""INSERT INTO orders VALUES ('{ACCOUNT}', 'a-1-1', 'command', 'a', 'BTCUSDT.BINANCE', 'BUY', 'LIMIT',
            'GTC', {ONE}, 10000, NULL, false, false, NULL, '', '{status}', NULL, 'KNOWN', NULL, '7', {ONE}, NULL,
            1, 1, 1)"""
        )
        await connection.execute(
            f"""INSERT INTO fills VALUES ('{ACCOUNT}', 'BINANCE', 'BTCUSDT-3', 'a-1-1', '7', 'a', 'BTCUSDT.BINANCE',
            'BUY', 10000, {ONE}, 0.001, 'BTC', 'MAKER', 'BTC', 1, 'USDT', -100, 1)"""
        )
        await connection.execute(
            "INSERT INTO journal (account_id, client_order_id, sequence, event_id, topic, type, version, payload,"
            f" ts_init) VALUES ('{ACCOUNT}', 'a-1-1', 1, 'e', 'orders.events', 'OrderFilled', 1, '', 1)"
        )
        await connection.execute(f"INSERT INTO journal_published SELECT '{ACCOUNT}', max(id) FROM journal")
        await connection.execute(f"INSERT INTO positions VALUES ('{ACCOUNT}', 'a', 'BTCUSDT.BINANCE', {ONE}, 100, 0)")
        await connection.execute(
            f"""INSERT INTO books VALUES ('{ACCOUNT}', 'EXTERNAL', 'BTC', 10), ('{ACCOUNT}', 'EXTERNAL', 'USDT', 1000),
            ('{ACCOUNT}', 'a', 'BTC', 0.999), ('{ACCOUNT}', 'a', 'USDT', -100)"""
        )
        await connection.execute(
            f"INSERT INTO opening_balances VALUES ('{ACCOUNT}', 'BTC', 10, 1), ('{ACCOUNT}', 'USDT', 1000, 1)"
        )


async def tell_denial(database: Database, command_id: str) -> None:
    """What the recorder stores of a refusal in words."""
    denial = OrderDenied(
        event_id=f"of-{command_id}", correlation_id="", causation_id=command_id, ts_event=1, ts_init=1,
        account_id=ACCOUNT, strategy_id=StrategyId("a"), instrument_id=INSTRUMENT.instrument_id,
        client_order_id=ClientOrderId("a-1-1"), sequence=1, status=OrderStatus.DENIED, reason="STORE_UNAVAILABLE",
    )  # fmt: skip
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO order_events VALUES (now(), 1, 1, $1, $2, 'a', 'BTCUSDT.BINANCE', 'a-1-1', 1, 'OrderDenied',"
            " 1, 'DENIED', $3)",
            denial.event_id, ACCOUNT, encode(denial),
        )  # fmt: skip


async def test_two_records_that_agree(tmp_path: Path, database: Database) -> None:
    await fill_store(database)
    venue, store = read_venue(venue_file(tmp_path / "venue.sqlite3")), await read_store(database.dsn, ACCOUNT, Limits())
    assert len(venue.orders) == len(venue.trades) == len(store.orders) == len(store.fills) == len(store.events) == 1
    assert store.orders[0].side == OrderSide.BUY.sign == venue.orders[0].side
    assert check(venue, store) == []


async def test_orders_of_others_are_known_by_their_name(tmp_path: Path) -> None:
    [order] = read_venue(venue_file(tmp_path / "venue.sqlite3"), external={"a-1-1"}).orders
    assert order.external


async def test_a_refusal_in_words_counts_for_the_command_that_it_names(tmp_path: Path, database: Database) -> None:
    await fill_store(database)
    await tell_denial(database, "another command with this id")
    assert (await read_store(database.dsn, ACCOUNT, Limits())).told_denied == []
    await tell_denial(database, "command")
    assert (await read_store(database.dsn, ACCOUNT, Limits())).told_denied == ["a-1-1"]


async def test_rows_are_kept_for_who_looks_into_a_violation(tmp_path: Path, database: Database) -> None:
    await fill_store(database)
    await keep_rows(database.dsn, tmp_path)
    assert "a-1-1" in (tmp_path / "orders.csv").read_text()
    assert "BTCUSDT-3" in (tmp_path / "fills.csv").read_text()
