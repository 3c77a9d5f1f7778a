"""What ``tradewind users`` does on the database itself."""

import contextlib
import getpass
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.stores_starting import open_postgres
from tradewind.runtime.topics.plain_text import shown, shown_time
from tradewind.store.audit import AuditEntry, AuditRepository
from tradewind.store.database import Database
from tradewind.store.people import PeopleRepository, PersonRefused
from tradewind.store.postgres_server import dsn_of_running

ROLES: Final = ("viewer", "trader", "risk", "admin")
LINK_HOURS: Final = 24
_NS: Final = 1_000_000_000


class UserKeeping:
    """The commands on one database. ``say`` takes a line for the person."""

    def __init__(self, database: Database, say: Callable[[str], None]) -> None:
        self._people = PeopleRepository(database)
        self._audit = AuditRepository(database)
        self._say = say

    async def list(self) -> None:
        """Print everybody."""
        for user in await self._people.users():
            seen = shown_time(user.last_login_at) if user.last_login_at else "never"
            state = "" if user.enabled else "  DISABLED"
            password = "" if user.password_hash or user.subject else "  no password yet"
            self._say(f"{shown(user.name):<20} {user.role:<7} last login {seen}{password}{state}")

    async def add(self, name: str, role: str, page: str) -> None:
        """Add a user and print the link."""
        _check(role)
        await self._note("user.add", name, "", role, "by command line")
        await self._people.add(name, role, time.time_ns())
        await self._print_link(name, page)

    async def link(self, name: str, page: str) -> None:
        """Print a new link."""
        await self._note("user.link", name, "", "", "by command line")
        await self._print_link(name, page)

    async def change(self, name: str, *, role: str | None = None, enabled: bool | None = None, why: str) -> None:
        """Give another role, or let in or out."""
        if role is not None:
            _check(role)
        said = role or ("enabled" if enabled else "disabled")
        known = await self._people.user(name)
        before = "" if known is None else f"{known.role}{'' if known.enabled else ', disabled'}"
        await self._note("user.change", name, before, said, why)
        await self._people.change(name, role=role, enabled=enabled, now=time.time_ns())
        self._say(f"{name} is {said}; logins of before have ended.")

    async def _print_link(self, name: str, page: str) -> None:
        token, now = secrets.token_urlsafe(32), time.time_ns()
        expires = now + LINK_HOURS * 3_600 * _NS
        await self._people.add_link(hashlib.sha256(token.encode()).digest(), name, now, expires)
        self._say(f"{page.rstrip('/')}/#/claim/{token}")
        self._say(f"It works once, for {LINK_HOURS} h; whoever has it can log in as {name}.")

    async def _note(self, action: str, subject: str, before: str, after: str, why: str) -> None:
        actor = f"{getpass.getuser()} (command line)"
        entry = AuditEntry(
            ts=time.time_ns(), actor=actor, action=action, before=before, after=after, why=why, subject=subject,
            role="admin", client="database",
        )  # fmt: skip
        await self._audit.append(entry)


@contextlib.asynccontextmanager
async def keeping_users(platform: PlatformSettings, say: Callable[[str], None]) -> AsyncIterator[UserKeeping]:
    """Open the database, that of a running embedded platform too.

    Raises:
        StartRefused: it is not there, or what is asked cannot be done.
    """
    async with contextlib.AsyncExitStack() as stack:
        dsn = platform.postgres_dsn or dsn_of_running(platform.data_dir.expanduser())
        if not dsn:
            dsn = (await stack.enter_async_context(open_postgres(platform))).dsn
        database = Database(dsn, application_name="tradewind-users")
        stack.push_async_callback(database.close)
        try:
            await database.open()
            yield UserKeeping(database, say)
        except PersonRefused as error:
            raise StartRefused(str(error)) from error
        except ConnectionError as error:
            raise StartRefused(f"{error}; set TRADEWIND_POSTGRES_DSN, or TRADEWIND_DATA_DIR of the platform") from error


def _check(role: str) -> None:
    if role not in ROLES:
        raise StartRefused(f"{role!r} is no role; it is one of {', '.join(ROLES)}")
