"""What processes have counted, as one: over the wire, over a restart, and past the end of a process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import numpy as np
import pytest

from tradewind.runtime.health import HealthBoard, ServiceState
from tradewind.runtime.http_health import health_server
from tradewind.runtime.metrics import Metrics, ProcessMetrics
from tradewind.runtime.process_state import LatencySamples, ProcessState, samples_of, state_of
from tradewind.runtime.processes.asking import ProcessAsker, open_session
from tradewind.runtime.processes.figures import ProcessesView
from tradewind.runtime.service import ServiceKind


class Process:
    """What one process has: its board and metrics."""

    def __init__(self, service: str) -> None:
        self.board, self.metrics = HealthBoard(), ProcessMetrics()
        self.health = self.board.register(service, ServiceKind.FEED)
        self.own = Metrics(service, self.metrics)

    @asynccontextmanager
    async def asked(self, session: aiohttp.ClientSession) -> AsyncIterator[ProcessAsker]:
        async with health_server("127.0.0.1", 0, self.board, self.metrics) as port:
            yield ProcessAsker(session, port)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened


def test_a_state_survives_its_way() -> None:
    process = Process("feed")
    process.own.counter("records", "Records", kind="trade").inc(3)
    process.own.gauge("lag", "Lag", "seconds").set(0.5)
    process.own.latency("work", "Work").record(7)
    state = msgspec.json.decode(msgspec.json.encode(state_of(process.board, process.metrics)), type=ProcessState)
    assert state.values["records"] == [({"service": "feed", "kind": "trade"}, 3.0)]
    assert state.values["lag"] == [({"service": "feed"}, 0.5)]
    assert state.counters == {"records"}
    assert state.latencies == ["work"]
    assert [(row.name, row.state) for row in state.services] == [("feed", ServiceState.STARTING)]
    assert state.peak_rss_bytes > 1_000_000


def test_latency_samples_survive_their_way_and_merge_exactly() -> None:
    process = Process("feed")
    for latency_ns in (5, 1, 3):
        process.own.latency("work", "Work").record(latency_ns)
    Metrics("other", process.metrics).latency("work", "Work").record(9)
    samples = LatencySamples.from_bytes(samples_of(process.metrics, "work").to_bytes())
    assert sorted(samples.kept.tolist()) == [1, 3, 5, 9]
    assert samples.summary() == process.metrics.latency("work")
    assert (samples + samples).n == 8
    assert LatencySamples.from_bytes(samples_of(process.metrics, "unknown").to_bytes()).summary().n == 0


@pytest.mark.parametrize("data", [b"", b"123", np.array([1, 2, 3], dtype="<i8").tobytes()])
def test_what_is_no_latency_samples_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        LatencySamples.from_bytes(data)


async def test_counters_go_on_over_a_restart_and_gauges_do_not(session: aiohttp.ClientSession) -> None:
    view = ProcessesView(HealthBoard(), ProcessMetrics())
    for run in (1, 2):
        process = Process("feed")
        process.own.counter("records", "Records", kind="trade").inc(10)
        process.own.gauge("backlog", "Backlog").set(run)
        async with process.asked(session) as asker:
            view.attach("feed", asker)
            await view.refresh()
            assert view.total("records", kind="trade") == 10 * run
            assert view.total("backlog") == run
        view.detach("feed")
    assert view.total("records") == 20
    assert view.total("records", kind="quote") == 0
    assert view.total("backlog") == 0
    assert view.peak_rss_bytes() > 2_000_000


async def test_latencies_of_all_processes_are_one_also_of_those_that_were_stopped(
    session: aiohttp.ClientSession,
) -> None:
    view = ProcessesView(HealthBoard(), ProcessMetrics())
    first, second = Process("a"), Process("b")
    for latency_ns in range(1, 101):
        (first if latency_ns % 2 else second).own.latency("work", "Work").record(latency_ns)
    async with second.asked(session) as running:
        async with first.asked(session) as stopping:
            view.attach("a", stopping)
            view.attach("b", running)
            await view.keep_last("a")
        view.detach("a")
        summary = await view.latency("work")
    assert (summary.p50_ns, summary.p99_ns, summary.n) == (50, 99, 100)


async def test_a_process_that_does_not_answer_keeps_its_last_figures(session: aiohttp.ClientSession) -> None:
    view = ProcessesView(HealthBoard(), ProcessMetrics())
    process = Process("feed")
    process.own.counter("records", "Records").inc(4)
    async with process.asked(session) as asker:
        view.attach("feed", asker)
        await view.refresh()
    await view.refresh()
    await view.keep_last("feed")
    assert view.total("records") == 4
    assert (await view.latency("work")).n == 0


async def test_an_answer_of_somebody_else_is_no_answer(session: aiohttp.ClientSession) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!")
        await writer.drain()
        writer.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with await asyncio.start_server(answer, sock=listener):
            asker = ProcessAsker(session, port)
            assert await asker.state() is None
            assert (await asker.samples("work")).n == 0


def test_a_mirrored_health_counts_the_restarts_of_service_and_process() -> None:
    own, there = HealthBoard().register("feed", ServiceKind.FEED), HealthBoard().register("feed", ServiceKind.FEED)
    there.set_restarting("inside")
    own.mirror(there.row())
    assert (own.row().state, own.row().restarts, own.restarts) == (ServiceState.RESTARTING, 1, 0)
    own.set_restarting("its process was killed by SIGKILL")
    assert own.row().restarts == 2
    fresh = HealthBoard().register("feed", ServiceKind.FEED)
    fresh.set_ready()
    own.mirror(fresh.row())
    assert (own.row().state, own.row().restarts) == (ServiceState.READY, 2)
