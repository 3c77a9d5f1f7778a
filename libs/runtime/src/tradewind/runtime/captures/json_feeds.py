"""Live JSON feeds over WebSockets, recorded frame by frame as they are received, with a receive time for each.

Nothing is decoded: what comes is written. A lost or silent connection is made anew with back-off. For Binance a depth
snapshot is taken over REST after each connection and each new file, so that the capture can be replayed.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tradewind.venue.adapter import VenueError
from tradewind.venue.backoff import Backoff
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import BinanceRest

Sink: TypeAlias = Callable[[int, bytes], None]
"""Takes a receive time in ns UTC and a frame; never waits."""

CONNECT_TIMEOUT_S: Final = 10.0
STALE_AFTER_S: Final = 30.0
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_FIRST_RECONNECT_S: Final = 0.25
_LONGEST_RECONNECT_S: Final = 30.0
_SNAPSHOT_RETRY_S: Final = 1.0
_BINANCE_STREAMS: Final = ("depth@100ms", "bookTicker", "trade")


@dataclasses.dataclass(frozen=True, slots=True)
class JsonFeed:
    """Where a feed is and what is sent after each connection. ``ping``: sent so often, in seconds, as text."""

    name: str
    url: str
    subscriptions: Sequence[bytes] = ()
    ping: tuple[float, bytes] | None = None
    snapshot_url: str = ""
    symbol: str = ""


@dataclasses.dataclass(slots=True)
class FeedNotes:
    """What a source says of itself."""

    connections: int = 0
    last_error: str = ""
    snapshots: int = 0
    too_large: int = 0


def binance_feed(symbols: Sequence[str], stream_url: str, rest_url: str) -> JsonFeed:
    """Depth, tickers and trades of one symbol.

    Raises:
        ValueError: not exactly one symbol: the snapshots in a capture do not say whose they are.
    """
    if len(symbols) != 1:
        raise ValueError("a Binance capture has one symbol, as its snapshots do not name theirs: start one for each")
    streams = "/".join(f"{symbols[0].lower()}@{stream}" for stream in _BINANCE_STREAMS)
    url = f"{stream_url.rstrip('/')}/stream?streams={streams}"
    return JsonFeed("binance", url, snapshot_url=rest_url, symbol=symbols[0].upper())


def okx_feed(symbols: Sequence[str], url: str) -> JsonFeed:
    """Books of 400 levels and trades. Source: OKX v5 API, "Order book channel"; its server wants a text ping."""
    arguments = [{"channel": channel, "instId": symbol} for symbol in symbols for channel in ("books", "trades")]
    return JsonFeed("okx", url, [msgspec.json.encode({"op": "subscribe", "args": arguments})], ping=(20.0, b"ping"))


def kraken_feed(symbols: Sequence[str], url: str) -> JsonFeed:
    """Books of 1,000 levels and trades. Source: Kraken WebSockets API v1, "subscribe"."""
    asked = ({"name": "book", "depth": 1000}, {"name": "trade"})
    messages = [{"event": "subscribe", "pair": list(symbols), "subscription": one} for one in asked]
    return JsonFeed("kraken", url, [msgspec.json.encode(message) for message in messages])


class _Recorder(WSListener):
    """The frames of one connection, each with the time at which it was seen."""

    def __init__(self, sink: Sink, notes: FeedNotes) -> None:
        self._sink = sink
        self._notes = notes
        self._parts = bytearray()
        self._ts_recv = 0
        self.heard = asyncio.Event()
        self.last_s = asyncio.get_running_loop().time()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Write text and binary messages; answer pings and the close."""
        now_ns = time.time_ns()
        kind = frame.msg_type
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY) and frame.fin:
            self._take(now_ns, frame.get_payload_as_bytes())
        elif kind is WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            transport.disconnect()
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._take_part(now_ns, frame, first=kind is not WSMsgType.CONTINUATION)

    def _take(self, ts_recv: int, message: bytes) -> None:
        self.last_s = asyncio.get_running_loop().time()
        if message:
            self._sink(ts_recv, message)
            self.heard.set()

    def _take_part(self, now_ns: int, frame: WSFrame, *, first: bool) -> None:
        if first:
            self._parts.clear()
            self._ts_recv = now_ns
        self._parts += frame.get_payload_as_bytes()
        if len(self._parts) > MAX_MESSAGE_BYTES:
            self._notes.too_large += 1
            raise ConnectionError(f"a message in fragments is larger than {MAX_MESSAGE_BYTES} bytes")
        if frame.fin:
            self._take(self._ts_recv, bytes(self._parts))
            self._parts.clear()


class JsonSource:
    """Records one feed until it is cancelled."""

    def __init__(self, feed: JsonFeed, sink: Sink, stale_after_s: float = STALE_AFTER_S) -> None:
        self.notes = FeedNotes()
        self._feed = feed
        self._sink = sink
        self._stale_after_s = stale_after_s
        self._wants_snapshot = asyncio.Event()

    def begin_file(self) -> None:
        """A new file began: what makes it complete in itself must be fetched again."""
        self._wants_snapshot.set()

    async def run(self) -> None:
        """Connect, subscribe, record, connect again; until cancelled."""
        rest = BinanceRest(self._feed.snapshot_url, RateLimits()) if self._feed.snapshot_url else None
        backoff = Backoff(_FIRST_RECONNECT_S, _LONGEST_RECONNECT_S)
        try:
            while True:
                connections = self.notes.connections
                try:
                    self.notes.last_error = await self._connection(rest)
                except (OSError, WSError) as error:
                    self.notes.last_error = str(error) or type(error).__name__
                if self.notes.connections > connections:
                    backoff.reset()
                await asyncio.sleep(backoff.next_s())
        finally:
            if rest is not None:
                await rest.close()

    async def _connection(self, rest: BinanceRest | None) -> str:
        recorder = _Recorder(self._sink, self.notes)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            transport, _ = await ws_connect(
                lambda: recorder,
                self._feed.url,
                enable_auto_pong=False,
                websocket_handshake_timeout=CONNECT_TIMEOUT_S,
                max_frame_size=MAX_MESSAGE_BYTES,
            )
        self.notes.connections += 1
        try:
            for message in self._feed.subscriptions:
                transport.send(WSMsgType.TEXT, message)
            await self._attend(recorder, transport, rest)
        finally:
            transport.disconnect(graceful=False)
        return "the connection ended"

    async def _attend(self, recorder: _Recorder, transport: WSTransport, rest: BinanceRest | None) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._watch_silence(recorder, transport))]
                if self._feed.ping is not None:
                    tasks.append(group.create_task(_ping(transport, *self._feed.ping)))
                if rest is not None:
                    self._wants_snapshot.set()
                    tasks.append(group.create_task(self._take_snapshots(recorder, rest)))
                try:
                    await transport.wait_disconnected()
                finally:
                    for task in tasks:
                        task.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _watch_silence(self, recorder: _Recorder, transport: WSTransport) -> None:
        loop = asyncio.get_running_loop()
        while (silent_s := loop.time() - recorder.last_s) < self._stale_after_s:
            await asyncio.sleep(self._stale_after_s - silent_s)
        transport.disconnect(graceful=False)

    async def _take_snapshots(self, recorder: _Recorder, rest: BinanceRest) -> None:
        await recorder.heard.wait()  # a snapshot that is older than all updates fits none of them
        while True:
            await self._wants_snapshot.wait()
            try:
                body = await rest.depth(self._feed.symbol)
            except VenueError as error:
                self.notes.last_error = f"no snapshot: {error}"
                await asyncio.sleep(_SNAPSHOT_RETRY_S)
                continue
            self._wants_snapshot.clear()
            self.notes.snapshots += 1
            self._sink(time.time_ns(), body)


async def _ping(transport: WSTransport, every_s: float, message: bytes) -> None:
    while True:
        await asyncio.sleep(every_s)
        transport.send(WSMsgType.TEXT, message)
