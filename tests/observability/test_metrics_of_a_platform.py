"""What a running platform shows at /metrics, every service of it, against the scheme and the page."""

import re
from collections.abc import Iterator

import pytest
from observability.platform_kit import Running, platform
from observability.registered_metrics import registered
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tradewind.runtime.metric_names import LABELS

CLIENTS_OWN = ("process_", "python_")
MOST_SERIES_OF_A_DEMO = 100
"""Under one name, in a platform with one venue, one instrument and two strategies; histograms count once."""
OWN = {"service", "le"}
NAME = re.compile(r"tradewind_[a-z][a-z0-9]*(_[a-z0-9]+)*")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with platform(tmp_path_factory.mktemp("platform")) as one:
        one.until_ready()
        one.until(lambda: one.counter("fills") > 0 and one.counter("net_pnl") != 0, "there are fills")
        yield one


@pytest.fixture(scope="module")
def families(running: Running) -> list[Metric]:
    return list(text_string_to_metric_families(running.metrics()))


@pytest.fixture(scope="module")
def ours(families: list[Metric]) -> list[Metric]:
    return [family for family in families if not family.name.startswith(CLIENTS_OWN)]


pytestmark = pytest.mark.timeout(300)


def test_every_service_has_metrics_of_its_own(running: Running, ours: list[Metric]) -> None:
    found: dict[str, set[str]] = {}
    for family in ours:
        for sample in family.samples:
            found.setdefault(sample.labels["service"], set()).add(family.name)
    for service in running.states():
        about_all = {"tradewind_service_ready", "tradewind_service_restarts"}
        assert found[service] - about_all, f"{service} counts nothing"
    assert set(found) == {*running.states(), "runtime"}


def test_every_name_fits_the_scheme(ours: list[Metric]) -> None:
    for family in ours:
        assert NAME.fullmatch(family.name), family.name
        assert family.documentation.strip(), family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name == f"{family.name}_total"
        if family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_every_metric_is_on_the_page_with_its_kind_labels_and_words(ours: list[Metric]) -> None:
    known = {one.name.removesuffix("_total"): one for one in registered()}
    for family in ours:
        one = known[family.name]
        assert (one.kind, one.help) == (family.type, family.documentation), family.name
        assert {label for sample in family.samples for label in sample.labels} <= {*one.labels, *OWN}, family.name


def test_labels_are_those_of_the_scheme_and_have_few_values(ours: list[Metric]) -> None:
    for family in ours:
        sets = {tuple(sorted((k, v) for k, v in one.labels.items() if k != "le")) for one in family.samples}
        assert {label for each in sets for label, _ in each} <= LABELS, family.name
        assert len(sets) <= MOST_SERIES_OF_A_DEMO, (family.name, len(sets))


def test_ratios_are_ratios_and_times_are_seconds(ours: list[Metric]) -> None:
    by_name = {family.name: family for family in ours}
    for name, family in by_name.items():
        for sample in family.samples:
            if name.endswith("_ratio"):
                assert 0 <= sample.value <= 1
            if name.endswith("_timestamp_seconds"):
                assert 1.7e9 < sample.value < 4e9
    assert "tradewind_recorder_last_write_timestamp_seconds" in by_name


def test_only_the_clients_own_metrics_stand_beside_ours(families: list[Metric]) -> None:
    assert all(family.name.startswith(("tradewind_", *CLIENTS_OWN)) for family in families)
