"""The service's own metrics: requests by the class of their answer, how long they took, and the stream's clients."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from tradewind.runtime.metrics import Metrics
from tradewind.services.api.logins.guard import Application, Receive, Scope, Send
from tradewind.services.api.view_model.views import StreamView

if TYPE_CHECKING:
    from prometheus_client import Counter

_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_INTERVAL_S: Final = 1.0


class Counted:
    """ASGI middleware around everything: one count and one duration for each HTTP request."""

    def __init__(self, application: Application, metrics: Metrics) -> None:
        self._application = application
        self._taken = metrics.latency("api_request", "HTTP request until the last byte of its answer")
        self._answers = {
            name: metrics.counter("api_requests", "HTTP requests, by the class of the answer", status=name)
            for name in _CLASSES
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        begun_ns = time.monotonic_ns()

        async def counted_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._answers[f"{message['status'] // 100}xx"].inc()
            await send(message)

        try:
            await self._application(scope, receive, counted_send)
        finally:
            self._taken.record(time.monotonic_ns() - begun_ns)


class StreamCounts:
    """Shows what the stream counts of itself."""

    def __init__(self, counters: StreamView, metrics: Metrics) -> None:
        self._counters = counters
        self._clients = metrics.gauge("stream_clients", "Pages that are connected to the stream")
        self._refused = metrics.counter("stream_refused", "Pages sent away because too many were open")
        self._dropped = metrics.counter("stream_dropped_slow_clients", "Pages cut because they did not read")
        self._messages = metrics.counter("stream_messages", "Messages sent to pages")
        self._shown = (0, 0, 0)

    async def run(self) -> None:
        """Keep them up to date until cancelled."""
        while True:
            self._show()
            await asyncio.sleep(_INTERVAL_S)

    def _show(self) -> None:
        now = self._counters
        self._clients.set(now["clients"])
        figures = (now["refused"], now["dropped_slow"], now["messages_sent"])
        counters: tuple[Counter, ...] = (self._refused, self._dropped, self._messages)
        for counter, figure, shown in zip(counters, figures, self._shown, strict=True):
            counter.inc(figure - shown)
        self._shown = figures
