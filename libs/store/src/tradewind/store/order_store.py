"""The write-ahead store of the order path: one call is one round trip and one transaction, fenced by the lease's epoch.

``commit`` either wrote everything or nothing. When it raises DatabaseUnavailable nobody knows which: the caller must
throw its memory away and load again, and that is also how it starts.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from tradewind.model.identifiers import (
    AccountId,
    ClientOrderId,
    InstrumentId,
    StrategyId,
    TradeId,
    Venue,
    VenueOrderId,
)
from tradewind.model.order_status import CLOSED
from tradewind.model.orders import Fill, Order
from tradewind.model.positions import Position
from tradewind.store.database import Database, DatabaseUnavailable, translated_errors
from tradewind.store.recovery_rows import RecoveryRows
from tradewind.store.risk_counters import RiskRows
from tradewind.wire.encoding import VERSIONS, decode, encode, type_name
from tradewind.wire.messages import Message
from tradewind.wire.topics import Topic

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

LEASE_LOST_SQLSTATE: Final = "TW001"

_encoder = msgspec.json.Encoder(decimal_format="string")
_CLOSED: Final = [status.value for status in CLOSED]


class LeaseLost(Exception):
    """Another process has taken the account over. Nothing was written; stop sending now."""


class StoreConflict(Exception):
    """A new order or fill is in the store already. Nothing was written; load again and plan again."""


class FillRow(Fill, frozen=True, kw_only=True):
    """A fill with what it moved: signed changes of base and quote currency, fee apart."""

    venue: Venue
    base_currency: str
    base_amount: Decimal
    quote_currency: str
    quote_amount: Decimal


class BookRow(msgspec.Struct, frozen=True, kw_only=True):
    """Cash of one strategy's book in one currency."""

    account_id: AccountId
    strategy_id: StrategyId
    currency: str
    amount: Decimal


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message that must be published under the account's key once the transaction has committed.

    ``client_order_id`` and ``sequence`` are set on order events, which also become the order's story.
    """

    topic: Topic
    message: Message
    client_order_id: ClientOrderId | None = None
    sequence: int | None = None


class OrderBatch(msgspec.Struct, kw_only=True):
    """What one transaction of the order path writes."""

    new_orders: list[Order] = []
    orders: list[Order] = []
    fills: list[FillRow] = []
    positions: list[Position] = []
    books: list[BookRow] = []
    outgoing: list[Outgoing] = []
    risk: RiskRows | None = None
    recovery: RecoveryRows | None = None


class StoredOutgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A journal row that a process may have left unpublished."""

    position: int
    topic: str
    message: Message


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One currency: what opening balances and fills make of the account, and what the books add up to."""

    currency: str
    account_amount: Decimal
    books_amount: Decimal


class OrderStore:
    """Reads and writes the order path of one account."""

    def __init__(self, database: Database, account_id: AccountId) -> None:
        self._database = database
        self.account_id = account_id
        self._held = AsyncExitStack()
        self._statement: PreparedStatement[asyncpg.Record] | None = None

    async def commit(self, batch: OrderBatch, *, lease: str, epoch: int, now_ns: int) -> int | None:
        """Write a batch in one transaction; returns the journal position of its last message, if it has any.

        Raises:
            LeaseLost: the epoch is over; nothing was written.
            StoreConflict: an order or fill exists already; nothing was written.
            DatabaseUnavailable: the outcome is not known.
        """
        arguments = (
            lease,
            epoch,
            self.account_id,
            now_ns,
            [_order_row(order) for order in batch.new_orders] or None,
            [_order_row(order) for order in batch.orders] or None,
            [_journal_entry(item) for item in batch.outgoing] or None,
            _json(batch.fills),
            _json(batch.positions),
            _json(batch.books),
            _encoder.encode(batch.risk).decode() if batch.risk is not None else None,
        )
        try:
            with translated_errors():
                statement = self._statement or await self._prepare()
                if batch.recovery is None:
                    return await statement.fetchval(*arguments)  # type: ignore[no-any-return]
                recovery = _encoder.encode(batch.recovery).decode()
                async with self._database.connection() as connection:
                    return await connection.fetchval(_COMMIT_RECOVERY, *arguments, recovery)  # type: ignore[no-any-return]
        except asyncpg.UniqueViolationError as error:
            raise StoreConflict(error.detail or str(error)) from error
        except asyncpg.PostgresError as error:
            if error.sqlstate == LEASE_LOST_SQLSTATE:
                raise LeaseLost(str(error)) from error
            raise

    async def aclose(self) -> None:
        """Give back the connection that commits use; after an error nothing else may be done with this store."""
        self._statement = None
        with suppress(DatabaseUnavailable):
            await self._held.aclose()

    async def _prepare(self) -> "PreparedStatement[asyncpg.Record]":
        # Commits keep one connection: taking one from the pool each time costs a third of the commit itself.
        connection = await self._held.enter_async_context(self._database.connection())
        self._statement = await connection.prepare(_COMMIT)
        return self._statement

    async def open_balances(self, amounts: dict[str, Decimal], ts_ns: int) -> dict[str, Decimal]:
        """Record what the account held when it was first seen, and return all that is recorded.

        A currency that is recorded already keeps its amount.
        """
        async with self._database.connection() as connection, connection.transaction():
            for currency, amount in amounts.items():
                await connection.execute(_OPENING, self.account_id, currency, amount, ts_ns)
        rows = await self._fetch("SELECT currency, amount FROM opening_balances WHERE account_id = $1")
        return {row["currency"]: row["amount"] for row in rows}

    async def opened_ns(self) -> int | None:
        """When the account was first seen: fills before it are part of the opening balances."""
        rows = await self._fetch("SELECT min(ts) AS ts FROM opening_balances WHERE account_id = $1")
        return rows[0]["ts"] if rows else None

    async def unfinished_orders(self) -> list[Order]:
        """Orders without a known end, oldest first."""
        rows = await self._fetch(_UNFINISHED, _CLOSED)
        return [order_from_row(row) for row in rows]

    async def orders_by_id(self, ids: Sequence[ClientOrderId]) -> list[Order]:
        """Those of ``ids`` that the store knows."""
        rows = await self._fetch("SELECT * FROM orders WHERE account_id = $1 AND client_order_id = ANY($2)", list(ids))
        return [order_from_row(row) for row in rows]

    async def order_by_venue_id(self, instrument_id: InstrumentId, venue_order_id: VenueOrderId) -> Order | None:
        """The order that the venue calls so; venues may count per instrument."""
        query = "SELECT * FROM orders WHERE account_id = $1 AND instrument_id = $2 AND venue_order_id = $3"
        rows = await self._fetch(query, instrument_id, venue_order_id)
        return order_from_row(rows[0]) if rows else None

    async def positions(self) -> list[Position]:
        """All positions of the account, flat ones too."""
        rows = await self._fetch("SELECT * FROM positions WHERE account_id = $1")
        return [msgspec.convert(dict(row), Position) for row in rows]

    async def books(self) -> list[BookRow]:
        """Cash of every strategy's book."""
        rows = await self._fetch("SELECT * FROM books WHERE account_id = $1")
        return [msgspec.convert(dict(row), BookRow) for row in rows]

    async def known_trade_ids(self, trade_ids: Sequence[TradeId]) -> set[TradeId]:
        """Those of ``trade_ids`` whose fill is in the store."""
        query = "SELECT trade_id FROM fills WHERE account_id = $1 AND trade_id = ANY($2)"
        return {TradeId(row["trade_id"]) for row in await self._fetch(query, list(trade_ids))}

    async def recent_trade_ids(self, limit: int) -> list[TradeId]:
        """Trade ids of the newest fills, oldest of them first."""
        query = "SELECT trade_id FROM fills WHERE account_id = $1 ORDER BY ts_event DESC, trade_id LIMIT $2"
        return [TradeId(row["trade_id"]) for row in reversed(await self._fetch(query, limit))]

    async def last_fill_ns(self) -> int | None:
        """Venue time of the newest fill."""
        rows = await self._fetch("SELECT max(ts_event) AS ts FROM fills WHERE account_id = $1")
        return rows[0]["ts"] if rows else None

    async def unpublished(self, limit: int = 10_000) -> list[StoredOutgoing]:
        """Journal rows in commit order that may not have been published."""
        rows = await self._fetch(_UNPUBLISHED, limit)
        return [
            StoredOutgoing(
                position=row["id"],
                topic=row["topic"],
                message=decode(row["type"], row["version"], row["payload"]),
            )
            for row in rows
        ]

    async def mark_published(self, through: int) -> None:
        """The bus has everything up to this journal position."""
        async with self._database.connection() as connection:
            await connection.execute(_PUBLISHED, self.account_id, through)

    async def ledger(self) -> list[LedgerLine]:
        """The ledger by currency, computed by the database from opening balances and fills."""
        query = "SELECT currency, account_amount, books_amount FROM ledger WHERE account_id = $1 ORDER BY currency"
        return [msgspec.convert(dict(row), LedgerLine) for row in await self._fetch(query)]

    async def _fetch(self, query: str, *arguments: Any) -> list[Any]:
        async with self._database.connection() as connection:
            return list(await connection.fetch(query, self.account_id, *arguments))


def order_from_row(row: Any) -> Order:
    """An order from a row of ``orders``."""
    return msgspec.convert(dict(row), Order)


def _order_row(order: Order) -> tuple[Any, ...]:
    """The columns of ``orders``, in the order of its definition."""
    return (
        order.account_id,
        order.client_order_id,
        order.command_id,
        order.strategy_id,
        order.instrument_id,
        order.side,
        order.order_type,
        order.time_in_force,
        order.size,
        order.price,
        order.trigger_price,
        order.post_only,
        order.reduce_only,
        order.expire_time,
        order.correlation_id,
        order.status,
        order.previous_status,
        order.outcome,
        order.unknown_since,
        order.venue_order_id,
        order.filled_size,
        order.reason,
        order.event_count,
        order.ts_init,
        order.ts_last,
    )


def _journal_entry(item: Outgoing) -> tuple[Any, ...]:
    """The fields of ``journal_entry``."""
    message = item.message
    name = type_name(message)
    return (
        item.client_order_id,
        item.sequence,
        message.event_id,
        item.topic.name,
        name,
        VERSIONS[name],
        encode(message),
    )


def _json(rows: Sequence[msgspec.Struct]) -> str | None:
    return _encoder.encode(rows).decode() if rows else None


_COMMIT: Final = (
    "SELECT commit_order_batch($1, $2, $3, $4, $5::orders[], $6::orders[], $7::journal_entry[],"
    " $8::json, $9::json, $10::json, $11::json)"
)
_COMMIT_RECOVERY: Final = _COMMIT.replace("$11::json)", "$11::json, $12::json)")
_OPENING: Final = "INSERT INTO opening_balances VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"
_UNFINISHED: Final = (
    "SELECT * FROM orders WHERE account_id = $1 AND (status <> ALL($2) OR outcome = 'UNKNOWN')"
    " ORDER BY ts_init, client_order_id"
)
_UNPUBLISHED: Final = """
SELECT id, topic, type, version, payload FROM journal
WHERE account_id = $1 AND id > COALESCE((SELECT through_id FROM journal_published WHERE account_id = $1), 0)
ORDER BY id LIMIT $2
"""
_PUBLISHED: Final = """
INSERT INTO journal_published VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET through_id = greatest(journal_published.through_id, $2)
"""
