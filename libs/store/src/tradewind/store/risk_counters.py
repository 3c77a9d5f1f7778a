"""What risk limits need after a restart: counters of profit and loss, and the prices that orders are counted at.

The rows are written by ``commit_order_batch``, in the transaction of the orders and fills that changed them.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, StrategyId
from tradewind.model.order_status import CLOSED
from tradewind.store.database import Database

ACCOUNT_SCOPE: Final = "account"
"""The name of the account's own counters; a strategy's are ``strategy:<id>``."""


class RiskCounterRow(msgspec.Struct, frozen=True, kw_only=True):
    """Profit and loss of one scope, in quote currency, fees taken off.

    ``day`` counts trading days since 1970. ``peak_pnl`` may be above the true peak, never below. ``fees`` are all so
    far.
    """

    scope: str
    day: int
    day_start_pnl: Decimal
    peak_pnl: Decimal
    last_pnl: Decimal
    fees: Decimal


class OrderPriceRow(msgspec.Struct, frozen=True, kw_only=True):
    """The price mantissa that an order counts at, where it is not the order's own."""

    client_order_id: ClientOrderId
    price: int


class RiskRows(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction of the order path writes for risk. ``ended_orders`` need their price no more."""

    counters: list[RiskCounterRow] = []
    order_prices: list[OrderPriceRow] = []
    ended_orders: list[ClientOrderId] = []


class SentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that passed risk, for the rates: whose, in what, and when (ns)."""

    strategy_id: StrategyId
    instrument_id: InstrumentId
    ts_init: int


class StoredRisk(msgspec.Struct, frozen=True, kw_only=True):
    """All that the risk checks of an account begin with."""

    counters: list[RiskCounterRow] = []
    order_prices: dict[ClientOrderId, int] = {}
    sent_orders: list[SentOrder] = []


async def load_risk(database: Database, account_id: AccountId, since_ns: int) -> StoredRisk:
    """Counters, prices of orders, and the orders sent since ``since_ns``, oldest first.

    Raises:
        DatabaseUnavailable: no answer; nothing may be sent before there is one.
    """
    async with database.connection() as connection:
        await connection.execute(_FORGET, account_id, [status.value for status in CLOSED])
        counters: list[Any] = await connection.fetch(_COUNTERS, account_id)
        prices: list[Any] = await connection.fetch(_PRICES, account_id)
        sent: list[Any] = await connection.fetch(_SENT, account_id, since_ns)
    return StoredRisk(
        counters=[msgspec.convert(dict(row), RiskCounterRow) for row in counters],
        order_prices={ClientOrderId(row["client_order_id"]): row["price"] for row in prices},
        sent_orders=[msgspec.convert(dict(row), SentOrder) for row in sent],
    )


_COUNTERS: Final = "SELECT scope, day, day_start_pnl, peak_pnl, last_pnl, fees FROM risk_counters WHERE account_id = $1"
# An order that has ended for certain is never counted again.
_FORGET: Final = (
    "DELETE FROM risk_order_prices p USING orders o WHERE p.account_id = $1 AND o.account_id = p.account_id"
    " AND o.client_order_id = p.client_order_id AND o.status = ANY($2) AND o.outcome <> 'UNKNOWN'"
)
_PRICES: Final = "SELECT client_order_id, price FROM risk_order_prices WHERE account_id = $1"
_SENT: Final = (
    "SELECT strategy_id, instrument_id, ts_init FROM orders"
    " WHERE account_id = $1 AND ts_init > $2 AND status <> 'DENIED' AND strategy_id <> 'EXTERNAL'"
    " ORDER BY ts_init, client_order_id"
)
