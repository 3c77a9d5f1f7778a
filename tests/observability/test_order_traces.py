"""One order, one trace: every step from the tick to the booking, with the right parents and its times in order."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from observability.collector import Collector, attributes, collecting
from observability.platform_kit import platform
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from replay_kit import needs_capture, recorded_lines, write_capture
from test_process_mode import running, until

from tradewind.runtime.tracing import trace_id

STEPS = {
    "tick": "market-data",
    "decision": "strategy-market-maker",
    "risk check": "execution",
    "commit": "execution",
    "venue send": "execution",
    "acknowledgement": "execution",
    "fill": "execution",
    "booking": "portfolio",
}
PARENTS = {
    "decision": "tick",
    "risk check": "decision",
    "commit": "decision",
    "venue send": "decision",
    "acknowledgement": "venue send",
    "fill": "venue send",
    "booking": "fill",
}
ONE_AFTER_THE_OTHER = ("tick", "decision", "risk check", "commit", "venue send", "fill", "booking")
Trace = dict[str, list[Span]]


def by_name(trace: list[tuple[str, Span]]) -> Trace:
    found: Trace = {}
    for service, span in trace:
        if span.name in STEPS:
            assert service == STEPS[span.name], (service, span.name)
        found.setdefault(span.name, []).append(span)
    return found


def whole_traces(collector: Collector) -> list[Trace]:
    """Traces of orders of the market maker that have filled."""
    makers = [
        trace
        for trace in collector.traces().values()
        if any(service == "strategy-market-maker" for service, _ in trace)
    ]
    return [found for found in map(by_name, makers) if set(STEPS) <= set(found)]


def check(trace: Trace) -> None:
    """Parents and times."""
    spans = {span.span_id: span for group in trace.values() for span in group}
    for name, parent in PARENTS.items():
        for span in trace[name]:
            if name == "decision" and attributes(span)["tradewind.command"] != "SubmitOrder":
                continue  # of a cancel, perhaps for another reason
            assert spans[span.parent_span_id].name == parent, f"the parent of {name}"
    begun = [min(span.start_time_unix_nano for span in trace[name]) for name in ONE_AFTER_THE_OTHER]
    assert begun == sorted(begun), dict(zip(ONE_AFTER_THE_OTHER, begun, strict=True))
    for span in spans.values():
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert abs(time.time_ns() - span.start_time_unix_nano) < 3_600 * 10**9, "no time of a recording"
    [story] = {attributes(span)["tradewind.correlation_id"] for span in spans.values()}
    assert {span.trace_id for span in spans.values()} == {trace_id(story).to_bytes(16)}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.mark.timeout(300)
def test_in_one_process(tmp_path: Path, collector: Collector) -> None:
    with platform(tmp_path, "--headless", TRADEWIND_TRACING_OTLP_URL=collector.url) as running_one:
        running_one.until(lambda: len(whole_traces(collector)) >= 3, "three orders are traced from tick to booking")
        assert running_one.counter("trace_spans_lost") == 0
    for trace in whole_traces(collector):
        check(trace)


@needs_capture
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broker", ["kafka_url", "rabbitmq_url"])
def test_in_processes(tmp_path: Path, collector: Collector, broker: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(broker)
    capture = write_capture(tmp_path / "cut.gz", recorded_lines()[:9_000])
    traced = {"TRADEWIND_TRACING_OTLP_URL": collector.url, "NO_PROXY": "127.0.0.1"}
    with running(tmp_path, capture, url, "--speed", "2", **traced) as demo:
        until(lambda: len(whole_traces(collector)) >= 1, 200.0)
        assert demo.process.poll() is None
    for trace in whole_traces(collector):
        check(trace)
