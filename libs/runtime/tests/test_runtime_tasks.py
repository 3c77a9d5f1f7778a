"""Background tasks have an owner who hears of failures and leaves none behind; waiting says so once."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tradewind.runtime.logging import get_logger
from tradewind.runtime.tasks import TaskNursery, spawn
from tradewind.runtime.waiting import until_there


async def test_a_failure_is_logged_and_told_to_the_owner_and_the_others_go_on() -> None:
    told: list[tuple[str, BaseException]] = []
    heard, error = asyncio.Event(), ValueError("lost")

    def on_failure(name: str, failure: BaseException) -> None:
        told.append((name, failure))
        heard.set()

    async def fail() -> None:
        raise error

    with capture_logs() as lines:
        async with TaskNursery("recorder", on_failure=on_failure) as nursery:
            other = spawn(nursery, asyncio.Event().wait(), "flush")
            spawn(nursery, fail(), "copy")
            await heard.wait()
            assert not other.done()
    assert told == [("recorder.copy", error)]
    assert [(line["event"], line["task"]) for line in lines] == [("task failed", "recorder.copy")]
    assert other.cancelled()


async def test_closing_cancels_and_waits_for_every_task() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    nursery = TaskNursery("a")
    for name in ("x", "y"):
        nursery.spawn(work(name), name)
    await asyncio.sleep(0)
    await nursery.close()
    assert (sorted(ended), len(nursery)) == (["x", "y"], 0)


async def test_a_task_that_ignores_its_cancellation_is_named() -> None:
    release = asyncio.Event()

    async def deaf() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    nursery = TaskNursery("a")
    task = nursery.spawn(deaf(), "deaf")
    await asyncio.sleep(0)
    with capture_logs() as lines:
        await nursery.close(timeout_s=0.01)
    assert [line["task"] for line in lines] == ["a.deaf"]
    release.set()
    await task


async def test_the_number_of_tasks_is_bounded_and_a_closed_nursery_takes_none() -> None:
    nursery = TaskNursery("a", max_tasks=1)
    nursery.spawn(asyncio.Event().wait(), "one")
    with pytest.raises(RuntimeError, match="runs 1 tasks already"):
        nursery.spawn(asyncio.sleep(0), "two")
    await nursery.close()
    with pytest.raises(RuntimeError, match="is closed"):
        nursery.spawn(asyncio.sleep(0), "three")


@pytest.mark.parametrize(
    ("said_after_s", "said"), [(0.0, ["the bus does not answer; waiting for it", "the bus is there"]), (60.0, [])]
)
async def test_what_is_away_is_tried_again_and_said_once_if_it_lasts(said_after_s: float, said: list[str]) -> None:
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionRefusedError("refused")
        return "there"

    with capture_logs() as lines:
        assert await until_there("the bus", attempt, get_logger("a"), said_after_s) == "there"
    assert [line["event"] for line in lines] == said


async def test_an_error_that_waiting_cannot_cure_is_raised_at_once() -> None:
    async def attempt() -> None:
        raise ValueError("no such transport")

    with pytest.raises(ValueError, match="no such transport"):
        await until_there("the bus", attempt, get_logger("a"))
