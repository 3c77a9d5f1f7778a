"""The venue's own durable record in one SQLite file: balances, orders, trades and counters.

``run`` is the one task that writes, owned by the server; it writes everything that has gathered since its last commit
in one transaction on a thread of its own, so a commit never blocks the event loop. Order: steps are written and
delivered as they were appended. Bound: ``MAX_BACKLOG`` steps; past it ``overfull`` is true, the server refuses new
orders, and the market waits. If a write fails the task ends with the error and every waiter gets it: nothing that was
not written is ever told to a client. On cancel it writes what is left and closes the file.

WAL with ``synchronous=NORMAL``: what was acknowledged survives the end of the process at any moment, not a power cut.
"""

import asyncio
import collections
import contextlib
import dataclasses
import fcntl
import os
import sqlite3
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from tradewind.runtime.refusals import StartRefused
from tradewind.services.sim_venue import ledger_schema as sql
from tradewind.services.sim_venue.accounts import Balances, Holding
from tradewind.services.sim_venue.changes import Changes
from tradewind.services.sim_venue.orders import AccountTrade, OrderState, VenueOrder

T = TypeVar("T")
MAX_BACKLOG: Final = 8_192
_BATCH: Final = 1_024
_ORDER_FIELDS: Final = tuple(field.name for field in dataclasses.fields(VenueOrder))


class LedgerFailed(RuntimeError):
    """The record could not be written; what was not acknowledged may or may not have happened."""


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerState:
    """What an earlier run left."""

    balances: Balances
    open_orders: list[VenueOrder]
    next_order_id: int
    next_trade_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Which rows a history query wants. Times in ms; ``limit`` newest rows, or the first ones from ``from_id`` on."""

    limit: int
    from_id: int | None = None
    order_id: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None


class LedgerFile:
    """The record of one venue. One process at a time has it open; others may read it meanwhile (``mode=ro``)."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            StartRefused: it cannot be opened, is no such record, or another process has it.
        """
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim-venue-ledger")
        self._pending: collections.deque[Changes] = collections.deque()
        self._waiters: collections.deque[tuple[int, asyncio.Future[None]]] = collections.deque()
        self._wake = asyncio.Event()
        self._appended = 0
        self._written = 0
        self._failure: LedgerFailed | None = None
        self.next_ouch_sequence = 1
        """Of the OUCH session: the number after the last message that is written."""
        try:
            # Closed with this object at the latest: a record that was never run must not stay locked.
            self._unlock = weakref.finalize(self, os.close, _lock(path))
            self._file = _open(path)
            self.next_ouch_sequence += self._highest("SELECT max(sequence) FROM ouch_messages")
        except (sqlite3.Error, OSError) as error:
            raise StartRefused(
                f"the simulated venue cannot use its record {path}: {error}; "
                "free the disk if it is full, stop the other process if one has it, or give another data folder"
            ) from error

    def load(self) -> LedgerState:
        """Everything that a new run goes on from."""
        balances = Balances()
        for account, asset, free, locked in self._file.execute("SELECT * FROM holdings"):
            balances.holdings[account, asset] = Holding(free, locked)
        for book, asset, amount in self._file.execute("SELECT * FROM house"):
            balances.house[book, asset] = amount
        return LedgerState(
            balances=balances,
            open_orders=[_order(row) for row in self._file.execute(sql.OPEN_ORDERS)],
            next_order_id=self._highest("SELECT max(order_id) FROM orders") + 1,
            next_trade_id=self._highest("SELECT max(trade_id) FROM trades") + 1,
        )

    def reserve(self, name: str, count: int) -> int:
        """The first of ``count`` numbers that no run ever had before. Blocks for one commit: only for the start."""
        taken = self._highest("SELECT max(value) FROM counters WHERE name = ?", name)
        with self._file:
            self._file.execute(sql.PUT_COUNTER, (name, taken + count))
        return taken + 1

    def close(self) -> None:
        """Close the file; ``run`` does it by itself."""
        self._file.close()
        self._unlock()

    def append(self, changes: Changes) -> int:
        """Queue one step for writing; answers its number."""
        self._pending.append(changes)
        self._appended += 1
        self._wake.set()
        return self._appended

    @property
    def overfull(self) -> bool:
        """Whether more steps wait than should."""
        return len(self._pending) > MAX_BACKLOG

    async def written(self, step: int | None = None) -> None:
        """Wait until a step, by default the last one appended, is in the file and delivered.

        Raises:
            LedgerFailed: it never will be.
        """
        wanted = self._appended if step is None else step
        if self._failure is not None:
            raise self._failure
        if wanted > self._written:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((wanted, waiter))
            await waiter

    async def run(self, deliver: Callable[[str, bytes], None]) -> None:
        """Write until cancelled; ``deliver`` gets each private message once its step is in the file.

        Raises:
            LedgerFailed: the file cannot be written, for one because the disk is full.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._pending:
                    batch = [self._pending.popleft() for _ in range(min(len(self._pending), _BATCH))]
                    # A cancel must not part the commit from its delivery.
                    await asyncio.shield(self._in_thread(partial(self._commit, batch)))
                    self._deliver(batch, deliver)
        except sqlite3.Error as error:
            self._failure = LedgerFailed(f"the record {self._path} cannot be written: {error}; free the disk")
            raise self._failure from error
        finally:
            await self._close()

    async def order(self, account: str, symbol: str, order_id: int) -> VenueOrder | None:
        """An order by its number."""
        rows = await self._read(sql.ORDER_BY_ID, order_id, account, symbol)
        return _order(rows[0]) if rows else None

    async def orders_named(self, account: str, symbol: str, client_id: str, limit: int = 1) -> list[VenueOrder]:
        """The orders that ever had a client's id, the newest first: an id may be used again after its order closed."""
        rows = await self._read(sql.ORDERS_BY_CLIENT_ID, client_id, account, symbol, limit)
        return [_order(row) for row in rows]

    async def orders(self, account: str, symbol: str, span: Span) -> list[VenueOrder]:
        """Orders of one symbol, oldest first; ``from_id`` counts order numbers."""
        rows = await self._span(sql.ORDERS, "order_id", "created_ms", account, symbol, span)
        return [_order(row) for row in rows]

    async def trades(self, account: str, symbol: str, span: Span) -> list[AccountTrade]:
        """Trades of one symbol, oldest first; ``from_id`` counts trade numbers."""
        rows = await self._span(sql.TRADES, "trade_id", "time_ms", account, symbol, span)
        return [AccountTrade._make((*row[:10], bool(row[10]), row[11])) for row in rows]

    def open_ouch_orders(self) -> dict[int, str]:
        """Tokens of the open orders that came over OUCH, by order id. Blocks: only for the start."""
        return dict(self._file.execute(sql.OPEN_OUCH_ORDERS))

    async def knows_ouch_token(self, token: str) -> bool:
        """Whether an order was ever entered with a token."""
        return bool(await self._read(sql.OUCH_TOKEN, token))

    async def ouch_messages(self, sequence: int, limit: int) -> list[bytes]:
        """Messages of the OUCH session from a number on."""
        rows = await self._in_thread(lambda: self._file.execute(sql.OUCH_MESSAGES, (sequence, limit)).fetchall())
        return [row[0] for row in rows]

    async def _span(self, query: str, id_name: str, time_name: str, account: str, symbol: str, span: Span) -> list[Any]:
        conditions: list[tuple[str, int | None]] = [
            (f"{id_name} >= ?", span.from_id),
            ("order_id = ?", span.order_id),
            (f"{time_name} >= ?", span.start_ms),
            (f"{time_name} <= ?", span.end_ms),
        ]
        asked = [(text, value) for text, value in conditions if value is not None]
        oldest_first = span.from_id is not None or span.start_ms is not None
        where = " AND ".join(text for text, _ in asked) or "1"
        full = query.format(where, "ASC" if oldest_first else "DESC")
        rows = await self._read(full, account, symbol, *(value for _, value in asked), span.limit)
        return rows if oldest_first else rows[::-1]

    async def _read(self, query: str, *values: Any) -> list[Any]:
        await self.written()
        return await self._in_thread(lambda: self._file.execute(query, values).fetchall())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _commit(self, batch: list[Changes]) -> None:
        orders = {order.order_id: order for step in batch for order in step.orders}
        holdings = {key: holding for step in batch for key, holding in step.holdings.items()}
        house = {key: amount for step in batch for key, amount in step.house.items()}
        with self._file:
            self._file.executemany(sql.PUT_ORDER, [_row(order) for order in orders.values()])
            self._file.executemany(sql.PUT_TRADE, [trade for step in batch for trade in step.trades])
            self._file.executemany(sql.PUT_HOLDING, [(*key, each.free, each.locked) for key, each in holdings.items()])
            self._file.executemany(sql.PUT_OUCH_MESSAGE, [each for step in batch for each in step.ouch_messages])
            self._file.executemany(sql.PUT_OUCH_TOKEN, [each for step in batch for each in step.ouch_tokens])
            self._file.executemany(sql.PUT_HOUSE, [(*key, amount) for key, amount in house.items()])

    def _deliver(self, batch: list[Changes], deliver: Callable[[str, bytes], None]) -> None:
        for step in batch:
            if step.ouch_messages:
                self.next_ouch_sequence = step.ouch_messages[-1][0] + 1
            for account, message in step.messages:
                deliver(account, message)
        self._written += len(batch)
        while self._waiters and self._waiters[0][0] <= self._written:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)

    async def _close(self) -> None:
        failure = self._failure or LedgerFailed("the simulated venue has stopped")
        self._thread.shutdown(wait=True)
        with contextlib.suppress(sqlite3.Error):
            if self._failure is None and self._pending:
                self._commit(list(self._pending))
        self.close()
        self._failure = failure
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(failure)
                waiter.exception()

    def _highest(self, query: str, *values: Any) -> int:
        return int(self._file.execute(query, values).fetchone()[0] or 0)


def _lock(path: Path) -> int:
    """One process writes; SQLite's own lock would also keep away those who only read while it runs.

    Raises:
        OSError: another process has it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise OSError("another process has it open") from error
    return lock


def _open(path: Path) -> sqlite3.Connection:
    # The ledger's own thread uses the connection after this one; the two never overlap.
    file = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
    try:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        version = file.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, sql.VERSION):
            raise sqlite3.DatabaseError(f"its version is {version}, this program knows {sql.VERSION}")
        file.executescript(sql.SCHEMA)
        file.execute(f"PRAGMA user_version={sql.VERSION}")
        file.commit()
    except BaseException:
        file.close()
        raise
    return file


def _row(order: VenueOrder) -> tuple[Any, ...]:
    return tuple(getattr(order, name) for name in _ORDER_FIELDS)


def _order(row: tuple[Any, ...]) -> VenueOrder:
    order = VenueOrder(*row)
    order.state = OrderState(order.state)
    return order
