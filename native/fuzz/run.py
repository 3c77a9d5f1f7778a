"""Builds and runs the fuzzers of the native decoders: libFuzzer with AddressSanitizer and UBSan.

    python native/fuzz/run.py                      every target for 10 s each
    python native/fuzz/run.py --seconds 600 okx    one target for ten minutes

What is found is kept in ``--findings`` and the command ends with 1; ``build/fuzz/fuzz_NAME FILE`` plays it again.
Inputs that reach new code are kept in ``build/fuzz/corpus`` and are where the next run goes on.
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
NATIVE: Final = HERE.parent
ON_SIMDJSON: Final = ("binance", "okx", "kraken", "fix")
TARGETS: Final = tuple(sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.cpp")))
SANITIZE: Final = ("-g", "-O1", "-std=c++17", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
                   "-fno-sanitize-recover=undefined")  # fmt: skip
MOST_MEMORY_MB: Final = 2_048
"""Of a whole target, sanitizer and corpus included."""
MOST_AT_ONCE_MB: Final = 64
"""Of one allocation: inputs have at most 64 KiB, so whoever asks for more has believed a length."""
LONGEST_INPUT_S: Final = 5
MISSING: Final = (
    "the fuzzers need clang with its libFuzzer and AddressSanitizer (Debian: clang and libclang-rt-14-dev) and the "
    "simdjson sources of the wheel pysimdjson"
)


def clang() -> str | None:
    """The compiler, if there is one."""
    return shutil.which(os.environ.get("FUZZ_CXX", "clang++"))


def simdjson_folder() -> Path | None:
    """The sources that the wheel pysimdjson brings."""
    import importlib.util

    spec = importlib.util.find_spec("simdjson")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if Path(folder, "simdjson.cpp").is_file():
            return Path(folder)
    return None


def build(target: str, folder: Path) -> Path:
    """One fuzzer, made anew when a source is newer.

    Raises:
        RuntimeError: it does not compile, or something is missing.
    """
    compiler, simdjson = clang(), simdjson_folder()
    if compiler is None or simdjson is None:
        raise RuntimeError(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    made, source = folder / f"fuzz_{target}", HERE / f"fuzz_{target}.cpp"
    sources = [source, *HERE.glob("*.hpp"), *(NATIVE / "src" / "tradewind_native").glob("*.h*")]
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in sources):
        return made
    parts = [str(source)]
    if target in ON_SIMDJSON:
        parts.append(str(_simdjson_object(compiler, simdjson, folder)))
    command = [
        compiler,
        *SANITIZE,
        "-fsanitize=fuzzer",
        f"-I{NATIVE / 'src'}",
        f"-I{simdjson}",
        *parts,
        "-o",
        str(made),
    ]
    _compile(command)
    return made


def _simdjson_object(compiler: str, simdjson: Path, folder: Path) -> Path:
    made = folder / "simdjson.o"
    if not made.exists():
        part = folder / f"simdjson.{os.getpid()}.o"
        source = str(simdjson / "simdjson.cpp")
        _compile([compiler, *SANITIZE, "-fsanitize=fuzzer-no-link", f"-I{simdjson}", "-c", source, "-o", str(part)])
        part.replace(made)
    return made


def _compile(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
    if done.returncode:
        raise RuntimeError(f"{MISSING}; the compiler said:\n{done.stderr[-4_000:]}")


def run(fuzzer: Path, seconds: int, findings: Path, corpus: Path | None, seed: int = 0) -> tuple[int, str]:
    """Run one fuzzer; its exit code and what it said last. ``seed`` 0: another one each time."""
    target = fuzzer.name.removeprefix("fuzz_")
    findings.mkdir(parents=True, exist_ok=True)
    # The first folder is where libFuzzer puts what reaches new code; the seeds are only read.
    kept = (corpus or findings / "corpus") / target
    kept.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "seeds" / target
    folders = [str(kept), *([str(seeds)] if seeds.is_dir() else [])]
    command = [
        str(fuzzer), f"-max_total_time={seconds}", f"-timeout={LONGEST_INPUT_S}", f"-rss_limit_mb={MOST_MEMORY_MB}",
        f"-artifact_prefix={findings}/{target}-", f"-seed={seed}", "-max_len=65536",
        f"-malloc_limit_mb={MOST_AT_ONCE_MB}", "-print_final_stats=1",
        "-use_value_profile=1", "-verbosity=0", *folders,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
    return done.returncode, done.stderr


def main() -> int:
    """Build, run, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all when left out")
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    parser.add_argument("--build", type=Path, default=NATIVE / "build" / "fuzz", help="where programs and corpus are")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="where inputs that break are kept")
    given = parser.parse_args()
    targets = given.targets or list(TARGETS)
    if unknown := [each for each in targets if each not in TARGETS]:
        parser.error(f"there is no fuzzer {unknown[0]}; there are {', '.join(TARGETS)}")
    broken = 0
    try:
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            print(f"building {', '.join(targets)}", flush=True)
            if any(each in ON_SIMDJSON for each in targets) and (compiler := clang()) and (folder := simdjson_folder()):
                given.build.mkdir(parents=True, exist_ok=True)
                _simdjson_object(compiler, folder, given.build)
            fuzzers = list(workers.map(lambda target: build(target, given.build), targets))
            runs = workers.map(lambda made: run(made, given.seconds, given.findings, given.build / "corpus"), fuzzers)
            for target, (code, said) in zip(targets, runs, strict=True):
                broken += code != 0
                print(f"{target:<10} {'FOUND SOMETHING' if code else 'nothing found'}   {_figures(said)}", flush=True)
                if code:
                    print(said[-6_000:], flush=True)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    if broken:
        print(f"inputs that break are in {given.findings.resolve()}")
    return 1 if broken else 0


def _figures(said: str) -> str:
    stats = dict(line.removeprefix("stat::").split(":") for line in said.splitlines() if line.startswith("stat::"))
    runs, peak = stats.get("number_of_executed_units", "?"), stats.get("peak_rss_mb", "?")
    return f"{runs.strip()} inputs, at most {peak.strip()} MB"


if __name__ == "__main__":
    sys.exit(main())
