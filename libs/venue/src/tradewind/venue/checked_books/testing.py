"""A small real server on loopback that speaks the parts of OKX's and Kraken's public interfaces that we use."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import WSMsgType, web

OKX_INSTRUMENTS = [
    {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1"}
    | {"lotSz": "0.00000001", "minSz": "0.00001", "maxLmtSz": "9999999999"},
    {"instId": "UNI-USD-SWAP", "instType": "SWAP", "uly": "UNI-USD", "tickSz": "0.001", "lotSz": "1", "minSz": "1"},
    {"instId": "BTC-USD-220527", "instType": "FUTURES", "uly": "BTC-USD", "tickSz": "0.1", "lotSz": "1", "minSz": "1"},
]
KRAKEN_PRICE_DECIMALS = {
    "WAVES/EUR": 4, "XMR/USD": 2, "KSM/XBT": 6, "GRT/ETH": 7, "SC/EUR": 5, "ETH/CHF": 2, "OCEAN/XBT": 8,
    "OMG/USD": 6, "XBT/CHF": 1, "ADA/XBT": 8,
}  # fmt: skip


def kraken_pairs() -> dict[str, Any]:
    """The answer to AssetPairs."""
    return {
        f"X{name}": {"altname": name.replace("/", ""), "wsname": name, "pair_decimals": decimals, "lot_decimals": 8}
        | {"ordermin": "0.002", "costmin": "0.5", "tick_size": f"{10.0**-decimals:.{decimals}f}"}
        for name, decimals in KRAKEN_PRICE_DECIMALS.items()
    } | {"DARK.d": {"altname": "DARK.d", "pair_decimals": 2, "lot_decimals": 8}}


class CheckedBooksServer:
    """``asked`` are the messages of the clients, ``sockets`` their connections as they come."""

    def __init__(self) -> None:
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.asked: list[Any] = []
        self.answers: dict[str, web.Response | None] = {}
        self.is_silent = False
        """Whether a ping gets no answer."""
        self.port = 0
        self.silent: set[web.WebSocketResponse] = set()
        """Connections that are told nothing any more."""
        self._changed = asyncio.Event()
        self._open: list[web.WebSocketResponse] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, on a free port the first time and on the same one later."""
        app = web.Application()
        app.router.add_get("/ws/v5/public", self._on_socket)
        app.router.add_get("/", self._on_socket)
        app.router.add_get("/{path:.*}", self._on_question)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port and all connections."""
        for socket in self.sockets_open():
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def next_socket(self) -> web.WebSocketResponse:
        """The next connection that a client made."""
        return await asyncio.wait_for(self.sockets.get(), 20)

    def sockets_open(self) -> list[web.WebSocketResponse]:
        """The connections that are not closed."""
        self._open = [socket for socket in self._open if not socket.closed]
        return self._open

    async def until_asked(self, part: str, times: int = 1) -> None:
        """Wait until messages with this text came."""
        async with asyncio.timeout(20):
            while self.count(part) < times:
                self._changed.clear()
                await self._changed.wait()

    def count(self, part: str) -> int:
        """How many messages with this text came."""
        return sum(part in message for message in self.asked)

    async def _on_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._open.append(socket)
        await self.sockets.put(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                self.asked.append(message.data)
                self._changed.set()
                await self.answer(socket, message.data)
        self._open = [other for other in self._open if other is not socket]
        return socket

    async def answer(self, socket: web.WebSocketResponse, message: str) -> None:
        """What a client's message brings: here a pong alone, and tests play the rest."""
        if message == "ping" and not self.is_silent:
            await socket.send_str("pong")

    async def _on_question(self, request: web.Request) -> web.Response:
        if (answer := self.answers.get(request.path)) is not None:
            return answer
        if request.path == "/api/v5/public/instruments":
            found = [each for each in OKX_INSTRUMENTS if each["instType"] == request.query["instType"]]
            return web.json_response({"code": "0", "msg": "", "data": found})
        if request.path == "/0/public/AssetPairs":
            return web.json_response({"error": [], "result": kraken_pairs()})
        return web.json_response({"code": "404", "error": [f"no {request.path}"]}, status=404)


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[CheckedBooksServer]:
    """A server that runs."""
    server = CheckedBooksServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def play(socket: web.WebSocketResponse, frames: Sequence[object]) -> None:
    """Send frames, each a text or a value that is written as JSON."""
    for frame in frames:
        await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame, separators=(",", ":")))
