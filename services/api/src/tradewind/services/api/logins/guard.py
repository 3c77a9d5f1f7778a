"""What every request must be before anybody asks who sends it: the outermost layer around the application.

A foreign web page in the browser of somebody who is logged in must not trade through it, and a flood must not get far:

- the Host header must name this server, so that a name which is made to point here (DNS rebinding) gets nothing;
- whatever changes something, and every WebSocket, must come from a page of this server (Origin, Sec-Fetch-Site), and
  must be of a form that a foreign page cannot send without asking first: JSON, or with the header X-Tradewind-Request;
  no answer ever allows another origin (CORS);
- an address may send so many requests a second;
- a body is read here, whole and bounded, before the application sees it.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tradewind.services.api.logins.clients import SECURE, Clients
from tradewind.services.api.logins.throttling import Throttle

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_HEADER: Final = "x-tradewind-request"
BODY_TIMEOUT_S: Final = 10.0
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # Ask every time whether it is still so: after an update the page and the server must be of one version.
    (b"cache-control", b"no-cache"),
)


_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")


class Refused(Exception):
    """A request that does not reach the application. ``retry_after_s``: when it might."""

    def __init__(self, status: int, detail: str, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class Guard:
    """ASGI middleware: checks the request, bounds its body, adds the security headers to every answer."""

    def __init__(
        self,
        application: Application,
        *,
        hosts: frozenset[str],
        max_body_bytes: int,
        clients: Clients,
        requests_per_s: float,
    ) -> None:
        self._application = application
        self._hosts = hosts
        self._max_body_bytes = max_body_bytes
        self._clients = clients
        self._throttle = Throttle(requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request."""
        if scope["type"] not in ("http", "websocket"):
            raise RuntimeError(f"no {scope['type']} here: run the server with lifespan off")
        is_http = scope["type"] == "http"
        headers = _headers(scope)
        address = self._clients.note(scope, headers)
        guarded_send = _with_security_headers(send, is_secure=scope[SECURE]) if is_http else send
        try:
            self._check_rate(address)
            self._check(scope, headers, is_http)
            if is_http and scope["method"] not in _SAFE_METHODS:
                receive = await self._read_body(headers, receive)
        except Refused as refusal:
            await _refuse(refusal, is_http, guarded_send)
            return
        await self._application(scope, receive, guarded_send)

    def _check_rate(self, address: str) -> None:
        wait_s = self._throttle.wait_s(address)
        if wait_s > 0:
            raise Refused(429, "too many requests from this address", wait_s)

    def _check(self, scope: Scope, headers: dict[str, list[str]], is_http: bool) -> None:
        host = self._checked_host(headers)
        changes = not is_http or scope["method"] not in _SAFE_METHODS
        if not changes:
            return
        _check_origin(headers, host)
        if is_http and not _is_deliberate(headers):
            raise Refused(
                415, f"send Content-Type: application/json, or the header {REQUEST_HEADER}: yes where there is no body"
            )

    def _checked_host(self, headers: dict[str, list[str]]) -> str:
        named = headers.get("host", [])
        host = named[0].strip().lower() if len(named) == 1 else ""
        if _host_name(host) not in self._hosts:
            raise Refused(
                400,
                "the Host header does not name this server; use its own name, or set TRADEWIND_API_ALLOWED_HOSTS",
            )
        return host

    async def _read_body(self, headers: dict[str, list[str]], receive: Receive) -> Receive:
        limit = self._max_body_bytes
        too_large = Refused(413, f"the body is larger than {limit} bytes")
        declared = headers.get("content-length", ["0"])[0]
        if not declared.isdecimal() or len(declared) > 18 or int(declared) > limit:
            raise too_large
        chunks: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the connection ended within the body")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise too_large
                    more = message.get("more_body", False)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None
        return _replay(b"".join(chunks), receive)


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty when it is none."""
    try:
        parts = urlsplit(f"//{host}")
        name, _checked_port = parts.hostname, parts.port
    except ValueError:
        return ""
    is_bare = parts.username is None and not (parts.path or parts.query or parts.fragment)
    return name if name and is_bare else ""


def _check_origin(headers: dict[str, list[str]], host: str) -> None:
    origins = headers.get("origin", [])
    if any(origin.lower() not in (f"http://{host}", f"https://{host}") for origin in origins):
        raise Refused(403, "only this server's own page may do this: the Origin is another one")
    if any(site.lower() not in ("same-origin", "none") for site in headers.get("sec-fetch-site", [])):
        raise Refused(403, "only this server's own page may do this: the request comes from another site")


def _is_deliberate(headers: dict[str, list[str]]) -> bool:
    """Whether the request has a form that a page of another origin may not send without a preflight."""
    content_type = headers.get("content-type", [""])[0].partition(";")[0].strip().lower()
    return content_type == "application/json" or REQUEST_HEADER in headers


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_security_headers(send: Send, *, is_secure: bool) -> Send:
    added = (*_SECURITY_HEADERS, _HSTS) if is_secure else _SECURITY_HEADERS

    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return guarded


async def _refuse(refusal: Refused, is_http: bool, send: Send) -> None:
    if not is_http:
        # Before the handshake is accepted this becomes HTTP 403.
        await send({"type": "websocket.close", "code": 1008})
        return
    body = msgspec.json.encode({"detail": refusal.detail})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        # What is left of a body that was refused must not be taken for the next request.
        (b"connection", b"close"),
    ]
    if refusal.retry_after_s:
        headers.append((b"retry-after", str(math.ceil(refusal.retry_after_s)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
