"""What a run came to, in a form that two runs can be compared by: every order and fill, without times and venue ids."""

import hashlib
from decimal import Decimal
from typing import Any, Final

from tradewind.store.database import Database

_FIELD_END: Final = "\x1f"
_ROW_END: Final = "\x1e"


async def outcome_of(database: Database) -> dict[str, Any]:
    """Per table: how many ``rows``, and the ``sha256`` over them as text, sorted by their own words.

    Raises:
        DatabaseUnavailable: the database is away.
    """
    async with database.connection() as connection:
        found = {name: await connection.fetch(query) for name, query in _QUERIES.items()}
    return {name: _digest([tuple(row) for row in rows]) for name, rows in found.items()}


def _digest(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    # Sorted here: a database sorts by its locale.
    lines = sorted(_FIELD_END.join(map(_word, row)) for row in rows)
    return {"rows": len(lines), "sha256": hashlib.sha256(_ROW_END.join(lines).encode()).hexdigest()}


def _word(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else str(value)


_QUERIES: Final = {
    "orders": """
        SELECT client_order_id, instrument_id, side, order_type, price, size, status, filled_size FROM orders
    """,
    "fills": "SELECT client_order_id, price, size, side, liquidity_side, fee, fee_currency FROM fills",
}
