"""Hostile requests: foreign pages, foreign names, huge and broken bodies, over raw sockets where a client would not."""

import asyncio
import json
from typing import Any

import pytest
from api_platform import RunningApi, api_settings, away_database, running_api

from tradewind.runtime.refusals import PortTaken, StartRefused
from tradewind.runtime.settings import PlatformSettings, SettingsError, load_settings, service_prefix
from tradewind.services.api.server import bind
from tradewind.services.api.settings import ApiSettings, allowed_hosts, check_binding
from tradewind.wire.topics import RISK_COMMANDS

WANTED = {"scope": "firm", "state": "HALTED", "why": "drill"}


async def raw(api: RunningApi, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request)
    await writer.drain()
    answer = await asyncio.wait_for(reader.read(65_536), 10)
    writer.close()
    await writer.wait_closed()
    return answer


async def halts(api: RunningApi) -> int:
    return len(await api.bus.replay(RISK_COMMANDS))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_foreign_page_cannot_trade(api: RunningApi, headers: dict[str, str]) -> None:
    status, body = await api.post("/api/v1/trading-state", WANTED, headers=headers)
    assert status == 403
    assert "own page" in body["detail"]
    assert await halts(api) == 0


async def test_its_own_page_can(api: RunningApi) -> None:
    headers = {"Origin": api.origin, "Sec-Fetch-Site": "same-origin"}
    assert (await api.post("/api/v1/trading-state", WANTED, headers=headers))[0] == 202
    assert await halts(api) == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_what_a_form_can_send_is_refused(api: RunningApi, content_type: str) -> None:
    async with api.http.post(
        api.origin + "/api/v1/trading-state", data=json.dumps(WANTED).encode(), headers={"Content-Type": content_type}
    ) as answer:
        assert answer.status == 415
    async with api.http.delete(api.origin + "/api/v1/orders/x") as answer:
        assert answer.status == 415
    assert await halts(api) == 0


async def test_no_other_origin_is_allowed_by_a_preflight(api: RunningApi) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with api.http.options(api.origin + "/api/v1/trading-state", headers=headers) as answer:
        assert not any(name.lower().startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "127.0.0.1:x",
        "",
        "[::1",
    ],
)
async def test_a_foreign_name_gets_nothing(api: RunningApi, host: str) -> None:
    answer = await raw(api, f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"services" not in answer


async def test_two_hosts_get_nothing(api: RunningApi) -> None:
    hosts = f"Host: 127.0.0.1:{api.port}\r\nHost: evil.example\r\n"
    answer = await raw(api, f"GET /api/v1/health HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
async def test_the_machines_own_names_are_served(api: RunningApi, name: str) -> None:
    request = f"GET /api/v1/auth/state HTTP/1.1\r\nHost: {name}:{api.port}\r\nConnection: close\r\n\r\n"
    assert (await raw(api, request.encode())).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"firm"',
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"scope": "firm", "scope": 1, "state": "HALTED"}',
        b'{"scope":"firm","state":"HALTED","why":"\\ud800xx","actor":"a"}',
        b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
        b'{"scope": 1e99999}',
    ],
    ids=range(11),
)
async def test_broken_bodies_are_a_sentence_and_no_command(api: RunningApi, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/api/v1/trading-state", "/api/v1/orders"):
        async with api.http.post(api.origin + path, data=body, headers=headers) as answer:
            assert 400 <= answer.status < 500
            assert isinstance((await answer.json())["detail"], str)
    assert await halts(api) == 0


async def test_a_huge_body_is_refused_by_what_it_declares(api: RunningApi) -> None:
    head = (
        f"POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
    )
    assert (await raw(api, head.encode())).startswith(b"HTTP/1.1 413")


async def test_a_huge_body_is_refused_while_it_comes(api: RunningApi) -> None:
    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    async with api.http.post(api.origin + "/api/v1/orders", data=endless(), headers=headers) as answer:
        assert answer.status == 413


async def test_every_answer_has_the_security_headers(api: RunningApi) -> None:
    for path in ("/", "/api/v1/health", "/assets/page.js", "/nothing", "/api/v1/book/x"):
        async with api.http.get(api.origin + path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/../service.py", "/assets/%2e%2e/%2e%2e/service.py", "/assets/..%2f..%2fservice.py"])
async def test_nothing_outside_the_pages_files_is_served(api: RunningApi, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\nConnection: close\r\n\r\n"
    assert (await raw(api, request.encode())).startswith(b"HTTP/1.1 404")


async def test_a_taken_port_is_one_clear_sentence(api: RunningApi) -> None:
    with pytest.raises(
        PortTaken, match=f"port {api.port} is taken by another program; stop it or set TRADEWIND_API_PORT"
    ):
        bind("127.0.0.1", api.port)


async def test_a_taken_port_refuses_the_start(api: RunningApi) -> None:
    with pytest.raises(PortTaken):
        async with running_api(away_database(), api_settings(port=api.port)):
            pass


def test_an_open_network_needs_a_word() -> None:
    with pytest.raises(StartRefused, match="TRADEWIND_API_ALLOW_REMOTE=yes"):
        check_binding("0.0.0.0", api_settings())
    check_binding("0.0.0.0", api_settings(allow_remote="yes"))
    for host in ("127.0.0.1", "localhost", "::1"):
        check_binding(host, api_settings())


def test_an_address_of_another_machine_is_one_clear_sentence() -> None:
    with pytest.raises(StartRefused, match="TRADEWIND_HOST"):
        bind("192.0.2.1", 0)


async def test_the_start_is_refused_on_an_open_network() -> None:
    with pytest.raises(StartRefused):
        async with running_api(away_database(), api_settings(), PlatformSettings(host="0.0.0.0")):
            pass


def test_hosts_can_be_added() -> None:
    hosts = allowed_hosts("10.0.0.5", api_settings(allowed_hosts="Trade.Example, other"))
    assert {"trade.example", "other", "10.0.0.5", "localhost"} <= hosts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("PORT", "web"),
        ("ALLOW_REMOTE", "maybe"),
        ("STREAM_INTERVAL_MS", "0"),
        ("HEARTBEAT_S", "1e9"),
    ],
)
def test_a_wrong_setting_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"TRADEWIND_API_{name}"):
        load_settings(ApiSettings, prefix=service_prefix("api"), environ={f"TRADEWIND_API_{name}": value})
