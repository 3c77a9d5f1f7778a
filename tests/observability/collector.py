"""An OTLP collector as tests need it: takes spans over HTTP and keeps them."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What was received: spans with the name of the service that they are of."""

    def __init__(self) -> None:
        self.status = 200
        self._spans: list[tuple[str, Span]] = []
        self._lock = threading.Lock()
        self.requests = 0
        self.url = ""

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.requests += 1
            if self.status != 200:
                return
            for group in request.resource_spans:
                service = {one.key: one.value.string_value for one in group.resource.attributes}["service.name"]
                self._spans += [(service, span) for scope in group.scope_spans for span in scope.spans]

    def spans(self) -> list[tuple[str, Span]]:
        with self._lock:
            return list(self._spans)

    def traces(self) -> dict[bytes, list[tuple[str, Span]]]:
        found: dict[bytes, list[tuple[str, Span]]] = {}
        for service, span in self.spans():
            found.setdefault(span.trace_id, []).append((service, span))
        return found


def attributes(span: Span) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback during the block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
