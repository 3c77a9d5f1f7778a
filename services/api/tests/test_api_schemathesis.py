"""Whatever is asked within the OpenAPI document, and beyond it: never a 5xx, never an answer of another shape, and
nothing without a login. Against the real service on a real database, as an admin.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import asyncpg
import pytest
import requests
import schemathesis
from api_platform import BTCUSDT, RunningApi, api_settings, bearer, running_api, snapshot
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tradewind.model.enums import OrderSide
from tradewind.services.api.routes.openapi_document import document
from tradewind.store.database import Database
from tradewind.store.testing import dsn_of

DOCUMENT = document()
OPEN = {
    ("get", "/api/v1/auth/state"),
    ("post", "/api/v1/auth/login"),
    ("post", "/api/v1/auth/refresh"),
    ("post", "/api/v1/auth/logout"),
    ("post", "/api/v1/auth/claim"),
    ("get", "/api/v1/auth/oidc/start"),
    ("get", "/api/v1/auth/oidc/return"),
}
"""What is there for those who have not logged in yet."""
AWAY = 503
schema = schemathesis.openapi.from_dict(DOCUMENT)


class Served:
    """A service on a loop of its own thread, so that a test may ask it and wait."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self.url: Future[str] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return self.url.result(60)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with Database(self._dsn) as database, running_api(database, api_settings()) as api:
                await _live(api)
                self.url.set_result(api.origin)
                await self._stop.wait()
        except BaseException as error:
            if not self.url.done():
                self.url.set_exception(error)
            raise


async def _live(api: RunningApi) -> None:
    await api.publisher.instrument()
    await api.publisher.records(*snapshot([(5_999_900, 10**8)], [(6_000_100, 10**8)]))
    await api.publisher.order("manual-17-1", OrderSide.BUY, 5_000_000, 100_000, "manual")
    await api.eventually("/api/v1/orders?status=open", lambda page: page["orders"])


@pytest.fixture(scope="module")
def address(postgres_dsn: str, template_database: str) -> Iterator[str]:
    """The service's address; its database is a copy that ends with the session's server."""
    name = f"tradewind_asked_{os.getpid()}"
    asyncio.run(_copy(postgres_dsn, name, template_database))
    with Served(dsn_of(postgres_dsn, name)) as url:
        yield url


async def _copy(dsn: str, name: str, template: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    await connection.close()


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_it_and_each_answer_is_as_described(case: Any, address: str) -> None:
    headers = {**bearer("anna"), "X-Tradewind-Request": "yes"}
    answer = case.call(base_url=address, headers=headers, timeout=20)
    assert answer.status_code < 500 or answer.status_code == AWAY, f"{case.as_curl_command()}: {answer.text[:500]}"
    case.validate_response(answer, checks=(status_code_conformance, response_schema_conformance))


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods if (method, path) not in OPEN],
)
def test_nothing_is_given_without_a_login(address: str, method: str, path: str) -> None:
    filled = path.replace("{instrument_id}", BTCUSDT)
    for name in ("client_order_id", "correlation_id", "strategy_id", "kill_id", "alert_id", "name", "token_id"):
        filled = filled.replace(f"{{{name}}}", "1")
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Cookie": "tradewind_access=forged"}):
        sent = {"X-Tradewind-Request": "yes", **headers}
        assert requests.request(method, address + filled, headers=sent, timeout=20).status_code == 401, filled
