"""``tradewind kill`` as a person uses it, where the platform is away, refuses or says odd things."""

import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tradewind.runtime import killing
from tradewind.runtime.commands import kill
from tradewind.runtime.platform_api import NoAnswer, PlatformApi, Refused
from tradewind.runtime.refusals import StartRefused
from tradewind.wire.commands import EngageKillSwitch
from tradewind.wire.topics import RISK_COMMANDS, Plane, Topic

WHY = ["--why", "odd fills"]


def switch(**fields: Any) -> dict[str, Any]:
    return {
        "kill_id": 1,
        "scope": "firm",
        "stage": "FLAT",
        "flatten": False,
        "reason": "",
        "engaged_by": "anna",
        "engaged_why": "odd fills",
        "engaged_at": "1700000000000000000",
        "stage_at": "1700000000000000000",
        "proven_at": None,
        "positions": [],
        "dust": [],
        "balances": [],
        "released_by": None,
        "released_why": None,
        "released_at": None,
        "forced": False,
    } | fields


class Api:
    """Answers by path; what was posted is kept."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.posted: list[tuple[str, Any]] = []
        self.on_post: dict[str, tuple[int, Any]] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*api.answers.get(self.path, (404, {"detail": "no such path"})))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.posted.append((self.path, body))
                api.answers.update(api.on_post)
                self._answer(*api.answers.get(f"POST {self.path}", (202, {})))

            def _answer(self, status: int, body: Any) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()
    yield made
    made.close()


def run(url: str, *arguments: str, answer: str = "") -> Result:
    app = typer.Typer()
    kill.register(app)
    app.command("other")(lambda: None)
    return CliRunner().invoke(app, ["kill", *arguments, "--url", url], input=answer)


def test_nothing_happens_without_a_yes(api: Api) -> None:
    asked = run(api.url, "engage", "firm", "--flatten", *WHY, answer="n\n")
    assert (asked.exit_code, api.posted) == (1, [])
    assert "CLOSE its positions" in asked.output
    asked = run(api.url, "release", "firm", "--force", *WHY, answer="n\n")
    assert (asked.exit_code, api.posted) == (1, [])
    assert "WITHOUT proof" in asked.output


def test_the_stages_are_shown_and_what_to_do_when_stuck(api: Api) -> None:
    api.answers["/api/v1/kill-switches"] = (200, [])
    steps = [
        {"stage": stage, "reason": reason, "actor": "risk", "ts_event": "1700000000000000000"}
        for stage, reason in (("ENGAGED", ""), ("CANCELING", ""), ("STUCK", "a-1-1 is \x1b[31mUNKNOWN"), ("FLAT", ""))
    ]
    api.on_post = {
        "/api/v1/kill-switches": (200, [switch(proven_at="1700000001000000000", dust=["a BTC 1"])]),
        "/api/v1/kill-switches/1/steps": (200, steps),
    }
    shown = run(api.url, "engage", "firm", "--yes", *WHY)
    assert shown.exit_code == 0, shown.output
    body = {"scope": "firm", "flatten": False, "why": "odd fills"}
    assert api.posted == [("/api/v1/kill-switches", body)]
    assert "STUCK: a-1-1 is \\x1b[31mUNKNOWN" in shown.output
    assert "do not send orders past the platform" in shown.output
    assert "proven by the venue's snapshot of 2023-11-14T22:13:21" in shown.output
    assert "dust, below the venue's smallest order: a BTC 1" in shown.output


def test_a_halt_is_sent_although_the_store_is_away(api: Api) -> None:
    api.answers["/api/v1/kill-switches"] = (503, {"detail": "the database is unavailable"})
    shown = run(api.url, "engage", "firm", "--yes", "--wait", "1", *WHY)
    assert (shown.exit_code, len(api.posted)) == (1, 1)
    assert "the database is unavailable; cancels do not wait for it" in shown.output
    assert "Not FLAT yet" in shown.output


def test_an_engagement_from_before_is_not_taken_for_the_new_one(api: Api) -> None:
    step = {"stage": "FLAT", "reason": "", "actor": "risk", "ts_event": "1"}
    api.answers["/api/v1/kill-switches"] = (200, [switch()])
    api.answers["/api/v1/kill-switches/1/steps"] = (200, [step])
    shown = run(api.url, "engage", "firm", "--yes", "--wait", "1", *WHY)
    assert shown.exit_code == 1
    assert "Not FLAT yet" in shown.output


def test_status_is_1_while_something_is_engaged(api: Api) -> None:
    api.answers["/api/v1/kill-switches"] = (200, [])
    assert run(api.url, "status").output == "No kill switch was ever engaged.\n"
    released = switch(
        stage="RELEASED", released_at="1700000002000000000", released_by="bob", released_why="ok", forced=True
    )
    api.answers["/api/v1/kill-switches"] = (200, [released])
    shown = run(api.url, "status")
    assert (shown.exit_code, "released BY FORCE" in shown.output) == (0, True)
    api.answers["/api/v1/kill-switches"] = (200, [switch(), released])
    assert run(api.url, "status").exit_code == 1


def test_a_release_waits_until_it_has_taken_effect(api: Api) -> None:
    api.answers["/api/v1/kill-switches"] = (200, [switch()])
    api.on_post = {"/api/v1/kill-switches": (200, [switch(released_at="1")])}
    shown = run(api.url, "release", "firm", "--state", "REDUCING", "--yes", *WHY)
    assert (shown.exit_code, shown.output) == (0, "firm is released to REDUCING.\n")
    assert api.posted[0][1]["state"] == "REDUCING"


def test_a_refusal_is_said_in_the_platforms_words(api: Api) -> None:
    api.answers["POST /api/v1/kill-switches/release"] = (409, {"detail": "it is CANCELING and not FLAT"})
    with pytest.raises(Refused, match="not FLAT"):
        PlatformApi(api.url).post("/kill-switches/release", {})
    refused = run(api.url, "release", "firm", "--yes", *WHY)
    assert isinstance(refused.exception, Refused)


def test_nobody_and_somebody_else_are_told_apart(api: Api) -> None:
    api.answers["/api/v1/kill-switches"] = (200, b"<html>")
    with pytest.raises(Refused, match="is it tradewind"):
        PlatformApi(api.url).get("/kill-switches", list[int])
    with pytest.raises(NoAnswer, match="TRADEWIND_API_URL"):
        PlatformApi("http://127.0.0.1:1").get("/kill-switches", list[int])
    with pytest.raises(StartRefused, match="is no address"):
        PlatformApi("file:///etc/passwd")


def test_without_the_api_it_goes_to_the_broker_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[EngageKillSwitch] = []

    class Broker:
        async def publish(self, topic: Topic, key: str, command: EngageKillSwitch) -> None:
            assert (topic, key) == (RISK_COMMANDS, "firm")
            taken.append(command)

    @contextlib.asynccontextmanager
    async def brokers(*_: Any) -> AsyncIterator[Any]:
        yield {Plane.ORDERS: Broker()}, []

    monkeypatch.setattr(killing, "open_buses", brokers)
    shown = run("http://127.0.0.1:1", "engage", "firm", "--flatten", "--yes", "--past-api", "--actor", "anna", *WHY)
    assert (shown.exit_code, "The broker has it" in shown.output) == (0, True)
    [command] = taken
    assert (command.scope, command.flatten, command.why, command.actor) == ("firm", True, "odd fills", "anna")


def test_what_may_be_done_without_the_api_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_BUS_URL", raising=False)
    away = run("http://127.0.0.1:1", "engage", "firm", "--yes", *WHY)
    assert "--past-api" in str(away.exception)
    inside = run("http://127.0.0.1:1", "engage", "firm", "--yes", "--past-api", "--actor", "anna", *WHY)
    assert "memory://" in str(inside.exception)
