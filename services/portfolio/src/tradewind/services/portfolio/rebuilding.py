"""Rebuilds the books from the store: positions, fees, and which fills are in them, all of one moment."""

from typing import Final

import msgspec

from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId, TradeId
from tradewind.model.positions import Position
from tradewind.services.portfolio.books import KEPT_TRADE_IDS, Books
from tradewind.store.database import Database

_POSITIONS: Final = "SELECT * FROM positions WHERE account_id = $1"
_FEES: Final = """
SELECT strategy_id, instrument_id, fee_currency, sum(fee) AS amount, sum(fee * price) AS times_price
FROM fills WHERE account_id = $1 GROUP BY strategy_id, instrument_id, fee_currency
"""
_TRADE_IDS: Final = "SELECT trade_id FROM fills WHERE account_id = $1 ORDER BY ts_event DESC LIMIT $2"


async def rebuilt_books(database: Database, account_id: AccountId) -> Books:
    """Books as the store knows them.

    Raises:
        DatabaseUnavailable: no answer.
    """
    books = Books(account_id)
    async with (
        database.connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        positions = await connection.fetch(_POSITIONS, account_id)
        fees = await connection.fetch(_FEES, account_id)
        trade_ids = await connection.fetch(_TRADE_IDS, account_id, KEPT_TRADE_IDS)
    books.load(
        (msgspec.convert(dict(row), Position) for row in positions),
        (TradeId(row["trade_id"]) for row in reversed(trade_ids)),
    )
    for row in fees:
        books.load_fees(
            StrategyId(row["strategy_id"]),
            InstrumentId(row["instrument_id"]),
            row["fee_currency"],
            row["amount"],
            row["times_price"],
        )
    return books
