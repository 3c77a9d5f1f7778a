"""Last values on a real Valkey, with it, without it, and while it goes and comes back."""

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tradewind.store.data_dir import make_folder, socket_folder
from tradewind.store.last_values import LARGEST_VALUE_BYTES, LastValues
from tradewind.store.valkey_server import ValkeyServer


@pytest.fixture
async def values(redis_url: str) -> AsyncIterator[LastValues]:
    async with LastValues(redis_url) as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with tempfile.TemporaryDirectory(prefix="tw-") as name:
        folder = Path(name).resolve()
        server = ValkeyServer(make_folder(folder / "valkey"), socket_folder(folder))
        server.start()
        yield server
        server.stop()


@pytest.mark.parametrize("value", [0, "text", [1, 2, [3]], {"bid": 6183763, "ask": None}, b"\x00\xff", 2**64 - 1])
async def test_a_value_comes_back_as_it_went_in(values: LastValues, value: Any) -> None:
    assert await values.put("quote:BTCUSDT", value)
    assert await values.get("quote:BTCUSDT") == value


async def test_absent_deleted_and_replaced_values(values: LastValues) -> None:
    assert await values.get("nothing") is None
    assert await values.put_many({"a": 1, "b": 2, "c": 3})
    assert await values.put("a", 10)
    assert await values.delete("b", "never there")
    assert await values.get_many(["a", "b", "c"]) == {"a": 10, "c": 3}
    assert await values.put_many({})
    assert await values.get_many([]) == {}
    assert await values.delete()


async def test_values_of_two_namespaces_do_not_meet(redis_url: str) -> None:
    async with LastValues(redis_url, namespace="one") as one, LastValues(redis_url, namespace="two") as two:
        await one.put("key", 1)
        assert await two.get("key") is None


async def test_values_expire(values: LastValues) -> None:
    await values.put("soon", 1, ttl_s=0.05)
    await values.put("later", 2, ttl_s=60)
    await asyncio.sleep(0.1)
    assert await values.get_many(["soon", "later"]) == {"later": 2}


@pytest.mark.parametrize("foreign", [b"\xc1", b"", b"\x91" * 100_000, b"\xa2\xff\xfe", b"\xc7\xff\xff"])
async def test_a_value_that_somebody_else_wrote_is_counted_and_left_out(
    values: LastValues, redis_url: str, foreign: bytes
) -> None:
    await values.put("ours", 1)
    async with redis.asyncio.from_url(redis_url) as client:
        await client.set("tradewind:theirs", foreign)
        await client.rpush("tradewind:list", "x")
    assert await values.get_many(["ours", "theirs", "list"]) == {"ours": 1}
    assert values.counts.unreadable == 1


async def test_wrong_values_are_the_callers_mistake(values: LastValues) -> None:
    with pytest.raises(ValueError, match="at most"):
        await values.put("huge", b"x" * LARGEST_VALUE_BYTES)
    with pytest.raises(TypeError):
        await values.put("what", object())
    for ttl_s in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="not positive"):
            await values.put("key", 1, ttl_s)
    with pytest.raises(ValueError, match="scheme"):
        LastValues("http://127.0.0.1")


async def test_absent_from_the_start_every_call_says_so_and_none_raises() -> None:
    async with LastValues("redis://127.0.0.1:1") as values:
        assert not await values.put("a", 1)
        assert not await values.put_many({"a": 1}, ttl_s=5)
        assert await values.get("a") is None
        assert not await values.delete("a")
        assert not await values.ping()
        assert not values.available
        assert values.counts.failed == 5
        assert values.counts.written == 0


async def test_a_server_that_never_answers_costs_one_timeout_then_nothing() -> None:
    accepted = 0

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        async with LastValues(f"redis://127.0.0.1:{port}", timeout_s=0.1, retry_after_s=60) as values:
            assert not await values.put("a", 1)
            for _ in range(1_000):
                assert not await values.put("a", 1)
            assert (values.counts.failed, accepted) == (1_001, 1)


def wait_ended(server: ValkeyServer) -> None:
    while server.running:
        time.sleep(0.01)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_it_goes_and_comes_back(server: ValkeyServer, end: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tradewind.store.last_values"):
        async with LastValues(server.url, retry_after_s=0.01) as values:
            assert await values.put("kept", "before")
            await asyncio.sleep(1.2)  # the append-only file is synced each second
            assert server.pid is not None
            os.kill(server.pid, end)
            await asyncio.to_thread(wait_ended, server)
            assert not await values.put("kept", "meanwhile")
            await asyncio.sleep(0.02)
            assert await values.get("kept") is None
            await asyncio.to_thread(server.start)
            await asyncio.sleep(0.02)
            assert await values.get("kept") == "before"
            assert await values.put("kept", "after")
            assert values.available
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_losing_everything_is_an_ordinary_absence(values: LastValues, redis_url: str) -> None:
    await values.put("key", 1)
    async with redis.asyncio.from_url(redis_url) as client:
        await client.flushall()
    assert await values.get("key") is None
    assert await values.put("key", 2)


async def test_many_callers_at_once_share_few_connections(redis_url: str) -> None:
    async with LastValues(redis_url, max_connections=2) as values:
        assert all(await asyncio.gather(*(values.put(f"key{n}", n) for n in range(200))))
        assert values.counts.written == 200
        async with redis.asyncio.from_url(redis_url) as client:
            assert len(await client.client_list()) <= 3
