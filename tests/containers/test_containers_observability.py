"""Prometheus beside the platform: it finds every service itself; every dashboard and alert asks for what is there."""

import json
import re
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from containers.engine_kit import ROOT, SERVICES, Platform, free_port, until

pytestmark = pytest.mark.timeout(900)
DASHBOARDS = sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def prometheus(kafka_platform: Platform) -> str:
    """The address of a Prometheus that watches the platform."""
    port = str(free_port())
    # For every command from here on, so that it is removed with the rest.
    kafka_platform.environment |= {"TRADEWIND_PROMETHEUS_PORT": port, "COMPOSE_PROFILES": "fix,observability"}
    kafka_platform.up("--no-deps", "prometheus", wait_s=90)
    return f"http://127.0.0.1:{port}/api/v1"


def ask(address: str, path: str, **parameters: str) -> Any:
    """An answer of Prometheus."""
    with urlopen(f"{address}/{path}?{urlencode(parameters)}", timeout=10) as answer:
        said = json.loads(answer.read())
    assert said["status"] == "success"
    return said["data"]


def test_every_service_is_found_and_answers(prometheus: str) -> None:
    def all_up() -> bool:
        targets: list[dict[str, Any]] = ask(prometheus, "targets")["activeTargets"]
        # The migration's container has the same alias and is gone after its work.
        return len([target for target in targets if target["health"] == "up"]) == len(SERVICES)

    until(all_up, "every service is scraped")


def test_every_metric_of_dashboards_and_alerts_is_exported(kafka_platform: Platform, prometheus: str) -> None:
    kafka_platform.wait_for_fills("market-maker", more=2)
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    asked = [target["expr"] for board in boards for panel in board["panels"] for target in panel["targets"]]
    asked += re.findall(r"expr: (.+)", (ROOT / "docker/prometheus/alerts.yml").read_text())
    names = {name for expression in asked for name in re.findall(r"\b(?:tradewind|process)_\w+", expression)}
    until(lambda: names <= set(ask(prometheus, "label/__name__/values")), f"all of {sorted(names)} are exported")
    for expression in asked:
        ask(prometheus, "query", query=expression)


def test_the_alerts_are_loaded_and_can_be_evaluated(prometheus: str) -> None:
    assert len(_rules(prometheus)) == (ROOT / "docker/prometheus/alerts.yml").read_text().count("- alert:")
    until(lambda: all(rule["health"] == "ok" for rule in _rules(prometheus)), "every alert is evaluated")


def _rules(prometheus: str) -> list[dict[str, Any]]:
    return [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
