"""`tradewind new`: a folder that is made, installed, tested, traded with and removed, in a copy of the tree."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tradewind.runtime import cli
from tradewind.runtime.scaffolding.folders import NewFolderRefused, checked_name

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PATIENCE_S = 240


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what the command reads and writes; it is the current folder."""
    root = tmp_path / "repository"
    for name in ("k8s", "services", "docker"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "tests"))
    for name in ("pyproject.toml", "docker-compose.yml", "conftest.py"):
        shutil.copy(ROOT / name, root)
    for member in (*ROOT.glob("libs/*/pyproject.toml"), ROOT / "native" / "pyproject.toml"):
        copy = root / member.relative_to(ROOT)
        copy.parent.mkdir(parents=True)
        shutil.copy(member, copy)
    monkeypatch.chdir(root)
    return root


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(cli.build_app(), list(arguments))


def run(*command: str | Path, cwd: Path, site: Path | None = None) -> str:
    variables = {**os.environ, "PYTHONPATH": str(site)} if site is not None else None
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text(errors="replace")
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def install(folder: Path, site: Path) -> None:
    """As an image does: a wheel of the folder alone, beside what is installed."""
    options = ("--quiet", "--no-config", "pip", "install", "--no-deps", "--no-build-isolation", "--offline")
    run(BIN / "uv", *options, "--python", sys.executable, "--target", site, folder, cwd=folder)


@pytest.mark.timeout(PATIENCE_S)
@pytest.mark.parametrize(("kind", "name"), [("service", "tide-watch"), ("strategy", "strategy-carry")])
def test_a_new_folder_is_complete_and_its_removal_leaves_nothing(
    repository: Path, tmp_path: Path, kind: str, name: str
) -> None:
    before = files_of(repository)
    made = invoke("new", kind, name)
    assert made.exit_code == 0, made.output
    after = files_of(repository)
    own = {path for path in after if path.startswith(f"services/{name}/")}
    profiles = {profile.stem for profile in Path("k8s/profiles").glob("*.yaml")}
    if kind == "strategy":
        profiles.remove("prod_binance")  # a strategy trades there only once it is named
    rendered = {f"k8s/rendered/{profile}/3-services/{name}.yaml" for profile in profiles}
    assert after.keys() - before.keys() == own | rendered
    assert {path for path in before if before[path] != after[path]} == {"docker/services.yaml"}

    folder, site = repository / "services" / name, tmp_path / "site"
    for part in ("Dockerfile", "compose.yaml", "k8s.yaml.j2", "service.toml", "pyproject.toml", "README.md"):
        assert (folder / part).is_file(), part
    install(folder, site)
    tests = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder, cwd=repository, site=site)
    assert re.search(r"^2 passed", tests, re.MULTILINE), tests
    assert name in run(BIN / "tradewind", "services", cwd=repository, site=site)

    shutil.rmtree(folder)
    assert invoke("new", "generate").exit_code == 0
    assert files_of(repository) == before


@pytest.mark.timeout(PATIENCE_S)
def test_a_new_strategy_trades_on_the_demo_as_it_is(repository: Path, tmp_path: Path) -> None:
    assert invoke("new", "strategy", "carry").exit_code == 0
    site, report = tmp_path / "site", tmp_path / "report.json"
    install(repository / "services" / "strategy-carry", site)
    code = (repository / "services/strategy-carry/src/tradewind/services/strategy_carry/service.py").read_text()
    own_class = code.partition("(Strategy):")[2].partition("SERVICE =")[0]
    assert len([line for line in own_class.splitlines() if line.strip()]) < 20
    data = tmp_path / "data"
    options = ("--headless", "--duration", "20", "--data-dir", data, "--report", report)
    run(BIN / "tradewind", "demo", *options, cwd=tmp_path, site=site)
    assert json.loads(report.read_text())
    assert _fills_of(data, "carry", site) > 0


def _fills_of(data: Path, strategy: str, site: Path) -> int:
    """How often a strategy's orders were filled, from the demo's own database."""
    question = f"""
import asyncio, asyncpg, pathlib
from tradewind.store.embedded import EmbeddedServers
import structlog
async def main():
    servers = EmbeddedServers(pathlib.Path({str(data)!r}), valkey=False, log=structlog.get_logger())
    await servers.start()
    connection = await asyncpg.connect(servers.postgres_dsn)
    print("fills:", await connection.fetchval("SELECT count(*) FROM fills WHERE client_order_id LIKE '{strategy}-%'"))
    await connection.close()
    await servers.stop()
asyncio.run(main())
"""
    return int(run(sys.executable, "-c", question, cwd=data, site=site).rpartition("fills:")[2])


@pytest.mark.parametrize("name", ["ab", "strategy-" + "-".join("abcdefghijkl") + "m", "a" + "b" * 31])
def test_what_is_made_is_formatted_and_without_lint_whatever_the_name(repository: Path, name: str) -> None:
    kind = "strategy" if name.startswith("strategy-") else "service"
    assert invoke("new", kind, name, "--about", "x" * 90).exit_code == 0
    for command in (("check",), ("format", "--check")):
        run(BIN / "ruff", *command, "--config", ROOT / "pyproject.toml", f"services/{name}", cwd=repository)


@pytest.mark.parametrize("service", ["risk", "strategy-ema-cross"])
def test_the_templates_are_what_the_other_services_have(repository: Path, service: str) -> None:
    """Whoever changes how images or compose are made changes the templates too."""
    kind = "strategy" if service.startswith("strategy-") else "service"
    name = "strategy-tide" if kind == "strategy" else "tide"
    assert invoke("new", kind, name).exit_code == 0
    for part in ("Dockerfile", "compose.yaml", "k8s.yaml.j2"):
        made = (repository / "services" / name / part).read_text()
        like = (repository / "services" / service / part).read_text()
        like = like.replace(service, name).replace(_variable(service), _variable(name)).replace("128m", "192m")
        # What is said about it in the first line is its own.
        start = like.index("#}") if part == "k8s.yaml.j2" else 0
        assert made[made.index("#}") if start else 0 :] == like[start:], part


def _variable(name: str) -> str:
    return f"TRADEWIND_{name.upper().replace('-', '_')}_"


@pytest.mark.parametrize(
    ("kind", "typed", "words"),
    [
        ("service", "Tide", "cannot be a name: it takes 2 to 32 characters"),
        ("service", "tide_watch", "cannot be a name"),
        ("service", "tide--watch", "cannot be a name"),
        ("service", "-tide", "cannot be a name"),
        ("service", "2tide", "cannot be a name"),
        ("service", "t", "cannot be a name"),
        ("service", "", "cannot be a name"),
        ("service", "../tide", "cannot be a name"),
        ("service", "t" * 33, "cannot be a name"),
        ("service", "utils", "does not say what the service does"),
        ("service", "kafka", "is the name of another part of the platform"),
        ("service", "class", "is a word of Python"),
        ("service", "venue", "TRADEWIND_VENUE_ADAPTER"),
        ("service", "strategy-carry", "use tradewind new strategy carry"),
        ("strategy", "c" * 25, "it takes 2 to 24 characters"),
        ("strategy", "strategy-", "cannot be a name"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_with_the_reason(kind: Any, typed: str, words: str) -> None:
    with pytest.raises(NewFolderRefused, match=re.escape(words)) as caught:
        checked_name(kind, typed)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), [("service", "risk"), ("strategy", "ema-cross"), ("service", "sim-venue")])
def test_nothing_is_ever_written_over(repository: Path, kind: str, name: str) -> None:
    before = files_of(repository)
    refused = invoke("new", kind, name)
    assert isinstance(refused.exception, NewFolderRefused)
    assert "exists; take another name, or remove the folder first" in str(refused.exception)
    assert files_of(repository) == before


@pytest.mark.parametrize("about", ["", 'say "hello"', "two\nlines", "x" * 91, "a\\b"])
def test_a_description_is_one_plain_line(repository: Path, about: str) -> None:
    assert "--about takes one line" in str(invoke("new", "service", "tide-watch", "--about", about).exception)
    assert not (repository / "services" / "tide-watch").exists()


@pytest.mark.parametrize("command", ["service", "strategy", "generate"])
def test_help_teaches_with_examples(command: str) -> None:
    assert "tradewind new" in invoke("new", command, "--help").output.partition("Example")[2]
