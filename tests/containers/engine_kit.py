"""A container engine and a platform in compose, as tests use them: through the ``docker`` command alone."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

ROOT: Final = Path(__file__).resolve().parents[2]
VERSION: Final = "test"
PAGE: Final = "ui"
FIX: Final = "fix-gateway"
"""Its image has a layer more: QuickFIX."""
"""nginx with the page: a container of ours, and no process of the platform."""
SERVICES: Final = sorted(path.parent.name for path in ROOT.glob("services/*/Dockerfile") if path.parent.name != PAGE)
CONTAINERS: Final = [*SERVICES, PAGE]
STRATEGIES: Final = [name for name in SERVICES if name.startswith("strategy-")]
STORES: Final = ["broker", "postgres", "redis"]
_TIMEOUT_S: Final = 60.0


def docker(
    *arguments: str,
    timeout_s: float = _TIMEOUT_S,
    check: bool = True,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """One ``docker`` command. With ``check`` a failure is an assertion with what it said."""
    done = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    assert not check or done.returncode == 0, (
        f"docker {' '.join(arguments)}:\n{done.stdout[-3000:]}{done.stderr[-6000:]}"
    )
    return done


def image(name: str, version: str = VERSION) -> str:
    """The reference of one of our images as the tests build them."""
    return f"tradewind/{name}:{version}"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    """Wait for a condition; what cannot be asked yet counts as not so."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError, AssertionError):
            pass  # the one who is asked is not up yet
        assert time.monotonic() < deadline, f"it did not come to pass: {what}"
        time.sleep(0.3)


class Platform:
    """A platform in compose, under a project name of its own."""

    def __init__(self, file: str, secrets: Path, project: str) -> None:
        self.secrets = secrets
        self.project = project
        self.page = f"http://127.0.0.1:{(port := free_port())}"
        self.environment = {
            "TRADEWIND_VERSION": VERSION,
            "TRADEWIND_PAGE_PORT": str(port),
            "TRADEWIND_SECRETS": str(secrets),
            # Off unless it is asked for; its clients are those of the example.
            "COMPOSE_PROFILES": "fix",
            "TRADEWIND_FIX_GATEWAY_PORT": str(free_port()),
        }
        self._file = file

    def compose(self, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """One ``docker compose`` command of this project."""
        environment = self.environment | options.pop("environment", {})
        where = ["--file", self._file, "--project-name", self.project]
        return docker("compose", *where, *arguments, environment=environment, **options)

    def up(self, *services: str, wait_s: int, **options: Any) -> None:
        """Start, and wait until everything is healthy."""
        waiting = ["--wait", "--wait-timeout", str(wait_s)]
        self.compose("up", "--detach", "--no-build", *waiting, *services, timeout_s=wait_s + 30.0, **options)

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", timeout_s=120)

    def run_in(self, service: str, *command: str, stdin: str = "", check: bool = True) -> str:
        """What a command inside a service's container prints."""
        return self.compose("exec", "--no-TTY", service, *command, stdin=stdin, check=check).stdout

    def sql(self, statement: str) -> list[list[str]]:
        """Rows of a query, as text."""
        out = self.run_in("postgres", "psql", "--username=tradewind", "--tuples-only", "--no-align", "-c", statement)
        return [line.split("|") for line in out.splitlines() if line]

    def inspect(self, service: str) -> dict[str, Any]:
        """The engine's description of a service's container."""
        identifier = self.compose("ps", "--all", "--quiet", service).stdout.strip()
        described: dict[str, Any] = json.loads(docker("inspect", identifier).stdout)[0]
        return described

    def is_healthy(self, service: str) -> bool:
        """Whether the engine calls it healthy now."""
        state = self.inspect(service)["State"]
        return bool(state["Running"]) and state["Health"]["Status"] == "healthy"

    def api(self, path: str, body: Mapping[str, str] | None = None) -> Any:
        """An answer of the api, as JSON."""
        data = None if body is None else json.dumps(body).encode()
        # The script's own secrets have one: operator:admin:TOKEN.
        token = (self.secrets / "api_operator_tokens").read_text().strip().rpartition(":")[2]
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        request = Request(f"{self.page}/api/v1{path}", data=data, headers=headers)
        with urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())

    def fills(self, strategy: str = "") -> int:
        """How many fills are stored, of one strategy or of all."""
        where = f" WHERE strategy_id = '{strategy}'" if strategy else ""
        return int(self.sql(f"SELECT count(*) FROM fills{where}")[0][0])

    def wait_for_fills(self, strategy: str = "", more: int = 1) -> None:
        """Wait until that many further fills are stored."""
        wanted = self.fills(strategy) + more
        until(lambda: self.fills(strategy) >= wanted, f"{more} more fills of {strategy or 'anybody'}")

    def kill(self, service: str) -> None:
        """SIGKILL to the container's first process, past the engine, which so sees a crash and no command."""
        number = str(self.inspect(service)["State"]["Pid"])
        killer = ["--pid=host", "--user=0", "--cap-add=KILL", "--network=none", "--entrypoint=bash"]
        docker("run", "--rm", *killer, image("runtime"), "-c", f"kill -9 {number}")

    def close(self, log: bool) -> None:
        """Remove everything; the end of the log first, if asked for."""
        if log:
            print(self.compose("logs", "--no-color", "--tail", "40", check=False).stdout[-20_000:])
        self.down()
