"""Sends the spans of a process to an OpenTelemetry collector by OTLP over HTTP.

Owner: the block of ``exporting_traces``, one thread. Spans leave in batches at least every INTERVAL_S. The thread gives
the interpreter back between small portions, and rests four times as long as it has worked, so that the event loop never
waits long for it; what it then cannot send is dropped from the queue and counted. When the collector does not take
spans, they are lost and counted, and the log says so once, and once when it takes them again. At the end what waits is
sent within CLOSE_S.
"""

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags

from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics, process_metrics
from tradewind.runtime.tracing import Span, Tracer, span_id, trace_id, tracer

BATCH: Final = 64
INTERVAL_S: Final = 0.5
CLOSE_S: Final = 1.5
_TIMEOUT_S: Final = 5.0
_PORTION: Final = 8
_PAUSE_S: Final = 0.0002
_REST: Final = 4.0
"""Of the time that the thread has worked."""
_HALF_MASK: Final = (1 << 64) - 1
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


@contextlib.asynccontextmanager
async def exporting_traces(
    url: str, ratio: float, *, of: Tracer = tracer, metrics: ProcessMetrics = process_metrics
) -> AsyncIterator[None]:
    """Export what the tracer takes while the block runs. ``ratio`` of all traces, by their id, are sent."""
    exporter = _Exporter(url, ratio, of, Metrics("runtime", metrics))
    of.is_on = True
    exporter.start()
    try:
        yield
    finally:
        of.is_on = False
        await asyncio.to_thread(exporter.close)


class _Exporter:
    def __init__(self, url: str, ratio: float, of: Tracer, metrics: Metrics) -> None:
        # Its own words repeat the address, which may hold a password, for every batch.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._collector = urlsplit(url).hostname or ""
        self._tracer = of
        # As TraceIdRatioBased of the standard does: the lower half of the trace's id decides.
        self._below = round(ratio * (1 << 64))
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT_S)
        self._sent = metrics.counter("trace_spans_sent", "Spans that the collector took")
        self._lost = metrics.counter("trace_spans_lost", "Spans lost: too many waited, or the collector was away")
        self._log = get_logger(metrics.service)
        self._resources: dict[str, Resource] = {}
        self._is_failing = False
        self._counted_drops = of.dropped
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trace-exporter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Send what waits, as long as it does not take too long."""
        self._ended.set()
        self._thread.join(CLOSE_S)
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # also ends an attempt that waits to be made again

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_S):
            self._send_all()
        self._send_all()

    def _send_all(self) -> None:
        while spans := self._tracer.take(BATCH):
            begun_s = time.thread_time()
            if batch := self._made(spans):
                self._send(batch)
            self._ended.wait((time.thread_time() - begun_s) * _REST)
        drops, self._counted_drops = self._tracer.dropped - self._counted_drops, self._tracer.dropped
        if drops:
            self._lost.inc(drops)

    def _made(self, spans: list[Span]) -> list[ReadableSpan]:
        made: list[ReadableSpan] = []
        for number, span in enumerate(spans, start=1):
            trace = trace_id(span.story)
            if trace & _HALF_MASK < self._below:
                made.append(_readable(span, trace, self._resource(span.service)))
            if number % _PORTION == 0:
                time.sleep(_PAUSE_S)
        return made

    def _send(self, batch: list[ReadableSpan]) -> None:
        is_taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        (self._sent if is_taken else self._lost).inc(len(batch))
        if self._is_failing is is_taken:
            self._is_failing = not is_taken
            text = "traces are sent again" if is_taken else "traces are lost: the collector does not take them"
            (self._log.info if is_taken else self._log.warning)(text, collector=self._collector)

    def _resource(self, service: str) -> Resource:
        if service not in self._resources:
            self._resources[service] = Resource(
                {
                    "service.namespace": "tradewind",
                    "service.name": service,
                    "service.version": importlib.metadata.version("tradewind-runtime"),
                    "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
                }
            )
        return self._resources[service]


def _readable(span: Span, trace: int, resource: Resource) -> ReadableSpan:
    links = [Link(_context(trace_id(span.cause[0]), span.cause[1]))] if span.cause is not None else []
    return ReadableSpan(
        name=span.name,
        context=_context(trace, span.identity),
        parent=_context(trace, span.parent) if span.parent else None,
        resource=resource,
        attributes={"tradewind.correlation_id": span.story, **span.attributes},
        links=links,
        kind=SpanKind.INTERNAL,
        start_time=span.begun_ns,
        end_time=span.ended_ns,
    )


def _context(trace: int, identity: str) -> SpanContext:
    return SpanContext(trace, span_id(identity), is_remote=False, trace_flags=_SAMPLED)
