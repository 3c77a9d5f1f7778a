"""A small real exchange for one symbol, and the context in which the service runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.health import Health
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.services.market_data.settings import MarketDataSettings
from tradewind.store.database import Database
from tradewind.store.last_values import LastValues

SYMBOL: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "baseAsset": "BTC",
    "baseAssetPrecision": 8,
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "maxPrice": "1000000.00000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
    ],
}


class OneSymbolExchange:
    """exchangeInfo, depth and the combined streams; ``send`` says a frame to whoever is connected."""

    def __init__(self) -> None:
        self.symbols = [SYMBOL]
        self.snapshot: dict[str, Any] = {"lastUpdateId": 100, "bids": [["10.00", "1"]], "asks": [["11.00", "2"]]}
        self.port = 0
        self._socket: web.WebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._on_socket)
        app.router.add_get("/api/v3/exchangeInfo", self._on_info)
        app.router.add_get("/api/v3/depth", self._on_depth)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self.hang_up()
        if self._runner is not None:
            await self._runner.cleanup()

    async def hang_up(self) -> None:
        self._connected.clear()
        if self._socket is not None:
            await self._socket.close()

    async def send(self, stream: str, **data: Any) -> None:
        await asyncio.wait_for(self._connected.wait(), 10)
        assert self._socket is not None
        await self._socket.send_str(json.dumps({"stream": f"btcusdt@{stream}", "data": {**data, "s": "BTCUSDT"}}))

    async def depth(self, first: int, final: int, bids: Any = (), asks: Any = (), at_ms: int = 1_000) -> None:
        await self.send("depth@100ms", e="depthUpdate", E=at_ms, U=first, u=final, b=list(bids), a=list(asks))

    async def ticker(self, update: int, bid: str, ask: str) -> None:
        await self.send("bookTicker", u=update, b=bid, B="1", a=ask, A="2")

    async def trade(self, number: int, price: str, *, buyer_is_maker: bool = False) -> None:
        await self.send("trade", e="trade", E=1_000, t=number, p=price, q="0.5", T=1_000, m=buyer_is_maker)

    async def _on_socket(self, request: web.Request) -> web.WebSocketResponse:
        self._socket = web.WebSocketResponse()
        await self._socket.prepare(request)
        self._connected.set()
        async for _ in self._socket:
            pass
        return self._socket

    async def _on_info(self, _request: web.Request) -> web.Response:
        if not self.symbols:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return web.json_response({"symbols": self.symbols, "rateLimits": []})

    async def _on_depth(self, _request: web.Request) -> web.Response:
        return web.json_response(self.snapshot)


@pytest.fixture
async def exchange() -> AsyncIterator[OneSymbolExchange]:
    server = OneSymbolExchange()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def make_context(exchange: OneSymbolExchange) -> AsyncIterator[Callable[..., ServiceContext]]:
    """A context on a bus of its own; PostgreSQL and Redis are away unless the test gives them."""
    buses: list[MemoryBus] = []

    def make(database: Database | None = None, redis_url: str = "redis://127.0.0.1:1", **settings: Any) -> Any:
        bus = MemoryBus()
        buses.append(bus)
        return ServiceContext(
            name="market-data",
            platform=PlatformSettings(
                venue_rest_url=exchange.rest_url, venue_stream_url=exchange.rest_url.replace("http", "ws")
            ),
            settings=MarketDataSettings(**{"update_interval_s": 0.02, **settings}),
            market_bus=bus,
            order_bus=bus,
            database=database or Database("postgresql://nobody@127.0.0.1:1/none"),
            last_values=LastValues(redis_url),
            health=Health("market-data", ServiceKind.FEED),
            metrics=Metrics("market-data", ProcessMetrics()),
            log=get_logger("market-data"),
        )

    yield make
    for bus in buses:
        await bus.close()
