"""Rights of routes, and the audit of what is done by them.

A route names its right as a parameter (``who: TradeRight``); that is all that guards it, and a test goes through every
route for it. What a person does goes through ``audit`` before it is published.
"""

import math
from typing import Annotated, Final

from fastapi import Depends, HTTPException
from starlette.requests import HTTPConnection

from tradewind.services.api.logins.clients import CLIENT
from tradewind.services.api.logins.identity import Identity, Permission, Role
from tradewind.services.api.routes.access import Access, Accessed
from tradewind.services.api.view_model.views import Problem, Responses
from tradewind.store.database import DatabaseUnavailable

__all__ = [
    "ACCESS_COOKIE", "NOT_ALLOWED", "AdminRight", "AuditRight", "CancelRight", "Identity", "Permission", "ReadRight",
    "RiskRight", "Role", "StrategiesRight", "TradeRight", "audit", "client_of", "identify", "requires",
]  # fmt: skip

ACCESS_COOKIE: Final = "tradewind_access"
REFRESH_COOKIE: Final = "tradewind_refresh"
LOG_IN: Final = "log in first, or send Authorization: Bearer with an api token"
NOT_ALLOWED: Final[Responses] = {
    401: {"model": Problem, "description": "Not logged in"},
    403: {"model": Problem, "description": "The role may not do this, or the request is from a page of another origin"},
    429: {"model": Problem, "description": "Too many requests; wait as long as Retry-After says"},
}


class Requires:
    """The dependency of a route that needs a permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission: Final = permission

    async def __call__(self, connection: HTTPConnection, access: Accessed) -> Identity:
        """Who asks.

        Raises:
            HTTPException: 401, 403 or 429.
        """
        who = identify(connection, access)
        if who is None:
            raise HTTPException(401, LOG_IN, headers={"WWW-Authenticate": "Bearer"})
        wait_s = access.throttle.wait_s(who.name)
        if wait_s > 0:
            raise HTTPException(429, "too many requests", headers={"Retry-After": str(math.ceil(wait_s))})
        if self.permission not in who.permissions:
            raise HTTPException(403, f"the role {who.role} may not do this; it needs the right {self.permission}")
        return who


def requires(permission: Permission) -> Requires:
    """What a route depends on: ``Annotated[Identity, Depends(requires(Permission.TRADE))]``."""
    return Requires(permission)


ReadRight = Annotated[Identity, Depends(requires(Permission.READ))]
TradeRight = Annotated[Identity, Depends(requires(Permission.TRADE))]
CancelRight = Annotated[Identity, Depends(requires(Permission.CANCEL))]
StrategiesRight = Annotated[Identity, Depends(requires(Permission.STRATEGIES))]
RiskRight = Annotated[Identity, Depends(requires(Permission.RISK))]
AuditRight = Annotated[Identity, Depends(requires(Permission.AUDIT))]
AdminRight = Annotated[Identity, Depends(requires(Permission.ADMIN))]


def identify(connection: HTTPConnection, access: Access) -> Identity | None:
    """Who sends a request or opens a stream; None: nobody we know. Asks no store."""
    authorization = connection.headers.get("authorization", "")
    return access.desk.identify(authorization, connection.cookies.get(ACCESS_COOKIE, ""), client_of(connection))


def client_of(connection: HTTPConnection) -> str:
    """The address that a request comes from, as trusted proxies tell it."""
    peer = connection.client.host if connection.client else "?"
    return str(connection.scope.get(CLIENT, peer))


async def audit(
    access: Access,
    who: Identity,
    *,
    action: str,
    subject: str,
    before: str = "",
    after: str = "",
    why: str = "",
    urgent: bool = False,
) -> None:
    """Write the audit line of a command; call it before the command is published.

    ``urgent`` is for what makes trading safer (halt, kill, cancel): it goes through while the database is away, and its
    line is written later.

    Raises:
        HTTPException: 503, the line cannot be written, so the command must not be given.
    """
    try:
        await access.trail.write(
            who, action=action, subject=subject, before=before, after=after, why=why, urgent=urgent
        )
    except DatabaseUnavailable as error:
        raise HTTPException(
            503, f"{error}; what cannot be audited is not done. Halts, kill switches and cancels go on"
        ) from error
