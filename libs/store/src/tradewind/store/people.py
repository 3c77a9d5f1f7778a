"""Users and their one-time links. Secrets come here as hashes only; times are ns by the caller's clock.

Every method raises DatabaseUnavailable when the store is away; then a change may have happened or not.
"""

from typing import TYPE_CHECKING, Any, Final

import asyncpg
import msgspec

from tradewind.store.database import Database

if TYPE_CHECKING:
    from tradewind.store.database import Connection

MOST_USERS: Final = 10_000


class PersonRefused(ValueError):
    """It cannot be done with this user or link; the message says why."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One user. ``password_hash`` is None until a password is set."""

    name: str
    role: str
    enabled: bool
    password_hash: str | None
    subject: str | None
    created_at: int
    password_at: int | None
    last_login_at: int | None


class PeopleRepository:
    """The tables ``users`` and ``one_time_links``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def users(self) -> list[User]:
        """All, by name."""
        return await self._users("ORDER BY name LIMIT $1", MOST_USERS)

    async def user(self, name: str) -> User | None:
        """One by name."""
        found = await self._users("WHERE name = $1", name)
        return found[0] if found else None

    async def user_of_subject(self, subject: str) -> User | None:
        """The one who comes from an identity provider under this subject."""
        found = await self._users("WHERE subject = $1", subject)
        return found[0] if found else None

    async def add(self, name: str, role: str, now: int, *, subject: str | None = None) -> None:
        """Add a user without a password.

        Raises:
            PersonRefused: the name is taken or has another form.
        """
        query = "INSERT INTO users (name, role, created_at, subject) VALUES ($1, $2, $3, $4)"
        try:
            async with self._database.connection() as connection:
                await connection.execute(query, name, role, now, subject)
        except asyncpg.UniqueViolationError as error:
            raise PersonRefused(f"there is a user {name} already; choose another name") from error
        except asyncpg.CheckViolationError as error:
            raise PersonRefused(_FORM) from error

    async def change(self, name: str, *, role: str | None = None, enabled: bool | None = None, now: int) -> User:
        """Give another role, or let in or out; the sessions of the user end. Returns the user as it was before.

        Raises:
            PersonRefused: nobody has this name, or nobody would be left who may change users.
        """
        async with self._database.transaction() as connection:
            await _lock(connection)
            before = await _find(connection, name)
            await connection.execute(
                "UPDATE users SET role = COALESCE($2, role), enabled = COALESCE($3, enabled) WHERE name = $1",
                name, role, enabled,
            )  # fmt: skip
            if before.role == "admin" and await connection.fetchval(_ADMINS) == 0:
                raise PersonRefused(f"{name} is the last admin who can log in; make another one first")
            await _end_sessions(connection, name, "role or access changed", now)
        return before

    async def set_password(self, name: str, password_hash: str, now: int, *, keep_session: str = "") -> None:
        """Set a password and end the user's other sessions."""
        async with self._database.transaction() as connection:
            await connection.execute(_SET_PASSWORD, name, password_hash, now)
            await _end_sessions(connection, name, "the password was changed", now, keep_session)

    async def note_login(self, name: str, now: int) -> None:
        """Remember that this user has logged in."""
        async with self._database.connection() as connection:
            await connection.execute("UPDATE users SET last_login_at = $2 WHERE name = $1", name, now)

    async def has_admin(self) -> bool:
        """Whether anybody could ever change users."""
        async with self._database.connection() as connection:
            return int(await connection.fetchval(_ADMINS)) > 0

    async def add_link(self, token_hash: bytes, user_name: str | None, now: int, expires_at: int) -> None:
        """Add a one-time link for a user, in place of the user's earlier ones; for None it makes the first admin.

        Raises:
            PersonRefused: nobody has this name.
        """
        async with self._database.transaction() as connection:
            if user_name is not None:
                await _find(connection, user_name)
                await connection.execute("DELETE FROM one_time_links WHERE user_name = $1", user_name)
            await connection.execute("DELETE FROM one_time_links WHERE expires_at < $1", now)
            query = "INSERT INTO one_time_links (token_hash, user_name, created_at, expires_at) VALUES ($1, $2, $3, $4)"
            await connection.execute(query, token_hash, user_name, now, expires_at)

    async def claim(self, token_hash: bytes, name: str | None, password_hash: str, now: int) -> User:
        """Use a one-time link up: set the password of its user, who is made when the link is for the first admin.

        Raises:
            PersonRefused: the link is not known, used, too old, or somebody else was the first admin.
        """
        async with self._database.transaction() as connection:
            await _lock(connection)
            link = await connection.fetchrow(_USE_LINK, token_hash, now)
            if link is None:
                raise PersonRefused("this link is not valid any more; ask for a new one")
            owner = link["user_name"] or await _first_admin(connection, name, now)
            await connection.execute(_SET_PASSWORD, owner, password_hash, now)
            await _end_sessions(connection, owner, "the password was changed", now)
            return await _find(connection, owner)

    async def _users(self, condition: str, *arguments: Any) -> list[User]:
        async with self._database.connection() as connection:
            rows = await connection.fetch(f"SELECT * FROM users {condition}", *arguments)  # noqa: S608 - fixed texts
        return [msgspec.convert(dict(row), User) for row in rows]


async def _lock(connection: "Connection") -> None:
    # Two who take each other's admin role at the same time would leave nobody.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('tradewind people'))")


async def _find(connection: "Connection", name: str) -> User:
    row = await connection.fetchrow("SELECT * FROM users WHERE name = $1", name)
    if row is None:
        raise PersonRefused(f"there is no user {name!r}")
    return msgspec.convert(dict(row), User)


async def _first_admin(connection: "Connection", name: str | None, now: int) -> str:
    if await connection.fetchval(_ADMINS):
        raise PersonRefused("there is an admin already; ask that person for a link")
    if not name:
        raise PersonRefused("choose a name for the first admin")
    query = (
        "INSERT INTO users (name, role, created_at) VALUES ($1, 'admin', $2) "
        "ON CONFLICT (name) DO UPDATE SET role = 'admin', enabled = true"
    )
    try:
        await connection.execute(query, name, now)
    except asyncpg.CheckViolationError as error:
        raise PersonRefused(_FORM) from error
    return name


async def _end_sessions(connection: "Connection", name: str, why: str, now: int, keep: str = "") -> None:
    query = (
        "UPDATE sessions SET ended_at = $2, ended_why = $3 "
        "WHERE user_name = $1 AND ended_at IS NULL AND session_id <> $4"
    )
    await connection.execute(query, name, now, why, keep)


_FORM: Final = "a name has 1 to 32 of a-z, 0-9, dot, dash and underscore, and begins with a letter or a digit"
_ADMINS: Final = (
    "SELECT count(*) FROM users WHERE role = 'admin' AND enabled AND (password_hash IS NOT NULL OR subject IS NOT NULL)"
)
_SET_PASSWORD: Final = "UPDATE users SET password_hash = $2, password_at = $3 WHERE name = $1"  # noqa: S105 - SQL
_USE_LINK: Final = """
UPDATE one_time_links SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_name
"""
