"""The web application: routes, the stream, the page's files, and errors as sentences."""

import asyncio
import contextlib
import re
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tradewind.services.api.by_hand.order_entry import OrderRefused
from tradewind.services.api.page import add_page, page_folder
from tradewind.services.api.routes import (
    alerts,
    auth,
    commands,
    kill,
    market,
    oidc,
    operators,
    orders,
    people,
    portfolio,
    strategies,
    system,
)
from tradewind.services.api.routes.access import Access
from tradewind.services.api.routes.authorization import Identity, Permission, identify
from tradewind.services.api.routes.document_examples import add_examples
from tradewind.services.api.view_model.queries import BadCursor
from tradewind.services.api.view_model.views import Problem, Responses
from tradewind.store.database import DatabaseUnavailable

PREFIX: Final = "/api/v1"
ABOUT: Final = (
    "Live state of the trading platform and commands to it. Prices, sizes and money are decimal strings; times are "
    "nanoseconds since the epoch, UTC, as strings. Whatever changes something needs Content-Type: application/json or "
    "the header X-Tradewind-Request. The WebSocket at /api/v1/stream sends a snapshot, then ordered deltas."
)
LOG_IN_AGAIN: Final = (4401, "the login is over; log in again")
NEVER_ALLOWED: Final = (4403, "the role may not see this")
_REFUSED: Final[Responses] = {
    400: {"model": Problem, "description": "The body is no JSON, or the Host header does not name this server"},
    422: {"model": Problem, "description": "The request's form is wrong"},
}


class DocumentedApi(FastAPI):
    """The application, whose document has an example for every field."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; it is made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            add_examples(document)
        return super().openapi()


def _operation_id(route: APIRoute) -> str:
    """A name for generated clients: the verb where two routes of one path differ by it, and the path's words."""
    words = re.findall(r"[a-z0-9]+", route.path_format.removeprefix(PREFIX).lower())
    return "_".join([min(route.methods or {"get"}).lower(), *words])


def build_application(access: Access, version: str) -> FastAPI:
    """The application over one running service's parts."""
    # FastAPI's own documentation pages load their scripts from another host; the document itself is served.
    app = DocumentedApi(
        title="Tradewind",
        version=version,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        responses={**_REFUSED},
        generate_unique_id_function=_operation_id,
    )
    app.state.access = access
    api = APIRouter(prefix=PREFIX)
    for routes in (
        system,
        market,
        orders,
        commands,
        kill,
        operators,
        auth,
        oidc,
        people,
        portfolio,
        strategies,
        alerts,
    ):
        api.include_router(routes.router)
    api.add_api_websocket_route("/stream", _stream)
    app.include_router(api)
    app.include_router(system.probes)
    app.add_exception_handler(RequestValidationError, _wrong_form)
    app.add_exception_handler(OrderRefused, _refused)
    app.add_exception_handler(BadCursor, _refused)
    app.add_exception_handler(DatabaseUnavailable, _store_away)
    add_page(app, page_folder())
    return app


async def _stream(socket: WebSocket) -> None:
    access: Access = socket.app.state.access
    who = identify(socket, access)
    if who is None or Permission.READ not in who.permissions:
        await socket.accept()  # a browser is told the code of a connection that was open once
        await socket.close(*(LOG_IN_AGAIN if who is None else NEVER_ALLOWED))
        return
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_end_with_login(access, who, socket))
        try:
            await access.hub.serve(socket)
        finally:
            watching.cancel()


async def _end_with_login(access: Access, who: Identity, socket: WebSocket) -> None:
    await access.desk.directory.until_over(who)
    # A client that does not read is cut by the hub, which finds the socket closed.
    with contextlib.suppress(RuntimeError, OSError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(access.settings.slow_client_s):
            await socket.close(*LOG_IN_AGAIN)


async def _wrong_form(_request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    sentences = [f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in problems[:10]]
    return JSONResponse({"detail": "; ".join(sentences)}, status_code=422)


async def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=422)


async def _store_away(_request: Request, error: Exception) -> Response:
    return JSONResponse(
        {"detail": f"{error}; live prices, open orders and commands go on, ask again for the past"}, status_code=503
    )
