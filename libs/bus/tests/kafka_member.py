"""A member of a group as a process of its own: ``kafka_member.py URL TOPIC PARTITIONS GROUP EFFECTS MODE``.

It records each message once in the SQLite file EFFECTS, says so on its output, and then, by MODE: ``hold`` waits for a
line on its input, as one that is stuck with its loop, before it commits and goes on; ``work`` commits at once.
"""

import asyncio
import sqlite3
import sys

from tradewind.bus.connecting import connect
from tradewind.wire.commands import CancelAllOrders
from tradewind.wire.topics import Plane, Topic


async def main(url: str, topic_name: str, partitions: str, group: str, effects: str, mode: str) -> None:
    database = sqlite3.connect(effects, timeout=30, isolation_level=None)
    bus = await connect(url)
    topic = Topic(topic_name, Plane.ORDERS, "account", int(partitions))
    subscription = await bus.subscribe(topic, group=group)
    print("ready", flush=True)
    while True:
        for delivery in await subscription.receive():
            message = delivery.payload
            assert isinstance(message, CancelAllOrders)
            database.execute("INSERT OR IGNORE INTO effects VALUES (?, 'process')", (message.reason,))
        print("recorded", flush=True)
        if mode == "hold":
            sys.stdin.readline()
        await subscription.commit()
        print("committed", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
