"""REST: coming in and going out. These are the only routes of the API that nobody needs a right for.

The browser gets two cookies that no script can read: one for every request, short-lived, and one that renews it and is
sent to these routes alone.
"""

import math
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from tradewind.services.api.logins.clients import SECURE
from tradewind.services.api.logins.identity import Identity
from tradewind.services.api.logins.login_desk import Entrance, LockedOut, LoginRefused
from tradewind.services.api.logins.passwords import LONGEST, SHORTEST, TooManyLogins
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.authorization import (
    ACCESS_COOKIE,
    NOT_ALLOWED,
    REFRESH_COOKIE,
    ReadRight,
    client_of,
    identify,
)
from tradewind.services.api.view_model.views import Problem, Responses
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.people import PersonRefused

router: Final = APIRouter(prefix="/auth", tags=["logging in"])
REFRESH_PATH: Final = "/api/v1/auth"
_NS: Final = 1_000_000_000
_OPEN: Final[Responses] = {
    401: {"model": Problem, "description": "Nobody comes in this way"},
    429: {"model": Problem, "description": "Too many failures; wait as long as Retry-After says"},
    503: {"model": Problem, "description": "The database is away, and so are logins"},
}
UserName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$", examples=["anna"])]
NewPassword = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST)]


class Login(BaseModel):
    """A name and its password."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
    password: Annotated[str, Field(min_length=1, max_length=1_000)]


class Claim(BaseModel):
    """A one-time link's secret and the password to set; the first admin chooses a name too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: Annotated[str, Field(min_length=16, max_length=200)]
    name: UserName | None = None
    password: NewPassword


class PasswordChange(BaseModel):
    """The password of now, and the one to come."""

    model_config = ConfigDict(extra="forbid", strict=True)

    current: Annotated[str, Field(min_length=1, max_length=1_000)]
    new: NewPassword


class MeView(TypedDict):
    """Who is logged in. ``expires_at``: when the access cookie must be renewed."""

    name: str
    role: str
    permissions: list[str]
    expires_at: str


class OidcView(TypedDict):
    """The identity provider that may be used in place of a password."""

    name: str
    start_url: str


class AuthStateView(TypedDict):
    """What a page needs before anybody has logged in."""

    setup_needed: bool
    user: MeView | None
    oidc: OidcView | None


@router.get("/state")
async def state(access: Accessed, request: Request) -> AuthStateView:
    """Whether somebody is logged in, and whether there is anybody who could."""
    who = identify(request, access)
    try:
        setup_needed = who is None and await access.desk.link_is_needed()
    except DatabaseUnavailable:
        setup_needed = False
    return AuthStateView(setup_needed=setup_needed, user=_me(who) if who else None, oidc=_oidc(access))


@router.post("/login", responses=_OPEN)
async def login(access: Accessed, request: Request, response: Response, wanted: Login) -> MeView:
    """Come in by password."""
    try:
        entrance = await access.desk.login(wanted.name, wanted.password, client_of(request))
    except (LoginRefused, LockedOut, TooManyLogins, DatabaseUnavailable) as error:
        raise _problem(error) from error
    return admit(request, response, entrance)


@router.post("/refresh", responses=_OPEN)
async def refresh(access: Accessed, request: Request, response: Response) -> MeView:
    """Renew both cookies. The old refresh cookie is used up; one that comes twice ends the login."""
    cookies = request.cookies
    try:
        entrance = await access.desk.renew(
            cookies.get(REFRESH_COOKIE, ""), cookies.get(ACCESS_COOKIE, ""), client_of(request)
        )
    except (LoginRefused, DatabaseUnavailable) as error:
        raise _problem(error) from error
    return admit(request, response, entrance)


@router.post("/logout", status_code=204)
async def logout(access: Accessed, request: Request, response: Response) -> None:
    """End the login, and every stream that it opened."""
    who = identify(request, access)
    if who is not None and who.session_id:
        try:
            await access.desk.leave(who)
        except DatabaseUnavailable as error:
            access.context.log.warning(f"a logout is known to this process alone: {error}")
    for name, path in ((ACCESS_COOKIE, "/"), (REFRESH_COOKIE, REFRESH_PATH)):
        response.delete_cookie(name, path=path, httponly=True, samesite="strict", secure=bool(request.scope[SECURE]))


@router.post("/password", status_code=204, responses={**NOT_ALLOWED, **_OPEN})
async def password(access: Accessed, who: ReadRight, wanted: PasswordChange) -> None:
    """Set another password; the other logins of the same person end."""
    if not who.session_id:
        raise HTTPException(403, "an api token cannot change a password; log in")
    try:
        await access.desk.change_password(who, wanted.current, wanted.new)
    except LoginRefused as error:
        raise HTTPException(403, str(error)) from error
    except (LockedOut, TooManyLogins, DatabaseUnavailable) as error:
        raise _problem(error) from error


@router.post("/claim", responses={**_OPEN, 409: {"model": Problem, "description": "The link is not valid"}})
async def claim(access: Accessed, request: Request, response: Response, wanted: Claim) -> MeView:
    """Use a one-time link: the first admin's, an invitation, a new password."""
    try:
        entrance = await access.desk.claim(wanted.token, wanted.name, wanted.password, client_of(request))
    except PersonRefused as error:
        raise HTTPException(409, str(error)) from error
    except (LockedOut, TooManyLogins, DatabaseUnavailable) as error:
        raise _problem(error) from error
    return admit(request, response, entrance)


def admit(request: Request, response: Response, entrance: Entrance) -> MeView:
    """Give somebody who came in the cookies."""
    secure = bool(request.scope[SECURE])
    who = entrance.identity
    left_s = (who.until_ns - who.access_until_ns) // _NS
    response.set_cookie(ACCESS_COOKIE, entrance.access_token, path="/", httponly=True, samesite="strict", secure=secure)
    if entrance.refresh_token is not None:
        response.set_cookie(
            REFRESH_COOKIE, entrance.refresh_token, path=REFRESH_PATH, httponly=True, samesite="strict",
            secure=secure, max_age=max(int(left_s), 1),
        )  # fmt: skip
    return _me(who)


def _oidc(access: Access) -> OidcView | None:
    provider = access.desk.oidc
    return None if provider is None else OidcView(name=provider.name, start_url=f"{REFRESH_PATH}/oidc/start")


def _me(who: Identity) -> MeView:
    return MeView(
        name=who.name,
        role=who.role,
        permissions=sorted(who.permissions),
        expires_at=str(who.access_until_ns or who.until_ns),
    )


def _problem(error: Exception) -> HTTPException:
    if isinstance(error, LockedOut):
        return HTTPException(429, str(error), headers={"Retry-After": str(math.ceil(error.wait_s))})
    if isinstance(error, TooManyLogins):
        return HTTPException(429, "too many logins at once; try again", headers={"Retry-After": "2"})
    if isinstance(error, DatabaseUnavailable):
        return HTTPException(503, f"{error}; nobody can log in now")
    return HTTPException(401, str(error))


def claim_url(access: Access, request: Request, token: str) -> str:
    """The address of a one-time link, by the name that the page was asked by."""
    page = access.settings.page_url.rstrip("/")
    if not page:
        page = f"{'https' if request.scope[SECURE] else 'http'}://{request.headers['host']}"
    return f"{page}/#/claim/{token}"
