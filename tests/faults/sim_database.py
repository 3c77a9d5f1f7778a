"""The simulated database: a connection that takes the order path's own SQL, over dicts, with faults at every statement.

``Database``, ``OrderStore``, ``LeaseRepository`` and the others are the real ones; only the driver is not. A statement
takes effect at one moment between its way there and its way back; so its process may die, freeze or lose the
connection before or after it. ``test_simulated_store.py`` holds it against PostgreSQL.
"""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import asyncpg

from faults.sim_statements import WRITES, Later, Row, Tables, handler_of
from tradewind.store.database import Database, DatabaseUnavailable, translated_errors

if TYPE_CHECKING:
    from faults.processes import Process
    from faults.world import World


class Server:
    """The database server: tables, locks, and whether it answers."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.tables = Tables(lambda: world.scheduler.now_ns)
        self.away = False
        self._holder: Connection | None = None
        self._waiting: collections.deque[tuple[Connection, Callable[[], None]]] = collections.deque()

    def go_away(self, seconds: float) -> None:
        """Cut every connection and take no new one for a while; what was not committed is rolled back."""
        self.away = True
        for process in self.world.processes:
            for connection in list(process.connections):
                connection.cut()
        self.world.scheduler.after(seconds, self.come_back)

    def come_back(self) -> None:
        """Answer again."""
        self.away = False

    def lock(self, connection: "Connection", then: Callable[[], None], *, keep: bool) -> None:
        """Run ``then`` once no other transaction holds the lease's lock; ``keep``: hold it from now on."""
        if self._holder not in (None, connection):
            self._waiting.append((connection, lambda: self.lock(connection, then, keep=keep)))
            return
        if keep:
            self._holder = connection
        then()

    def unlock(self, connection: "Connection") -> None:
        """A transaction ended."""
        self._waiting = collections.deque(item for item in self._waiting if item[0] is not connection)
        if self._holder is connection:
            self._holder = None
            waiting, self._waiting = self._waiting, collections.deque()
            for _, again in waiting:
                again()


class Connection:
    """One session of a process with the server."""

    def __init__(self, server: Server, process: "Process") -> None:
        self._server = server
        self._process = process
        self._later: Later | None = None
        self._answer: asyncio.Future[list[Row]] | None = None
        self.lost = False
        process.connections[self] = None

    def cut(self) -> None:
        """The connection is gone; an open transaction is rolled back."""
        self.lost = True
        self._process.connections.pop(self, None)
        if self._answer is not None:
            self._process.settle(self._answer, _lost())
        self.roll_back()

    def roll_back(self) -> None:
        """Forget what the open transaction would have written, if there is one."""
        self._later = None
        self._server.unlock(self)

    # -- what the repositories use ---------------------------------------------------------------------------------

    async def fetch(self, query: str, *arguments: Any, timeout: float | None = None) -> list[Row]:
        return await self._run(query, arguments)

    async def fetchrow(self, query: str, *arguments: Any, timeout: float | None = None) -> Row | None:
        rows = await self._run(query, arguments)
        return rows[0] if rows else None

    async def fetchval(self, query: str, *arguments: Any, timeout: float | None = None) -> Any:
        rows = await self._run(query, arguments)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:
        return f"DONE {len(await self._run(query, arguments))}"

    async def prepare(self, query: str) -> "Prepared":
        return Prepared(self, query)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._round_trip("db.read", self._begin)
        try:
            yield
        except BaseException:
            self.roll_back()
            raise
        await self._round_trip("db.write", self._commit)

    def _begin(self) -> list[Row]:
        self._later = []
        return []

    def _commit(self) -> list[Row]:
        later, self._later = self._later, None
        for put in later or ():
            put()
        self._server.unlock(self)
        return []

    async def _run(self, query: str, arguments: tuple[Any, ...]) -> list[Row]:
        handler = handler_of(query)
        if handler.name in WRITES:
            place = "db.commit" if handler.name == "commit_order_batch" else "db.write"
        else:
            place = "db.read"

        def effect() -> list[Row]:
            rows = handler.run(self._server.tables, self._later, *arguments)
            self._server.world.invariants.statement(handler.name, self._process, arguments, rows)
            return rows

        return await self._round_trip(place, effect, locks=handler.locks, keeps=handler.keeps_lock)

    async def _round_trip(
        self, place: str, effect: Callable[[], list[Row]], *, locks: bool = False, keeps: bool = False
    ) -> list[Row]:
        world, process = self._server.world, self._process
        fault = world.fault(place, process)
        kind = fault.fault if fault else ""
        if kind == "away":
            self._server.go_away(world.magnitude(fault, 0.2, 3.0))
        if self.lost or self._server.away:
            raise _lost()
        answer = self._answer = asyncio.get_running_loop().create_future()
        there_s, back_s = world.delay_s(0.0002, 0.002), world.delay_s(0.0002, 0.002)
        if kind == "slow":
            slow_s = world.magnitude(fault, 0.3, 6.0)
            there_s, back_s = (slow_s, back_s) if world.magnitude(fault, 0, 1, 1) < 0.5 else (there_s, slow_s)

        def arrive() -> None:
            if self.lost:
                return
            if kind == "not_applied":
                self.cut()
            elif locks:
                self._server.lock(self, apply, keep=keeps)
            else:
                apply()

        def apply() -> None:
            if self.lost:
                return
            try:
                rows = effect()
            except asyncpg.PostgresError as error:
                world.scheduler.after(back_s, process.settle, answer, error)
                return
            if kind == "answer_lost":
                self.cut()
            elif kind == "crash_after":
                process.crash()
            else:
                world.scheduler.after(back_s, process.settle, answer, rows)

        world.scheduler.after(there_s, arrive)
        if kind == "crash_before":
            process.crash()
        elif kind == "freeze":
            process.freeze(world.magnitude(fault, 0.5, 9.0))
        rows: list[Row] = await answer
        return rows


def _lost() -> asyncpg.PostgresError:
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


class Prepared:
    """A prepared statement."""

    def __init__(self, connection: Connection, query: str) -> None:
        self._connection = connection
        self._query = query

    async def fetchval(self, *arguments: Any) -> Any:
        return await self._connection.fetchval(self._query, *arguments)


class SimulatedDatabase(Database):
    """The real ``Database`` with another driver under it."""

    def __init__(self, server: Server, process: "Process", log: Any) -> None:
        super().__init__("simulated", log=log)
        self._server = server
        self._process = process
        self._idle: list[Connection] = []

    async def _make_pool(self) -> None:
        """There is no pool to make."""

    @contextlib.asynccontextmanager
    async def connection(self) -> "AsyncIterator[Any]":
        with translated_errors():
            connection = await self._take()
            try:
                yield connection
            finally:
                if not connection.lost:
                    self._idle.append(connection)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        if self._server.away:
            await asyncio.sleep(0.001)
            raise DatabaseUnavailable("the database is unavailable: connection refused")
        return Connection(self._server, self._process)
