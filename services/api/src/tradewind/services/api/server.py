"""The HTTP server's life inside the service: a bound port, a quiet uvicorn, a quick end."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from starlette.websockets import WebSocket

from tradewind.runtime.refusals import PortTaken, StartRefused
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.stream.streaming import MAX_CLIENT_MESSAGE_BYTES

PORT_VARIABLE: Final = "TRADEWIND_API_PORT"
MAX_CONNECTIONS: Final = 256
BACKLOG: Final = 128
STOP_POLITELY_S: Final = 0.3


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        PortTaken: another program listens there.
        StartRefused: the address is not one of this machine, or may not be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise StartRefused(
            f"cannot listen on {host} port {port}: {error}; set TRADEWIND_HOST or {PORT_VARIABLE}"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, PORT_VARIABLE) from error
        raise StartRefused(
            f"cannot listen on {host} port {port}: {error}; set TRADEWIND_HOST or {PORT_VARIABLE}"
        ) from error
    return listener


class PageServer:
    """uvicorn without its signal handlers, its logging and its patience."""

    def __init__(
        self, application: Any, listener: socket.socket, settings: ApiSettings, tls: ssl.SSLContext | None = None
    ) -> None:
        self._listener = listener
        self._tls = tls
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS + settings.max_stream_clients,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            ws="websockets-sansio",
            ws_max_size=MAX_CLIENT_MESSAGE_BYTES * 4,
            ws_per_message_deflate=False,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
        )
        self._server = _QuietServer(config)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._listener.getsockname()[1])

    async def run(self, before_stop: Callable[[], None]) -> None:
        """Serve until cancelled; then call ``before_stop``, end every connection and return within a second."""
        server = self._server
        server.config.load()
        server.config.ssl = self._tls
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[self._listener])
        try:
            await server.main_loop()
        finally:
            before_stop()
            await self._stop()

    async def _stop(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            shutdown = tasks.create_task(self._server.shutdown(sockets=[self._listener]))
            await asyncio.wait((shutdown,), timeout=STOP_POLITELY_S)
            for connection in list(self._server.server_state.connections):
                _abort(connection)

    def abort(self, websocket: WebSocket) -> None:
        """Cut a connection whose peer does not read: a polite close would wait for it."""
        peer = websocket.client
        for connection in list(self._server.server_state.connections):
            if peer is not None and getattr(connection, "client", None) == (peer.host, peer.port):
                _abort(connection)


class _QuietServer(uvicorn.Server):
    """Signals belong to the process, not to one of its services."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def _abort(connection: Any) -> None:
    transport = connection.transport
    if transport is not None:
        transport.abort()
