"""REST: users, api tokens, and the audit of what everybody has done."""

import secrets
import time
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tradewind.services.api.by_hand.order_entry import Sentence
from tradewind.services.api.logins.directory import hash_of
from tradewind.services.api.logins.identity import Permission, Role
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.auth import UserName, claim_url
from tradewind.services.api.routes.authorization import NOT_ALLOWED, AdminRight, AuditRight, ReadRight, audit
from tradewind.services.api.store_bounds import bounded
from tradewind.services.api.view_model.queries import BadCursor, decode_cursor, encode_cursor
from tradewind.services.api.view_model.views import Problem, Responses
from tradewind.store.audit import AuditEntry, AuditFilter, AuditRepository
from tradewind.store.logins import ApiToken
from tradewind.store.people import PersonRefused, User

router: Final = APIRouter(tags=["people"], responses=NOT_ALLOWED)
_NS: Final = 1_000_000_000
_DAY_NS: Final = 24 * 3_600 * _NS
_AWAY: Final[Responses] = {503: {"model": Problem, "description": "The database is away"}}
_REFUSED: Final[Responses] = {409: {"model": Problem, "description": "It cannot be done"}, **_AWAY}
UserPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]
Text = Annotated[str | None, Query(max_length=128)]
Time = Annotated[int | None, Query(ge=0, lt=2**63)]
PageLimit = Annotated[int, Query(ge=1, le=500)]
CursorText = Annotated[str | None, Query(max_length=256)]


class NewUser(BaseModel):
    """Somebody to invite."""

    model_config = ConfigDict(extra="forbid")

    name: UserName
    role: Role


class UserChange(BaseModel):
    """Another role, or in or out. The user's logins end."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    enabled: bool | None = None
    why: Sentence


class NewToken(BaseModel):
    """A token for a program that acts as its owner. ``days``: until it ends; null: when it is revoked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["night job"])]
    days: Annotated[int, Field(ge=1, le=3_650)] | None = None


class UserView(TypedDict):
    """One user."""

    name: str
    role: str
    enabled: bool
    has_password: bool
    created_at: str
    last_login_at: str | None


class UserList(TypedDict):
    """Users by name."""

    rows: list[UserView]
    next_cursor: str | None


class LinkView(TypedDict):
    """An address that works once; give it to the person by a way that you trust."""

    claim_url: str


class TokenView(TypedDict):
    """One api token, without its secret."""

    token_id: str
    name: str
    user: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class TokenList(TypedDict):
    """Api tokens, newest first."""

    rows: list[TokenView]
    next_cursor: str | None


class MadeTokenView(TokenView):
    """A new api token; ``secret`` is never shown again."""

    secret: str


class AuditView(TypedDict):
    """One thing that somebody did."""

    id: str
    ts: str
    actor: str
    role: str
    action: str
    subject: str
    before: str
    after: str
    why: str
    client: str


class AuditPage(TypedDict):
    """Audit lines, newest first."""

    rows: list[AuditView]
    next_cursor: str | None


@router.get("/users", responses=_AWAY)
async def users(access: Accessed, who: AdminRight, limit: PageLimit = 500, cursor: UserName | None = None) -> UserList:
    """Everybody who may log in, by name."""
    async with bounded(access.settings.query_timeout_s):
        found = [user for user in await access.desk.people.users() if cursor is None or user.name > cursor]
    more = found[limit - 1].name if len(found) > limit else None
    return UserList(rows=[_user_view(user) for user in found[:limit]], next_cursor=more)


@router.post("/users", status_code=201, responses=_REFUSED)
async def invite(access: Accessed, request: Request, who: AdminRight, wanted: NewUser) -> LinkView:
    """Add a user; the one-time link lets the person set a password."""
    if wanted.name in access.desk.operators.names:
        raise HTTPException(409, f"{wanted.name} is a name of the deployment's own; choose another one")
    await audit(access, who, action="user.add", subject=wanted.name, after=wanted.role)
    try:
        async with bounded(access.settings.query_timeout_s):
            await access.desk.people.add(wanted.name, wanted.role, time.time_ns())
            token = await access.desk.new_link(wanted.name)
            await access.desk.directory.refresh()
    except PersonRefused as error:
        await audit(access, who, action="user.add.refused", subject=wanted.name, why=str(error))
        raise HTTPException(409, str(error)) from error
    return LinkView(claim_url=claim_url(access, request, token))


@router.patch("/users/{name}", responses={404: {"model": Problem}, **_REFUSED})
async def change(access: Accessed, who: AdminRight, name: UserPath, wanted: UserChange) -> UserView:
    """Give a user another role, or let the user in or out; takes effect at once, everywhere."""
    people = access.desk.people
    known = await _known(access, name)
    after = _standing(wanted.role or known.role, known.enabled if wanted.enabled is None else wanted.enabled)
    before = _standing(known.role, known.enabled)
    await audit(access, who, action="user.change", subject=name, before=before, after=after, why=wanted.why)
    try:
        async with bounded(access.settings.query_timeout_s):
            await people.change(name, role=wanted.role, enabled=wanted.enabled, now=time.time_ns())
            await access.desk.directory.refresh()
    except PersonRefused as error:
        await audit(access, who, action="user.change.refused", subject=name, before=before, why=str(error))
        raise HTTPException(409, str(error)) from error
    return _user_view(await _known(access, name))


@router.post("/users/{name}/link", responses={404: {"model": Problem}, **_REFUSED})
async def link(access: Accessed, request: Request, who: AdminRight, name: UserPath) -> LinkView:
    """A new one-time link for a user who has lost the password; earlier links end."""
    await _known(access, name)
    await audit(access, who, action="user.link", subject=name)
    async with bounded(access.settings.query_timeout_s):
        token = await access.desk.new_link(name)
    return LinkView(claim_url=claim_url(access, request, token))


@router.get("/tokens", responses=_AWAY)
async def tokens(
    access: Accessed,
    who: ReadRight,
    everybodys: Annotated[bool, Query(alias="all")] = False,
    limit: PageLimit = 100,
    cursor: CursorText = None,
) -> TokenList:
    """One's own api tokens; with ``all=true`` everybody's, for an admin."""
    if everybodys and Permission.ADMIN not in who.permissions:
        raise HTTPException(403, "only an admin sees the tokens of others")
    if cursor is not None and "\0" in cursor:
        raise BadCursor("the cursor was not given out by this server; begin again without one")
    async with bounded(access.settings.query_timeout_s):
        found = await access.desk.logins.tokens(None if everybodys else who.name, limit + 1, cursor or "")
    more = found[limit - 1].token_id if len(found) > limit else None
    return TokenList(rows=[_token_view(token) for token in found[:limit]], next_cursor=more)


@router.post("/tokens", status_code=201, responses=_REFUSED)
async def make_token(access: Accessed, who: ReadRight, wanted: NewToken) -> MadeTokenView:
    """Make an api token that acts as oneself. Its secret is in this answer and nowhere else."""
    if not who.session_id:
        raise HTTPException(403, "an api token cannot make another one; log in")
    secret, now = f"tw_{secrets.token_urlsafe(32)}", time.time_ns()
    token = ApiToken(
        token_id=secrets.token_hex(8), user_name=who.name, label=wanted.name, token_hash=hash_of(secret),
        created_at=now, expires_at=now + wanted.days * _DAY_NS if wanted.days else None,
        last_used_at=None, revoked_at=None,
    )  # fmt: skip
    await audit(access, who, action="token.make", subject=token.token_id, after=wanted.name)
    async with bounded(access.settings.query_timeout_s):
        await access.desk.logins.add_token(token)
        await access.desk.directory.refresh()
    return MadeTokenView(secret=secret, **_token_view(token))


@router.delete("/tokens/{token_id}", status_code=204, responses={404: {"model": Problem}, **_AWAY})
async def revoke_token(
    access: Accessed, who: ReadRight, token_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
) -> None:
    """End one of one's own api tokens, or, as an admin, anybody's."""
    owner = None if Permission.ADMIN in who.permissions else who.name
    await audit(access, who, action="token.revoke", subject=token_id)
    async with bounded(access.settings.query_timeout_s):
        if await access.desk.logins.revoke_token(token_id, owner, time.time_ns()) is None:
            raise HTTPException(404, f"there is no token {token_id} of yours")
        await access.desk.directory.refresh()


@router.get("/audit", responses=_AWAY)
async def audit_lines(
    access: Accessed,
    who: AuditRight,
    actor: Text = None,
    action: Text = None,
    subject: Text = None,
    since: Time = None,
    until: Time = None,
    limit: PageLimit = 100,
    cursor: CursorText = None,
) -> AuditPage:
    """What people did, newest first. ``action`` is a beginning: ``order`` finds ``order.submit``."""
    wanted = AuditFilter(actor=_plain(actor), action=_plain(action), subject=_plain(subject), since=since, until=until)
    found = await audit_page(access, wanted, limit + 1, cursor)
    more = encode_cursor((found[limit - 1][0], "")) if len(found) > limit else None
    return AuditPage(rows=[audit_view(number, entry) for number, entry in found[:limit]], next_cursor=more)


async def audit_page(
    access: Access, wanted: AuditFilter, limit: int, cursor: str | None
) -> list[tuple[int, AuditEntry]]:
    """Lines of the audit with their numbers, those after a cursor.

    Raises:
        BadCursor: it was not given out here.
        DatabaseUnavailable: no answer.
    """
    before = decode_cursor(cursor)[0] if cursor else None
    async with bounded(access.settings.query_timeout_s):
        return await AuditRepository(access.context.database).page(wanted, limit, before)


def audit_view(number: int, entry: AuditEntry) -> AuditView:
    """A line as it is sent."""
    return AuditView(
        id=str(number),
        ts=str(entry.ts),
        actor=entry.actor,
        role=entry.role,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
        why=entry.why,
        client=entry.client,
    )


async def _known(access: Access, name: str) -> User:
    async with bounded(access.settings.query_timeout_s):
        user = await access.desk.people.user(name)
    if user is None:
        raise HTTPException(404, f"there is no user {name!r}")
    return user


def _plain(text: str | None) -> str | None:
    # The database takes no NUL in a text, and no line holds one.
    return None if text is None else text.replace("\0", "\ufffd")


def _standing(role: str, enabled: bool) -> str:
    return f"{role}{'' if enabled else ', disabled'}"


def _user_view(user: User) -> UserView:
    return UserView(
        name=user.name,
        role=user.role,
        enabled=user.enabled,
        has_password=user.password_hash is not None,
        created_at=str(user.created_at),
        last_login_at=None if user.last_login_at is None else str(user.last_login_at),
    )


def _token_view(token: ApiToken) -> TokenView:
    return TokenView(
        token_id=token.token_id,
        name=token.label,
        user=token.user_name,
        created_at=str(token.created_at),
        expires_at=None if token.expires_at is None else str(token.expires_at),
        last_used_at=None if token.last_used_at is None else str(token.last_used_at),
        revoked_at=None if token.revoked_at is None else str(token.revoked_at),
    )
