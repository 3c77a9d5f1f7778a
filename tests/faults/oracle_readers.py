"""Fills the oracle's records: from the file of the simulated venue, and from PostgreSQL. Both only read.

The venue's file belongs to its process alone: read it after that process has ended, or a copy of it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from faults.oracle import Limits, StoreEvent, StoreFill, StoreOrder, StoreRecord, VenueOrder, VenueRecord, VenueTrade
from tradewind.model.fixed_point import from_mantissa
from tradewind.model.instruments import Instrument
from tradewind.services.sim_venue.accounts import DEPOSITS
from tradewind.services.sim_venue.amounts import DECIMALS
from tradewind.services.sim_venue.listings import KNOWN, Listing
from tradewind.wire.encoding import decode

_TIMEOUT_S: Final = 60.0
_SIDES: Final = {"BUY": 1, "SELL": -1}
_KEPT: Final = ("orders", "journal", "journal_published", "fills", "positions", "books", "order_events", "leases")


def read_venue(path: Path, account: str = "main", external: Collection[str] = ()) -> VenueRecord:
    """All that a simulated venue recorded of an account. ``external``: client ids of orders that others placed.

    Raises:
        sqlite3.Error: there is no such file, or another process has it open.
    """
    with sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=_TIMEOUT_S) as file:
        file.row_factory = sqlite3.Row
        orders = [_venue_order(row, external) for row in _rows(file, "orders", "order_id", account)]
        trades = [_venue_trade(row) for row in _rows(file, "trades", "trade_id", account)]
        holdings = file.execute("SELECT * FROM holdings WHERE account = ?", (account,)).fetchall()
        house = {(row["book"], row["asset"]): amount(row["amount"]) for row in file.execute("SELECT * FROM house")}
    return VenueRecord(
        symbols={name: (listing.base, listing.quote) for name, listing in KNOWN.items()},
        orders=orders,
        trades=trades,
        opening={currency: -deposited for (book, currency), deposited in house.items() if book == DEPOSITS},
        balances={row["asset"]: amount(row["free"] + row["locked"]) for row in holdings},
        locked={row["asset"]: amount(row["locked"]) for row in holdings},
        house=house,
    )


def amount(units: int) -> Decimal:
    """The venue's whole numbers of 0.00000001 as a decimal."""
    return from_mantissa(units, DECIMALS)


def _rows(file: sqlite3.Connection, table: str, order: str, account: str) -> list[Any]:
    return file.execute(f"SELECT * FROM {table} WHERE account = ? ORDER BY {order}", (account,)).fetchall()


def _listing(row: Any) -> Listing:
    return KNOWN[row["symbol"]]


def _venue_order(row: Any, external: Collection[str]) -> VenueOrder:
    return VenueOrder(
        order_id=str(row["order_id"]),
        client_order_id=row["client_order_id"],
        symbol=row["symbol"],
        side=_venue_side(row),
        size=amount(row["size"]),
        price=from_mantissa(row["price"], _listing(row).price_precision) if row["price"] else None,
        executed=amount(row["executed"]),
        state=row["state"],
        created_ms=row["created_ms"],
        updated_ms=row["updated_ms"],
        locked=amount(row["locked"]),
        external=row["client_order_id"] in external,
    )


def _venue_trade(row: Any) -> VenueTrade:
    return VenueTrade(
        trade_id=f"{row['symbol']}-{row['trade_id']}",
        order_id=str(row["order_id"]),
        symbol=row["symbol"],
        side=_venue_side(row),
        price=from_mantissa(row["price"], _listing(row).price_precision),
        size=amount(row["size"]),
        fee=amount(row["fee"]),
        fee_currency=row["fee_asset"],
        time_ms=row["time_ms"],
    )


def _venue_side(row: Any) -> int:
    return 1 if row["side"] == 1 else -1


async def read_store(dsn: str, account: str, limits: Limits) -> StoreRecord:
    """All that our database knows of an account, in one snapshot.

    Raises:
        OSError, asyncpg.PostgresError: it cannot be read.
    """
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await _read(connection, account, limits)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def keep_rows(dsn: str, folder: Path) -> None:
    """Write the order path's tables as CSV files, for who looks into a violation."""
    connection = await asyncpg.connect(dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        for table in _KEPT:
            await connection.copy_from_table(table, output=folder / f"{table}.csv", format="csv", header=True)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def _read(connection: Any, account: str, limits: Limits) -> StoreRecord:
    definitions = await connection.fetch("SELECT definition FROM instruments")
    decoded = [msgspec.json.decode(row["definition"], type=Instrument) for row in definitions]
    instruments = {str(one.instrument_id): one for one in decoded}
    positions: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in await connection.fetch("SELECT * FROM positions WHERE account_id = $1", account):
        instrument = instruments[row["instrument_id"]]
        positions[row["strategy_id"], instrument.symbol] += instrument.decimal_size(row["signed_size"])
    books = await connection.fetch("SELECT * FROM books WHERE account_id = $1", account)
    opening = await connection.fetch("SELECT * FROM opening_balances WHERE account_id = $1", account)
    fills = await connection.fetch("SELECT * FROM fills WHERE account_id = $1 ORDER BY ts_event, trade_id", account)
    orders = await connection.fetch("SELECT * FROM orders WHERE account_id = $1 ORDER BY ts_init", account)
    return StoreRecord(
        orders=[_store_order(row, instruments[row["instrument_id"]]) for row in orders],
        fills=[_store_fill(row, instruments[row["instrument_id"]]) for row in fills],
        positions=positions,
        books={(row["strategy_id"], row["currency"]): row["amount"] for row in books},
        opening={row["currency"]: row["amount"] for row in opening},
        events=[StoreEvent(*row) for row in await connection.fetch(_EVENTS, account)],
        unpublished=await connection.fetchval(_UNPUBLISHED, account),
        told_denied=_own_denials(await connection.fetch(_TOLD_DENIED, account), orders),
        limits=limits,
    )


def _own_denials(rows: list[Any], orders: list[Any]) -> list[str]:
    """Orders whose own command was refused in words. A refusal of another command that used a taken id says nothing of
    the order of that name, and those who know the order pass over its sequence."""
    commands = {row["client_order_id"]: row["command_id"] for row in orders}
    found = []
    for row in rows:
        denial = decode(row["type"], row["version"], row["payload"])
        if denial.causation_id == commands.get(row["client_order_id"]):
            found.append(row["client_order_id"])
    return found


def _store_order(row: Any, instrument: Instrument) -> StoreOrder:
    return StoreOrder(
        client_order_id=row["client_order_id"],
        strategy_id=row["strategy_id"],
        symbol=instrument.symbol,
        side=_SIDES[row["side"]],
        size=instrument.decimal_size(row["size"]),
        price=None if row["price"] is None else instrument.decimal_price(row["price"]),
        status=row["status"],
        outcome=row["outcome"],
        filled_size=instrument.decimal_size(row["filled_size"]),
        venue_order_id=row["venue_order_id"],
        reason=row["reason"],
        event_count=row["event_count"],
    )


def _store_fill(row: Any, instrument: Instrument) -> StoreFill:
    return StoreFill(
        trade_id=row["trade_id"],
        client_order_id=row["client_order_id"],
        venue_order_id=row["venue_order_id"],
        strategy_id=row["strategy_id"],
        symbol=instrument.symbol,
        side=_SIDES[row["side"]],
        price=instrument.decimal_price(row["price"]),
        size=instrument.decimal_size(row["size"]),
        fee=row["fee"],
        fee_currency=row["fee_currency"],
    )


_EVENTS: Final = "SELECT client_order_id, sequence, type FROM order_stories WHERE account_id = $1"
# What the recorder heard: as a first event a denial is one in words, whose durable form comes later.
_TOLD_DENIED: Final = """
SELECT client_order_id, type, version, payload FROM order_events
WHERE account_id = $1 AND type = 'OrderDenied' AND sequence = 1
"""
_UNPUBLISHED: Final = """
SELECT count(*) FROM journal
WHERE account_id = $1 AND id > COALESCE((SELECT through_id FROM journal_published WHERE account_id = $1), 0)
"""
