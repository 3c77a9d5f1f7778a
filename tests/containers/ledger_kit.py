"""Whether the platform's ledger is right: its tables against what the exchange itself says."""

import json
from decimal import Decimal
from typing import Any, Final

from containers.engine_kit import Platform, until

_ASK_VENUE: Final = """
import asyncio, json
from tradewind.runtime.settings import PlatformSettings, load_settings
from tradewind.runtime.venue_connecting import execution_client_of

async def main():
    client = execution_client_of(load_settings(PlatformSettings))
    try:
        await client.connect()
        await client.instruments()
        status = await client.mass_status(0)
    finally:
        await client.close()
    print(json.dumps({
        "open": [str(order.client_order_id) for order in status.open_orders],
        "fills": [[str(fill.trade_id), str(fill.venue_order_id), fill.price, fill.size] for fill in status.fills],
        "balances": {balance.currency: str(balance.total) for balance in status.balances.balances},
    }))

asyncio.run(main())
"""
_UNFINISHED: Final = """SELECT client_order_id, status, outcome FROM orders
WHERE status NOT IN ('DENIED', 'REJECTED', 'FILLED', 'CANCELED', 'EXPIRED') OR outcome = 'UNKNOWN'"""


def venue_says(platform: Platform) -> dict[str, Any]:
    """Open orders, all fills and balances of the account, asked from inside the platform's network."""
    said: dict[str, Any] = json.loads(platform.run_in("execution", "python3", "-", stdin=_ASK_VENUE))
    return said


def halt(platform: Platform) -> None:
    """Stop all trading and wait until nothing is open, here and there."""
    platform.api("/trading-state", {"scope": "firm", "state": "HALTED", "why": "test"})
    until(lambda: not platform.sql(_UNFINISHED) and not venue_says(platform)["open"], "nothing is open")


def resume(platform: Platform) -> None:
    """Trade again."""
    platform.api("/trading-state", {"scope": "firm", "state": "ACTIVE", "why": "test"})


def check_ledger(platform: Platform) -> None:
    """Every fill of the exchange is stored once and no other; books, account and the exchange's balances are equal."""
    halt(platform)
    venue = venue_says(platform)
    stored = platform.sql("SELECT trade_id, venue_order_id, price, size FROM fills")
    assert sorted([trade, order, int(price), int(size)] for trade, order, price, size in stored) == sorted(
        venue["fills"]
    )
    assert len(venue["fills"]) > 0
    ledger = platform.sql("SELECT currency, account_amount, books_amount FROM ledger")
    assert ledger
    for currency, account, books in ledger:
        assert Decimal(account) == Decimal(books) == Decimal(venue["balances"][currency]), currency
    assert not platform.sql(
        "SELECT * FROM fills f LEFT JOIN orders o USING (client_order_id, venue_order_id) WHERE o.side IS NULL"
    )
    filled = "SELECT client_order_id, sum(size) AS size FROM fills GROUP BY 1"
    assert not platform.sql(
        f"SELECT * FROM orders LEFT JOIN ({filled}) f USING (client_order_id) WHERE filled_size <> COALESCE(f.size, 0)"
    )
