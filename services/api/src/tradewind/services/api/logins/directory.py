"""Who may come in, kept in memory: a copy of users, api tokens and ended sessions that outlives the database's absence.

One task, owned by the service, renews the copy every ``LOOK_S``; what this process changes itself it renews at once.
While the database is away the last copy holds. Bounds are the repository's.
"""

import asyncio
import hashlib
import time
from typing import Any, Final

from tradewind.services.api.logins.identity import Identity, Role
from tradewind.services.api.store_bounds import bounded
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.logins import ApiToken, KnownUser, LoginRepository

LOOK_S: Final = 1.0
NOTE_USE_S: Final = 30.0
_NS: Final = 1_000_000_000
_ENDED_KEPT_NS: Final = 3_600 * _NS
"""Longer than an access token can live."""


class Directory:
    """The copy. ``loaded`` is false until the store was read for the first time."""

    def __init__(self, repository: LoginRepository, timeout_s: float, log: Any) -> None:
        self._repository = repository
        self._timeout_s = timeout_s
        self._log = log
        self._users: dict[str, KnownUser] = {}
        self._tokens: dict[bytes, ApiToken] = {}
        self._token_ids: frozenset[str] = frozenset()
        self._ended: set[str] = set()
        self._ended_here: dict[str, int] = {}
        self._used: dict[str, int] = {}
        self._noted_s = time.monotonic()
        self._changed = asyncio.Event()
        self.loaded = False

    async def run(self) -> None:
        """Renew the copy until cancelled."""
        away = False
        while True:
            try:
                await self.refresh()
                away = False
            except DatabaseUnavailable as error:
                if not away:
                    self._log.warning(f"logins are checked by the last copy of the users: {error}")
                away = True
            await asyncio.sleep(LOOK_S)

    async def refresh(self) -> None:
        """Read the store now.

        Raises:
            DatabaseUnavailable: it is away, slow, or has no such tables yet.
        """
        now = time.time_ns()
        async with bounded(self._timeout_s):
            found = await self._repository.snapshot(now - _ENDED_KEPT_NS)
            self._users = {user.name: user for user in found.users}
            self._tokens = {token.token_hash: token for token in found.tokens}
            self._token_ids = frozenset(token.token_id for token in found.tokens)
            self._ended_here = {one: at for one, at in self._ended_here.items() if at > now - _ENDED_KEPT_NS}
            self._ended = set(found.ended_sessions) | self._ended_here.keys()
            self.loaded = True
            self._tell()
            if self._used and time.monotonic() - self._noted_s > NOTE_USE_S:
                used, self._used, self._noted_s = self._used, {}, time.monotonic()
                await self._repository.note_use(used)

    def end_session(self, session_id: str) -> None:
        """Let a session in no more, from now on, whatever the store says."""
        self._ended_here[session_id] = time.time_ns()
        self._ended.add(session_id)
        self._tell()

    def user(self, name: str) -> KnownUser | None:
        """One user, if known."""
        return self._users.get(name)

    def role_of(self, name: str, otherwise: str) -> Role | None:
        """The user's role of today; None when the user may not come in. Not loaded yet: ``otherwise``."""
        if not self.loaded:
            return Role(otherwise)
        user = self._users.get(name)
        return Role(user.role) if user is not None and user.enabled else None

    def has_ended(self, session_id: str) -> bool:
        """Whether a session was ended before its time."""
        return session_id in self._ended

    def identity_of_token(self, token: str, client: str) -> Identity | None:
        """Who comes with an api token."""
        found = self._tokens.get(hash_of(token))
        now = time.time_ns()
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            return None
        role = self.role_of(found.user_name, "")
        if role is None:
            return None
        self._used[found.token_id] = now
        until_ns = found.expires_at or 2**63 - 1
        return Identity(name=found.user_name, role=role, client=client, token_id=found.token_id, until_ns=until_ns)

    def still_holds(self, who: Identity) -> bool:
        """Whether a person who came in may stay: the login lasts, and the role is the same."""
        if time.time_ns() >= who.until_ns:
            return False
        if who.session_id:
            return not self.has_ended(who.session_id) and self.role_of(who.name, who.role) == who.role
        # A token of the deployment's own is in no table; it holds as long as this process does.
        if who.token_id and self.loaded and not who.token_id.startswith("operator:"):
            return who.token_id in self._token_ids and self.role_of(who.name, who.role) == who.role
        return True

    async def until_over(self, who: Identity) -> None:
        """Return when a person may stay no longer."""
        while self.still_holds(who):
            changed = self._changed
            left_s = (who.until_ns - time.time_ns()) / _NS
            try:
                async with asyncio.timeout(max(min(left_s, 3_600.0), 0.01)):
                    await changed.wait()
            except TimeoutError:
                continue

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def hash_of(secret: str) -> bytes:
    """What is kept of a random secret. It cannot be guessed, so it needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).digest()
