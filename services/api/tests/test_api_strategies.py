"""Strategies over HTTP and the stream: a real host on the same bus and database, and what hosts tell."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
import typer
from api_platform import ACCOUNT, BTCUSDT, RunningApi, bearer, token_of
from typer.testing import CliRunner

from tradewind.model.identifiers import StrategyId
from tradewind.runtime.commands import strategies
from tradewind.runtime.logging import get_logger
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceContext, ServiceKind
from tradewind.runtime.settings import PlatformSettings
from tradewind.store.last_values import LastValues
from tradewind.strategy import Quote, Strategy, StrategySettings, decimal_setting, setting
from tradewind.strategy.running import StrategyHost
from tradewind.wire.events import StrategyLogged, StrategyStatusChanged
from tradewind.wire.topics import STRATEGY_LOGS, STRATEGY_STATE

NAME = StrategyId("looker")
PATH = f"/api/v1/strategies/{NAME}"


class LookerSettings(StrategySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something of every kind."""

    pause_s: Annotated[float, setting("Pause", "Between two looks", unit="s", gt=0, le=60)] = 1.5
    size: Annotated[Decimal, decimal_setting("Size", "How much", unit="base currency", most="10")] = Decimal("0.5")


class Looker(Strategy):
    """Says hello."""

    def on_start(self) -> None:
        self.context.log.info("hello", pause_s=self.settings.pause_s)

    def on_quote(self, quote: Quote) -> None:
        raise RuntimeError("no idea")


@contextlib.asynccontextmanager
async def hosted(api: RunningApi) -> AsyncIterator[None]:
    """A strategy's host beside the api."""
    await api.publisher.instrument(BTCUSDT)
    context = ServiceContext(
        name=f"strategy-{NAME}",
        platform=PlatformSettings(),
        settings=LookerSettings(),
        market_bus=api.bus,
        order_bus=api.bus,
        database=api.service._context.database,
        last_values=LastValues("redis://127.0.0.1:1"),
        health=api.board.register(f"strategy-{NAME}", ServiceKind.STRATEGY),
        metrics=Metrics(f"strategy-{NAME}", ProcessMetrics()),
        log=get_logger(NAME),
    )
    task = asyncio.ensure_future(StrategyHost(context, Looker, NAME).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def put(api: RunningApi, path: str, body: object, **options: Any) -> tuple[int, Any]:
    async with api.http.put(api.origin + path, json=body, **options) as answer:
        return answer.status, await answer.json()


async def in_state(api: RunningApi, state: str, **fields: Any) -> Any:
    """The strategy, as soon as it is in this state."""
    wanted = {"state": state, **fields}
    return await api.eventually(PATH, lambda body: all(body.get(name) == value for name, value in wanted.items()))


async def test_a_strategy_is_stopped_changed_and_started_again(stored_api: RunningApi) -> None:
    api = stored_api
    async with hosted(api):
        row = await in_state(api, "RUNNING", desired="RUNNING", version=0, kind="Looker")
        assert row["settings"]["size"] == "0.5"
        assert row["schema"]["properties"]["pause_s"]["title"] == "Pause"
        assert (await api.post(f"{PATH}/start", {"why": "again"}))[0] == 409
        status, taken = await api.post(f"{PATH}/stop", {"why": "drill", "policy": "flatten"}, headers=bearer("tom"))
        assert (status, taken["strategy_id"]) == (202, NAME)
        row = await in_state(api, "STOPPED", desired="STOPPED", reason="stopped by tom: drill")
        assert (await api.post(f"{PATH}/stop", {"why": "drill"}))[0] == 409
        values = {**row["settings"], "pause_s": 2.5, "size": "0.25"}
        status, taken = await put(api, f"{PATH}/settings", {"values": values, "version": 0, "why": "calmer"})
        assert status == 202, taken
        row = await in_state(api, "STOPPED", version=1)
        assert (row["settings"]["pause_s"], row["settings_in_force"]["pause_s"]) == (2.5, 1.5)
        assert (await put(api, f"{PATH}/policy", {"policy": "adopt", "why": "no orders"}))[0] == 202
        await in_state(api, "STOPPED", version=2, policy="adopt")
        assert (await api.post(f"{PATH}/start", {"why": "go on"}))[0] == 202
        row = await in_state(api, "RUNNING", version=2)
        assert row["settings_in_force"]["pause_s"] == 2.5
    await in_state(api, "RUNNING")  # the host is gone without a word; its service still stands on the board
    status, body = await api.get(f"{PATH}/changes?limit=2")
    assert [(one["action"], one["actor"], one["why"]) for one in body["rows"]] == [
        ("START", "anna", "go on"),
        ("CONFIGURE", "anna", "no orders"),
    ]
    _, older = await api.get(f"{PATH}/changes?limit=2&cursor={body['next_cursor']}")
    assert [one["action"] for one in older["rows"]] == ["CONFIGURE", "STOP"]
    assert older["rows"][0]["after"]["settings"]["size"] == "0.25"
    audited = (await api.get("/api/v1/audit?limit=10"))[1]["rows"]
    assert [one["action"] for one in audited] == [
        "strategy.start",
        "strategy.policy",
        "strategy.settings",
        "strategy.stop",
    ]
    lines = (await api.get(f"{PATH}/logs"))[1]["rows"]
    assert {"text": "hello", "fields": {"pause_s": "2.5"}}.items() <= lines_of(lines, "hello")[0].items()


def lines_of(rows: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["text"] == text]


BAD: list[tuple[str, str, dict[str, Any], int, str]] = [
    (
        "PUT",
        "settings",
        {"values": {"pause_s": 0}, "version": 0, "why": "bad"},
        422,
        "pause_s: it takes a number, more",
    ),
    ("PUT", "settings", {"values": {"size": "11"}, "version": 0, "why": "bad"}, 422, "at most 10 (base currency)"),
    ("PUT", "settings", {"values": {"no": 1}, "version": 0, "why": "bad"}, 422, "no: there is no such setting"),
    ("PUT", "settings", {"values": {"policy": "hold"}, "version": 0, "why": "bad"}, 422, "policy: there is no"),
    ("PUT", "settings", {"values": {}, "version": 4, "why": "old"}, 409, "the settings are at version 0"),
    ("PUT", "settings", {"values": {}, "version": -1, "why": "old"}, 422, "version"),
    ("PUT", "settings", {"values": [], "version": 0, "why": "old"}, 422, "values"),
    ("PUT", "policy", {"policy": "never", "why": "bad"}, 422, "policy"),
    ("POST", "start", {"why": "x"}, 422, "why"),
    ("POST", "stop", {"why": "fine", "policy": "never"}, 422, "policy"),
    ("POST", "stop", {"why": "fine", "actor": "eve"}, 422, "actor"),
]


async def test_what_does_not_fit_is_refused_in_words_and_stops_nothing(stored_api: RunningApi) -> None:
    api = stored_api
    async with hosted(api):
        run = (await in_state(api, "RUNNING"))["run"]
        for method, path, body, expected, words in BAD:
            send = put if method == "PUT" else RunningApi.post
            status, answer = await send(api, f"{PATH}/{path}", body)
            assert (status, words in answer["detail"]) == (expected, True), (path, body, answer)
        for who in ("vera",):
            assert (await api.post(f"{PATH}/stop", {"why": "drill"}, headers=bearer(who)))[0] == 403
        row = await in_state(api, "RUNNING", version=0, run=run)
        # What the form lets through and the struct does not is refused by the host, in the row.
        body = {"values": {"symbols": "NONE"}, "version": 0, "why": "typo", "restart": True}
        assert (await put(api, f"{PATH}/settings", body))[0] == 202
        row = await api.eventually(PATH, lambda row: row["refusal"] != "")
        assert "NONE is not among those of the platform" in row["refusal"]
        assert (row["state"], row["run"], row["version"]) == ("RUNNING", run, 0)


def told(api: RunningApi, name: str = NAME, **fields: Any) -> StrategyStatusChanged:
    known: dict[str, Any] = {
        "account_id": ACCOUNT,
        "strategy_id": StrategyId(name),
        "service": f"strategy-{name}",
        "kind": "Looker",
        "state": "RUNNING",
        "wanted": "RUNNING",
        "reason": "",
        "run": 3,
        "version": 0,
        "policy": "resume",
        "settings": "{}",
        "settings_in_force": "{}",
        "settings_schema": "{}",
    }
    return StrategyStatusChanged(**api.publisher.identity(), **(known | fields))


async def test_rows_have_profit_and_say_when_nobody_is_there(api: RunningApi) -> None:
    assert (await api.get("/api/v1/strategies")) == (200, {"rows": [], "next_cursor": None})
    assert (await api.get(PATH))[0] == 404
    assert (await api.post(f"{PATH}/stop", {"why": "drill"}))[0] == 404
    await api.publisher.send(STRATEGY_STATE, told(api), NAME)
    row = (await api.eventually("/api/v1/strategies", lambda body: body["rows"]))["rows"][0]
    assert (row["state"], row["reason"], row["net_pnl"]) == ("AWAY", f"the service strategy-{NAME} is not there", None)
    api.board.register(f"strategy-{NAME}", ServiceKind.STRATEGY).set_ready()
    await api.publisher.equity(NAME, Decimal("10.5"), Decimal(-2), Decimal("0.25"))
    row = await in_state(api, "RUNNING", net_pnl="8.25", currency="USDT")
    # The word of an earlier start comes too late.
    await api.publisher.send(STRATEGY_STATE, told(api, run=2, state="FAILED"), NAME)
    await api.publisher.send(STRATEGY_STATE, told(api, run=4, state="STOPPED", reason="drill"), NAME)
    row = await in_state(api, "STOPPED", run=4, reason="drill")


async def test_lines_are_kept_within_bounds_and_read_in_pages(api: RunningApi) -> None:
    await api.publisher.send(STRATEGY_STATE, told(api), NAME)
    for number in range(1_200):
        line = StrategyLogged(
            **api.publisher.identity(), strategy_id=NAME, level="info", text=f"line {number}", fields="{}"
        )
        await api.publisher.send(STRATEGY_LOGS, line, NAME)
    body = await api.eventually(f"{PATH}/logs?limit=500", lambda body: len(body.get("rows", [])) == 500)
    body = await api.eventually(f"{PATH}/logs?limit=500", lambda body: body["rows"][0]["text"] == "line 1199")
    _, second = await api.get(f"{PATH}/logs?limit=500&cursor={body['next_cursor']}")
    assert (second["rows"][0]["text"], second["rows"][-1]["text"]) == ("line 699", "line 200")
    _, third = await api.get(f"{PATH}/logs?limit=500&cursor={second['next_cursor']}")
    assert third == {"rows": [], "next_cursor": None}
    assert (await api.get(f"{PATH}/logs?cursor=-1"))[0] == 422


@pytest.mark.parametrize("path", ["", "/logs", "/changes"])
async def test_names_that_are_none_are_refused(api: RunningApi, path: str) -> None:
    assert (await api.get(f"/api/v1/strategies/No%00{path}"))[0] == 422


async def test_the_stream_tells_strategies_and_one_log(api: RunningApi) -> None:
    await api.publisher.send(STRATEGY_STATE, told(api), NAME)
    await api.eventually("/api/v1/strategies", lambda body: body["rows"])
    async with api.http.ws_connect(api.origin + "/api/v1/stream") as socket:
        await socket.send_json({"type": "view", "parts": ["strategies", "strategy_logs"], "strategy_id": NAME})
        rows, lines = await _part(socket, "strategies"), []
        assert [row["strategy_id"] for row in rows] == [NAME]
        line = StrategyLogged(
            **api.publisher.identity(), strategy_id=NAME, level="info", text="hello", fields='{"a":1}'
        )
        other = msgspec.structs.replace(line, strategy_id=StrategyId("other"), text="not mine")
        await api.publisher.send(STRATEGY_LOGS, other, "other")
        await api.publisher.send(STRATEGY_LOGS, line, NAME)
        lines = await _part(socket, "strategy_logs")
        assert [(one["text"], one["fields"]) for one in lines] == [("hello", {"a": 1})]


async def _part(socket: Any, name: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            data = (await socket.receive_json()).get("data", {})
            if data.get(name):
                return data[name]


async def command(api: RunningApi, *words: str, who: str = "tom") -> tuple[int, str]:
    """``tradewind strategies`` as a person uses it; refusals are its output too."""
    app = typer.Typer()
    strategies.register(app)
    environ = {"TRADEWIND_API_URL": api.origin, "TRADEWIND_API_TOKEN": token_of(who)}
    result = await asyncio.to_thread(CliRunner().invoke, app, ["strategies", *words], env=environ)
    refusal = str(result.exception) if isinstance(result.exception, StartRefused) else ""
    assert refusal or result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output + refusal


async def test_the_command_line_stops_changes_and_starts(stored_api: RunningApi) -> None:
    api = stored_api
    async with hosted(api):
        await in_state(api, "RUNNING")
        code, output = await command(api, "list")
        assert (code, "looker" in output, "RUNNING" in output) == (0, True, True)
        code, output = await command(api, "stop", NAME, "--why", "drill", "--yes")
        assert (code, "STOPPED, settings of version 0: stopped by tom: drill" in output) == (0, True)
        code, output = await command(api, "set", NAME, "pause_s=2.5", "size=0.25", "--policy", "hold", "--why", "calm")
        assert (code, "settings of version 2" in output) == (0, True), output
        code, output = await command(api, "set", NAME)
        assert (code, "  pause_s=2.5  s Pause" in output, "policy hold" in output) == (0, True, True)
        code, output = await command(api, "start", NAME, "--why", "go on")
        assert (code, "RUNNING" in output) == (0, True)
        for words, refusal in (
            (("set", NAME, "pause_s=0", "--why", "bad"), "pause_s: it takes a number, more than 0"),
            (("set", NAME, "pause_s", "--why", "bad"), "is no NAME=VALUE"),
            (("set", NAME, "symbols=NONE", "--restart", "--why", "bad"), "not taken: symbols: NONE is not among"),
            (("start", "nobody", "--why", "bad"), "no host has told of a strategy nobody"),
            (("stop", NAME, "--why", "x", "--yes"), "why"),
        ):
            code, output = await command(api, *words)
            assert (code, refusal in output) == (1, True), output
        assert "may not do this" in (await command(api, "stop", NAME, "--why", "drill", "--yes", who="vera"))[1]
        await in_state(api, "RUNNING", version=2)
