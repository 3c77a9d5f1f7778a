"""One naming scheme: what the sources register, what a running platform shows, and what the page says are one."""

import pytest
from observability.make_metrics_page import COMMAND, PAGE, page_with_table
from observability.registered_metrics import Registered, names, registered

from tradewind.runtime.metric_names import LABELS, MOST_SERIES, MetricNameRefused
from tradewind.runtime.metrics import Metrics, ProcessMetrics

BAD_NAMES = ("Orders", "orders-sent", "orders__sent", "tradewind_orders", "orders_total", "age_ms", "fill_percent", "")


def by_name() -> dict[str, list[Registered]]:
    found: dict[str, list[Registered]] = {}
    for one in registered():
        found.setdefault(one.name, []).append(one)
    return found


def test_the_page_is_what_the_sources_register() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with_table(), f"run {COMMAND}"


@pytest.mark.parametrize("rows", by_name().values(), ids=by_name())
def test_one_name_has_one_meaning(rows: list[Registered]) -> None:
    assert len({(one.kind, one.labels, one.help) for one in rows}) == 1
    assert set(rows[0].labels) <= LABELS
    assert rows[0].help[0].isupper() or rows[0].help[0].isdigit()
    assert not rows[0].help.endswith(".")


def test_the_services_are_found_in_the_sources() -> None:
    owners = {one.owner for one in registered()}
    assert {
        "runtime",
        "strategy",
        "alerts",
        "api",
        "execution",
        "market-data",
        "portfolio",
        "recorder",
        "risk",
    } <= owners
    assert {"tradewind_fills_total", "tradewind_order_commit_seconds_bucket", "tradewind_net_pnl"} <= names()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_what_does_not_fit_is_refused_where_it_is_registered(name: str) -> None:
    metrics = Metrics("a", ProcessMetrics())
    for register in (metrics.counter, metrics.gauge, metrics.latency):
        with pytest.raises(MetricNameRefused):
            register(name, "Something")


def test_a_help_text_a_base_unit_and_known_labels_are_needed() -> None:
    metrics = Metrics("a", ProcessMetrics())
    with pytest.raises(MetricNameRefused, match="has no help text"):
        metrics.counter("orders", " ")
    with pytest.raises(MetricNameRefused, match="take one of"):
        metrics.gauge("lag", "How late", "furlongs")
    with pytest.raises(MetricNameRefused, match="labels outside the scheme: client_order_id"):
        metrics.counter("orders", "Orders", client_order_id="a-1-1")


def test_labels_with_too_many_values_are_counted_together() -> None:
    process = ProcessMetrics()
    for number in range(MOST_SERIES + 50):
        Metrics("a", process).counter("orders", "Orders", instrument=f"I{number}").inc()
    assert process.total("orders") == MOST_SERIES + 50
    assert process.total("orders", instrument="other", service="a") == 50
    Metrics("a", process).counter("orders", "Orders", instrument="I0").inc()
    assert process.total("orders", instrument="I0") == 2


def test_no_creation_times_stand_beside_the_counters() -> None:
    process = ProcessMetrics()
    Metrics("a", process).counter("orders", "Orders").inc()
    assert b"tradewind_orders_created" not in process.page()
