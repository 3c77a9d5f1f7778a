"""The command `tradewind` with a bus of its own that stands in for a broker: it never stops publishing.

``standin://`` publishes market data and order events as fast as it can; with ``?endless=yes`` it says that it keeps
more than it will ever give, so that a replay of it does not end.
"""

import asyncio
import sys
from typing import Any

from topic_samples import MARKET, batch, filled

from tradewind.bus import connecting
from tradewind.bus.interface import PartitionRange, TopicDescription
from tradewind.bus.memory import MemoryBus
from tradewind.runtime import cli
from tradewind.wire.topics import ORDERS_EVENTS, Topic


class Endless(MemoryBus):
    async def describe(self, topic: Topic) -> TopicDescription:
        return TopicDescription(topic.name, (PartitionRange(0, 2**62),) * topic.partitions, {})


async def _publish(bus: MemoryBus) -> None:
    while True:
        for _ in range(20):
            bus.publish_now(MARKET, "BINANCE", batch(50))
            await bus.publish(ORDERS_EVENTS, "BINANCE-main", filled())
        await asyncio.sleep(0.001)


async def _open(url: str) -> Any:
    bus = Endless() if "endless" in url else MemoryBus()
    publishing = asyncio.get_running_loop().create_task(_publish(bus))
    close = bus.close

    async def close_all() -> None:
        publishing.cancel()
        await close()

    bus.close = close_all  # type: ignore[method-assign]
    return bus


if __name__ == "__main__":
    connecting.TRANSPORTS["standin"] = _open
    sys.argv[0] = "tradewind"
    cli.main()
