"""A whole platform in one process, as ``tradewind demo`` starts it, with what is asked of it from outside."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
from replay_kit import COMMAND, environment, free_port

WAIT_S: Final = 120.0


class Running:
    """A platform that runs. ``log`` is the file that holds what it writes."""

    def __init__(self, process: "subprocess.Popen[bytes]", health_port: int, log: Path) -> None:
        self.process = process
        self.health_port = health_port
        self.log = log

    def ask(self, path: str) -> bytes:
        """An answer of its health port."""
        with urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def metrics(self) -> str:
        """The Prometheus page."""
        return self.ask("/metrics").decode()

    def states(self) -> dict[str, str]:
        """Every service's state."""
        rows: list[dict[str, Any]] = msgspec.json.decode(self.ask("/state"))["services"]
        return {row["name"]: row["state"] for row in rows}

    def counter(self, name: str) -> float:
        """The sum of a counter or gauge over all labels."""
        values: dict[str, list[tuple[dict[str, str], float]]] = msgspec.json.decode(self.ask("/state"))["values"]
        return sum(value for _, value in values.get(name, []))

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> None:
        """Wait for it; while the platform starts, its port answers nobody."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(URLError, ConnectionError, TimeoutError):
                if condition():
                    return
            tail = self.log.read_text(errors="replace")[-4000:]
            assert self.process.poll() is None, f"the platform ended: {tail}"
            assert time.monotonic() < deadline_s, f"{what}: it did not come to pass\n{tail}"
            time.sleep(0.1)

    def until_ready(self) -> None:
        """Wait until every service is."""
        self.until(lambda: set(self.states().values()) == {"ready"}, "every service is ready")


@contextlib.contextmanager
def platform(folder: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """Run the demo during the block; a variable set to an empty text is left out of its environment."""
    health_port, log = free_port(), folder / "platform.log"
    own = {
        "TRADEWIND_HEALTH_PORT": str(health_port),
        "TRADEWIND_API_PORT": str(free_port()),
        "TRADEWIND_SIM_VENUE_PORT": str(free_port()),
        "TRADEWIND_LOG_FORMAT": "json",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "demo", "--data-dir", str(folder / "data"), *arguments],
            env=environment(folder, **(own | variables)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Running(process, health_port, log)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
