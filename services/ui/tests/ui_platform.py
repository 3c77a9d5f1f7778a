"""The platform as its user has it, for tests of the page: ``tradewind demo`` in a process of its own, people who may do
different things, and Debian's Chromium.
"""

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

ROOT: Final = Path(__file__).resolve().parents[3]
DATA: Final = Path(os.environ.get("TRADEWIND_TEST_DATA", ROOT.parent / "shared" / "data"))
CAPTURE: Final = DATA / "binance-spot" / "btcusdt_20240808.gz"
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS: Final = ROOT / "build" / "ui-screenshots"
PASSWORD: Final = "a long enough password for tests"
PEOPLE: Final = {"ada": "admin", "rita": "risk", "ruben": "risk", "tom": "trader", "vera": "viewer"}
"""Name and role. Two may release a kill switch; ada is made by the one-time link, the others by her."""
START_S: Final = 90.0
_ADDRESS: Final = re.compile(r"https?://127\.0\.0\.1:(\d+)/#/claim/([A-Za-z0-9_-]+)")
_HEADERS: Final = {"X-Tradewind-Request": "yes"}


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in by REST."""

    name: str
    base: str
    session: requests.Session

    def get(self, path: str, **parameters: Any) -> Any:
        """What is at a path below /api/v1."""
        return self.ask("GET", path, params=parameters)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Give a command."""
        return self.ask("POST", path, json=body or {})

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """Any request; its answer must be a good one."""
        answer = self.session.request(method, self.base + path, headers=_HEADERS, timeout=20, **more)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None


class UiPlatform:
    """One running demo. ``url`` is the page's address."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        self._folder = folder
        self._settings = settings
        self._arguments = arguments
        self._lines: list[str] = []
        self._people: dict[str, Person] = {}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Of the platform's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        """What the platform has printed."""
        return "".join(self._lines)

    def start(self) -> None:
        """Start it, and make the people: the first by the link that is printed once, the others by her."""
        port, token = self._start_process()
        self.url = f"http://127.0.0.1:{port}"
        ada = self._people["ada"] = self._nobody("ada")
        ada.post("/auth/claim", {"token": token, "name": "ada", "password": PASSWORD})
        for name, role in PEOPLE.items():
            if role != "admin":
                link: str = ada.post("/users", {"name": name, "role": role})["claim_url"]
                person = self._people[name] = self._nobody(name)
                person.post("/auth/claim", {"token": link.rpartition("/")[2], "password": PASSWORD})

    def _start_process(self) -> tuple[int, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRADEWIND_")}
        own = {
            "TRADEWIND_API_PORT": str(free_port()),
            "TRADEWIND_SIM_VENUE_PORT": str(free_port()),
            "TRADEWIND_DATA_DIR": str(self._folder / "data"),
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tradewind.runtime",
                "demo",
                "--data-dir",
                str(self._folder / "data"),
                *self._arguments,
            ],
            env=kept | own | self._settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = until(
            lambda: _ADDRESS.search(self.output) or self._refuse_ended(), START_S, lambda: self.output[-4_000:]
        )
        return int(found[1]), found[2]

    def _refuse_ended(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, f"the demo ended: {self.output[-4_000:]}"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)

    def stop(self) -> None:
        """End it as Ctrl-C does, by force after a while."""
        for person in self._people.values():
            person.session.close()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        if self._reader is not None:
            self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def person(self, name: str) -> Person:
        """Somebody of PEOPLE, logged in by REST."""
        return self._people[name]

    def _nobody(self, name: str) -> Person:
        return Person(name, f"{self.url}/api/v1", requests.Session())


def free_port() -> int:
    """Any port that nobody listens on. Left to itself the demo would want the usual ones, as every other demo does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Visit:
    """One person's browser window. Whatever the page logs as an error, its policy refuses or it throws is kept."""

    def __init__(self, platform: UiPlatform, context: BrowserContext) -> None:
        self.platform = platform
        self.context = context
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._take)

    def _take(self, message: ConsoleMessage) -> None:
        # A request that is answered 4xx is logged by the browser itself; tests look at what the page made of it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def open(self, route: str = "/market") -> Page:
        """Show a route of the page, such as ``/orders``."""
        self.page.goto(f"{self.platform.url}/#{route}")
        return self.page

    def screenshot(self, name: str) -> Path:
        """Keep what is seen as an artefact."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@contextlib.contextmanager
def visiting(
    platform: UiPlatform,
    browser: Browser,
    name: str | None,
    *,
    theme: str = "dark",
    width: int = 1440,
    height: int = 900,
) -> Iterator[Visit]:
    """A window of somebody of PEOPLE, logged in; None has not logged in. Ends with no error of the page left unseen."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="light" if theme == "light" else "dark",
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)
    try:
        if name is not None:
            answer = context.request.post(
                f"{platform.url}/api/v1/auth/login",
                data={"name": name, "password": PASSWORD},
                headers={**_HEADERS, "Origin": platform.url},
            )
            assert answer.ok, answer.text()
        visit = Visit(platform, context)
        yield visit
        assert visit.errors == [], visit.errors
    finally:
        context.close()


def until(look: Callable[[], Any], patience_s: float, shown: Callable[[], str] = str) -> Any:
    """The first true value of ``look``."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain; {shown()}"
        time.sleep(0.05)
    return found
