"""``tradewind alerts`` as a person uses it, against an api of the test's own."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tradewind.runtime.commands import alerts
from tradewind.runtime.platform_api import Refused

PREFIX = "/api/v1"


def alert(**fields: Any) -> dict[str, Any]:
    return {
        "alert_id": "12",
        "name": "ServiceAway",
        "severity": "critical",
        "summary": "no process tells of execution\x1b[2J",
        "subject": "execution",
        "page": "docs/operating/alerts.md",
        "state": "OPEN",
        "first_at": "1700000000000000000",
        "last_at": "1700000000000000000",
        "count": 3,
        "acknowledged_by": None,
        "resolved_at": None,
    } | fields


def notification(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "notification_id": str(number),
        "channel": "webhook",
        "kind": "TEST",
        "state": "SENT",
        "attempts": 1,
        "outcome": "sent",
    } | fields


class Api:
    """Answers by path; after a POST by what the test has put there for then."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.afterwards: dict[str, Any] = {}
        self.posted: list[tuple[str, Any]] = []
        self.refusal = ""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, api.answers[self.path.removeprefix(PREFIX)])

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.posted.append((self.path.removeprefix(PREFIX), body))
                api.answers.update(api.afterwards)
                self._answer(409 if api.refusal else 200, {"detail": api.refusal} if api.refusal else {})

            def _answer(self, status: int, answer: Any) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @contextlib.contextmanager
    def running(self) -> Iterator["Api"]:
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    with Api().running() as running:
        yield running


def run(api: Api, *words: str) -> Result:
    app = typer.Typer()
    alerts.register(app)
    return CliRunner().invoke(app, ["alerts", *words, "--url", api.url])


def test_list_shows_what_is_open_and_nothing_that_moves_the_cursor(api: Api) -> None:
    api.answers["/alerts?state=open&limit=500"] = {
        "rows": [alert(), alert(alert_id="13", count=1)],
        "next_cursor": None,
    }
    result = run(api, "list")
    assert result.exit_code == 1
    assert "12  OPEN  critical  ServiceAway execution  since 2023-11-14T22:13:20" in result.output
    assert "3 times  docs/operating/alerts.md" in result.output
    assert "\x1b" not in result.output


def test_what_is_taken_on_or_over_is_no_failure(api: Api) -> None:
    rows = [
        alert(state="ACKNOWLEDGED", acknowledged_by="anna"),
        alert(state="RESOLVED", resolved_at="1700000060000000000"),
    ]
    api.answers["/alerts?state=all&limit=500"] = {"rows": rows, "next_cursor": None}
    result = run(api, "list", "--all")
    assert result.exit_code == 0
    assert "ACKNOWLEDGED by anna" in result.output
    assert "until 2023-11-14T22:14:20" in result.output


def test_nothing_is_wrong(api: Api) -> None:
    api.answers["/alerts?state=open&limit=500"] = {"rows": [], "next_cursor": None}
    result = run(api, "list")
    assert (result.exit_code, result.output) == (0, "Nothing is wrong.\n")


def test_ack_gives_the_reason(api: Api) -> None:
    result = run(api, "ack", "12", "--why", "looking")
    assert result.exit_code == 0
    assert api.posted == [("/alerts/12/acknowledge", {"why": "looking"})]


def test_ack_of_what_is_over_says_so(api: Api) -> None:
    api.refusal = "alert 12 is RESOLVED; there is nothing to acknowledge"
    result = run(api, "ack", "12", "--why", "looking")
    assert isinstance(result.exception, Refused)
    assert "RESOLVED" in str(result.exception)


@pytest.mark.parametrize(("state", "outcome", "code"), [("SENT", "sent", 0), ("FAILED", "given up: answered 404", 1)])
def test_test_says_what_became_of_each_channel(api: Api, state: str, outcome: str, code: int) -> None:
    newest = "/alerts/notifications?limit=500"
    api.answers["/alerts/channels"] = {"rows": [{"channel": "webhook", "configured": True}]}
    api.answers[newest] = {"rows": [notification(7, state="FAILED", outcome="of last week")]}
    made = notification(8, state=state, outcome=outcome)
    api.afterwards[newest] = {"rows": [made, notification(7, state="FAILED", outcome="of last week")]}
    result = run(api, "test")
    assert result.exit_code == code
    assert result.output == f"webhook: {state}, 1 attempts, {outcome}\n"


def test_test_without_a_channel_says_what_to_set(api: Api) -> None:
    api.answers["/alerts/channels"] = {"rows": [{"channel": "email", "configured": False}]}
    result = run(api, "test")
    assert result.exit_code == 1
    assert "TRADEWIND_ALERTS_WEBHOOK_URL" in result.output
    assert api.posted == []


def test_test_that_nobody_takes_up_says_who_should(api: Api) -> None:
    newest = "/alerts/notifications?limit=500"
    api.answers["/alerts/channels"] = {"rows": [{"channel": "webhook", "configured": True}]}
    api.answers[newest] = {"rows": []}
    api.afterwards[newest] = {"rows": [notification(1, state="PENDING", attempts=0, outcome="")]}
    result = run(api, "test", "--wait", "0")
    assert result.exit_code == 1
    assert "does the service alerts run?" in result.output
