"""Health of services, and the small HTTP server that tells it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tradewind.runtime.health import Health, HealthBoard, ServiceState
from tradewind.runtime.http_health import health_server
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.refusals import PortTaken
from tradewind.runtime.service import ServiceKind


@pytest.fixture
def board() -> HealthBoard:
    return HealthBoard()


def test_a_new_service_is_starting() -> None:
    health = Health("execution", ServiceKind.ORDER_PATH)
    assert (health.ready, health.row().state, health.row().kind) == (False, ServiceState.STARTING, "order-path")


def test_saying_the_same_again_keeps_since_and_takes_the_new_reason() -> None:
    health = Health("execution", ServiceKind.ORDER_PATH)
    health.set_not_ready("database away")
    since = health.since_ns
    health.set_not_ready("lease lost")
    assert (health.since_ns, health.reason) == (since, "lease lost")
    health.set_ready()
    assert health.since_ns >= since
    assert (health.ready, health.reason) == (True, "")


def test_restarts_are_counted() -> None:
    health = Health("execution", ServiceKind.ORDER_PATH)
    for _ in range(2):
        health.set_restarting("ValueError: x")
        health.set_starting()
    assert (health.row().restarts, health.row().state) == (2, ServiceState.STARTING)


def test_the_board_is_ready_only_when_every_service_is(board: HealthBoard) -> None:
    assert not board.all_ready
    feed, books = board.register("feed", ServiceKind.FEED), board.register("books", ServiceKind.BOOKS)
    feed.set_ready()
    assert (board.all_ready, board.ready_count, len(board)) == (False, 1, 2)
    books.set_ready()
    assert board.all_ready
    assert [row.name for row in board.rows()] == ["books", "feed"]


@pytest.fixture
async def http(board: HealthBoard) -> AsyncIterator[aiohttp.ClientSession]:
    metrics = ProcessMetrics()
    Metrics("feed", metrics).counter("records", "Records").inc(7)
    async with (
        health_server("127.0.0.1", 0, board, metrics) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def test_alive_is_said_without_any_service(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "alive\n")


async def test_readiness_follows_the_board(http: aiohttp.ClientSession, board: HealthBoard) -> None:
    health = board.register("feed", ServiceKind.FEED)
    health.set_not_ready("resync")
    async with http.get("/readyz") as answer:
        body = await answer.json()
        assert (answer.status, body["ready"]) == (503, False)
        assert (body["services"][0]["state"], body["services"][0]["reason"]) == ("not-ready", "resync")
    health.set_ready()
    async with http.get("/readyz") as answer:
        assert (answer.status, (await answer.json())["ready"]) == (200, True)


async def test_the_metrics_page_is_prometheus_text(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'tradewind_records_total{service="feed"} 7.0' in await answer.text()


async def test_a_taken_health_port_names_its_variable(board: HealthBoard) -> None:
    async with health_server("127.0.0.1", 0, board) as port:
        with pytest.raises(PortTaken, match=f"port {port} .* TRADEWIND_HEALTH_PORT"):
            async with health_server("127.0.0.1", port, board):
                pass
