"""The exporter against a real collector: ids, sampling, bounds, and a collector that is away."""

import asyncio
import time
from collections.abc import Callable

import pytest
import structlog
from observability.collector import attributes, collecting

from tradewind.runtime.metrics import ProcessMetrics
from tradewind.runtime.trace_exporting import exporting_traces
from tradewind.runtime.tracing import QUEUE_SIZE, Tracer, span_id, trace_id

NOBODY = "http://127.0.0.1:1/v1/traces"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(45):
        while not condition():
            await asyncio.sleep(0.02)


def note(tracer: Tracer, story: str, identity: str, parent: str = "", **more: object) -> None:
    now = time.time_ns()
    tracer.span("a", "fill", story=story, identity=identity, parent=parent, begun_ns=now - 5, ended_ns=now, **more)  # type: ignore[arg-type]


async def test_a_span_arrives_with_the_ids_that_its_messages_give_it() -> None:
    tracer, process = Tracer(), ProcessMetrics()
    with collecting() as collector:
        async with exporting_traces(collector.url, 1.0, of=tracer, metrics=process):
            note(tracer, "mm-1-7", "x-2", "x-1", attributes={"size": 7}, cause=("mm-1-6", "x-0"))
        [(service, span)] = collector.spans()
    assert service == "a"
    assert span.trace_id == trace_id("mm-1-7").to_bytes(16)
    assert (span.span_id, span.parent_span_id) == (span_id("x-2").to_bytes(8), span_id("x-1").to_bytes(8))
    assert span.end_time_unix_nano - span.start_time_unix_nano == 5
    assert attributes(span) == {"tradewind.correlation_id": "mm-1-7", "size": 7}
    assert [(one.trace_id, one.span_id) for one in span.links] == [
        (trace_id("mm-1-6").to_bytes(16), span_id("x-0").to_bytes(8))
    ]
    assert process.total("trace_spans_sent") == 1


async def test_nothing_is_kept_while_it_is_off() -> None:
    tracer = Tracer()
    note(tracer, "mm-1-7", "x-2")
    assert tracer.take(10) == []


async def test_a_part_of_the_traces_is_whole_and_the_same_part_everywhere() -> None:
    async def sent_by_a_process() -> dict[bytes, int]:
        tracer = Tracer()
        with collecting() as collector:
            async with exporting_traces(collector.url, 0.25, of=tracer, metrics=ProcessMetrics()):
                for story in range(400):
                    note(tracer, f"mm-1-{story}", f"{story}-a")
                    note(tracer, f"mm-1-{story}", f"{story}-b")
            return {trace: len(spans) for trace, spans in collector.traces().items()}

    one, other = await sent_by_a_process(), await sent_by_a_process()
    assert one == other
    assert set(one.values()) == {2}
    assert 50 < len(one) < 150


async def test_past_its_bound_spans_are_dropped_and_counted_and_nobody_waits() -> None:
    tracer, process = Tracer(), ProcessMetrics()
    tracer.is_on = True
    for number in range(QUEUE_SIZE + 100):
        note(tracer, "s", f"x-{number}")
    assert tracer.dropped == 100
    with collecting() as collector:
        tracer.dropped = 0
        async with exporting_traces(collector.url, 1.0, of=tracer, metrics=process):
            tracer.dropped += 100
            await until(lambda: process.total("trace_spans_sent") == QUEUE_SIZE)
        assert process.total("trace_spans_lost") == 100
        assert len(collector.spans()) == QUEUE_SIZE


async def test_a_collector_that_fails_is_one_line_of_the_log_and_so_is_its_return() -> None:
    tracer, process = Tracer(), ProcessMetrics()
    with collecting() as collector, structlog.testing.capture_logs() as logs:
        collector.status = 400
        async with exporting_traces(collector.url, 1.0, of=tracer, metrics=process):
            for number in range(3):
                note(tracer, "s", f"x-{number}")
                await until(lambda number=number: process.total("trace_spans_lost") == number + 1)  # type: ignore[misc]
            collector.status = 200
            note(tracer, "s", "y")
            await until(lambda: process.total("trace_spans_sent") == 1)
    assert [line["event"] for line in logs] == [
        "traces are lost: the collector does not take them",
        "traces are sent again",
    ]


async def test_a_collector_that_is_not_there_holds_up_neither_the_loop_nor_the_end() -> None:
    tracer, process = Tracer(), ProcessMetrics()
    with structlog.testing.capture_logs() as logs:
        async with exporting_traces(NOBODY.replace("//", "//user:hunter2@"), 1.0, of=tracer, metrics=process):
            note(tracer, "s", "x")
            await until(lambda: process.total("trace_spans_lost") == 1)
            note(tracer, "s", "y")
    assert [line["event"] for line in logs] == ["traces are lost: the collector does not take them"]
    assert "hunter2" not in str(logs)


@pytest.mark.parametrize("story", ["mm-1-7", "", "ü" * 1_000])
def test_ids_are_of_the_standards_size_and_never_zero(story: str) -> None:
    assert 0 < trace_id(story) < 1 << 128
    assert 0 < span_id(story) < 1 << 64
