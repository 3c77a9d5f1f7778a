"""Logins that last: sessions with their families of refresh tokens, and api tokens of programs; and a copy of it all.

Secrets come here as hashes only; times are ns by the caller's clock. Every method raises DatabaseUnavailable when the
store is away; then a change may have happened or not.
"""

from typing import Any, Final

import msgspec

from tradewind.store.database import Database

MOST_TOKENS: Final = 50_000
MOST_ENDED: Final = 50_000
_NS: Final = 1_000_000_000
REFRESH_GRACE_NS: Final = 10 * _NS
"""Two pages of one browser may renew at the same time with the same token: within this time it is no theft."""
KEPT_NS: Final = 90 * 24 * 3_600 * _NS


class KnownUser(msgspec.Struct, frozen=True):
    """What a check of rights needs of a user."""

    name: str
    role: str
    enabled: bool


class ApiToken(msgspec.Struct, frozen=True, kw_only=True):
    """One token of a program; the secret itself is nowhere."""

    token_id: str
    user_name: str
    label: str
    token_hash: bytes
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One login."""

    session_id: str
    user_name: str
    expires_at: int


class Snapshot(msgspec.Struct, frozen=True):
    """Who may come in: users and valid tokens, and the sessions that ended not long ago."""

    users: list[KnownUser]
    tokens: list[ApiToken]
    ended_sessions: list[str]


class ReusedRefreshToken(Exception):
    """A refresh token came again after it was used: its session has been ended. The argument is the user's name."""


class LoginRepository:
    """The tables ``sessions``, ``refresh_tokens`` and ``api_tokens``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def snapshot(self, ended_since: int) -> Snapshot:
        """A copy to check rights by while the store is away. ``ended_since``: sessions that ended later are told."""
        async with self._database.connection() as connection:
            users = await connection.fetch("SELECT name, role, enabled FROM users")
            tokens = await connection.fetch(
                "SELECT * FROM api_tokens WHERE revoked_at IS NULL ORDER BY created_at DESC LIMIT $1", MOST_TOKENS
            )
            ended = await connection.fetch(
                "SELECT session_id FROM sessions WHERE ended_at >= $1 ORDER BY ended_at DESC LIMIT $2",
                ended_since, MOST_ENDED,
            )  # fmt: skip
        return Snapshot(
            [msgspec.convert(dict(row), KnownUser) for row in users],
            [msgspec.convert(dict(row), ApiToken) for row in tokens],
            [row["session_id"] for row in ended],
        )

    async def begin(self, session: Session, client: str, refresh_hash: bytes, now: int) -> None:
        """Add a session with its first refresh token; sessions long over are forgotten."""
        async with self._database.transaction() as connection:
            await connection.execute(_FORGET_TOKENS, now - KEPT_NS)
            await connection.execute("DELETE FROM sessions WHERE expires_at < $1", now - KEPT_NS)
            await connection.execute(
                "INSERT INTO sessions (session_id, user_name, client, created_at, expires_at) "
                "VALUES ($1, $2, $3, $4, $5)",
                session.session_id, session.user_name, client, now, session.expires_at,
            )  # fmt: skip
            await connection.execute(_ADD_REFRESH, refresh_hash, session.session_id, now)

    async def rotate(self, refresh_hash: bytes, next_hash: bytes, now: int) -> Session | None:
        """Use a refresh token up and put the next in its place; None when it is not known or its session is over.

        Raises:
            ReusedRefreshToken: it was used before; the session has been ended.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_REFRESH, refresh_hash, now)
            if row is None:
                return None
            reused = row["used_at"] is not None and now - row["used_at"] > REFRESH_GRACE_NS
            if reused:
                await connection.execute(_END, row["session_id"], now, "a used refresh token came again")
            else:
                query = "UPDATE refresh_tokens SET used_at = COALESCE(used_at, $2) WHERE token_hash = $1"
                await connection.execute(query, refresh_hash, now)
                await connection.execute(_ADD_REFRESH, next_hash, row["session_id"], now)
        if reused:
            raise ReusedRefreshToken(row["user_name"], row["session_id"])
        return Session(session_id=row["session_id"], user_name=row["user_name"], expires_at=row["expires_at"])

    async def end(self, session_id: str, why: str, now: int) -> None:
        """End a session; one that is over stays so."""
        async with self._database.connection() as connection:
            await connection.execute(_END, session_id, now, why)

    async def add_token(self, token: ApiToken) -> None:
        """Add a token of a program."""
        query = (
            "INSERT INTO api_tokens (token_id, user_name, label, token_hash, created_at, expires_at) "
            "VALUES ($1, $2, $3, $4, $5, $6)"
        )
        values = (token.token_id, token.user_name, token.label, token.token_hash, token.created_at, token.expires_at)
        async with self._database.connection() as connection:
            await connection.execute(query, *values)

    async def tokens(self, user_name: str | None, limit: int, after: str = "") -> list[ApiToken]:
        """The tokens of one user, or of all; newest first, revoked ones too. They follow the token ``after``."""
        arguments: tuple[Any, ...] = (user_name, after or None, limit)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_TOKENS, *arguments)
        return [msgspec.convert(dict(row), ApiToken) for row in rows]

    async def revoke_token(self, token_id: str, user_name: str | None, now: int) -> str | None:
        """End a token, of any user or of this one only; the name of its user, or None when there is none such."""
        query = (
            "UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, $3) "
            "WHERE token_id = $1 AND ($2::text IS NULL OR user_name = $2) RETURNING user_name"
        )
        async with self._database.connection() as connection:
            owner: str | None = await connection.fetchval(query, token_id, user_name, now)
        return owner

    async def note_use(self, used: dict[str, int]) -> None:
        """Remember when tokens were used last, by their ids."""
        query = (
            "UPDATE api_tokens t SET last_used_at = greatest(u.at, t.last_used_at) "
            "FROM unnest($1::text[], $2::bigint[]) AS u(id, at) WHERE t.token_id = u.id"
        )
        async with self._database.connection() as connection:
            await connection.execute(query, list(used), list(used.values()))


_ADD_REFRESH: Final = "INSERT INTO refresh_tokens (token_hash, session_id, issued_at) VALUES ($1, $2, $3)"
_REFRESH: Final = """
SELECT r.session_id, r.used_at, s.user_name, s.expires_at
FROM refresh_tokens r JOIN sessions s USING (session_id) JOIN users u ON u.name = s.user_name
WHERE r.token_hash = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND u.enabled FOR UPDATE OF r, s
"""
_END: Final = "UPDATE sessions SET ended_at = $2, ended_why = $3 WHERE session_id = $1 AND ended_at IS NULL"
_FORGET_TOKENS: Final = """
DELETE FROM refresh_tokens WHERE session_id IN (SELECT session_id FROM sessions WHERE expires_at < $1)
"""
_TOKENS: Final = """
SELECT * FROM api_tokens
WHERE ($1::text IS NULL OR user_name = $1)
  AND ($2::text IS NULL OR (created_at, token_id) < (SELECT created_at, token_id FROM api_tokens WHERE token_id = $2))
ORDER BY created_at DESC, token_id DESC LIMIT $3
"""
