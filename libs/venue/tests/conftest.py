"""A small real exchange server on loopback that speaks the parts of the Binance spot API which the adapter uses."""

import asyncio
import dataclasses
import datetime
import hmac
import ipaddress
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(Path(__file__).parent))

API_KEY = "test-key"
API_SECRET = "test-secret"

EXCHANGE_INFO: dict[str, Any] = {
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
    ],
    "symbols": [
        {
            "symbol": symbol,
            "status": "TRADING",
            "baseAsset": symbol[:3],
            "baseAssetPrecision": 8,
            "quoteAsset": "USDT",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": "0.01000000",
                    "maxPrice": "1000000.00000000",
                    "tickSize": "0.01000000",
                },
                {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
                {"filterType": "ICEBERG_PARTS", "limit": 10},
                {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
            ],
        }
        for symbol in ("BTCUSDT", "ETHUSDT")
    ],
}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LoopbackExchange:
    """Set ``answers[method, path]`` to answer a request otherwise; ``requests`` lists what came."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.answers: dict[tuple[str, str], Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.market_sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.user_sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.stream_names: list[str] = []
        self.snapshot: Any = {"lastUpdateId": 100, "bids": [["10.00", "1"]], "asks": [["11.00", "2"]]}
        self.depth_asked = asyncio.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._sockets: list[web.WebSocketResponse] = []
        self.running = False

    @property
    def rest_url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def stream_url(self) -> str:
        return f"ws{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def count(self, method: str, path: str) -> int:
        return sum(1 for known in self.requests if known[:2] == (method, path))

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/stream", self._on_market_socket)
        app.router.add_get("/ws/{key}", self._on_user_socket)
        app.router.add_route("*", "/{path:.*}", self._on_request)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.running = True

    async def stop(self) -> None:
        self.running = False
        for socket in self.open_sockets():
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def open_sockets(self) -> list[web.WebSocketResponse]:
        self._sockets = [socket for socket in self._sockets if not socket.closed]
        return self._sockets

    def info(self, wanted: str) -> dict[str, Any]:
        symbols = [each for each in EXCHANGE_INFO["symbols"] if f'"{each["symbol"]}"' in wanted]
        return {**EXCHANGE_INFO, "symbols": symbols}

    async def next_market_socket(self) -> web.WebSocketResponse:
        return await asyncio.wait_for(self.market_sockets.get(), 10)

    async def next_user_socket(self) -> web.WebSocketResponse:
        return await asyncio.wait_for(self.user_sockets.get(), 10)

    async def _on_market_socket(self, request: web.Request) -> web.WebSocketResponse:
        self.stream_names.append(request.query["streams"])
        return await self._socket(request, self.market_sockets)

    async def _on_user_socket(self, request: web.Request) -> web.WebSocketResponse:
        assert request.match_info["key"] == "listen-1"
        return await self._socket(request, self.user_sockets)

    async def _socket(self, request: web.Request, ready: asyncio.Queue[web.WebSocketResponse]) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._sockets.append(socket)
        await ready.put(socket)
        async for message in socket:
            assert message.type in (WSMsgType.TEXT, WSMsgType.PONG)
        self._sockets = [other for other in self._sockets if other is not socket]
        return socket

    async def _on_request(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        if (answer := self.answers.get((request.method, request.path))) is not None:
            return await answer(request)
        if request.path == "/api/v3/time":
            return web.json_response({"serverTime": time.time_ns() // 1_000_000})
        if request.path == "/api/v3/ping":
            return web.json_response({})
        if request.path == "/api/v3/exchangeInfo":
            return web.json_response(self.info(request.query["symbols"]))
        if request.path == "/api/v3/depth":
            self.depth_asked.set()
            if isinstance(self.snapshot, bytes):
                return web.Response(body=self.snapshot, content_type="application/json")
            return web.json_response(self.snapshot)
        if request.headers.get("X-MBX-APIKEY") != API_KEY:
            return error(401, -2015, "Invalid API-key, IP, or permissions for action.")
        if request.path == "/api/v3/userDataStream":
            return web.json_response({"listenKey": "listen-1"} if request.method == "POST" else {})
        if (refused := refusal(request)) is not None:
            return refused
        if request.path == "/api/v3/account":
            return web.json_response(
                {"updateTime": 1, "balances": [{"asset": "BTC", "free": "1.50000000", "locked": "0.25000000"}]}
            )
        if request.path in ("/api/v3/openOrders", "/api/v3/myTrades"):
            return web.json_response([])
        return error(404, -1, f"the test server has no {request.method} {request.path}")


def refusal(request: web.Request) -> web.Response | None:
    """What a real exchange says to a signed request whose timestamp or signature is wrong."""
    query, _, signature = request.query_string.rpartition("&signature=")
    if hmac.new(API_SECRET.encode(), query.encode(), "sha256").hexdigest() != signature:
        return error(400, -1022, "Signature for this request is not valid.")
    if abs(int(request.query["timestamp"]) - time.time_ns() // 1_000_000) > int(request.query["recvWindow"]):
        return error(400, -1021, "Timestamp for this request is outside of the recvWindow.")
    return None


def error(status: int, code: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=status, headers=headers)


@pytest.fixture
async def exchange() -> AsyncIterator[LoopbackExchange]:
    server = LoopbackExchange()
    await server.start()
    yield server
    await server.stop()


@dataclasses.dataclass
class Certificate:
    """A server's side and the side of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of 127.0.0.1 that only its own client context trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return Certificate(server, ssl.create_default_context(cafile=str(path)))


@pytest.fixture
async def tls_exchange(certificate: Certificate) -> AsyncIterator[LoopbackExchange]:
    server = LoopbackExchange(certificate.server)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def api_keys() -> dict[str, str]:
    return {"api_key": API_KEY, "api_secret": API_SECRET}


@pytest.fixture
def venue_error() -> Callable[..., web.Response]:
    return error
