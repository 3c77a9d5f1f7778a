"""What the gateway must know after a crash, in one SQLite file beside QuickFIX's store.

Per session: the number up to which messages are handled, and the place in the order path's journal up to which reports
are made. Per order: what the client called it, and where it stands. And every message to a client, until it is in
QuickFIX's store: a report is made once, in the transaction that moves the place. Each change is one transaction that
is on the disk when it returns. All calls block; ``Store.do`` runs one at a time in a thread.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import msgspec

from tradewind.model.enums import OrderSide, OrderType, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.order_status import CLOSED, OrderStatus

P = ParamSpec("P")
T = TypeVar("T")

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    handled INTEGER NOT NULL,   -- MsgSeqNum of the client's last message that is handled
    reported INTEGER NOT NULL   -- journal id up to which reports are made
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    client_order_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    cl_ord_id TEXT NOT NULL,
    instrument_id TEXT NOT NULL,
    symbol TEXT NOT NULL,
    side TEXT NOT NULL,
    order_type TEXT NOT NULL,
    time_in_force TEXT NOT NULL,
    size INTEGER NOT NULL,
    price INTEGER,
    price_precision INTEGER NOT NULL,
    size_precision INTEGER NOT NULL,
    post_only INTEGER NOT NULL,
    reduce_only INTEGER NOT NULL,
    received_ns INTEGER NOT NULL,
    status TEXT NOT NULL,
    filled INTEGER NOT NULL DEFAULT 0,
    paid TEXT NOT NULL DEFAULT '0',  -- price times size of all fills, mantissas; may exceed 64 bits
    sequence INTEGER NOT NULL DEFAULT 0,
    text TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX IF NOT EXISTS orders_of_session ON orders (session_id, status);
CREATE TABLE IF NOT EXISTS refusals (
    session_id TEXT NOT NULL, cl_ord_id TEXT NOT NULL, code INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (session_id, cl_ord_id)
) STRICT;
CREATE TABLE IF NOT EXISTS cancels (
    session_id TEXT NOT NULL,
    cl_ord_id TEXT NOT NULL,
    client_order_id TEXT NOT NULL,
    received_ns INTEGER NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id, cl_ord_id)
) STRICT;
CREATE INDEX IF NOT EXISTS cancels_of_order ON cancels (client_order_id, answered);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL, message BLOB NOT NULL,
    tried INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_of_session ON outbox (session_id, number);
"""
_CLOSED: Final = tuple(status.value for status in CLOSED)


class OrderRow(msgspec.Struct, kw_only=True):
    """A client's order. Numbers are mantissas at the precisions; ``sequence`` is of the last event of its story."""

    client_order_id: ClientOrderId
    session_id: str
    cl_ord_id: str
    instrument_id: InstrumentId
    symbol: str
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    size: int
    price: int | None
    price_precision: int
    size_precision: int
    post_only: bool
    reduce_only: bool
    received_ns: int
    status: OrderStatus = OrderStatus.INITIALIZED
    filled: int = 0
    paid: str = "0"
    sequence: int = 0
    text: str = ""


class CancelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel request by the client's name of it."""

    session_id: str
    cl_ord_id: str
    client_order_id: ClientOrderId
    received_ns: int
    answered: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An order that the gateway itself refused: OrdRejReason (103) and why. Told twice, it is refused again."""

    session_id: str
    cl_ord_id: str
    code: int
    text: str


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far a session is; see the table."""

    session_id: str
    handled: int
    reported: int


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message for the client; ``tried`` says that it may have been sent already."""

    number: int
    message: bytes
    tried: bool


class StoreDamaged(Exception):
    """The file is no store of ours, or is damaged; the message says what to do."""


class Tables:
    """The tables, inside a transaction or alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def session(self, session_id: str) -> SessionRow | None:
        """How far a session is; None when it is new."""
        return self._one(SessionRow, "SELECT * FROM sessions WHERE session_id = ?", session_id)

    def begin_session(self, session_id: str, reported: int) -> None:
        """A new session, whose reports begin after a place in the journal."""
        self._run("INSERT INTO sessions VALUES (?, 0, ?)", session_id, reported)

    def set_handled(self, session_id: str, number: int) -> None:
        """Everything of the client up to this MsgSeqNum is handled."""
        self._run("UPDATE sessions SET handled = ? WHERE session_id = ?", number, session_id)

    def set_reported(self, session_id: str, journal_id: int) -> None:
        """Reports up to here are made."""
        self._run("UPDATE sessions SET reported = max(reported, ?) WHERE session_id = ?", journal_id, session_id)

    def order(self, client_order_id: str) -> OrderRow | None:
        """An order by our name."""
        return self._one(OrderRow, "SELECT * FROM orders WHERE client_order_id = ?", client_order_id)

    def open_orders(self, session_id: str, most: int) -> list[OrderRow]:
        """Orders of a session that have not ended, oldest first."""
        marks = ",".join("?" * len(_CLOSED))
        query = (
            f"SELECT * FROM orders WHERE session_id = ? AND status NOT IN ({marks}) "  # noqa: S608 - marks only
            "ORDER BY received_ns, client_order_id LIMIT ?"
        )
        rows = self._connection.execute(query, (session_id, *_CLOSED, most))
        return [_read(OrderRow, row) for row in rows]

    def put_order(self, row: OrderRow) -> None:
        """Write an order, new or changed."""
        values = msgspec.to_builtins(row)
        marks = ", ".join(f":{name}" for name in values)
        names = ", ".join(values)
        self._connection.execute(f"INSERT OR REPLACE INTO orders ({names}) VALUES ({marks})", values)  # noqa: S608

    def refusal(self, session_id: str, cl_ord_id: str) -> Refusal | None:
        """What was said of an order that the gateway refused."""
        query = "SELECT * FROM refusals WHERE session_id = ? AND cl_ord_id = ?"
        return self._one(Refusal, query, session_id, cl_ord_id)

    def put_refusal(self, row: Refusal) -> None:
        """Refuse an order for ever."""
        self._run("INSERT OR IGNORE INTO refusals VALUES (?, ?, ?, ?)", *msgspec.structs.astuple(row))

    def cancel(self, session_id: str, cl_ord_id: str) -> CancelRow | None:
        """A cancel request by the client's name."""
        query = "SELECT * FROM cancels WHERE session_id = ? AND cl_ord_id = ?"
        return self._one(CancelRow, query, session_id, cl_ord_id)

    def put_cancel(self, row: CancelRow) -> None:
        """A new cancel request."""
        self._run("INSERT OR IGNORE INTO cancels VALUES (?, ?, ?, ?, ?)", *msgspec.structs.astuple(row))

    def untold_orders(self, session_id: str) -> list[OrderRow]:
        """Orders that the order path has said nothing of, oldest first."""
        query = "SELECT * FROM orders WHERE session_id = ? AND sequence = 0 ORDER BY received_ns, rowid"
        return [_read(OrderRow, row) for row in self._connection.execute(query, (session_id,))]

    def untold_cancels(self, session_id: str) -> list[CancelRow]:
        """Cancel requests without an answer, oldest first."""
        query = "SELECT * FROM cancels WHERE session_id = ? AND answered = 0 ORDER BY received_ns, rowid"
        return [_read(CancelRow, row) for row in self._connection.execute(query, (session_id,))]

    def open_cancels(self, client_order_id: str) -> list[CancelRow]:
        """Requests to cancel an order that have no answer yet, oldest first."""
        query = "SELECT * FROM cancels WHERE client_order_id = ? AND answered = 0 ORDER BY received_ns, rowid"
        return [_read(CancelRow, row) for row in self._connection.execute(query, (client_order_id,))]

    def answer_cancels(self, client_order_id: str) -> None:
        """All requests to cancel the order have their answer."""
        self._run("UPDATE cancels SET answered = 1 WHERE client_order_id = ?", client_order_id)

    def put_outgoing(self, session_id: str, message: bytes) -> None:
        """A message that the client must get."""
        self._run("INSERT INTO outbox (session_id, message) VALUES (?, ?)", session_id, message)

    def try_outgoing(self, session_id: str, most: int) -> list[Outgoing]:
        """The oldest that wait, which from now on may have been sent."""
        query = "SELECT number, message, tried FROM outbox WHERE session_id = ? ORDER BY number LIMIT ?"
        waiting = [_read(Outgoing, row) for row in self._connection.execute(query, (session_id, most))]
        if waiting:
            mark = "UPDATE outbox SET tried = 1 WHERE session_id = ? AND number <= ?"
            self._run(mark, session_id, waiting[-1].number)
        return waiting

    def settle_outgoing(self, session_id: str, sent: int, untried: int) -> None:
        """Those up to ``sent`` are in QuickFIX's store; from ``untried`` on nothing was done."""
        self._run("DELETE FROM outbox WHERE session_id = ? AND number <= ?", session_id, sent)
        self._run("UPDATE outbox SET tried = 0 WHERE session_id = ? AND number >= ?", session_id, untried)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """What the block wrote is undone when it raises, and the transaction goes on."""
        self._connection.execute("SAVEPOINT alone")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK TO alone")
            raise
        finally:
            self._connection.execute("RELEASE alone")

    def _run(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, values)

    def _one(self, kind: type[T], query: str, *values: Any) -> T | None:
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else _read(kind, row)


def _read(kind: type[T], row: sqlite3.Row) -> T:
    return msgspec.convert(dict(row), kind, strict=False)


class Store:
    """The file. ``close`` it when nothing runs any more."""

    def __init__(self, path: Path) -> None:
        """Open or make it.

        Raises:
            StoreDamaged: it cannot be used.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._turn = threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(
                f"the gateway's file {path} cannot be used ({error}): put it back from a copy together with the FIX "
                "store beside it, or agree on a sequence reset with every client and remove the folder"
            ) from error

    async def do(self, step: Callable[Concatenate[Tables, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run ``step`` as one transaction in a thread; the next one waits. On cancel it is done all the same."""

        def transact() -> T:
            with self._turn, self._transaction():
                return step(Tables(self._connection), *arguments, **named)

        return await asyncio.to_thread(transact)

    def close(self) -> None:
        """Close the file, after what runs."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
