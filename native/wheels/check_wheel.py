"""What must hold of an installed wheel: every module is imported, and a missing library is one clear sentence.

Run in the container of ``Dockerfile`` beside it; needs nothing but the wheel.
"""

import argparse
import importlib
import pkgutil
from pathlib import Path

import tradewind_native

BUILD_LOG = Path("/wheels/build.log")
# What a library is for: its Debian package at build and at start, the modules, and the word for it in the sentences.
OPTIONAL = {
    "libquickfix-dev": ("libquickfix17", ("fix_quickfix", "fix_sessions"), "QuickFIX"),
    "libpcap-dev": ("libpcap0.8", ("pcap_files",), "libpcap"),
}


def imported(name: str) -> str:
    """Why a module cannot be imported; empty when it can."""
    try:
        importlib.import_module(f"tradewind_native.{name}")
    except ImportError as error:
        return str(error) or "no reason was given"
    return ""


def main() -> None:
    """Check what the arguments promise; ends with an error in words."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--built-with", default="")
    parser.add_argument("--started-with", default="")
    given = parser.parse_args()
    built, started = given.built_with.split(), given.started_with.split()
    log = BUILD_LOG.read_text()
    absent: set[str] = set()
    for package, (at_start, modules, word) in OPTIONAL.items():
        lines = [line for line in log.splitlines() if "tradewind-native:" in line and word in line and package in line]
        # A build that was asked twice for its needs says it each time; never is it another sentence.
        if package in built and lines:
            raise SystemExit(f"{package} was there and the build said: {lines[0]}")
        if package not in built and len({line.strip() for line in lines}) != 1:
            raise SystemExit(f"{package} was not there; one sentence must say so, and these did: {lines}")
        if package in built and at_start in started:
            continue
        absent |= set(modules)
        for module in modules:
            reason = imported(module)
            print(f"{module}: {reason}")
            if not reason or "\n" in reason:
                raise SystemExit(f"{module} without {package} must be an ImportError in one sentence: {reason!r}")
    names = {module.name for module in pkgutil.iter_modules(tradewind_native.__path__)} - absent
    wrong = {name: reason for name in sorted(names) if (reason := imported(name))}
    if wrong:
        raise SystemExit(f"these must be imported: {wrong}")
    print(f"{len(names)} modules are there; left out: {', '.join(sorted(absent)) or 'none'}")


if __name__ == "__main__":
    main()
