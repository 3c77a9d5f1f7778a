"""Runs the ``tradewind`` command as a real process, with fake services installed beside the real ones."""

import os
import socket
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = str(Path(sysconfig.get_path("scripts")) / "tradewind")
PATIENCE_S = 30.0


class Platform:
    """One running command; what it wrote is read line by line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, *wanted: str) -> None:
        """Read until every wanted text was seen."""
        missing = [text for text in wanted if not any(text in line for line in self.lines)]
        while missing:
            line = self.until_line()
            missing = [text for text in missing if text not in line]

    def until_line(self) -> str:
        """Read one more line; it is an error when there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended too early:\n{self.output}"
        self.lines.append(line)
        return line

    def end(self) -> int:
        """Read to the end; gives the exit code."""
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        self.lines += output.splitlines(keepends=True)
        return self.process.returncode

    @property
    def output(self) -> str:
        return "".join(self.lines)


class Launcher:
    """Starts the command with fake services installed beside the real ones, in a session of its own."""

    def __init__(self, folder: Path, services: str, entry_points: str) -> None:
        site = folder / "site"
        info = site / "fake_services-0.dist-info"
        info.mkdir(parents=True)
        (site / "fake_services.py").write_text(services)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-services\nVersion: 0\n")
        (info / "entry_points.txt").write_text(entry_points)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
        self.environ = {**kept, "PYTHONPATH": str(site), "TRADEWIND_DATA_DIR": str(folder / "data")}

    @contextmanager
    def __call__(self, *arguments: str, **variables: str) -> Iterator[Platform]:
        process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.environ, **variables},
            start_new_session=True,
        )
        try:
            yield Platform(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=PATIENCE_S)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
