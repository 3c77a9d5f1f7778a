"""Alert rules and dashboards, by promtool: an alert fires when it must and not otherwise, on metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from observability.alert_cases import ASKED_AT, CASES, INTERVAL, RULE_INTERVAL, Case
from observability.registered_metrics import ROOT, names

from tradewind.services.alerts.findings import KINDS
from tradewind.store.testing import missing

RULES: Final = ROOT / "docker/prometheus/alerts.yml"
BOARDS: Final = sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))
TIMEOUT_S: Final = 50
NAME: Final = re.compile(r"\btradewind_\w+")


@pytest.fixture(scope="module")
def promtool() -> str:
    """The program."""
    return shutil.which("promtool") or missing("promtool", "promtool is not installed (Debian: prometheus)")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def rules_tested(promtool: str, rules: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """What promtool says of rules; JSON is YAML too."""
    path = rules.parent / "cases.json"
    path.write_text(json.dumps({"rule_files": [rules.name], "evaluation_interval": RULE_INTERVAL, "tests": tests}))
    return run(promtool, "test", "rules", str(path))


def unit_test(case: Case, *, fires: bool) -> dict[str, Any]:
    told = {
        "exp_labels": {**dict(case.labels), "severity": case.severity},
        "exp_annotations": {"summary": f"{case.summary}; see docs/operating/{case.page}.md"},
    }
    return {
        "interval": INTERVAL,
        "input_series": [{"series": case.series, "values": case.fires if fires else case.quiet}],
        "alert_rule_test": [{"eval_time": ASKED_AT, "alertname": case.alert, "exp_alerts": [told] if fires else []}],
    }


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the rules beside which the cases can be written."""
    return Path(shutil.copy(RULES, tmp_path / "alerts.yml"))


def test_the_rules_are_well_formed(promtool: str) -> None:
    said = run(promtool, "check", "rules", "--lint-fatal", str(RULES))
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_alert_has_its_case() -> None:
    assert [case.alert for case in CASES] == re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "quiet"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
def test_an_alert_fires_when_it_must_and_not_otherwise(promtool: str, rules: Path, case: Case, fires: bool) -> None:
    said = rules_tested(promtool, rules, [unit_test(case, fires=fires)])
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_healthy_platform_is_silent(promtool: str, rules: Path) -> None:
    series = [{"series": case.series, "values": case.quiet} for case in CASES]
    asked = [{"eval_time": ASKED_AT, "alertname": case.alert, "exp_alerts": []} for case in CASES]
    together = {"interval": INTERVAL, "input_series": series, "alert_rule_test": asked}
    said = rules_tested(promtool, rules, [together])
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_wrong_bound_is_found(promtool: str, rules: Path) -> None:
    """The cases can fail: a bound that is off by one is seen from both sides."""
    case = next(case for case in CASES if case.alert == "OrderOutcomeUnknown")
    text = rules.read_text(encoding="utf-8")
    for bound, fires in ((31, True), (29, False)):
        rules.write_text(text.replace("unknown_age_seconds) > 30", f"unknown_age_seconds) > {bound}"), encoding="utf-8")
        assert rules_tested(promtool, rules, [unit_test(case, fires=fires)]).returncode != 0


def test_an_alert_is_as_severe_as_the_one_of_its_name_in_the_platform() -> None:
    severities = {case.alert: case.severity for case in CASES}
    shared = severities.keys() & KINDS.keys()
    assert len(shared) > 10
    assert {name: KINDS[name].severity.value.lower() for name in shared} == {name: severities[name] for name in shared}


def expressions(path: Path) -> list[str]:
    return [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_what_a_dashboard_asks_for_exists_and_is_well_formed(promtool: str, path: Path, tmp_path: Path) -> None:
    asked = expressions(path)
    assert {name for one in asked for name in NAME.findall(one)} <= names()
    recorded = [{"record": f"asked:number:{number}", "expr": one} for number, one in enumerate(asked)]
    file = tmp_path / "board.json"
    file.write_text(json.dumps({"groups": [{"name": path.stem, "rules": recorded}]}))
    said = run(promtool, "check", "rules", str(file))
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_the_alerts_ask_for_exists() -> None:
    asked = re.findall(r"expr: (.+)", RULES.read_text(encoding="utf-8"))
    assert {name for one in asked for name in NAME.findall(one)} <= names()


def test_the_dashboards_are_those_that_the_words_promise() -> None:
    assert {path.stem for path in BOARDS} == {"platform", "order-path", "market-data"}
