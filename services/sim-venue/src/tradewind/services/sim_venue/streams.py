"""The WebSocket side: connections, their subscriptions, and who gets what.

Each connection is served by its own request handler, which the server owns. A connection gets everything of one stream
in order. Bound: ``max_buffered_bytes`` that the client has not taken; a client past it, or one that takes nothing for
``slow_client_s`` while the replay waits for it, is cut off and counted. Source: Binance spot API, "WebSocket Streams".
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter
from structlog.typing import FilteringBoundLogger

from tradewind.services.sim_venue.settings import Settings
from tradewind.services.sim_venue.websocket_frames import combined_payload, data_of, text_frame

MAX_MESSAGE_BYTES: Final = 65_536
MESSAGES_PER_S: Final = 10
_MESSAGE_BURST: Final = 50
_SEND_BUFFER_BYTES: Final = 262_144
_STREAM_NAME: Final = re.compile(r"[A-Za-z0-9_@.+!-]{1,128}")
_DRAIN_ABOVE_BYTES: Final = 65_536

Payload = tuple[str, bytes]
"""Stream name, and the event as a combined frame."""


class _Request(msgspec.Struct):
    """A client's message on a stream connection."""

    method: str
    id: int | str | None = None
    params: list[str | bool] = []


class StreamClient:
    """One connection and what it listens to."""

    def __init__(self, channel: web.WebSocketResponse, writer: AbstractStreamWriter, request: web.Request) -> None:
        if request.transport is None:
            raise ConnectionResetError("the connection is gone")
        transport = request.transport
        self.combined = request.path == "/stream"
        self.streams: set[str] = set()
        self.remote = request.remote or ""
        self._socket = channel
        self._writer = writer
        self._transport = transport
        _bound_send_buffer(transport)

    @property
    def open(self) -> bool:
        """Whether something may still be written."""
        return not self._socket.closed and not self._transport.is_closing()

    @property
    def buffered_bytes(self) -> int:
        """What was written and not yet taken by the system."""
        return self._transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Whole frames, at once and unaltered."""
        if self.open:
            self._transport.write(frames)

    async def drained(self, timeout_s: float) -> bool:
        """Wait until the client has taken enough; False if it does not in time."""
        if self.buffered_bytes <= _DRAIN_ABOVE_BYTES:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._writer.drain()
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def cut(self) -> None:
        """End the connection at once, without a word to a client that does not listen."""
        self._transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """End the connection with a close frame."""
        await self._socket.close(code=code, message=reason.encode())


class StreamHub:
    """All stream connections of the server."""

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        self._settings = settings
        self._log = log
        self._clients: set[StreamClient] = set()
        self._listeners: dict[str, set[StreamClient]] = {}
        self._changed = asyncio.Event()
        self.slow_clients_cut = 0

    @property
    def clients(self) -> int:
        """How many connections there are."""
        return len(self._clients)

    def listens(self, stream: str) -> bool:
        """Whether anybody listens to a stream."""
        return stream in self._listeners

    async def somebody_listens(self, stream: str) -> None:
        """Wait until somebody listens to a stream."""
        while stream not in self._listeners:
            self._changed.clear()
            await self._changed.wait()

    def publish(self, stream: str, data: bytes) -> None:
        """Send one event to everybody who listens to its stream."""
        listeners = self._listeners.get(stream)
        if not listeners:
            return
        alone: bytes | None = None
        combined: bytes | None = None
        for client in tuple(listeners):
            if client.combined:
                combined = combined or text_frame(combined_payload(stream.encode(), data))
                self._send(client, combined)
            else:
                alone = alone or text_frame(data)
                self._send(client, alone)

    def publish_burst(self, payloads: Sequence[Payload]) -> None:
        """Send many events in their order, one write for each connection."""
        for client in tuple(self._clients):
            streams = client.streams
            if client.combined:
                frames = [text_frame(combined) for stream, combined in payloads if stream in streams]
            else:
                frames = [text_frame(data_of(combined, stream)) for stream, combined in payloads if stream in streams]
            if frames:
                self._send(client, b"".join(frames))

    async def drained(self, streams: Iterable[str]) -> None:
        """Wait for everybody who listens to one of the streams; who takes nothing for too long is cut off."""
        for client in {client for stream in streams for client in self._listeners.get(stream, ())}:
            if not await client.drained(self._settings.slow_client_s):
                self._cut(client)

    async def end_stream(self, stream: str, last_event: bytes) -> None:
        """Say a last event to everybody on a stream and close their connections."""
        listeners = tuple(self._listeners.get(stream, ()))
        self.publish(stream, last_event)
        for client in listeners:
            await client.close(WSCloseCode.OK, "stream ended")

    def cut_listeners(self, stream: str) -> None:
        """End the connections of a stream at once, as when a network fails."""
        for client in tuple(self._listeners.get(stream, ())):
            client.cut()
            self._forget(client)

    async def close(self) -> None:
        """Close all connections: the server stops."""
        clients = tuple(self._clients)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.gather(*(client.close(WSCloseCode.GOING_AWAY, "server stops") for client in clients))
        for client in clients:
            client.cut()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from its handshake to its end: ``/ws``, ``/ws/<stream>`` and ``/stream?streams=a/b``."""
        streams = _asked_streams(request)
        if streams is None or len(streams) > self._settings.max_streams_per_connection:
            return web.json_response({"code": 2, "msg": "Invalid request: stream name"}, status=400)
        if len(self._clients) >= self._settings.max_connections:
            return web.json_response({"code": -1003, "msg": "Too many connections."}, status=429)
        channel = web.WebSocketResponse(
            heartbeat=self._settings.ping_every_s, compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0
        )
        writer = await channel.prepare(request)
        if writer is None:
            return channel
        try:
            client = StreamClient(channel, writer, request)
        except ConnectionResetError:
            return channel
        self._clients.add(client)
        try:
            self._subscribe(client, streams)
            await self._listen(client, channel)
        finally:
            self._forget(client)
        return channel

    async def _listen(self, client: StreamClient, channel: web.WebSocketResponse) -> None:
        budget, last = float(_MESSAGE_BURST), asyncio.get_running_loop().time()
        async for message in channel:
            now = asyncio.get_running_loop().time()
            budget, last = min(float(_MESSAGE_BURST), budget + (now - last) * MESSAGES_PER_S) - 1, now
            if budget < 0:
                await client.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
                return
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._send(client, text_frame(msgspec.json.encode(self._answer(client, message.data))))

    def _answer(self, client: StreamClient, data: str | bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(data, type=_Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}
        if request.method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(client.streams), "id": request.id}
        if request.method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return _invalid(request, "unknown method")
        names = [name for name in request.params if isinstance(name, str) and _STREAM_NAME.fullmatch(name)]
        if not names or len(names) != len(request.params):
            return _invalid(request, "params must be stream names")
        if request.method == "UNSUBSCRIBE":
            self._unsubscribe(client, names)
        elif len(client.streams | set(names)) > self._settings.max_streams_per_connection:
            return _invalid(request, "too many streams")
        else:
            self._subscribe(client, names)
        return {"result": None, "id": request.id}

    def _subscribe(self, client: StreamClient, streams: Iterable[str]) -> None:
        for stream in streams:
            client.streams.add(stream)
            self._listeners.setdefault(stream, set()).add(client)
        self._changed.set()

    def _unsubscribe(self, client: StreamClient, streams: Iterable[str]) -> None:
        for stream in streams:
            client.streams.discard(stream)
            listeners = self._listeners.get(stream)
            if listeners is not None:
                listeners.discard(client)
                if not listeners:
                    del self._listeners[stream]

    def _forget(self, client: StreamClient) -> None:
        self._clients.discard(client)
        self._unsubscribe(client, tuple(client.streams))

    def _send(self, client: StreamClient, frames: bytes) -> None:
        client.write(frames)
        if client.buffered_bytes > self._settings.max_buffered_bytes:
            self._cut(client)

    def _cut(self, client: StreamClient) -> None:
        self.slow_clients_cut += 1
        self._log.warning("slow stream client cut off", remote=client.remote, buffered_bytes=client.buffered_bytes)
        client.cut()
        self._forget(client)


def _invalid(request: _Request, why: str) -> dict[str, Any]:
    return {"error": {"code": 2, "msg": f"Invalid request: {why}"}, "id": request.id}


def _asked_streams(request: web.Request) -> list[str] | None:
    """The streams in the address; None if one is no stream name."""
    text = request.query.get("streams", "") if request.path == "/stream" else request.match_info.get("stream", "")
    names = [name for name in text.split("/") if name]
    return names if all(_STREAM_NAME.fullmatch(name) for name in names) else None


def _bound_send_buffer(transport: asyncio.Transport) -> None:
    # The system's own buffer can grow to megabytes; then a client would be far behind before anybody sees it.
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
