"""One keep-alive HTTP/1.1 connection that knows exactly whether a request left it.

``aiohttp`` may repeat a request on a new connection and does not say when a byte left; the order path needs both to be
certain. A request is written by one ``transport.write`` at a moment when the connection is known to be open. From then
on only an answer tells what became of it. One request at a time; everything from the venue is bounded.
"""

import asyncio
import dataclasses
import ssl
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

import aiofastnet
import httptools

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Headers and body together; a FULL answer with 5,000 fills has about 600 KB."""


class ConnectionUnusable(ConnectionError):
    """The connection was not open any more: nothing was written on it."""


class AnswerLost(ConnectionError):
    """A request was written and no whole answer came: what became of it is unknown."""


@dataclasses.dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Status, headers with lower-case names, body, and how long it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    elapsed_s: float = 0.0
    """From the write of the request to the end of the answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where a base URL points: for connecting, and for the Host header and paths of requests."""

    host: str
    port: int
    secure: bool
    host_header: str
    path_prefix: str

    @classmethod
    def of(cls, base_url: str) -> "HttpAddress":
        """The address of an http or https URL.

        Raises:
            ValueError: another scheme, or no host.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is no address like https://api.example.com")
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(parts.hostname, port, secure, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"))


class HttpConnection(asyncio.Protocol):
    """See the module. ``on_idle`` is called when it has become free again, ``on_closed`` once when it is lost."""

    def __init__(
        self, on_idle: Callable[["HttpConnection"], None], on_closed: Callable[["HttpConnection"], None]
    ) -> None:
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._headers: dict[str, str] = {}
        self._answer_bytes = 0
        self._surplus = False
        self._body = bytearray()
        self._written_s = 0.0
        self.idle_since_s = 0.0
        """When it became free, on the event loop's clock."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be written now."""
        return self._transport is not None and self._answer is None and not self._transport.is_closing()

    def start(self, request: bytes) -> asyncio.Future[HttpAnswer]:
        """Write one request; the future has its answer or AnswerLost. Never blocks, never repeats.

        Raises:
            ConnectionUnusable: the connection is closed or busy; nothing was written.
        """
        if self._transport is None or self._answer is not None or self._transport.is_closing():
            raise ConnectionUnusable("the connection is closed or busy")
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        self._written_s = loop.time()
        self._headers = {}
        self._answer_bytes = 0
        self._body.clear()
        self._transport.write(request)
        return self._answer

    def abort(self) -> None:
        """Close at once; an answer that is still awaited is lost."""
        self._give_up("the connection was closed by us")

    # -- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the event loop."""
        self._transport = cast("asyncio.Transport", transport)
        self.idle_since_s = asyncio.get_running_loop().time()

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; anything that is none closes the connection."""
        if self._answer is None:
            self.abort()  # nobody asked: what comes next could be taken for the answer to a later request
            return
        self._answer_bytes += len(data)
        if self._answer_bytes > MAX_ANSWER_BYTES:
            self._give_up(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._give_up(f"the answer cannot be read: {type(error).__name__}")
            return
        if self._surplus:
            self._give_up("more answers than requests")

    def eof_received(self) -> bool:
        """The venue closes; so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the event loop."""
        self._transport = None
        self._lose(f"the connection was lost ({exc or 'closed by the venue'})")
        self._on_closed(self)

    # -- httptools callbacks ---------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body += body

    def on_message_complete(self) -> None:
        """The whole answer is here."""
        status = self._parser.get_status_code()
        if status < 200:
            return  # 100 Continue and the like: the answer comes after it
        if self._answer is None:
            self._surplus = True
            return
        answer, self._answer = self._answer, None
        self.idle_since_s = asyncio.get_running_loop().time()
        if not answer.done():
            elapsed_s = self.idle_since_s - self._written_s
            answer.set_result(HttpAnswer(status, self._headers, bytes(self._body), elapsed_s))
        self._headers = {}
        if not self._parser.should_keep_alive():
            if self._transport is not None:
                self._transport.close()
            return
        self._on_idle(self)

    def _give_up(self, reason: str) -> None:
        self._lose(reason)
        if self._transport is not None:
            self._transport.abort()

    def _lose(self, reason: str) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(AnswerLost(reason))


async def connect(
    address: HttpAddress,
    on_idle: Callable[[HttpConnection], None],
    on_closed: Callable[[HttpConnection], None],
    timeout_s: float,
    ssl_context: ssl.SSLContext | None,
) -> HttpConnection:
    """An open connection. An https address needs ``ssl_context``.

    Raises:
        OSError: it cannot be had in time.
    """
    loop = asyncio.get_running_loop()
    secure = ssl_context if address.secure else None
    async with asyncio.timeout(timeout_s):
        # This transport tries the socket in write() itself; uvloop's own would wait for the loop's turn to end.
        _, connection = await aiofastnet.create_connection(
            loop, lambda: HttpConnection(on_idle, on_closed), address.host, address.port, ssl=secure
        )
    return connection
