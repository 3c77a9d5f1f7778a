"""What REST and a fresh start read from the store: orders, their events, fills, positions of one account.

Reads share the connection pool with the order path, so few of them run at the same time, each within a bound.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from tradewind.model.identifiers import AccountId, InstrumentId, StrategyId
from tradewind.model.instruments import Instrument
from tradewind.model.order_status import CLOSED
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.view_model.listing import Conditions, Filters
from tradewind.services.api.view_model.order_views import SeenFill
from tradewind.store.database import Database, DatabaseUnavailable
from tradewind.store.equity import EquityPoint, EquityRepository
from tradewind.store.instruments import InstrumentRepository
from tradewind.store.kill_switches import KillStep, KillSwitch, KillSwitchRepository
from tradewind.store.leases import HeldLease, LeaseRepository
from tradewind.store.market_data import Candle, MarketDataRepository
from tradewind.store.order_store import order_from_row
from tradewind.store.recovery_rows import ReconciliationRepository, ReconciliationRow
from tradewind.store.trading_states import StoredTradingState, TradingStateRepository
from tradewind.wire.encoding import decode
from tradewind.wire.events import OrderEvent

_CLOSED: Final = [status.value for status in CLOSED]
_ORDERS: Final = "SELECT * FROM orders WHERE {} ORDER BY ts_init DESC, client_order_id LIMIT {}"
_UNFINISHED: Final = """
SELECT * FROM orders WHERE account_id = $1 AND (status <> ALL($2) OR outcome = 'UNKNOWN')
ORDER BY ts_init DESC LIMIT $3
"""
_FILLS: Final = """
SELECT account_id, trade_id, client_order_id, venue_order_id, strategy_id, instrument_id, side, price, size, fee,
       fee_currency, liquidity_side, ts_event, ts_event AS ts_init
FROM fills WHERE {} ORDER BY ts_event DESC, trade_id LIMIT {}
"""
_FEES: Final = """
SELECT account_id, strategy_id, instrument_id, fee_currency, sum(fee) AS fee, sum(fee * price) AS fee_times_price
FROM fills WHERE account_id = $1 GROUP BY account_id, strategy_id, instrument_id, fee_currency
"""
_LEDGER: Final = "SELECT currency, account_amount, books_amount FROM ledger WHERE account_id = $1"
_EVENTS: Final = """
SELECT type, version, payload FROM order_stories
WHERE account_id = $1 AND client_order_id = $2 ORDER BY sequence LIMIT $3
"""
MAX_EVENTS: Final = 1_000
ANY: Final = Filters()

Cursor = tuple[int, str]
"""Time in ns and id of the last row of a page; the next page begins after it."""


class FeeSum(msgspec.Struct, frozen=True, kw_only=True):
    """Fees of one strategy in one instrument and currency; ``fee_times_price``: each by its fill's price mantissa."""

    account_id: AccountId
    strategy_id: StrategyId
    instrument_id: InstrumentId
    fee_currency: str
    fee: Decimal
    fee_times_price: Decimal


class LedgerTotal(msgspec.Struct, frozen=True, kw_only=True):
    """One currency: what opening balance and fills make of the account, and the sum of all books."""

    account: Decimal
    books: Decimal


class BadCursor(ValueError):
    """A cursor that was not made here."""


def encode_cursor(cursor: Cursor) -> str:
    """A cursor as URL-safe text."""
    return base64.urlsafe_b64encode(f"{cursor[0]}:{cursor[1]}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor:
    """The cursor that ``encode_cursor`` made a text of.

    Raises:
        BadCursor: it did not.
    """
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        time_ns, separator, name = decoded.partition(":")
        if not separator or not 0 <= int(time_ns) < 2**63 or "\0" in name:
            raise BadCursor("the cursor was not given out by this server; begin again without one")
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise BadCursor("the cursor was not given out by this server; begin again without one") from error
    return int(time_ns), name


class StoreQueries:
    """Reads of one account. Every method raises DatabaseUnavailable when the store is away, slow or not made yet."""

    def __init__(self, database: Database, account_id: AccountId, settings: ApiSettings) -> None:
        self._database = database
        self._account_id = account_id
        self._timeout_s = settings.query_timeout_s
        self._turns = asyncio.Semaphore(settings.concurrent_queries)

    async def orders(self, filters: Filters = ANY, *, after: Cursor | None = None, limit: int) -> list[Order]:
        """Orders, newest first."""
        conditions = filters.conditions("ts_init", ("venue_order_id", "correlation_id"))
        filters.add_status(conditions)
        return [order_from_row(row) for row in await self._page(_ORDERS, conditions, "ts_init", after, limit)]

    async def unfinished_orders(self, limit: int) -> list[Order]:
        """Orders without a known end, newest first."""
        return [order_from_row(row) for row in await self._fetch(_UNFINISHED, _CLOSED, limit)]

    async def orders_by_id(self, ids: Sequence[str]) -> list[Order]:
        """Those of ``ids`` that the store knows."""
        query = "SELECT * FROM orders WHERE account_id = $1 AND client_order_id = ANY($2)"
        return [order_from_row(row) for row in await self._fetch(query, list(ids))]

    async def orders_of(self, correlation_id: str, *, limit: int) -> list[Order]:
        """Orders of one correlation id, newest first."""
        query = "SELECT * FROM orders WHERE account_id = $1 AND correlation_id = $2 ORDER BY ts_init DESC LIMIT $3"
        return [order_from_row(row) for row in await self._fetch(query, correlation_id, limit)]

    async def order_events(self, client_order_id: str) -> list[OrderEvent]:
        """An order's story, oldest first."""
        rows = await self._fetch(_EVENTS, client_order_id, MAX_EVENTS)
        messages = [decode(row["type"], row["version"], row["payload"]) for row in rows]
        return [message for message in messages if isinstance(message, OrderEvent)]

    async def fills(self, filters: Filters = ANY, *, after: Cursor | None = None, limit: int) -> list[SeenFill]:
        """Fills, newest first."""
        conditions = filters.conditions("ts_event", ("venue_order_id", "trade_id"))
        rows = await self._page(_FILLS, conditions, "ts_event", after, limit)
        return [msgspec.convert(dict(row), SeenFill) for row in rows]

    async def positions(self) -> list[Position]:
        """All positions, flat ones too."""
        rows = await self._fetch("SELECT * FROM positions WHERE account_id = $1")
        return [msgspec.convert(dict(row), Position) for row in rows]

    async def instruments(self) -> list[Instrument]:
        """All instruments that were ever defined."""
        async with self._turn():
            return await InstrumentRepository(self._database).load_all()

    async def trading_states(self) -> list[StoredTradingState]:
        """Every scope that was ever given a state."""
        async with self._turn():
            return list((await TradingStateRepository(self._database).all()).values())

    async def candles(
        self, instrument_number: int, interval_s: int, *, before_ns: int | None, limit: int
    ) -> list[Candle]:
        """Bars of the recorded prints, oldest first."""
        async with self._turn():
            return await MarketDataRepository(self._database).candles(
                instrument_number, interval_s, end_ns=before_ns, limit=limit
            )

    async def leases(self) -> list[HeldLease]:
        """Who holds which lease."""
        async with self._turn():
            return await LeaseRepository(self._database).held()

    async def fee_sums(self) -> list[FeeSum]:
        """All fees that were ever paid, put together."""
        return [msgspec.convert(dict(row), FeeSum) for row in await self._fetch(_FEES)]

    async def ledger_totals(self) -> dict[str, LedgerTotal]:
        """Account and books by currency."""
        rows = await self._fetch(_LEDGER)
        return {row["currency"]: LedgerTotal(account=row["account_amount"], books=row["books_amount"]) for row in rows}

    async def reconciliation(self) -> ReconciliationRow | None:
        """The last comparison of the venue's balances with the books that said something new."""
        async with self._turn():
            rows = await ReconciliationRepository(self._database).newest(self._account_id)
        return rows[0] if rows else None

    async def kill_switches(self) -> list[KillSwitch]:
        """The engaged ones, then the last released."""
        async with self._turn():
            return await KillSwitchRepository(self._database).newest()

    async def kill_steps(self, kill_id: int) -> list[KillStep]:
        """The way of one engagement, oldest first."""
        async with self._turn():
            return await KillSwitchRepository(self._database).history(kill_id)

    async def equity_curve(self, strategy_id: str | None, *, limit: int) -> list[EquityPoint]:
        """The newest points of the equity curves, oldest first."""
        strategy = StrategyId(strategy_id) if strategy_id else None
        async with self._turn():
            return await EquityRepository(self._database).curve(self._account_id, strategy, limit=limit)

    async def _page(
        self, query: str, conditions: Conditions, time_column: str, after: Cursor | None, limit: int
    ) -> list[Any]:
        if after is not None:
            id_column = "client_order_id" if time_column == "ts_init" else "trade_id"
            at, name = after
            conditions.add(f"({time_column} <= {{}} AND ({time_column} < {{}} OR {id_column} > {{}}))", at, at, name)
        [bound] = conditions.places(limit)
        return await self._fetch(query.format(conditions, bound), *conditions.parameters)

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        async with self._turn(), self._database.connection() as connection:
            return list(await connection.fetch(query, self._account_id, *arguments))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                yield
        except asyncpg.UndefinedTableError as error:
            raise DatabaseUnavailable("the database has no tables yet; run tradewind db migrate") from error
        except TimeoutError as error:
            raise DatabaseUnavailable(f"the database did not answer within {self._timeout_s:.0f} s") from error
