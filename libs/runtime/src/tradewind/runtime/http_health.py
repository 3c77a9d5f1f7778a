"""A small HTTP server for a process without the api service: ``/healthz``, ``/readyz`` and ``/metrics``.

``/healthz`` answers 200 whenever the event loop runs; ``/readyz`` answers 200 only while every service of the process
is ready, else 503 with the reasons. ``/state`` and ``/latencies/<name>`` are for the supervisor of process mode.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from tradewind.runtime.health import HealthBoard, process_health
from tradewind.runtime.metrics import ProcessMetrics, process_metrics
from tradewind.runtime.process_state import samples_of, state_of
from tradewind.runtime.refusals import PortTaken, is_address_in_use

PORT_VARIABLE: Final = "TRADEWIND_HEALTH_PORT"
_SHUTDOWN_TIMEOUT_S: Final = 0.5


def health_app(board: HealthBoard = process_health, metrics: ProcessMetrics = process_metrics) -> web.Application:
    """The three routes over one board and one set of metrics."""

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def ready(_request: web.Request) -> web.Response:
        body = {"ready": board.all_ready, "services": board.rows()}
        status = 200 if board.all_ready else 503
        return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")

    async def page(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def state(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(state_of(board, metrics)), content_type="application/json")

    async def latencies(request: web.Request) -> web.Response:
        return web.Response(body=samples_of(metrics, request.match_info["name"]).to_bytes())

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready), web.get("/metrics", page)])
    app.add_routes([web.get("/state", state), web.get("/latencies/{name}", latencies)])
    return app


@contextlib.asynccontextmanager
async def health_server(
    host: str,
    port: int,
    board: HealthBoard = process_health,
    metrics: ProcessMetrics = process_metrics,
    *,
    listener: socket.socket | None = None,
) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port that was bound (useful with ``port`` 0).

    ``listener`` is a socket that listens already, in place of ``host`` and ``port``.

    Raises:
        PortTaken: another program listens there.
    """
    runner = web.AppRunner(health_app(board, metrics), access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
    await runner.setup()
    try:
        try:
            site = web.SockSite(runner, listener) if listener is not None else web.TCPSite(runner, host, port)
            await site.start()
        except OSError as error:
            if is_address_in_use(error):
                raise PortTaken(port, PORT_VARIABLE) from error
            raise
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
