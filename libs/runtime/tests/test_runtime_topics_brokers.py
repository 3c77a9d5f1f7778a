"""`tradewind topics` as a process of its own, on a real Kafka and a real RabbitMQ."""

import asyncio
import gzip
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import aiokafka  # type: ignore[import-untyped]
import pytest
from command_kit import COMMAND
from topic_samples import BTCUSDT, MARKET, batch, cancel, defined, filled

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus, Start
from tradewind.runtime.broker_urls import with_topic_prefix
from tradewind.wire.topics import ORDERS_COMMANDS, ORDERS_EVENTS, REF_INSTRUMENTS

WAIT_S: Final = 45
GROUP: Final = "execution.BINANCE-main"
EVENTS: Final = 40
BATCHES: Final = 30


@pytest.fixture
def prefix() -> str:
    """The brokers are shared by all tests of a session; under a prefix each has its own topics and groups."""
    return f"looked-at-{secrets.token_hex(6)}."


@pytest.fixture(params=["kafka_url", "rabbitmq_url"])
def broker_url(request: pytest.FixtureRequest, prefix: str) -> str:
    return with_topic_prefix(request.getfixturevalue(request.param), prefix)


@pytest.fixture
async def bus(broker_url: str) -> AsyncIterator[Bus]:
    """A bus on which the platform has worked for a moment."""
    opened = await connect(broker_url)
    try:
        await opened.publish(REF_INSTRUMENTS, BTCUSDT, defined())
        group = await opened.subscribe(ORDERS_COMMANDS, group=GROUP, start=Start.EARLIEST)
        for number in range(3):
            await opened.publish(ORDERS_COMMANDS, "BINANCE-main", cancel(number))
        [first, *_] = await group.receive(timeout_s=WAIT_S)
        await group.dead_letter(first, "no such account \x1b[31m")
        await group.close()
        for number in range(EVENTS):
            await opened.publish(ORDERS_EVENTS, f"BINANCE-{number % 5}", filled(event_id=f"f{number}"))
        for _ in range(BATCHES):
            await opened.publish(MARKET, "BINANCE", batch(10))
        yield opened
    finally:
        await opened.close()


class NotDone(Exception):
    """The command says that it could not do all that was asked."""


async def topics(url: str, *arguments: str) -> str:
    """The standard output of the command.

    Raises:
        NotDone: its exit code is not 0.
    """
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "topics",
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TRADEWIND_BUS_URL": url},
    )
    try:
        async with asyncio.timeout(WAIT_S):
            output, errors = await process.communicate()
    except TimeoutError:
        process.kill()
        output, errors = await process.communicate()
        pytest.fail(f"tradewind topics {' '.join(arguments)} does not end: {output!r} {errors!r}")
    assert errors.decode().replace("\n", "").isprintable()
    if process.returncode:
        raise NotDone(f"exit code {process.returncode}: {errors.decode()}")
    return output.decode()


@pytest.mark.usefixtures("bus")
async def test_topics_of_a_broker_can_be_looked_at(broker_url: str, tmp_path: Path) -> None:
    rows = {row["topic"]: row for row in json.loads(await topics(broker_url, "list", "--json"))}
    assert rows["orders.events"]["messages"] == EVENTS
    assert rows["md.events.binance"]["messages"] == BATCHES
    assert rows["orders.commands"]["groups"] == {GROUP: 3}
    assert rows["orders.commands.dead-letter"]["messages"] == 1

    lags = json.loads(await topics(broker_url, "lag", "orders.commands", "--json"))
    assert sum(row["lag"] for row in lags if row["group"] == GROUP) == 3

    lines = (
        await topics(broker_url, "tail", "orders.events", "--from", "earliest", "--limit", str(EVENTS))
    ).splitlines()
    assert len(lines) == EVENTS
    assert all(" OrderFilled " in line and "price=61837.63" in line for line in lines)

    [letter] = (
        await topics(broker_url, "tail", "orders.commands.dead-letter", "--from", "earliest", "--limit", "1")
    ).splitlines()
    assert r'reason="no such account \x1b[31m" from orders.commands' in letter
    assert "CancelAllOrders v1 account_id=BINANCE-main" in letter

    path = tmp_path / "market.jsonl.gz"
    await topics(broker_url, "replay", "md.events.binance", "--to", str(path))
    with gzip.open(path, "rt", encoding="ascii") as file:
        records = [json.loads(line) for line in file]
    assert len(records) == BATCHES * 10
    assert {record["price"] for record in records} == {"61837.63"}


async def test_a_part_of_a_topic_is_found_by_time_and_offset(bus: Bus, broker_url: str, tmp_path: Path) -> None:
    every = await bus.replay(ORDERS_EVENTS)
    since, until = sorted(one.ts_publish for one in every)[10:31:20]
    path = tmp_path / "events.jsonl"
    await topics(broker_url, "replay", "orders.events", "--to", str(path), "--from", str(since), "--until", str(until))
    found = sorted(json.loads(line)["ts_publish"] for line in path.read_text().splitlines())
    assert found == sorted(one.ts_publish for one in every if since <= one.ts_publish < until)
    [line] = (
        await topics(broker_url, "tail", "md.events.binance", "--from", "7", "--limit", "1", "--json")
    ).splitlines()
    assert json.loads(line)["offset"] == 7


async def test_looking_takes_nothing_from_the_platform(bus: Bus, broker_url: str) -> None:
    await topics(broker_url, "tail", "orders.commands", "--from", "earliest", "--limit", "3")
    group = await bus.subscribe(ORDERS_COMMANDS, group=GROUP)
    got: list[Any] = []
    while len(got) < 3:
        got += await group.receive(timeout_s=WAIT_S)
    assert {one.payload.event_id for one in got} == {"e0", "e1", "e2"}


RUBBISH: Final[tuple[tuple[bytes, dict[str, bytes]], ...]] = (
    (b"\x1b[2J", {}),
    (b"x" * 64, {"type": b"\x1b[31m", "version": b"1", "ts": b"9" * 30}),
    (b"\xc1", {"type": b"OrderFilled", "version": b"1", "ts": b"1"}),
)
"""Bodies and headers that no publisher of ours makes."""


async def _send_rubbish(url: str, topic: str) -> None:
    """Put it on partition 0 as a stranger does: with the broker's own client."""
    if url.startswith("kafka"):
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=urlsplit(url).netloc)
        await producer.start()
        try:
            for body, headers in RUBBISH:
                await producer.send_and_wait(topic, body, key=b"\x1b[31m", headers=list(headers.items()), partition=0)
        finally:
            await producer.stop()
        return
    async with await aio_pika.connect(urlunsplit(urlsplit(url)._replace(query=""))) as connection:
        exchange = await (await connection.channel()).get_exchange(topic)
        for body, headers in RUBBISH:
            texts = {name: value.decode() for name, value in headers.items()}
            await exchange.publish(aio_pika.Message(body, headers={**texts, "key": "\x1b[31m"}), routing_key="0")


async def test_bytes_that_are_no_message_disturb_nobody(bus: Bus, broker_url: str, prefix: str, tmp_path: Path) -> None:
    await _send_rubbish(broker_url, prefix + ORDERS_EVENTS.name)
    await bus.publish(ORDERS_EVENTS, "BINANCE-main", filled(event_id="after"))
    output = await topics(broker_url, "tail", "orders.events", "--from", "earliest", "--limit", str(EVENTS + 1))
    assert len(output.splitlines()) == EVENTS + 1
    assert output.replace("\n", "").isprintable()

    # Now they are also the last of their partition, which is where a replay looks for its end.
    await _send_rubbish(broker_url, prefix + ORDERS_EVENTS.name)
    path = tmp_path / "events.jsonl"
    with pytest.raises(NotDone, match=r"messages that the broker counts could not be read") as caught:
        await topics(broker_url, "replay", "orders.events", "--to", str(path))
    assert f"{EVENTS + 1} lines of {EVENTS + 1} messages" in str(caught.value)
    found = {json.loads(line)["message"]["event_id"] for line in path.read_text().splitlines()}
    assert found == {"after", *(f"f{number}" for number in range(EVENTS))}
