"""A cancellation always arrives, whatever the driver makes of it; going away and coming back is said once each."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator

import pytest

from tradewind.store.redis_link import RedisLink
from tradewind.store.valkey_server import ValkeyServer


@pytest.fixture
async def link(any_redis_url: str) -> AsyncIterator[RedisLink]:
    made = RedisLink(any_redis_url, timeout_s=10)
    yield made
    await made.close()


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(link: RedisLink) -> None:
    # What asyncio.wait_for does before Python 3.12: the answer is there, so the cancellation is forgotten.
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.Event()

    async def call() -> int:
        waiting.set()
        try:
            return await answered
        except asyncio.CancelledError:
            return answered.result()

    task = asyncio.ensure_future(link.attempt(call))
    await waiting.wait()
    answered.set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_earlier_cancellation_of_the_same_task_is_not_taken_for_a_new_one(link: RedisLink) -> None:
    async def tidy_up() -> bool:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return bool(await link.attempt(link.client.ping))
        return False

    task = asyncio.ensure_future(tidy_up())
    await asyncio.sleep(0)
    task.cancel()
    assert await task


async def test_a_writer_that_is_cancelled_at_any_moment_ends(link: RedisLink) -> None:
    async def write_for_ever() -> None:
        while True:
            await link.attempt(lambda: link.client.set("key", "value"))

    moments = random.Random(7)
    for _ in range(300):
        task = asyncio.ensure_future(write_for_ever())
        await asyncio.sleep(moments.random() * 0.002)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        ended = task.done()
        while not task.done():  # so that a failure is one, and not a test session that never ends
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        assert ended
        assert task.cancelled()


async def test_it_says_once_that_redis_went_and_once_that_it_came(
    own_redis: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    link = RedisLink(own_redis.url, retry_after_s=0.01, without="we do without")
    with caplog.at_level(logging.INFO, "tradewind.store.redis_link"):
        assert await link.attempt(link.client.ping)
        await asyncio.to_thread(own_redis.stop)
        for _ in range(5):
            assert await link.attempt(link.client.ping) is None
            await asyncio.sleep(0.02)
        assert not link.available
        await asyncio.to_thread(own_redis.start)
        async with asyncio.timeout(20):
            while await link.attempt(link.client.ping) is None:
                await asyncio.sleep(0.02)
    await link.close()
    assert link.available
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert caplog.records[0].getMessage().endswith("; we do without")


async def test_what_uvloop_says_of_a_connection_that_was_reset_is_an_absence(link: RedisLink) -> None:
    async def call() -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    assert await link.attempt(call) is None
    assert not link.available


@pytest.mark.parametrize("steps", range(6))
async def test_an_end_that_is_cancelled_at_any_moment_leaves_no_connection_open(link: RedisLink, steps: int) -> None:
    assert await link.attempt(link.client.ping)
    [connection] = link.client.connection_pool._available_connections
    closing = asyncio.ensure_future(link.close())
    for _ in range(steps):
        await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    # Cancelled before its first step it is not an end yet.
    assert not connection.is_connected or steps == 0
