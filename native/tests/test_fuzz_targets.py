"""The fuzzers of the native decoders, for a few seconds each; `make fuzz` runs them for longer."""

import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"
SECONDS = 3


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_run", FUZZ / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = load()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are built; those of `make fuzz`, if they are there."""
    if fuzz.clang() is None or fuzz.simdjson_folder() is None:
        if {"all", "clang"} & set(os.environ.get("TRADEWIND_TEST_REQUIRE", "").split(",")):
            pytest.fail(fuzz.MISSING)
        pytest.skip(fuzz.MISSING)
    built = FUZZ.parent / "build" / "fuzz"
    return built if built.is_dir() else tmp_path_factory.mktemp("fuzz")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_nothing_is_found(programs: Path, tmp_path: Path, target: str) -> None:
    code, said = fuzz.run(fuzz.build(target, programs), SECONDS, tmp_path, None, seed=20240808)
    assert code == 0, said[-4_000:]
    assert "stat::number_of_executed_units" in said


@pytest.mark.timeout(200)
def test_a_decoder_that_believes_a_length_is_found(programs: Path, tmp_path: Path) -> None:
    made = tmp_path / "fuzz_planted"
    command = [fuzz.clang(), *fuzz.SANITIZE, "-fsanitize=fuzzer", str(FUZZ / "planted_bug.cpp"), "-o", str(made)]
    subprocess.run(command, check=True)
    code, said = fuzz.run(made, 20, tmp_path, None, seed=1)
    assert code != 0
    assert "heap-buffer-overflow" in said
    assert list(tmp_path.glob("planted-crash-*"))
