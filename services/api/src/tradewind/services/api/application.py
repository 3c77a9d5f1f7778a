"""The web application: routes, the stream, the page's files, and errors as sentences."""

from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from tradewind.services.api import (
    routes_commands,
    routes_kill,
    routes_market,
    routes_operators,
    routes_orders,
    routes_system,
)
from tradewind.services.api.access import Access
from tradewind.services.api.order_entry import OrderRefused
from tradewind.services.api.page import add_page, page_folder
from tradewind.services.api.queries import BadCursor
from tradewind.services.api.views import Problem, Responses
from tradewind.store.database import DatabaseUnavailable

PREFIX: Final = "/api/v1"
ABOUT: Final = (
    "Live state of the trading platform and commands to it. Prices, sizes and money are decimal strings; times are "
    "nanoseconds since the epoch, UTC, as strings. Whatever changes something needs Content-Type: application/json or "
    "the header X-Tradewind-Request. The WebSocket at /api/v1/stream sends a snapshot, then ordered deltas."
)
_REFUSED: Final[Responses] = {422: {"model": Problem, "description": "The request's form is wrong"}}


def build_application(access: Access, version: str) -> FastAPI:
    """The application over one running service's parts."""
    # FastAPI's own documentation pages load their scripts from another host; the document itself is served.
    app = FastAPI(
        title="Tradewind", version=version, description=ABOUT, docs_url=None, redoc_url=None, responses={**_REFUSED}
    )
    app.state.access = access
    api = APIRouter(prefix=PREFIX)
    for routes in (routes_system, routes_market, routes_orders, routes_commands, routes_kill, routes_operators):
        api.include_router(routes.router)
    api.add_api_websocket_route("/stream", _stream)
    app.include_router(api)
    app.include_router(routes_system.probes)
    app.add_exception_handler(RequestValidationError, _wrong_form)
    app.add_exception_handler(OrderRefused, _refused)
    app.add_exception_handler(BadCursor, _refused)
    app.add_exception_handler(DatabaseUnavailable, _store_away)
    add_page(app, page_folder())
    return app


async def _stream(socket: WebSocket) -> None:
    access: Access = socket.app.state.access
    await access.hub.serve(socket)


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
