"""Who comes in, and how: by password, by a cookie of before, by an api token, by a one-time link.

A request is checked in memory alone (see ``directory``). Logins, renewals and claims need the database; while it is
away a valid access token is prolonged as it is, up to the end of its login, so that nobody is thrown out who may have
to halt trading.
"""

import asyncio
import secrets
import time
from typing import Any, Final

import msgspec

from tradewind.runtime.logging import write_line
from tradewind.services.api.logins.access_tokens import AccessTokens
from tradewind.services.api.logins.attempts import Attempts
from tradewind.services.api.logins.auditing import AuditTrail
from tradewind.services.api.logins.directory import Directory, hash_of
from tradewind.services.api.logins.identity import Identity, Role
from tradewind.services.api.logins.oidc import oidc_of
from tradewind.services.api.logins.operator_tokens import OperatorTokens
from tradewind.services.api.logins.passwords import Passwords
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.store_bounds import bounded
from tradewind.store.database import Database, DatabaseUnavailable
from tradewind.store.logins import LoginRepository, ReusedRefreshToken, Session
from tradewind.store.people import PeopleRepository, PersonRefused, User

_NS: Final = 1_000_000_000
_HOUR_NS: Final = 3_600 * _NS
LOOK_S: Final = 1.0
BAD_LOGIN: Final = "the name or the password is wrong, or the user may not log in"


class LoginRefused(Exception):
    """Nobody comes in this way; the message says no more than a stranger may know."""


class LockedOut(Exception):
    """Too many failures; ``wait_s`` until the next try."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed logins; try again in {wait_s:.0f} s")
        self.wait_s = wait_s


class Entrance(msgspec.Struct, frozen=True):
    """What somebody who came in is given: who that is, and the cookies' values. No refresh token: keep the old one."""

    identity: Identity
    access_token: str
    refresh_token: str | None
    refresh_until_ns: int


class LoginDesk:
    """Logins of one api service."""

    def __init__(
        self,
        database: Database,
        settings: ApiSettings,
        attempts: Attempts,
        trail: AuditTrail,
        log: Any,
    ) -> None:
        self.people = PeopleRepository(database)
        self.logins = LoginRepository(database)
        self.passwords = Passwords()
        self.operators = OperatorTokens(settings.operator_tokens)
        self.directory = Directory(self.logins, settings.query_timeout_s, log)
        self._access_tokens = AccessTokens(settings.signing_key, settings.access_minutes * 60)
        self.oidc = oidc_of(settings, self._access_tokens)
        self._settings = settings
        self._attempts = attempts
        self._trail = trail
        self._log = log

    async def run(self) -> None:
        """Keep the copy of who may come in."""
        try:
            await self.directory.run()
        finally:
            self.passwords.close()

    async def offer_first_admin(self, page: str) -> None:
        """Once, when there is nobody who could let others in: print a link that makes the first admin."""
        while True:
            try:
                async with bounded(self._settings.query_timeout_s):
                    if await self.people.has_admin():
                        return
                    token = await self.new_link(None)
                break
            except DatabaseUnavailable:
                await asyncio.sleep(LOOK_S)
        hours = self._settings.link_hours
        write_line(f"First start: make the admin at {page}/#/claim/{token} (valid once, for {hours:g} h)")

    async def new_link(self, user_name: str | None) -> str:
        """The secret of a new one-time link.

        Raises:
            PersonRefused: there is no such user.
            DatabaseUnavailable: it was not made.
        """
        token, now = secrets.token_urlsafe(32), time.time_ns()
        await self.people.add_link(hash_of(token), user_name, now, now + int(self._settings.link_hours * _HOUR_NS))
        return token

    async def link_is_needed(self) -> bool:
        """Whether nobody could log in as an admin yet."""
        async with bounded(self._settings.query_timeout_s):
            return not await self.people.has_admin()

    def identify(self, authorization: str, cookie: str, client: str) -> Identity | None:
        """Who sends a request, by its Authorization header or its access cookie; nothing is asked of anybody."""
        if authorization:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or not token:
                return None
            return self.operators.identity(token, client) or self.directory.identity_of_token(token, client)
        return self._identity_of_cookie(cookie, client) if cookie else None

    async def login(self, name: str, password: str, client: str) -> Entrance:
        """Come in by password.

        Raises:
            LoginRefused: one sentence for all causes.
            LockedOut: wait first.
            TooManyLogins: try again later.
            DatabaseUnavailable: nobody can come in now.
        """
        wait_s = await self._attempts.wait_s(name, client)
        if wait_s > 0:
            raise LockedOut(wait_s)
        async with bounded(self._settings.query_timeout_s):
            user = await self.people.user(name)
        await self._attempts.count(name, client)
        right = await self.passwords.verify(user.password_hash if user else None, password)
        if user is None or not right or not user.enabled:
            self._log.warning("login refused", client=client, known=user is not None)
            raise LoginRefused(BAD_LOGIN)
        await self._attempts.succeeded(name, client)
        return await self.enter(user, client)

    async def enter(self, user: User, client: str) -> Entrance:
        """Begin a session of somebody who has proven who it is.

        Raises:
            DatabaseUnavailable: it was not begun.
        """
        now = time.time_ns()
        until_ns = now + int(self._settings.session_hours * _HOUR_NS)
        session = Session(session_id=secrets.token_hex(16), user_name=user.name, expires_at=until_ns)
        refresh = secrets.token_urlsafe(32)
        async with bounded(self._settings.query_timeout_s):
            await self.logins.begin(session, client, hash_of(refresh), now)
            await self.people.note_login(user.name, now)
            await self.directory.refresh()
        entrance = self._entrance(user.name, Role(user.role), session, client, refresh)
        await self._note(entrance.identity, "login", user.name, "")
        return entrance

    async def renew(self, refresh: str, cookie: str, client: str) -> Entrance:
        """A new access token, and a new refresh token in place of the old; without a database see above.

        Raises:
            LoginRefused: log in again.
        """
        next_refresh = secrets.token_urlsafe(32)
        try:
            async with bounded(self._settings.query_timeout_s):
                session = await self.logins.rotate(hash_of(refresh), hash_of(next_refresh), time.time_ns())
                if not self.directory.loaded:
                    await self.directory.refresh()
        except ReusedRefreshToken as error:
            name, session_id = error.args
            self.directory.end_session(session_id)
            self._log.warning("a used refresh token came again; its session is over", user=name, client=client)
            thief = Identity(name=name, role=self.directory.role_of(name, Role.VIEWER) or Role.VIEWER, client=client)
            await self._note(thief, "session.stolen", name, "a used refresh token came again")
            raise LoginRefused("the login is over; log in again") from None
        except DatabaseUnavailable:
            return self._prolonged(cookie, client)
        role = self.directory.role_of(session.user_name, Role.VIEWER) if session is not None else None
        if session is None or role is None:
            raise LoginRefused("the login is over; log in again")
        return self._entrance(session.user_name, role, session, client, next_refresh)

    async def leave(self, who: Identity) -> None:
        """End the session that somebody came with; at once here, in the store when it is there."""
        self.directory.end_session(who.session_id)
        async with bounded(self._settings.query_timeout_s):
            await self.logins.end(who.session_id, "logout", time.time_ns())

    async def change_password(self, who: Identity, current: str, new: str) -> None:
        """Set another password; the person's other sessions end.

        Raises:
            LoginRefused: the current one is wrong.
            LockedOut, TooManyLogins, DatabaseUnavailable: not now.
        """
        wait_s = await self._attempts.wait_s(who.name, who.client)
        if wait_s > 0:
            raise LockedOut(wait_s)
        async with bounded(self._settings.query_timeout_s):
            user = await self.people.user(who.name)
        await self._attempts.count(who.name, who.client)
        if not await self.passwords.verify(user.password_hash if user else None, current):
            raise LoginRefused("the current password is wrong")
        await self._attempts.succeeded(who.name, who.client)
        hashed = await self.passwords.hash(new)
        async with bounded(self._settings.query_timeout_s):
            await self.people.set_password(who.name, hashed, time.time_ns(), keep_session=who.session_id)
            await self.directory.refresh()
        await self._note(who, "password.change", who.name, "")

    async def claim(self, token: str, name: str | None, password: str, client: str) -> Entrance:
        """Use a one-time link: set the password of its user, and come in.

        Raises:
            PersonRefused: the link is not valid, or the name cannot be taken.
            LockedOut, TooManyLogins, DatabaseUnavailable: not now.
        """
        wait_s = await self._attempts.wait_s(f"claim {client}", client)
        if wait_s > 0:
            raise LockedOut(wait_s)
        if name is not None and name in self.operators.names:
            raise PersonRefused(f"{name} is a name of the deployment's own; choose another one")
        await self._attempts.count(f"claim {client}", client)
        hashed = await self.passwords.hash(password)
        async with bounded(self._settings.query_timeout_s):
            user = await self.people.claim(hash_of(token), name, hashed, time.time_ns())
        await self._attempts.succeeded(f"claim {client}", client)
        entrance = await self.enter(user, client)
        await self._note(entrance.identity, "link.claim", user.name, "password set by a one-time link")
        return entrance

    def _identity_of_cookie(self, cookie: str, client: str) -> Identity | None:
        claims = self._access_tokens.read(cookie)
        if claims is None or self.directory.has_ended(claims.sid):
            return None
        role = self.directory.role_of(claims.sub, claims.role)
        if role is None:
            return None
        return Identity(
            name=claims.sub, role=role, client=client, session_id=claims.sid,
            access_until_ns=claims.exp * _NS, until_ns=claims.until * _NS,
        )  # fmt: skip

    def _prolonged(self, cookie: str, client: str) -> Entrance:
        who = self._identity_of_cookie(cookie, client)
        if who is None:
            raise DatabaseUnavailable("the database is unavailable, and so are logins")
        session = Session(session_id=who.session_id, user_name=who.name, expires_at=who.until_ns)
        return self._entrance(who.name, who.role, session, client, None)

    def _entrance(self, name: str, role: Role, session: Session, client: str, refresh: str | None) -> Entrance:
        token, ends_ns = self._access_tokens.make(name, role, session.session_id, session.expires_at)
        who = Identity(
            name=name, role=role, client=client, session_id=session.session_id,
            access_until_ns=ends_ns, until_ns=session.expires_at,
        )  # fmt: skip
        return Entrance(who, token, refresh, session.expires_at)

    async def _note(self, who: Identity, action: str, subject: str, why: str) -> None:
        await self._trail.write(who, action=action, subject=subject, before="", after="", why=why, urgent=True)
