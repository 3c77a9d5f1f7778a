"""Metrics: one naming scheme, exact percentiles over a bounded ring, a Prometheus page that agrees with them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.runtime.metrics import RING_SIZE, LatencyRecorder, Metrics, ProcessMetrics, summarize


@pytest.fixture
def process() -> ProcessMetrics:
    return ProcessMetrics()


def test_counters_of_services_share_a_name_and_differ_by_label(process: ProcessMetrics) -> None:
    Metrics("a", process).counter("records", "Records published").inc(2)
    Metrics("b", process).counter("records", "Records published").inc(3)
    assert process.total("records") == 5
    assert process.total("records", service="a") == 2
    assert b'tradewind_records_total{service="b"} 3.0' in process.page()


def test_the_same_counter_is_found_again_after_a_restart(process: ProcessMetrics) -> None:
    Metrics("a", process).counter("records", "Records").inc()
    Metrics("a", process).counter("records", "Records").inc()
    assert process.total("records") == 2


def test_further_labels_are_kept_apart_and_summed(process: ProcessMetrics) -> None:
    metrics = Metrics("execution", process)
    metrics.counter("orders", "Orders by status", status="FILLED").inc(4)
    metrics.counter("orders", "Orders by status", status="DENIED").inc()
    assert process.total("orders", status="DENIED") == 1
    assert process.snapshot()["counters"]["orders"] == {
        "execution{status=FILLED}": 4.0,
        "execution{status=DENIED}": 1.0,
    }


def test_a_gauge_carries_its_unit(process: ProcessMetrics) -> None:
    Metrics("runtime", process).gauge("loop_lag", "How late", "seconds").set(0.25)
    assert b'tradewind_loop_lag_seconds{service="runtime"} 0.25' in process.page()
    assert process.snapshot()["gauges"] == {"loop_lag": {"runtime": 0.25}}


def test_one_name_cannot_be_two_kinds(process: ProcessMetrics) -> None:
    Metrics("a", process).counter("records", "Records")
    with pytest.raises(TypeError, match="metric records is a counter already"):
        Metrics("a", process).gauge("records", "Records")


def test_an_unknown_name_is_zero(process: ProcessMetrics) -> None:
    assert process.total("nothing") == 0
    assert process.latency("nothing").as_us() == {"p50": 0.0, "p99": 0.0, "n": 0}


def test_percentiles_are_exact(process: ProcessMetrics) -> None:
    recorder = Metrics("a", process).latency("tick_to_command", "Tick to command")
    for value in range(100, 0, -1):
        recorder.record(value * 1_000)
    assert process.latency("tick_to_command").as_us() == {"p50": 50.0, "p99": 99.0, "n": 100}


def test_latencies_of_several_services_are_merged(process: ProcessMetrics) -> None:
    for name, value in (("a", 10), ("b", 20), ("c", 30)):
        Metrics(name, process).latency("tick_to_command", "Tick to command").record(value)
    assert (process.latency("tick_to_command").p50_ns, process.latency("tick_to_command").n) == (20, 3)
    assert process.latency("tick_to_command", "c").p50_ns == 30
    assert set(process.snapshot()["latencies_us"]["tick_to_command"]) == {"all", "a", "b", "c"}


def test_the_ring_keeps_the_newest_and_the_count_goes_on() -> None:
    recorder = LatencyRecorder()
    for value in range(RING_SIZE + 5):
        recorder.record(value)
    assert recorder.n == RING_SIZE + 5
    assert sorted(recorder.samples().tolist()) == list(range(5, RING_SIZE + 5))
    buckets, total_s = recorder.histogram()
    assert buckets[-1] == ("+Inf", RING_SIZE + 5)
    assert total_s == pytest.approx(sum(range(RING_SIZE + 5)) / 1e9)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 20 * 10**9), max_size=2_500), max_size=3),
)
def test_the_histogram_holds_every_sample_once_whenever_it_is_read(parts: list[list[int]]) -> None:
    recorder = LatencyRecorder()
    for part in parts:
        for value in part:
            recorder.record(value)
        recorder.histogram()
    values = np.array([value for part in parts for value in part], dtype=np.int64)
    buckets, total_s = recorder.histogram()
    for bound, count in buckets:
        expected = len(values) if bound == "+Inf" else np.count_nonzero(values <= round(float(bound) * 1e9))
        assert count == expected
    assert total_s == pytest.approx(values.sum() / 1e9)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_percentiles_are_samples_at_their_rank(values: list[int]) -> None:
    recorder = LatencyRecorder()
    for value in values:
        recorder.record(value)
    ordered = sorted(values)
    summary = summarize([recorder])
    assert summary.p50_ns == ordered[(len(values) + 1) // 2 - 1]
    assert summary.p99_ns == ordered[-(-len(values) * 99 // 100) - 1]


def test_latencies_are_a_histogram_in_seconds_on_the_page(process: ProcessMetrics) -> None:
    Metrics("a", process).latency("order_commit", "one transaction").record(1_500_000)
    page = process.page().decode()
    assert 'tradewind_order_commit_seconds_bucket{le="0.001",service="a"} 0.0' in page
    assert 'tradewind_order_commit_seconds_bucket{le="0.002",service="a"} 1.0' in page
    assert 'tradewind_order_commit_seconds_sum{service="a"} 0.0015' in page
