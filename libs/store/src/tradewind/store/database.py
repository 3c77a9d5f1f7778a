"""A PostgreSQL connection pool that says in one way when the database is away, and comes back by itself.

Sessions are not reset when a connection goes back to the pool: one round trip less on the order path. So nothing here
may leave anything in a session: settings with ``SET LOCAL``, advisory locks of transaction scope, no ``LISTEN``.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]

_AWAY: Final = (
    OSError,  # refused, reset, no such socket; TimeoutError is one of them
    asyncpg.PostgresConnectionError,  # class 08: lost in the middle of an operation
    asyncpg.OperatorInterventionError,  # class 57: shutting down, starting up, crash of another backend
    asyncpg.InsufficientResourcesError,  # class 53: disk full, too many connections
    asyncpg.PostgresSystemError,  # class 58: the server's own I/O failed
    asyncpg.IdleInTransactionSessionTimeoutError,  # we were frozen in a transaction, and the server has ended it
    asyncpg.ReadOnlySQLTransactionError,  # a standby answers during a failover
    asyncpg.InternalClientError,  # "another operation is in progress": a connection lost in the middle of executemany
)
# asyncpg has no class of its own for the use of a connection that died under us; the second is what its pool says of
# one that died in the middle of a COPY.
_DIED: Final = ("closed", "another operation is in progress")

_IDLE_IN_TRANSACTION: Final = "2s"

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0

_log = logging.getLogger(__name__)


class DatabaseUnavailable(ConnectionError):
    """The database cannot be reached, or the connection was lost. What was being committed may or may not have been
    written: the caller asks the database when it is back, and repeats only what it can repeat safely."""


class DatabaseFull(DatabaseUnavailable):
    """The database's disk is full: nothing more can be written until there is space."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn every driver error that means "away" into DatabaseUnavailable; all others pass.

    Raises:
        DatabaseUnavailable: refused, lost, timed out, shutting down.
        DatabaseFull: no space left on the database's disk.
    """
    try:
        yield
    except DatabaseUnavailable:
        raise
    except asyncpg.DiskFullError as error:
        raise DatabaseFull(
            f"the database's disk is full ({_reason(error)}); free space on it, or move its data to a larger disk; "
            "writing goes on by itself as soon as there is space"
        ) from error
    except asyncpg.QueryCanceledError:
        raise  # class 57 too, but a decision about one statement, not the state of the server
    except _AWAY as error:
        raise DatabaseUnavailable(f"the database is unavailable: {_reason(error)}") from error
    except asyncpg.InterfaceError as error:
        if any(words in str(error) for words in _DIED):
            raise DatabaseUnavailable(f"the database is unavailable: {_reason(error)}") from error
        raise


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return next(iter(str(error).splitlines()), "") or type(error).__name__


class Database:
    """One pool on one database. Making it does no I/O; a server that restarts is found again on the next use."""

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str = "tradewind",
        max_connections: int = 10,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 10.0,
        log: Any = _log,
    ) -> None:
        """``log`` is any logger with ``info`` and ``warning`` that take one message."""
        self.dsn = dsn
        self._application_name = application_name
        self._max_connections = max_connections
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._log = log
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        """The driver's pool.

        Raises:
            DatabaseUnavailable: ``open`` has not been called, or ``close`` has.
        """
        if self._pool is None:
            raise DatabaseUnavailable("the database is not open; call Database.open first")
        return self._pool

    async def open(self) -> None:
        """Make the pool and check that the database answers.

        The pool stays usable after DatabaseUnavailable: later calls connect as soon as the server is there.

        Raises:
            DatabaseUnavailable: it does not answer.
            ValueError: the DSN has no meaning.
            asyncpg.PostgresError: it answers and refuses us (password, database name).
        """
        await self._make_pool()
        await self.ping()

    async def close(self) -> None:
        """Close all connections; those in use get the connect timeout to finish, then they are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), self._connect_timeout_s)
        except (TimeoutError, OSError, asyncpg.InterfaceError):
            pool.terminate()

    async def __aenter__(self) -> "Database":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def connection(self) -> "AsyncIterator[Connection]":
        """A connection out of the pool, for statements that each stand alone.

        Raises:
            DatabaseUnavailable: at any moment of the block.
        """
        with translated_errors():
            async with self.pool.acquire(timeout=self._connect_timeout_s) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[Connection]":
        """A connection inside a transaction: committed at the end of the block, rolled back when it raises.

        Raises:
            DatabaseUnavailable: at any moment of the block. Raised at its end, the commit may have happened or not.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def ping(self) -> None:
        """One empty round trip.

        Raises:
            DatabaseUnavailable: no answer.
        """
        async with self.connection() as connection:
            await connection.execute("SELECT 1", timeout=self._connect_timeout_s)

    async def wait_until_available(self) -> None:
        """Return when the database answers; tries again and again with back-off, logs only when the state changes.

        Raises:
            asyncpg.PostgresError: it answers and refuses us (password, database name): waiting would not help.
        """
        await self._make_pool()
        wait_s = FIRST_WAIT_S
        waiting = False
        while True:
            try:
                await self.ping()
            except DatabaseUnavailable as error:
                if not waiting:
                    self._log.warning(f"{error}; waiting for it")
                    waiting = True
            else:
                if waiting:
                    self._log.info("the database is available again")
                return
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _make_pool(self) -> None:
        if self._pool is not None:
            return
        # min_size 0: the pool itself is made without a connection, so that a database that is away is no obstacle.
        # Lifetime 0: idle connections stay, a burst of orders finds them open.
        self._pool = await asyncpg.create_pool(
            self.dsn,
            min_size=0,
            max_size=self._max_connections,
            max_inactive_connection_lifetime=0,
            timeout=self._connect_timeout_s,
            command_timeout=self._command_timeout_s,
            reset=_keep_session,
            server_settings={
                "application_name": self._application_name,
                # A client that froze or vanished in a transaction must not hold its locks: others wait for the lease's.
                "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION,
            },
        )


async def _keep_session(_: Any) -> None:
    """In place of the driver's reset query; an open transaction is still rolled back by the driver."""
