"""Where the broker's jars lie, and how they come there: Maven fetches what ``kafka-pom.xml`` beside this file names."""

import contextlib
import importlib.resources
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tradewind.bus.brokers.broker_process import BrokerNotInstalled, BrokerUnavailable

ARCHIVE: Final = "classes.jsa"
"""Java's class data archive in the home folder: with it a broker starts in half the time. It may be missing."""

_POM: Final = "kafka-pom.xml"
_INSTALL_TIMEOUT_S: Final = 600.0
_HOW: Final = "run: python -m tradewind.bus.brokers install kafka"


def kafka_version() -> str:
    """The version of Kafka that this release of Tradewind is tested with."""
    found = re.search(r"<version>([^<]+)</version>", _pom())
    if found is None:
        raise ValueError(f"{_POM} names no version")
    return found.group(1)


def kafka_home() -> Path:
    """The folder of the jars: ``TRADEWIND_KAFKA_HOME``, or one in the user's cache. It may not exist."""
    if given := os.environ.get("TRADEWIND_KAFKA_HOME"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tradewind" / f"kafka-{kafka_version()}"


def java() -> str:
    """The ``java`` program of ``JAVA_HOME`` or of the path.

    Raises:
        BrokerNotInstalled: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None:
        raise BrokerNotInstalled("Kafka needs Java 17 or newer; install openjdk-17-jre-headless or set JAVA_HOME")
    return found


def class_path(home: Path) -> str:
    """All jars of ``home``, always in the same order, which the class data archive depends on.

    Raises:
        BrokerNotInstalled: no jars.
    """
    jars = sorted(str(jar) for jar in home.glob("*.jar"))
    if not jars:
        raise BrokerNotInstalled(f"Kafka is not installed in {home}; {_HOW}")
    return os.pathsep.join(jars)


def install_kafka(home: Path) -> bool:
    """Fetch the jars into ``home``, whole or not at all; False when they were there.

    Raises:
        BrokerUnavailable: no Maven, or it failed; with what it said.
    """
    if home.exists():
        return False
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("fetching Kafka needs Maven; install maven, or set TRADEWIND_KAFKA_HOME to its jars")
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{home.name}-", dir=home.parent) as folder:
        pom, jars = Path(folder) / "pom.xml", Path(folder) / "jars"
        pom.write_text(_pom(), encoding="utf-8")
        command = [maven, "--batch-mode", "--quiet", "--file", str(pom), "dependency:copy-dependencies"]
        _run([*command, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"])
        with contextlib.suppress(FileExistsError):  # Somebody else was quicker.
            jars.rename(home)
    return True


def _run(command: list[str]) -> None:
    try:
        subprocess.run(  # noqa: S603 - our own command line, no shell
            command, check=True, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        raise BrokerUnavailable(f"Maven could not fetch Kafka:\n{error.stdout[-2_000:]}{error.stderr}") from error
    except subprocess.TimeoutExpired as error:
        raise BrokerUnavailable(f"Maven did not fetch Kafka within {_INSTALL_TIMEOUT_S:.0f} s") from error


def _pom() -> str:
    return (importlib.resources.files(__package__) / _POM).read_text(encoding="utf-8")
