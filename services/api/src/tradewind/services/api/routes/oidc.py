"""REST: logging in by an identity provider. The browser goes there and comes back here; see ``oidc``."""

import time
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response

from tradewind.services.api.logins.clients import SECURE
from tradewind.services.api.logins.oidc import STATE_S, Arrival, Oidc, OidcRefused
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.routes.auth import admit
from tradewind.services.api.routes.authorization import client_of
from tradewind.services.api.store_bounds import bounded
from tradewind.services.api.view_model.views import Problem
from tradewind.store.people import PersonRefused, User

router: Final = APIRouter(
    prefix="/auth/oidc", tags=["logging in"], responses={401: {"model": Problem}, 404: {"model": Problem}}
)
COOKIE: Final = "tradewind_oidc"
PATH: Final = "/api/v1/auth/oidc"


@router.get("/start", status_code=302, response_class=RedirectResponse)
async def start(access: Accessed, request: Request) -> Response:
    """Send the browser to the provider."""
    try:
        address, carried = await _provider(access).start(_return_url(access, request))
    except OidcRefused as error:
        raise HTTPException(401, str(error)) from error
    answer = RedirectResponse(address, 302)
    # Lax: the way back is a navigation from another site, and only this cookie may come with it.
    answer.set_cookie(
        COOKIE, carried, max_age=STATE_S, path=PATH, httponly=True, samesite="lax", secure=bool(request.scope[SECURE])
    )
    return answer


@router.get("/return", status_code=303, response_class=RedirectResponse)
async def come_back(
    access: Accessed,
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    code: Annotated[str, Query(max_length=4_000)] = "",
) -> Response:
    """Take somebody in who comes from the provider, and show the page."""
    carried = request.cookies.get(COOKIE, "")
    try:
        arrival = await _provider(access).arrive(_return_url(access, request), carried, state, code)
        user = await _user_of(access, arrival)
    except (OidcRefused, PersonRefused) as error:
        raise HTTPException(401, str(error)) from error
    answer = RedirectResponse("/", 303)
    admit(request, answer, await access.desk.enter(user, client_of(request)))
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


async def _user_of(access: Access, arrival: Arrival) -> User:
    """The user who comes under this subject, made when it is the first time, in the role of today."""
    people, now = access.desk.people, time.time_ns()
    async with bounded(access.settings.query_timeout_s):
        user = await people.user_of_subject(arrival.subject)
        if user is None:
            if arrival.name in access.desk.operators.names:
                raise PersonRefused(f"{arrival.name} is a name of the deployment's own")
            await people.add(arrival.name, arrival.role, now, subject=arrival.subject)
        elif not user.enabled:
            raise OidcRefused("this user may not log in")
        elif user.role != arrival.role:
            await people.change(user.name, role=arrival.role, now=now)
        found = await people.user_of_subject(arrival.subject)
    if found is None:
        raise OidcRefused("the user is gone; begin again")
    return found


def _provider(access: Access) -> Oidc:
    if access.desk.oidc is None:
        raise HTTPException(404, "no identity provider is set; log in by password")
    return access.desk.oidc


def _return_url(access: Access, request: Request) -> str:
    page = access.settings.page_url.rstrip("/")
    return (page or f"{'https' if request.scope[SECURE] else 'http'}://{request.headers['host']}") + f"{PATH}/return"
