"""Secrets never appear in what a platform writes or shows: not when all is well, not when what they open is away."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from observability.platform_kit import Running, platform
from replay_kit import free_port

pytestmark = pytest.mark.timeout(300)


def secret(name: str) -> str:
    """Recognizable, and with what an address must write in another way."""
    return f"s3cret/{name}+0123456789abcdef"


NAMES = (
    "venue-key",
    "venue-secret",
    "operator",
    "signing",
    "oidc",
    "hook-path",
    "hook-key",
    "smtp",
    "collector",
    "postgres",
    "redis",
    "bus",
)
SECRETS = {name: secret(name) for name in NAMES}


def told_in(text: str) -> list[str]:
    """The secrets that a text gives away, in any writing."""
    told = []
    for name, value in SECRETS.items():
        writings = {value, quote(value, safe=""), quote(value), json.dumps(value)[1:-1], value.replace("/", "\\/")}
        told += [name for one in writings if one in text]
    return told


def own_variables(hook_port: int) -> dict[str, str]:
    """Settings of a whole platform with a secret in each place that takes one."""
    return {
        "TRADEWIND_LOG_LEVEL": "debug",
        "TRADEWIND_VENUE_API_KEY": SECRETS["venue-key"],
        "TRADEWIND_VENUE_API_SECRET": SECRETS["venue-secret"],
        "TRADEWIND_SIM_VENUE_API_KEY": SECRETS["venue-key"],
        "TRADEWIND_SIM_VENUE_API_SECRET": SECRETS["venue-secret"],
        "TRADEWIND_API_OPERATOR_TOKENS": f"anna:admin:{SECRETS['operator']}",
        "TRADEWIND_API_SIGNING_KEY": SECRETS["signing"] * 2,
        "TRADEWIND_API_OIDC_ISSUER": "https://127.0.0.1:1",
        "TRADEWIND_API_OIDC_CLIENT_ID": "tradewind",
        "TRADEWIND_API_OIDC_CLIENT_SECRET": SECRETS["oidc"],
        "TRADEWIND_API_PAGE_URL": "https://tradewind.example.com",
        "TRADEWIND_ALERTS_WEBHOOK_URL": f"http://127.0.0.1:{hook_port}/{quote(SECRETS['hook-path'])}",
        "TRADEWIND_ALERTS_WEBHOOK_SECRET": SECRETS["hook-key"],
        "TRADEWIND_ALERTS_SMTP_HOST": "127.0.0.1",
        "TRADEWIND_ALERTS_SMTP_PORT": "1",
        "TRADEWIND_ALERTS_SMTP_USER": "desk",
        "TRADEWIND_ALERTS_SMTP_PASSWORD": SECRETS["smtp"],
        "TRADEWIND_ALERTS_EMAIL_FROM": "alerts@example.com",
        "TRADEWIND_ALERTS_EMAIL_TO": "desk@example.com",
        "TRADEWIND_TRACING_OTLP_URL": f"http://agent:{quote(SECRETS['collector'], safe='')}@127.0.0.1:1/v1/traces",
    }


class Hook:
    """A receiver of webhooks that takes nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked = threading.Event()


@contextlib.contextmanager
def refusing_hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.end_headers()
            hook.asked.set()

        def log_message(self, *_: object) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Hook(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def call(port: int, path: str, token: str, body: dict[str, str] | None = None) -> int:
    """The status of the api's answer."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except URLError as error:
        return int(getattr(error, "code", 0))


def check_nothing_is_told(running: Running) -> None:
    assert told_in(running.log.read_text(errors="replace")) == []


def test_a_platform_that_works_and_whose_neighbours_refuse(tmp_path: Path) -> None:
    port = free_port()
    with (
        refusing_hook() as hook,
        platform(tmp_path, TRADEWIND_API_PORT=str(port), **own_variables(hook.port)) as running,
    ):
        running.until_ready()
        running.until(lambda: running.counter("fills") > 0, "the venue takes our key")
        running.until(lambda: running.counter("trace_spans_lost") > 0, "the collector is away")
        token = SECRETS["operator"]
        assert call(port, "/api/v1/system", token) == 200
        assert call(port, "/api/v1/orders", token + "x") == 401
        assert call(port, "/api/v1/auth/login", token, {"name": "anna", "password": SECRETS["signing"]}) == 401
        assert call(port, "/api/v1/alerts/test", token, {}) in (200, 202)
        assert (
            call(port, "/api/v1/trading-state", token, {"scope": "firm", "state": "REDUCING", "why": "a drill"}) < 300
        )
        running.until(hook.asked.is_set, "the webhook was tried")
        running.until(lambda: running.counter("alert_attempts_failed") >= 2, "e-mail was tried")
        for path in ("/metrics", "/state", "/readyz"):
            assert told_in(running.ask(path).decode()) == [], path
        process = running.process
    assert process.returncode == 0
    check_nothing_is_told(running)
    text = running.log.read_text(errors="replace")
    assert "traces are lost" in text, "the log is not the one that would tell"


AWAY = {
    "PostgreSQL": {"TRADEWIND_POSTGRES_DSN": "postgresql://trader:{postgres}@127.0.0.1:1/tradewind"},
    "message bus": {"TRADEWIND_BUS_URL": "amqp://trader:{bus}@127.0.0.1:1/"},
    "Redis": {"TRADEWIND_REDIS_URL": "redis://trader:{redis}@127.0.0.1:1/0"},
}


@pytest.mark.parametrize("store", AWAY)
def test_what_is_away_is_told_of_without_its_password(store: str, tmp_path: Path) -> None:
    away = {
        name: url.format(**{key: quote(value, safe="") for key, value in SECRETS.items()})
        for name, url in AWAY[store].items()
    }
    with platform(tmp_path, TRADEWIND_LOG_LEVEL="debug", **away) as running:
        running.until(lambda: names_it(running.log, store), f"the log says that {store} is away")
    check_nothing_is_told(running)


def names_it(log: Path, store: str) -> bool:
    return bool(re.search(rf"{store}.{{0,200}}(away|unavailable|refused|there|wait|answer)", log.read_text(), re.I))


@pytest.mark.parametrize("variable", ["POSTGRES_DSN", "REDIS_URL", "BUS_URL", "TRACING_OTLP_URL"])
def test_an_address_without_sense_is_refused_without_being_repeated(variable: str, tmp_path: Path) -> None:
    address = f"htp:/trader:{SECRETS['bus']}@nowhere:port"
    with platform(tmp_path, **{f"TRADEWIND_{variable}": address}) as running:
        assert running.process.wait(120) == 2, running.log.read_text()
    check_nothing_is_told(running)
    assert f"TRADEWIND_{variable}" in running.log.read_text()


def test_the_test_would_find_a_secret() -> None:
    assert told_in(f"redis://trader:{quote(SECRETS['redis'], safe='')}@127.0.0.1:1/0") == ["redis"]
