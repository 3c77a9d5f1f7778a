"""The command line inside this process: help, status, and errors that are one line."""

import http.server
import importlib.metadata
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tradewind.runtime import cli
from tradewind.runtime.listening_ports import check_ports
from tradewind.runtime.refusals import PortTaken, StartRefused
from tradewind.runtime.service_registry import BrokenService, ServiceNotFound, load_services
from tradewind.runtime.settings import load_settings, service_prefix

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _no_platform_of_the_tester(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADEWIND_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("TRADEWIND_REDIS_URL", raising=False)


def invoke(*arguments: str) -> Any:
    return RUNNER.invoke(cli.build_app(), list(arguments))


@contextmanager
def api(status: int, body: bytes) -> Iterator[str]:
    """A server that answers every GET with the same thing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path in (("/api/v1/health", "/readyz") if status == 404 else ("/api/v1/health",))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_the_version_is_printed() -> None:
    result = invoke("--version")
    assert (result.exit_code, result.output) == (0, f"tradewind {importlib.metadata.version('tradewind-runtime')}\n")


def test_help_teaches_with_examples() -> None:
    output = invoke("--help").output
    for command in ("up", "run", "services", "status", "db"):
        assert f"\n  {command} " in output
    assert "tradewind run market-data" in output


@pytest.mark.parametrize("command", [["up"], ["run"], ["services"], ["status"], ["db", "migrate"]])
def test_every_command_has_an_example_in_its_help(command: list[str]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert f"tradewind {' '.join(command)}" in result.output.partition("Example")[2]


def _health(state: str) -> bytes:
    row = {"name": "execution", "kind": "order-path", "state": state, "restarts": 2, "reason": "lease lost", "since": 1}
    report = {"ready": state == "ready", "destination": "Orders go to the simulated venue", "services": [row]}
    return json.dumps(report).encode()


@pytest.mark.parametrize(("state", "http_status", "code"), [("ready", 200, 0), ("restarting", 200, 1), ("x", 503, 1)])
def test_status_prints_a_row_per_service_and_where_orders_go(state: str, http_status: int, code: int) -> None:
    with api(http_status, _health(state)) as url:
        result = invoke("status", "--url", url)
    assert result.exit_code == code
    for text in ("execution", "order-path", state, "2", "lease lost", "Orders go to the simulated venue"):
        assert text in result.output
    assert f"Only what {url} knows" in result.output.replace("\n", " ")


@pytest.mark.parametrize(("status", "body"), [(404, b"no"), (200, b"<html>"), (200, b"{}"), (200, b'[{"name": 1}]')])
def test_status_says_when_something_else_answers(status: int, body: bytes) -> None:
    with api(status, body) as url:
        result = invoke("status", "--url", url)
    assert isinstance(result.exception, StartRefused)
    assert "is it the api service of tradewind?" in str(result.exception)


def test_status_says_what_to_do_when_nothing_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        result = invoke("status", "--url", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert isinstance(result.exception, StartRefused)
    assert "nothing answers at http://127.0.0.1:" in str(result.exception)
    assert "tradewind up" in str(result.exception)


def test_status_refuses_what_is_no_address() -> None:
    assert "is no address" in str(invoke("status", "--url", "file:///etc/passwd").exception)


def test_a_refusal_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["tradewind", "run", "no-such-service"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("tradewind: there is no service 'no-such-service'; there are: ")


def test_an_unknown_service_is_named_with_those_there_are() -> None:
    with pytest.raises(ServiceNotFound, match=r"there is no service 'marketdata'; there are: .*market-data"):
        load_services(["marketdata"])


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("no_such_module_of_ours:SERVICE", "cannot be loaded: ModuleNotFoundError"),
        ("json:NOTHING", "cannot be loaded: AttributeError"),
        ("json:dumps", "is a function; it must be"),
        ("tradewind.runtime.service:ServiceKind", "it must be a tradewind.runtime.service.Service"),
    ],
)
def test_a_broken_entry_point_is_named(monkeypatch: pytest.MonkeyPatch, value: str, complaint: str) -> None:
    point = importlib.metadata.EntryPoint("carry", value, "tradewind.services")
    monkeypatch.setattr("tradewind.runtime.service_registry.entry_points", lambda group: [point])
    with pytest.raises(BrokenService, match="service 'carry'") as caught:
        load_services()
    assert complaint in str(caught.value)


def _with_port(port: int) -> Any:
    import msgspec

    struct = msgspec.defstruct("Settings", [("port", int, 0)], frozen=True)
    return load_settings(struct, prefix=service_prefix("api"), environ={"TRADEWIND_API_PORT": str(port)})


def test_a_taken_port_is_found_before_the_start_and_the_variable_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            check_ports({"api": _with_port(port)}, "127.0.0.1")
    assert str(caught.value) == f"port {port} is taken by another program; stop it or set TRADEWIND_API_PORT"
    check_ports({"api": _with_port(port)}, "127.0.0.1")


def test_two_services_on_one_port_are_both_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        StartRefused, match=f"services api and sim-venue both want port {port}; set TRADEWIND_SIM_VENUE_PORT"
    ):
        check_ports({"api": _with_port(port), "sim-venue": _with_port(port)}, "127.0.0.1")


def test_any_port_and_no_port_are_fine_and_an_impossible_one_is_not() -> None:
    check_ports({"api": _with_port(0), "recorder": object()}, "127.0.0.1")
    with pytest.raises(StartRefused, match="from 0 to 65535"):
        check_ports({"api": _with_port(70_000)}, "127.0.0.1")
