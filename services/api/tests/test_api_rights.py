"""Roles and endpoints: every cell of the table, made from the application's own routes.

A route that is new and names no right fails here, and so does one whose right is not the one it should have.
"""

from collections.abc import Iterator
from typing import Final

import aiohttp
import pytest
from api_platform import PEOPLE, RunningApi, bearer
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from tradewind.services.api.logins.identity import PERMISSIONS, Permission, Role
from tradewind.services.api.routes.authorization import Requires

P: Final = Permission
OPEN: Final = {
    "GET /healthz", "GET /readyz", "GET /", "GET /api/v1/auth/state", "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh", "POST /api/v1/auth/logout", "POST /api/v1/auth/claim", "GET /api/v1/auth/oidc/start",
    "GET /api/v1/auth/oidc/return", "GET /{path:path}",
}  # fmt: skip
"""What somebody may ask who has not logged in."""
WRITES: Final = {
    "POST /api/v1/orders": P.TRADE,
    "POST /api/v1/orders/preview": P.TRADE,
    "PATCH /api/v1/orders/{client_order_id}": P.TRADE,
    "DELETE /api/v1/orders/{client_order_id}": P.CANCEL,
    "POST /api/v1/orders/{client_order_id}/resolve": P.RISK,
    "POST /api/v1/orders/{client_order_id}/claim": P.RISK,
    "POST /api/v1/trading-state": P.RISK,
    "POST /api/v1/kill-switches": P.RISK,
    "POST /api/v1/kill-switches/release": P.RISK,
    "POST /api/v1/alerts/{alert_id}/acknowledge": P.RISK,
    "POST /api/v1/alerts/test": P.RISK,
    "POST /api/v1/strategies/{strategy_id}/start": P.STRATEGIES,
    "POST /api/v1/strategies/{strategy_id}/stop": P.STRATEGIES,
    "PUT /api/v1/strategies/{strategy_id}/settings": P.STRATEGIES,
    "PUT /api/v1/strategies/{strategy_id}/policy": P.STRATEGIES,
    "POST /api/v1/auth/password": P.READ,  # one's own
    "POST /api/v1/tokens": P.READ,  # one's own
    "DELETE /api/v1/tokens/{token_id}": P.READ,  # one's own
    "GET /api/v1/users": P.ADMIN,
    "POST /api/v1/users": P.ADMIN,
    "PATCH /api/v1/users/{name}": P.ADMIN,
    "POST /api/v1/users/{name}/link": P.ADMIN,
    "GET /api/v1/audit": P.AUDIT,
    "GET /api/v1/audit.csv": P.AUDIT,
}
"""Rights of everything that changes something or shows people; all else shows the platform and needs READ."""


def routes(api: RunningApi) -> Iterator[tuple[str, Dependant]]:
    """All of them, by method and path, with what they depend on."""
    for route in iter_route_contexts(api.service.application.routes):
        dependant = getattr(route, "dependant", None)
        for method in sorted((getattr(route, "methods", None) or set()) - {"HEAD"}):
            if dependant is not None:
                yield f"{method} {route.path}", dependant


def rights(dependant: Dependant) -> set[Permission]:
    """The permissions that a route asks for."""
    own = {dependant.call.permission} if isinstance(dependant.call, Requires) else set()
    return own.union(*(rights(one) for one in dependant.dependencies))


async def test_every_route_names_the_right_that_it_should(api: RunningApi) -> None:
    found = {name: rights(dependant) for name, dependant in routes(api)}
    assert len(found) > 30
    assert found == {name: set() if name in OPEN else {WRITES.get(name, P.READ)} for name in found}
    unsafe = {name for name in found if not name.startswith("GET ")}
    assert unsafe - OPEN <= WRITES.keys(), "a new command: say above which right it needs"


async def ask(api: RunningApi, name: str, headers: dict[str, str]) -> int:
    method, path = name.split(" ")
    for placeholder, value in (("{name}", "nobody"), ("{token_id}", "0" * 16), ("{kill_id}", "1"), ("{alert_id}", "1")):
        path = path.replace(placeholder, value)
    path = path.replace("{", "").replace("}", "")
    sent = {"X-Tradewind-Request": "yes", **headers}
    async with aiohttp.ClientSession() as http, http.request(method, api.origin + path, headers=sent) as answer:
        return answer.status


@pytest.mark.parametrize("role", [*Role, None])
async def test_every_cell_of_the_table(api: RunningApi, role: Role | None) -> None:
    headers = next((bearer(name) for name, known in PEOPLE.items() if known == role), {})
    for name, dependant in routes(api):
        needed = rights(dependant)
        status = await ask(api, name, headers)
        if not needed:
            assert name in OPEN
        elif role is None:
            assert status == 401, name
        elif needed <= PERMISSIONS[role]:
            # Allowed: it fails later, for want of a body, a database or a thing of that name.
            assert status not in (401, 403), name
        else:
            assert status == 403, name


def test_what_each_role_may_do() -> None:
    assert PERMISSIONS[Role.VIEWER] == {P.READ}
    assert PERMISSIONS[Role.TRADER] == {P.READ, P.TRADE, P.CANCEL, P.STRATEGIES}
    assert PERMISSIONS[Role.RISK] == {P.READ, P.CANCEL, P.STRATEGIES, P.RISK, P.AUDIT}
    assert PERMISSIONS[Role.ADMIN] == set(P)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer wrong-0123456789abcdef0123456789abcdef"},
        {"Authorization": "Basic YW5uYTphbm5h"},
        {"Cookie": "tradewind_access=x.y.z"},
        # alg none, and a key that is empty
        {"Cookie": "tradewind_access=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIiwicm9sZSI6ImFkbWluIn0."},
    ],
)
async def test_what_is_no_login_gets_nothing(api: RunningApi, headers: dict[str, str]) -> None:
    assert await ask(api, "GET /api/v1/health", headers) == 401
    assert await ask(api, "POST /api/v1/trading-state", headers) == 401
