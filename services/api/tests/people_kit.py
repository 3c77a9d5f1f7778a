"""People who log in to the api under test, each with cookies of their own."""

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Final

from api_platform import RunningApi

from tradewind.services.api.logins.directory import hash_of
from tradewind.store.database import Database
from tradewind.store.people import PeopleRepository

PASSWORD: Final = "correct horse battery"
HOUR_NS: Final = 3_600_000_000_000


async def invite(database: Database, name: str, role: str) -> str:
    """Add a user; the secret of the one-time link."""
    people, now = PeopleRepository(database), time.time_ns()
    await people.add(name, role, now)
    return await link_for(database, name)


async def link_for(database: Database, name: str | None, lasts_ns: int = HOUR_NS) -> str:
    """The secret of a one-time link of a user; for None it makes the first admin."""
    token, now = secrets.token_urlsafe(32), time.time_ns()
    await PeopleRepository(database).add_link(hash_of(token), name, now, now + lasts_ns)
    return token


@contextlib.asynccontextmanager
async def person(api: RunningApi, database: Database, name: str, role: str) -> AsyncIterator[RunningApi]:
    """The api as a new user meets it who has just logged in."""
    token = await invite(database, name, role)
    async with api.visitor() as visitor:
        status, body = await visitor.post("/api/v1/auth/claim", {"token": token, "password": PASSWORD})
        assert status == 200, body
        yield visitor
