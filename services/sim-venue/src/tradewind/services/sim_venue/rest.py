"""The HTTP side: routes, weights, security, errors.

Every answer carries the weight used so far; every refusal is ``{"code": …, "msg": …}``. What the fault script wants of
a request is done here, around its true execution. Source: Binance spot API,
"General API Information", "LIMITS", "Request Security".
"""

import asyncio
import dataclasses
import enum
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.calls import Call
from tradewind.services.sim_venue.faults.desk import FaultDesk
from tradewind.services.sim_venue.faults.plans import RequestPlan
from tradewind.services.sim_venue.ledger_file import LedgerFailed
from tradewind.services.sim_venue.lying_requests import LyingRequests, refused
from tradewind.services.sim_venue.parameters import Parameters
from tradewind.services.sim_venue.rate_limits import RateLimits
from tradewind.services.sim_venue.refusals import Refused
from tradewind.services.sim_venue.rest_account import AccountEndpoints
from tradewind.services.sim_venue.rest_cancel_replace import CancelReplace
from tradewind.services.sim_venue.rest_public import PublicEndpoints
from tradewind.services.sim_venue.signing import DEFAULT_WINDOW_MS, KeyRing, check_signature, check_time

API_KEY_HEADER: Final = "X-MBX-APIKEY"
BODY_TIMEOUT_S: Final = 5.0


class Security(enum.Enum):
    """What an endpoint asks of a request."""

    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


Weight = int | Callable[[Parameters], int]


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path; ``name`` is its word in fault scripts."""

    name: str
    method: str
    path: str
    handler: Callable[[Call], Awaitable[Any]]
    weight: Weight
    security: Security = Security.NONE
    counts_orders: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    """One request that is to be executed."""

    endpoint: Endpoint
    request: web.Request
    parameters: Parameters
    query: str
    body: str
    plan: RequestPlan


def endpoints(public: PublicEndpoints, account: AccountEndpoints, replacing: CancelReplace) -> list[Endpoint]:
    """All endpoints with the exchange's own weights."""
    signed, key = Security.SIGNED, Security.KEY
    return [
        Endpoint("ping", "GET", "/api/v3/ping", public.ping, 1),
        Endpoint("time", "GET", "/api/v3/time", public.time, 1),
        Endpoint("exchange_info", "GET", "/api/v3/exchangeInfo", public.exchange_info, 20),
        Endpoint("depth", "GET", "/api/v3/depth", public.depth, _depth_weight),
        Endpoint("trades", "GET", "/api/v3/trades", public.trades, 25),
        Endpoint("aggregate_trades", "GET", "/api/v3/aggTrades", public.aggregate_trades, 4),
        Endpoint("book_ticker", "GET", "/api/v3/ticker/bookTicker", public.book_ticker, _per_symbol(2, 4)),
        Endpoint("ticker_24h", "GET", "/api/v3/ticker/24hr", public.ticker_24h, _per_symbol(2, 80)),
        Endpoint("new_order", "POST", "/api/v3/order", account.new_order, 1, signed, counts_orders=True),
        Endpoint("test_order", "POST", "/api/v3/order/test", account.test_order, 1, signed),
        Endpoint(
            "cancel_replace",
            "POST",
            "/api/v3/order/cancelReplace",
            replacing.cancel_replace,
            1,
            signed,
            counts_orders=True,
        ),
        Endpoint("query_order", "GET", "/api/v3/order", account.query_order, 4, signed),
        Endpoint("cancel_order", "DELETE", "/api/v3/order", account.cancel_order, 1, signed),
        Endpoint("open_orders", "GET", "/api/v3/openOrders", account.open_orders, _per_symbol(6, 80), signed),
        Endpoint("cancel_all", "DELETE", "/api/v3/openOrders", account.cancel_all, 1, signed),
        Endpoint("all_orders", "GET", "/api/v3/allOrders", account.all_orders, 20, signed),
        Endpoint("my_trades", "GET", "/api/v3/myTrades", account.my_trades, _trades_weight, signed),
        Endpoint("account", "GET", "/api/v3/account", account.account, 20, signed),
        Endpoint("open_user_stream", "POST", "/api/v3/userDataStream", account.open_user_stream, 2, key),
        Endpoint("prolong_user_stream", "PUT", "/api/v3/userDataStream", account.prolong_user_stream, 2, key),
        Endpoint("end_user_stream", "DELETE", "/api/v3/userDataStream", account.end_user_stream, 2, key),
    ]


class RestServer:
    """Turns HTTP requests into calls and what comes back into answers."""

    def __init__(self, keys: KeyRing, limits: RateLimits, desk: FaultDesk, log: FilteringBoundLogger) -> None:
        self.requests = 0
        self.refused = 0
        self._keys = keys
        self._limits = limits
        self._now_ms = desk.now_ms
        self._lies = LyingRequests(desk)
        self._log = log

    def route(self, endpoint: Endpoint) -> web.RouteDef:
        """The endpoint as a route of the server."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(endpoint, request)

        return web.route(endpoint.method, endpoint.path, handle)

    async def no_such_path(self, request: web.Request) -> web.Response:
        """Everything that no endpoint has."""
        refusal = Refused(-5000, f"Path {request.path[:100]}, Method {request.method} is invalid", 404)
        return self._refusal(refusal, {})

    async def _answer(self, endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            query, body = request.raw_path.partition("?")[2], await _body(request)
            parameters = Parameters(query, body)
            weight = endpoint.weight if isinstance(endpoint.weight, int) else endpoint.weight(parameters)
            self._limits.weigh(request.remote or "", weight, self._now_ms())
        except Refused as refusal:
            return self._refusal(refusal, self._headers(request, "", endpoint))
        plan = self._lies.plan(endpoint.name, parameters)
        if plan.refusal is not None:
            return self._refusal(refused(plan.refusal), self._headers(request, "", endpoint))
        await self._lies.wait(plan.execute_after_ms)
        asked = _Asked(endpoint, request, parameters, query, body, plan)
        response = await self._execute(asked) if plan.executes else self._refusal(refusals.unavailable(), {})
        if plan.answer in ("lose", "cut"):
            await self._lies.lose(request, plan.answer_after_ms)
            return response
        await self._lies.wait(plan.answer_after_ms)
        if plan.error is not None:
            return self._refusal(refused(plan.error), self._headers(request, "", endpoint))
        if plan.answer == "double":
            self._lies.double(request, response, plan.again_after_ms)
        return response

    async def _execute(self, asked: "_Asked") -> web.Response:
        """The true answer."""
        now_ms, account = self._now_ms(), ""
        endpoint, request = asked.endpoint, asked.request
        try:
            account = self._account(asked, now_ms)
            result = await endpoint.handler(Call(asked.parameters, account, now_ms, asked.plan))
        except Refused as refusal:
            return self._refusal(refusal, self._headers(request, account, endpoint))
        except LedgerFailed as error:
            self._log.error("a request has no answer", path=endpoint.path, reason=str(error))
            unknown = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
            return self._refusal(Refused(-1007, unknown, 503), {})
        payload = result if isinstance(result, bytes) else msgspec.json.encode(result)
        headers = self._headers(request, account, endpoint)
        return web.Response(body=payload, headers=headers, content_type="application/json")

    def _account(self, asked: "_Asked", now_ms: int) -> str:
        """Who asks; empty on public endpoints."""
        security = asked.endpoint.security
        if security is Security.NONE:
            return ""
        account, secret = self._keys.account(asked.request.headers.get(API_KEY_HEADER))
        if security is Security.SIGNED:
            timestamp_ms = asked.parameters.whole("timestamp")
            window_ms = asked.parameters.optional_whole("recvWindow")
            check_signature(secret, asked.query, asked.body)
            check_time(timestamp_ms, DEFAULT_WINDOW_MS if window_ms is None else window_ms, now_ms)
        return account

    def _headers(self, request: web.Request, account: str, endpoint: Endpoint) -> dict[str, str]:
        now_ms = self._now_ms()
        used = str(self._limits.weights.used(request.remote or "", now_ms))
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        if endpoint.counts_orders and account:
            headers["X-MBX-ORDER-COUNT-10S"] = str(self._limits.orders.used(account, now_ms))
        return headers

    def _refusal(self, refusal: Refused, headers: dict[str, str]) -> web.Response:
        self.refused += 1
        if refusal.retry_after_s is not None:
            headers["Retry-After"] = str(refusal.retry_after_s)
        return web.Response(
            body=msgspec.json.encode(refusal.body()),
            status=refusal.status,
            headers=headers,
            content_type="application/json",
        )


async def _body(request: web.Request) -> str:
    """The body of a request, bounded in size and time."""
    if not request.can_read_body:
        return ""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return (await request.read()).decode("utf-8")
    except web.HTTPRequestEntityTooLarge:
        raise Refused(-1101, "Too many parameters sent for this endpoint.", 413) from None
    except UnicodeDecodeError:
        raise Refused(-1100, "Illegal characters found in a parameter.") from None
    except TimeoutError:
        raise Refused(-1102, "A mandatory parameter was not sent, was empty/null, or malformed.", 408) from None


def _per_symbol(one: int, every: int) -> Callable[[Parameters], int]:
    return lambda parameters: one if "symbol" in parameters else every


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(100, 5_000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most)


def _trades_weight(parameters: Parameters) -> int:
    return 5 if "orderId" in parameters else 20
