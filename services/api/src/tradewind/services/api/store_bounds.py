"""One bound and one exception for what asks the store on behalf of a request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tradewind.store.database import DatabaseUnavailable


@asynccontextmanager
async def bounded(timeout_s: float) -> AsyncIterator[None]:
    """Give what is within ``timeout_s``.

    Raises:
        DatabaseUnavailable: the store is away, slow, or not of this version yet.
    """
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise DatabaseUnavailable("the database is not at this version; run tradewind db migrate") from error
    except TimeoutError as error:
        raise DatabaseUnavailable(f"the database did not answer within {timeout_s:.0f} s") from error
