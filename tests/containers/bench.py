"""Measures images and compose on this machine's engine and prints a table: `make bench-containers`.

``--cold`` removes the engine's whole build cache first, downloads too, to measure a build from nothing.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Run as a file: its own folder is on the path, the tests' folder is not.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from containers.engine_kit import ROOT, SERVICES, VERSION, Platform, docker, image

CHANGED = "strategy-ema-cross"
BUILD_TIMEOUT_S = 1800.0


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", action="store_true", help="remove the build cache of this engine first")
    options = parser.parse_args()
    if options.cold:
        docker("builder", "prune", "--all", "--force", timeout_s=300)
    report("build of all images, " + ("from nothing" if options.cold else "as the cache is"), timed(build_all))
    report("build of all images again, nothing changed", timed(build_all))
    report_sizes()
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        secrets = Path(folder) / "secrets"
        subprocess.run([str(ROOT / "docker/make-secrets.sh"), str(secrets)], check=True, capture_output=True)
        platform = Platform("docker-compose.yml", secrets, "tradewind-bench")
        try:
            report("from images to all healthy", timed(lambda: platform.up(wait_s=300)))
            change_one_line(platform, Path(folder) / "changed")
            report_use()
        finally:
            platform.down()
    return 0


def build_all() -> None:
    """All images of ours."""
    environment = {"TRADEWIND_VERSION": VERSION}
    written = subprocess.run(
        [sys.executable, str(ROOT / "docker/images.py")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", **environment},
    )
    docker("buildx", "bake", "--file", "-", stdin=written.stdout, timeout_s=BUILD_TIMEOUT_S, environment=environment)


def change_one_line(platform: Platform, context: Path) -> None:
    """One line of a strategy, from saved file to running container and to a strategy that is ready."""
    folder = context / "services" / CHANGED
    shutil.copytree(ROOT / "services" / CHANGED, folder, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    source = next(folder.rglob("strategy.py"))
    arguments = ["--file", str(folder / "Dockerfile"), "--build-arg", f"TRADEWIND_VERSION={VERSION}"]

    def build() -> None:
        docker("build", *arguments, "--tag", image(CHANGED, "bench"), str(context), timeout_s=300)

    build()
    source.write_text(source.read_text() + f"\nCHANGED = {time.time_ns()}\n")
    environment = {"TRADEWIND_STRATEGY_EMA_CROSS_VERSION": "bench"}

    def run() -> None:
        build()
        platform.compose("up", "--detach", "--no-deps", "--no-build", CHANGED, environment=environment)

    started = time.monotonic()
    report("one line of a strategy: saved to container running", timed(run))
    platform.up("--no-deps", CHANGED, wait_s=120, environment=environment)
    report("one line of a strategy: saved to connected and ready", time.monotonic() - started)
    docker("rmi", "--force", image(CHANGED, "bench"), check=False)


def report_sizes() -> None:
    """Each image's size, and what it adds to Debian."""
    debian = size_of("debian:bookworm-slim")
    for name in ["runtime", *SERVICES]:
        total = size_of(image(name))
        print(f"{image(name):40} {total / 1e6:8.1f} MB, {(total - debian) / 1e6:6.1f} MB over Debian")


def report_use() -> None:
    """Memory and processor of each container while it trades."""
    time.sleep(15)
    listed = docker("stats", "--no-stream", "--format", "{{json .}}").stdout
    rows: list[dict[str, Any]] = [json.loads(line) for line in listed.splitlines()]
    for row in sorted(rows, key=lambda one: str(one["Name"])):
        if row["Name"].startswith("tradewind-bench-"):
            print(f"{row['Name']:45} {row['CPUPerc']:>8} {row['MemUsage']}")


def size_of(reference: str) -> int:
    """Bytes of an image with all its layers."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", reference).stdout)


def timed(work: Callable[[], None]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def report(what: str, seconds: float) -> None:
    """One line."""
    print(f"{what:60} {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
