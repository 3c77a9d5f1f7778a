"""The stream at ``/api/v1/stream``: a snapshot first, then ordered deltas of what changed, many times a second.

Server to client: ``{"type": "snapshot" | "delta", "seq": n, "ts": ns, "data": {…}}``; ``seq`` rises by one with each
message of a connection, and a delta without data says that the stream is alive. Client to server:
``{"type": "view", "parts": […], "instrument_id": …, "depth": …, "interval": …, "strategy_id": …}`` chooses what is
sent, and ``{"type": "resync"}`` asks for a snapshot again, as after a gap in ``seq``; both are answered by a snapshot.

A client costs the platform nothing it can make grow: it has no queue, only the revision that it has seen. While it does
not read, nothing is made for it; when one message does not get through within a bound, it is dropped.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from tradewind.model.identifiers import InstrumentId
from tradewind.services.api.settings import ApiSettings
from tradewind.services.api.stream.composing import Composer, Frame
from tradewind.services.api.stream.parts import Look, Parts
from tradewind.services.api.view_model.state import ViewState
from tradewind.services.api.view_model.views import StreamView

MAX_DEPTH: Final = 100
MAX_PARTS: Final = 40
MAX_CLIENT_MESSAGE_BYTES: Final = 2_048

GOING_AWAY: Final = 1001
UNSUPPORTED_DATA: Final = 1003
POLICY_VIOLATION: Final = 1008
TRY_AGAIN_LATER: Final = 1013

Abort = Callable[[WebSocket], None]


class ViewRequest(msgspec.Struct, frozen=True, tag="view", forbid_unknown_fields=True):
    """Show these parts, of this instrument so many levels deep; what is not named stays as it was."""

    parts: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_PARTS)] | None = None
    instrument_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    depth: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEPTH)] | None = None
    interval: Literal["1s", "1m", "5m", "15m", "1h", "1d"] | None = None
    strategy_id: Annotated[str, msgspec.Meta(max_length=24)] | None = None


class ResyncRequest(msgspec.Struct, frozen=True, tag="resync", forbid_unknown_fields=True):
    """Send everything again."""


_CHOICES: Final = ("parts", "instrument_id", "depth", "interval", "strategy_id")
_requests: Final = msgspec.json.Decoder(ViewRequest | ResyncRequest)


class ClientEnded(Exception):
    """The client left, or was sent away with a code and a reason."""

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamHub:
    """All clients of the stream, and the beat that they share."""

    def __init__(self, state: ViewState, composer: Composer, settings: ApiSettings, abort: Abort) -> None:
        self._state = state
        self._composer = composer
        self._settings = settings
        self._abort = abort
        self._beat = asyncio.Event()
        self._closing = False
        self._clients: set[StreamClient] = set()
        self.counters = StreamView(clients=0, refused=0, dropped_slow=0, messages_sent=0)

    async def run(self) -> None:
        """Beat until cancelled: sample the chart, refresh what is asked for, wake every client."""
        interval_s = self._settings.stream_interval_ms / 1_000
        chart_s = self._settings.chart_interval_ms / 1_000
        next_point = next_second = 0.0
        while True:
            await asyncio.sleep(interval_s)
            now = time.monotonic()
            is_point, is_second = now >= next_point, now >= next_second
            if is_point:
                next_point = now + chart_s
                self._state.sample_points(time.time_ns() // 1_000_000)
            if is_second:
                next_second = now + 1.0
            self._composer.refresh(marks=is_point, counters=is_second)
            self._wake()

    def close(self) -> None:
        """Send every client away: the server stops."""
        self._closing = True
        self._wake()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until either side ends it."""
        await socket.accept()
        if self._closing or len(self._clients) >= self._settings.max_stream_clients:
            self.counters["refused"] += 1
            await socket.close(TRY_AGAIN_LATER, "too many open pages; close one and try again")
            return
        client = StreamClient(socket, self._settings, self._composer.parts)
        self._clients.add(client)
        self.counters["clients"] = len(self._clients)
        try:
            await self._run_client(client)
        finally:
            self._clients.discard(client)
            self.counters["clients"] = len(self._clients)

    async def _run_client(self, client: "StreamClient") -> None:
        ended = ClientEnded()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(client.read())
                tasks.create_task(self._write(client))
        except* ClientEnded as group:
            ended = next(error for error in group.exceptions if isinstance(error, ClientEnded))
        except* (WebSocketDisconnect, OSError):
            self._abort(client.socket)
        if ended.code is not None:
            await self._send_away(client, ended)

    async def _send_away(self, client: "StreamClient", ended: ClientEnded) -> None:
        try:
            async with asyncio.timeout(self._settings.slow_client_s if not self._closing else 0.2):
                await client.socket.close(ended.code or GOING_AWAY, ended.reason[:120])
        except (TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
            self._abort(client.socket)

    async def _write(self, client: "StreamClient") -> None:
        silent_since = 0.0
        while True:
            if self._closing:
                raise ClientEnded(GOING_AWAY, "the server stops")
            beat = self._beat
            kind, frame = self._next_frame(client)
            now = time.monotonic()
            if frame is not None or now - silent_since >= self._settings.heartbeat_s:
                silent_since = now
                await self._send(client, kind, frame)
            await beat.wait()

    def _next_frame(self, client: "StreamClient") -> tuple[str, Frame | None]:
        first = next(iter(self._state.markets), None)
        if not client.wants_snapshot and (client.look.instrument_id or first is None):
            return "delta", self._composer.frame(client.look, client.seen)
        client.wants_snapshot = False
        if not client.look.instrument_id:
            client.look = dataclasses.replace(client.look, instrument_id=first)
        return "snapshot", self._composer.frame(client.look) or (self._state.revisions.now, b"{}")

    async def _send(self, client: "StreamClient", kind: str, frame: Frame | None) -> None:
        seen, data = frame or (client.seen, b"{}")
        text = f'{{"type":"{kind}","seq":{client.next_sequence()},"ts":"{time.time_ns()}","data":{data.decode()}}}'
        try:
            async with asyncio.timeout(self._settings.slow_client_s):
                await client.socket.send_text(text)
        except TimeoutError:
            self.counters["dropped_slow"] += 1
            self._abort(client.socket)
            raise ClientEnded from None
        except RuntimeError as error:
            # Starlette's word for a send after the close.
            raise ClientEnded from error
        client.seen = seen
        self.counters["messages_sent"] += 1

    def _wake(self) -> None:
        beat, self._beat = self._beat, asyncio.Event()
        beat.set()


class StreamClient:
    """One connection: what it looks at and what it has seen."""

    def __init__(self, socket: WebSocket, settings: ApiSettings, parts: Parts) -> None:
        self.socket = socket
        self._parts = parts
        self.look = Look(instrument_id=_asked_instrument(socket))
        self.wants_snapshot = True
        self.seen = 0
        self._sequence = 0
        self._allowance = float(settings.max_client_messages_per_s)
        self._allowance_max = self._allowance
        self._allowance_at = time.monotonic()

    def next_sequence(self) -> int:
        """The number of the next message."""
        self._sequence += 1
        return self._sequence

    async def read(self) -> None:
        """Take the client's messages until it leaves or breaks a rule."""
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                raise ClientEnded
            self._spend_allowance()
            text = message.get("text")
            if text is None:
                raise ClientEnded(UNSUPPORTED_DATA, "send JSON as text, not binary")
            if len(text) > MAX_CLIENT_MESSAGE_BYTES:
                raise ClientEnded(POLICY_VIOLATION, f"a message is at most {MAX_CLIENT_MESSAGE_BYTES} bytes")
            try:
                request = _requests.decode(text)
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                raise ClientEnded(POLICY_VIOLATION, f"not understood: {error}") from error
            if isinstance(request, ViewRequest):
                self.look = self._chosen(request)
            self.wants_snapshot = True

    def _chosen(self, request: ViewRequest) -> Look:
        known = self._parts
        unknown = [name for name in request.parts or () if name not in known]
        if unknown:
            raise ClientEnded(POLICY_VIOLATION, f"there is no part {unknown[0][:24]!r}; there are {len(known.names())}")
        chosen = {name: value for name in _CHOICES if (value := getattr(request, name)) is not None}
        return dataclasses.replace(self.look, **chosen)

    def _spend_allowance(self) -> None:
        now = time.monotonic()
        refilled = self._allowance + (now - self._allowance_at) * self._allowance_max
        self._allowance, self._allowance_at = min(refilled, self._allowance_max) - 1, now
        if self._allowance < 0:
            raise ClientEnded(POLICY_VIOLATION, f"more than {self._allowance_max:.0f} messages a second")


def _asked_instrument(socket: WebSocket) -> InstrumentId | None:
    asked = socket.query_params.get("instrument_id", "")
    return InstrumentId(asked) if 0 < len(asked) <= 64 else None
