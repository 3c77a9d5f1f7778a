"""Rate limits shared by real processes over a real server, with it, without it, and after it lost everything."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tradewind.store.rate_limits import Rule, SharedRateLimits
from tradewind.store.valkey_server import ValkeyServer

WORKER = Path(__file__).with_name("rate_limit_worker.py")
CANCEL, REDUCE, NEW, QUERY = range(4)
WEEK_S = 604_800
LONG = [("weight", WEEK_S, 1_000, (1_000, 950, 900, 750)), ("orders", WEEK_S, 400, (400, 400, 380, 380))]
"""No window turns while a test runs, so that what was granted can be counted to the last token."""


@asynccontextmanager
async def limits_of(url: str, rules: Sequence[Rule] = LONG, **more: Any) -> AsyncIterator[SharedRateLimits]:
    made = SharedRateLimits(url, venue="V", address="a", account="b", **({"timeout_s": 10} | more))
    made.configure(rules)
    try:
        yield made
    finally:
        await made.close()


async def venue_says(limits: SharedRateLimits, used: int, rules: Sequence[Rule] = LONG) -> None:
    for kind, interval_s, *_ in rules:
        limits.observe(kind, interval_s, used, 0.0)
    await limits.tell()


async def used(limits: SharedRateLimits) -> int:
    """What is counted of the weight."""
    await limits.tell()
    return limits._limits[0].known


@asynccontextmanager
async def kept(limits: SharedRateLimits) -> AsyncIterator[None]:
    task = asyncio.ensure_future(limits.keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


async def worker(url: str, **order: Any) -> Any:
    """What a process of its own brought back."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), json.dumps({"url": url, **order}), stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 50)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return json.loads(output)


async def test_processes_that_hammer_one_budget_get_exactly_the_budget(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as limits:
        await venue_says(limits, 1)
        for priority, allowed in ((QUERY, 750), (NEW, 900), (REDUCE, 950), (CANCEL, 1_000)):
            before = await used(limits)
            found = await asyncio.gather(
                *(worker(any_redis_url, rules=LONG, do="drain", priority=priority) for _ in range(3))
            )
            assert sum(one["granted"] for one in found) == allowed - before
            assert await used(limits) == allowed


async def test_windows_that_turn_are_never_overdrawn(any_redis_url: str) -> None:
    rules = [("weight", 2, 60, (60, 57, 54, 45)), ("orders", 2, 30, (30, 30, 28, 28))]
    found = await asyncio.gather(
        *(worker(any_redis_url, rules=rules, do="hammer", seconds=7, seed=seed) for seed in range(3))
    )
    weights: dict[int, int] = {}
    orders: dict[int, int] = {}
    for now_ms, weight, count in (grant for one in found for grant in one["grants"]):
        window = now_ms // 2_000
        weights[window] = weights.get(window, 0) + weight
        orders[window] = orders.get(window, 0) + count
    assert len(weights) >= 2
    assert max(weights.values()) <= 60
    assert max(orders.values()) <= 30
    assert all(one["grants"] for one in found)


async def test_cancels_get_through_while_other_processes_use_all_they_may(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as limits:
        await venue_says(limits, 1)
        hammering = [
            asyncio.ensure_future(worker(any_redis_url, rules=LONG, do="insist", priority=priority, seconds=4))
            for priority in (QUERY, NEW)
        ]

        async def used_up() -> bool:
            return await used(limits) >= 900

        await until(used_up)
        assert [await limits.take(CANCEL, 1, 0) for _ in range(40)] == [0.0] * 40
        assert [await limits.take(REDUCE, 1, 1) for _ in range(10)] == [0.0] * 10
        assert (await limits.take(NEW, 1, 1) or 0) > 0
        assert (await limits.take(QUERY, 1, 0) or 0) > 0
        found = await asyncio.gather(*hammering)
        assert sum(one["granted"] for one in found) == 899


async def test_a_waiting_cancel_goes_before_a_waiting_query_of_another_process(any_redis_url: str) -> None:
    rules = [("weight", 4, 20, (20, 19, 18, 15))]
    async with limits_of(any_redis_url, rules) as limits:
        while await limits.take(CANCEL, 20, 0) != 0.0:
            await asyncio.sleep(0.05)
        query = asyncio.ensure_future(worker(any_redis_url, rules=rules, do="wait", priority=QUERY, weight=15))

        async def waits() -> bool:
            async with redis.asyncio.from_url(any_redis_url) as client:
                return bool(await client.zcard(limits._keys[2]))

        await until(waits)
        assert await limits.take(CANCEL, 18, 0, patience_s=20) == 0.0
        assert not query.done()  # 18 were set aside, so the 15 of the query have to wait for one window more
        assert (await query)["waited"] == 0.0


async def test_a_block_by_the_venue_holds_back_all_processes_and_a_ban_cancels_too(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as one, limits_of(any_redis_url) as other, kept(other):
        await venue_says(one, 1)
        await until(lambda: spends(other))
        one.block(1_000, everyone=False)
        await one.tell()
        for priority in (REDUCE, NEW, QUERY):
            assert (await other.take(priority, 1, 0) or 0) > 900
        assert await other.take(CANCEL, 1, 0) == 0.0
        assert not other.spend(1, 1)
        one.block(2_000, everyone=True)
        await one.tell()
        assert (await other.take(CANCEL, 1, 0) or 0) > 1_900
        async with redis.asyncio.from_url(any_redis_url) as client:
            await client.flushall()
        await other.tell()  # whoever knew of it tells it to a server that forgot
        async with limits_of(any_redis_url) as late:
            assert (await late.take(CANCEL, 1, 0) or 0) > 1_900


async def spends(limits: SharedRateLimits) -> bool:
    return limits.spend(1, 1)


async def test_tokens_held_ahead_are_spent_without_a_round_trip_and_come_back_at_the_end(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as watcher:
        await venue_says(watcher, 1)
        async with limits_of(any_redis_url) as limits:
            assert not limits.spend(1, 1)
            async with kept(limits):
                await until(lambda: spends(limits))
                assert limits.spend(1, 0)
            assert await limits.take(NEW, 1, 1) == 0.0
        assert await used(watcher) == 4


async def test_the_more_is_spent_the_more_is_held_but_never_more_than_a_quarter_of_what_is_left(
    any_redis_url: str,
) -> None:
    async with limits_of(any_redis_url) as limits, kept(limits):
        await until(lambda: spends(limits))
        most = limits._held.weight
        for _ in range(3):
            for _ in range(100):
                limits.spend(1, 1)
            limits._wake.set()
            await until(lambda: spends(limits))
            most = max(most, limits._held.weight)
        assert most > 4
        await venue_says(limits, 899)
        limits._wake.set()
        await until(lambda: holds_nothing(limits))
        assert await limits.take(CANCEL, 1, 0) == 0.0


async def holds_nothing(limits: SharedRateLimits) -> bool:
    return not limits.spend(1, 1)


async def test_the_server_may_die_and_come_back(own_redis: ValkeyServer) -> None:
    async with limits_of(own_redis.url, timeout_s=1, retry_after_s=0.05) as limits, kept(limits):
        await venue_says(limits, 1)
        await until(lambda: spends(limits))
        await asyncio.to_thread(own_redis.stop)
        await until(lambda: is_away(limits))
        for _ in range(30):
            assert await limits.take(NEW, 1, 1) is None
            limits.note(1, 1)
        await asyncio.to_thread(own_redis.start)
        await until(lambda: is_there(limits))
        await until(lambda: spends(limits))
        assert await used(limits) >= 32  # what was used meanwhile is counted


async def is_there(limits: SharedRateLimits) -> bool:
    return limits.available


async def is_away(limits: SharedRateLimits) -> bool:
    return await limits.take(CANCEL, 1, 0) is None


async def test_without_a_keeper_it_asks_for_the_server_itself(own_redis: ValkeyServer) -> None:
    async with limits_of(own_redis.url, timeout_s=1, retry_after_s=0.01) as limits:
        await asyncio.to_thread(own_redis.stop)
        assert await limits.take(QUERY, 1, 0, patience_s=5) is None
        assert not limits.available
        await asyncio.to_thread(own_redis.start)

        async def back() -> bool:
            return await limits.take(QUERY, 1, 0) == 0.0

        await until(back)


async def test_after_a_flush_the_counts_are_learnt_again(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as one, limits_of(any_redis_url) as other:
        await venue_says(one, 1)
        assert await one.take(NEW, 300, 0) == 0.0
        assert await other.take(NEW, 200, 0) == 0.0
        async with redis.asyncio.from_url(any_redis_url) as client:
            await client.flushall()
        # What the one knows is there at once, what the other knows with its next step; until the venue has said what
        # is used, half of the window is given out.
        assert (await one.take(NEW, 200, 0) or 0) > 0
        assert await used(one) == 301
        assert await used(other) == 501
        await venue_says(one, 501)
        assert await one.take(NEW, 399, 0) == 0.0
        assert (await other.take(NEW, 1, 0) or 0) > 0
        assert await other.take(CANCEL, 100, 0) == 0.0
        assert (await other.take(CANCEL, 1, 0) or 0) > 0


async def test_flushes_under_fire_never_let_a_venue_that_tells_its_count_be_overdrawn(any_redis_url: str) -> None:
    """The venue counts what reaches it and says so in each answer; what it says is all that a flushed server has."""
    venue = 0
    async with (
        limits_of(any_redis_url) as one,
        limits_of(any_redis_url) as other,
        redis.asyncio.from_url(any_redis_url) as client,
    ):
        for number in range(400):
            limits = (one, other)[number % 2]
            if number % 37 == 36:
                await client.flushall()
            priority = (QUERY, NEW, CANCEL)[number % 3]
            if await limits.take(priority, 7, 0) == 0.0:
                venue += 7
                limits.observe("weight", WEEK_S, venue, 0.0)
        assert 900 < venue <= 1_000


async def test_keys_of_another_kind_are_replaced(any_redis_url: str) -> None:
    async with limits_of(any_redis_url) as limits, redis.asyncio.from_url(any_redis_url) as client:
        for key in limits._keys:
            await client.set(key, "what")
        assert await limits.take(QUERY, 1, 0) == 0.0
        assert limits.available
        assert [await client.type(key) for key in limits._keys[:2]] == [b"hash", b"hash"]


async def test_a_wait_that_is_cancelled_holds_nobody_up(any_redis_url: str) -> None:
    rules = [("weight", 3, 10, (10, 9, 9, 9))]
    async with limits_of(any_redis_url, rules) as limits:
        while await limits.take(CANCEL, 10, 0) != 0.0:
            await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(limits.take(REDUCE, 9, 0, patience_s=20))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert await limits.take(QUERY, 9, 0, patience_s=20) == 0.0


async def test_a_server_that_never_answers_costs_an_order_next_to_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        url = f"redis://127.0.0.1:{port}"
        async with limits_of(url, timeout_s=0.1, retry_after_s=60) as limits, kept(limits):
            await until(lambda: is_away(limits))
            failed = limits._link.failed
            for _ in range(1_000):
                assert await limits.take(NEW, 1, 1) is None
            assert limits._link.failed <= failed + 1  # only the keeper asks


async def test_rules_that_are_none_are_refused(any_redis_url: str) -> None:
    async with limits_of(any_redis_url, []) as limits:
        assert await limits.take(NEW, 1, 1) is None  # nothing is known yet: count for yourself
        for rule in (("what", 1, 1, (1, 1, 1, 1)), ("weight", 0, 1, (1, 1, 1)), ("weight", 1, 0, (1, 1, 1))):
            with pytest.raises(ValueError, match="no rate limit"):
                limits.configure([rule])
        with pytest.raises(ValueError, match="no rate limit"):
            limits.configure([("weight", 60, 10, (1, 1))])
    with pytest.raises(ValueError, match="scheme"):
        SharedRateLimits("http://127.0.0.1", venue="V", address="a")
