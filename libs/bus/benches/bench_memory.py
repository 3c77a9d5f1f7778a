"""What one message through the memory bus costs, beside a bare asyncio.Queue and a direct call in the same run.

Run it with ``python libs/bus/benches/bench_memory.py``. Publisher and reader are two tasks on one uvloop; the publisher
hands over bursts of 256, as a decoder does, and lets the loop turn after each. "one at a time" is the time from one
publish to the next when each message wakes the reader and is answered: the price of a hop, not of throughput.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Final

import uvloop

from tradewind.bus.interface import Payload
from tradewind.bus.memory import MemoryBus
from tradewind.model.identifiers import AccountId, ClientOrderId, StrategyId, Venue
from tradewind.wire.commands import CancelOrder
from tradewind.wire.market_batches import MarketBatch
from tradewind.wire.market_records import empty_records, read_only
from tradewind.wire.topics import ORDERS_COMMANDS, Topic, market_events

MESSAGES: Final = 200_000
HOPS: Final = 20_000
BURST: Final = 256
ROUNDS: Final = 3

BATCH: Final = MarketBatch(Venue("SIM"), read_only(empty_records(100)))
COMMAND: Final = CancelOrder(
    event_id="e-1",
    correlation_id="e-1",
    causation_id="",
    ts_event=1,
    ts_init=1,
    strategy_id=StrategyId("ema-cross"),
    account_id=AccountId("SIM-main"),
    client_order_id=ClientOrderId("ema-cross-1-1"),
)

Measure = Callable[[], Awaitable[float]]


async def bus_burst(topic: Topic, group: str | None, payload: Payload) -> float:
    """Nanoseconds per message from publish to receive, in bursts."""
    bus = MemoryBus()
    subscription = await bus.subscribe(topic, group=group)

    async def publish() -> None:
        for number in range(MESSAGES):
            await bus.publish(topic, "SIM-main", payload)
            if number % BURST == 0:
                await asyncio.sleep(0)

    async def receive() -> None:
        left = MESSAGES
        while left:
            for delivery in await subscription.receive(1024):
                assert delivery.payload is payload
                left -= 1
            await subscription.commit()

    result = await _timed(publish, receive, MESSAGES)
    await bus.close()
    return result


async def bus_hop(topic: Topic, group: str | None, payload: Payload) -> float:
    """Nanoseconds from one publish to the next when each wakes the reader."""
    bus = MemoryBus()
    subscription = await bus.subscribe(topic, group=group)

    async def publish() -> None:
        for _ in range(HOPS):
            await bus.publish(topic, "SIM-main", payload)
            await asyncio.sleep(0)

    async def receive() -> None:
        left = HOPS
        while left:
            left -= len(await subscription.receive())
            await subscription.commit()

    result = await _timed(publish, receive, HOPS)
    await bus.close()
    return result


async def queue_burst() -> float:
    """The same with a bounded asyncio.Queue, ``await put`` and ``await get`` per message."""
    queue: asyncio.Queue[Payload] = asyncio.Queue(10_000)

    async def publish() -> None:
        for number in range(MESSAGES):
            await queue.put(COMMAND)
            if number % BURST == 0:
                await asyncio.sleep(0)

    async def receive() -> None:
        for _ in range(MESSAGES):
            assert await queue.get() is COMMAND

    return await _timed(publish, receive, MESSAGES)


async def queue_hop() -> float:
    """The hop with a bounded asyncio.Queue."""
    queue: asyncio.Queue[Payload] = asyncio.Queue(10_000)

    async def publish() -> None:
        for _ in range(HOPS):
            await queue.put(COMMAND)
            await asyncio.sleep(0)

    async def receive() -> None:
        for _ in range(HOPS):
            await queue.get()

    return await _timed(publish, receive, HOPS)


async def direct_call() -> float:
    """A plain Python call that is given the message."""
    seen = 0

    def take(_payload: Payload) -> None:
        nonlocal seen
        seen += 1

    start = time.perf_counter_ns()
    for _ in range(MESSAGES):
        take(COMMAND)
    return (time.perf_counter_ns() - start) / MESSAGES


async def run() -> dict[str, float]:
    """Nanoseconds per message, the best of a few rounds each."""
    market = market_events(Venue("SIM"))
    measures: dict[str, Measure] = {
        "order_plane_group_ns": lambda: bus_burst(ORDERS_COMMANDS, "execution", COMMAND),
        "order_plane_broadcast_ns": lambda: bus_burst(ORDERS_COMMANDS, None, COMMAND),
        "market_plane_batch_of_100_ns": lambda: bus_burst(market, None, BATCH),
        "asyncio_queue_ns": queue_burst,
        "direct_call_ns": direct_call,
        "order_plane_one_at_a_time_ns": lambda: bus_hop(ORDERS_COMMANDS, "execution", COMMAND),
        "market_plane_one_at_a_time_ns": lambda: bus_hop(market, None, BATCH),
        "asyncio_queue_one_at_a_time_ns": queue_hop,
    }
    return {name: round(min([await measure() for _ in range(ROUNDS)]), 1) for name, measure in measures.items()}


async def _timed(publish: Callable[[], Awaitable[None]], receive: Callable[[], Awaitable[None]], count: int) -> float:
    start = time.perf_counter_ns()
    await asyncio.gather(publish(), receive())
    return (time.perf_counter_ns() - start) / count


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run()), indent=2))
