"""The watchdog of the event loop: a blocking call is named in the log while it still blocks."""

import asyncio
import contextlib
import time

import pytest
import structlog

from tradewind.runtime import loop_watching
from tradewind.runtime.loop_stalls import MOST_KEPT, StallWatch, last_stalls
from tradewind.runtime.loop_watching import watch_loop
from tradewind.runtime.metrics import Metrics, ProcessMetrics

BOUND_S = 0.05


def block_the_loop_until_noticed(before: int) -> None:
    """Blocks, in short sleeps, until the watchdog has seen it: it must not need the loop for that."""
    until = time.monotonic() + 30
    while len(last_stalls()) == before and time.monotonic() < until:
        time.sleep(0.01)


def block(seconds: float) -> None:
    time.sleep(seconds)


async def until_counted(process: ProcessMetrics, count: int) -> None:
    async with asyncio.timeout(30):
        while process.total("loop_stalls") < count:
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _forget() -> None:
    from tradewind.runtime import loop_stalls

    loop_stalls._kept.clear()


async def test_the_function_that_blocks_is_in_the_log_while_it_blocks() -> None:
    process = ProcessMetrics()
    with structlog.testing.capture_logs() as logs, StallWatch(Metrics("runtime", process), BOUND_S):
        block_the_loop_until_noticed(before=0)
        [noticed] = last_stalls()
        assert noticed.lasted_s is None, "it was told only when it was over"
        [line] = [one for one in logs if one["event"] == "the event loop is blocked"]
        await until_counted(process, 1)
    assert "block_the_loop_until_noticed" in line["where"]
    assert "block_the_loop_until_noticed" in line["stack"]
    assert "test_the_function_that_blocks" in line["stack"]
    assert line["blocked_for_s"] >= BOUND_S
    assert noticed.lasted_s is not None
    assert noticed.lasted_s >= BOUND_S
    assert noticed.stack[-1].endswith("in block_the_loop_until_noticed")


async def test_the_same_place_is_written_in_full_once_and_then_counted() -> None:
    process = ProcessMetrics()
    with structlog.testing.capture_logs() as logs, StallWatch(Metrics("runtime", process), BOUND_S):
        for before in range(3):
            block_the_loop_until_noticed(before)
            await until_counted(process, before + 1)
    assert len(last_stalls()) == 3
    assert len([line for line in logs if line["event"] == "the event loop is blocked"]) == 1
    assert [line["count"] for line in logs if line["event"] == "repeated"] == [2]


async def test_one_long_block_is_one_incident() -> None:
    process = ProcessMetrics()
    with StallWatch(Metrics("runtime", process), BOUND_S):
        block_the_loop_until_noticed(before=0)
        time.sleep(BOUND_S * 6)  # noqa: ASYNC251 - the blocking call that is to be found
        await until_counted(process, 1)
        await asyncio.sleep(BOUND_S)
        assert len(last_stalls()) == 1
        assert process.total("loop_stalls") == 1


async def test_a_loop_that_runs_is_left_alone() -> None:
    process = ProcessMetrics()
    with StallWatch(Metrics("runtime", process), 5.0):
        await asyncio.sleep(0.05)
    assert process.total("loop_stalls") == 0
    assert last_stalls() == []


async def test_only_the_last_ones_are_kept() -> None:
    from tradewind.runtime import loop_stalls

    for number in range(MOST_KEPT + 5):
        loop_stalls._kept.append(loop_stalls.Stall(number, "f", ()))
    assert [stall.noticed_ns for stall in last_stalls()] == list(range(5, MOST_KEPT + 5))


async def test_what_blocks_while_a_process_starts_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watching, "START_S", 0.6)
    process = ProcessMetrics()
    watching = asyncio.ensure_future(watch_loop(Metrics("runtime", process), round(BOUND_S * 1_000)))
    await asyncio.sleep(0)
    block(10 * BOUND_S)
    assert last_stalls() == []
    async with asyncio.timeout(30):
        while not last_stalls():
            block(2 * BOUND_S)
            await asyncio.sleep(0.05)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert process.total("loop_stalls") >= 1
