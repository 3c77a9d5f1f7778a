"""Presence on a real server: who is there, who is forgotten, and content that nobody of us wrote."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import redis.asyncio

from tradewind.store.presence import (
    LARGEST_ROW_BYTES,
    LONGEST_TEXT,
    MOST_PROCESSES,
    Presence,
    ProcessPresence,
    ServicePresence,
)

INDEX = "tradewind:presence-index"


def row(pid: int = 1, **changes: Any) -> ProcessPresence:
    service = ServicePresence(name="recorder", kind="books", state="ready", reason="", restarts=0, since_ns=5)
    fields: dict[str, Any] = {
        "process_id": f"host:{pid}:ab",
        "host": "host",
        "pid": pid,
        "version": "1.2.3",
        "since_ns": 7,
        "services": (service,),
    }
    return ProcessPresence(**{**fields, **changes})


@pytest.fixture
async def presence(any_redis_url: str) -> AsyncIterator[Presence]:
    made = Presence(any_redis_url, timeout_s=10)
    yield made
    await made.close()


async def seen(presence: Presence) -> list[ProcessPresence]:
    found = await presence.read()
    assert found is not None
    assert found.unreadable == 0
    return list(found.processes)


async def test_processes_are_seen_in_order_until_they_end(presence: Presence) -> None:
    assert await seen(presence) == []
    for pid in (10, 9):
        assert await presence.tell(row(pid))
    assert await seen(presence) == [row(9), row(10)]
    changed = row(9, services=())
    assert await presence.tell(changed)
    assert await seen(presence) == [changed, row(10)]
    assert await presence.forget(row(9).process_id)
    assert await presence.forget("never there")
    assert await seen(presence) == [row(10)]


async def test_one_that_says_nothing_more_is_forgotten(presence: Presence) -> None:
    await presence.tell(row(1), ttl_s=0.05)
    await presence.tell(row(2))
    async with asyncio.timeout(10):
        while await seen(presence) != [row(2)]:
            await asyncio.sleep(0.02)


async def test_a_server_that_lost_everything_sees_it_again(presence: Presence, any_redis_url: str) -> None:
    await presence.tell(row())
    async with redis.asyncio.from_url(any_redis_url) as client:
        await client.flushall()
    assert await seen(presence) == []
    await presence.tell(row())
    assert await seen(presence) == [row()]


async def test_away_it_says_so_and_does_not_raise() -> None:
    presence = Presence("redis://127.0.0.1:1")
    assert not await presence.tell(row())
    assert not await presence.forget("x")
    assert await presence.read() is None
    await presence.close()
    with pytest.raises(ValueError, match="scheme"):
        Presence("http://127.0.0.1")


def hostile_values() -> dict[str, bytes]:
    other = msgspec.msgpack.encode(row(77))
    return {
        "empty map": b"\x80",
        "nothing known": b"\xc1\xff",
        "not text": msgspec.msgpack.encode({"process_id": b"\xff\xfe"}),
        "bad utf-8": b"\x81\xaaprocess_id\xa2\xff\xfe",
        "deep": b"\x91" * 60_000 + b"\xc0",
        "somebody else's": other,
        "huge": b"\x00" * (LARGEST_ROW_BYTES * 4),
        "wrong numbers": msgspec.msgpack.encode(msgspec.to_builtins(row()) | {"pid": 2**63}),
    }


@pytest.mark.parametrize("name", hostile_values())
async def test_what_cannot_be_read_is_counted_and_left_out(presence: Presence, any_redis_url: str, name: str) -> None:
    await presence.tell(row(1))
    async with redis.asyncio.from_url(any_redis_url) as client:
        await client.set(f"tradewind:presence:{name}", hostile_values()[name])
        await client.zadd(INDEX, {name: time.time_ns() // 1_000_000})
    found = await presence.read()
    assert found is not None
    assert found.processes == (row(1),)
    assert found.unreadable == 1


async def test_keys_of_another_kind_are_survived(presence: Presence, any_redis_url: str) -> None:
    async with redis.asyncio.from_url(any_redis_url) as client:
        await client.set(INDEX, "what")
        assert await seen(presence) == []
        await client.set(INDEX, "what")
        assert await presence.tell(row(1))
        await client.rpush("tradewind:presence:list", "x")
        await client.zadd(INDEX, {"list": 1e15})
    found = await presence.read()
    assert found is not None
    assert (found.processes, found.unreadable) == ((row(1),), 1)


async def test_texts_are_cut_and_cannot_steer_a_terminal(presence: Presence) -> None:
    await presence.tell(row(host="\x1b[2J\nhost" + "x" * 1_000))
    (found,) = await seen(presence)
    assert found.host.startswith("?[2J?host")
    assert len(found.host) == LONGEST_TEXT


async def test_rows_are_bounded_in_number_and_size(presence: Presence, any_redis_url: str) -> None:
    async with redis.asyncio.from_url(any_redis_url) as client:
        for start in range(0, 2 * MOST_PROCESSES, 500):
            await client.zadd(INDEX, {f"ghost{start + n}": time.time_ns() // 1_000_000 for n in range(500)})
        await client.zadd(INDEX, {"of long ago": 1})
        await presence.tell(row(1))
        assert await client.zcard(INDEX) <= MOST_PROCESSES
        assert await client.zscore(INDEX, "of long ago") is None
        assert 0 < await client.pttl(INDEX) <= 3_600_000
    assert await seen(presence) == [row(1)]
    with pytest.raises(ValueError, match="more than"):
        await presence.tell(row(version="x" * LARGEST_ROW_BYTES))
