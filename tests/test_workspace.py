"""The promises of the tree itself: every folder complete, names free, nothing from this machine inside."""

import subprocess
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tradewind.runtime.service_registry import installed_names

ROOT = Path(__file__).resolve().parents[1]
SERVICES = sorted(path.parent for path in (ROOT / "services").glob("*/pyproject.toml"))
PROCESSES = [folder for folder in SERVICES if folder.name != "ui"]  # the page is files behind nginx
FORBIDDEN = {"utils", "common", "helpers", "misc", "base", "core"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("folder", SERVICES, ids=lambda path: path.name)
def test_a_service_folder_is_complete(folder: Path) -> None:
    for part in ("README.md", "service.toml", "Dockerfile", "compose.yaml", "k8s.yaml.j2", "src", "tests"):
        assert (folder / part).exists(), f"services/{folder.name} has no {part}"
    assert list((folder / "tests").glob("test_*.py")), f"services/{folder.name} has no test"


@pytest.mark.parametrize("folder", PROCESSES, ids=lambda path: path.name)
def test_service_toml_says_what_the_code_says(folder: Path) -> None:
    text = tomllib.loads((folder / "service.toml").read_text())
    [point] = entry_points(group="tradewind.services", name=folder.name)
    service = point.load()
    assert text["name"] == service.name == folder.name
    assert text["kind"] == service.kind.name.lower().replace("_", "-")
    assert set(text["resources"]) == {"cpu", "memory"}
    own = "TRADEWIND_" + folder.name.upper().replace("-", "_") + "_"
    fields = {own + name.upper() for name in service.settings.__struct_fields__}
    named = {name for name in text.get("env", {}) if name.startswith(own)}
    assert named <= fields, f"service.toml names settings that do not exist: {named - fields}"


def test_every_installed_service_has_its_folder() -> None:
    assert set(installed_names()) == {folder.name for folder in PROCESSES}


def test_the_namespace_has_no_init_that_would_hide_other_packages() -> None:
    for name in ("tradewind/__init__.py", "tradewind/services/__init__.py"):
        assert not list(ROOT.glob(f"*/*/src/{name}")), f"{name} hides every other folder of the namespace"


def test_no_module_has_a_name_that_says_nothing() -> None:
    bad = [path for path in tracked() if path.suffix in (".py", ".pyx") and path.stem in FORBIDDEN]
    assert not bad


def test_files_and_lock_files_stay_small_and_name_no_address() -> None:
    for path in tracked():
        if path.suffix == ".py":
            assert len(path.read_text().splitlines()) <= 600, path
        if path.suffix == ".lock":
            assert "://" not in path.read_text(), path
