"""A process of its own for ``test_rate_limits``: takes from the shared limits as its one argument says (JSON)."""

import asyncio
import json
import random
import sys
import time
from typing import Any

from tradewind.store.rate_limits import SharedRateLimits, StepAnswer


class Watched(SharedRateLimits):
    """Notes the server's own time of each grant."""

    grants: list[tuple[int, int, int]]

    async def _step(
        self, priority: int, need: tuple[int, int], want: tuple[int, int], ticket: str, patience_s: float
    ) -> StepAnswer | None:
        answer = await super()._step(priority, need, want, ticket, patience_s)
        if answer is not None and answer.granted:
            self.grants.append((answer.now_ms, *need))
        return answer


async def main(order: dict[str, Any]) -> dict[str, Any]:
    limits = Watched(order["url"], venue="V", address="a", account="b", timeout_s=10)
    limits.grants = []
    limits.configure([tuple(rule) for rule in order["rules"]])
    try:
        return await DEEDS[order["do"]](limits, order)
    finally:
        await limits.close()


async def drain(limits: Watched, order: dict[str, Any]) -> dict[str, Any]:
    """Take one at a time, several at once, until it is refused."""

    async def one() -> int:
        granted = 0
        while await limits.take(order["priority"], 1, 0) == 0.0:
            granted += 1
        return granted

    return {"granted": sum(await asyncio.gather(*(one() for _ in range(4))))}


async def insist(limits: Watched, order: dict[str, Any]) -> dict[str, Any]:
    """Take one at a time and go on asking when refused."""
    granted, until = 0, time.monotonic() + order["seconds"]
    while time.monotonic() < until:
        if await limits.take(order["priority"], 1, 0, patience_s=0.1) == 0.0:
            granted += 1
        else:
            await asyncio.sleep(0.001)
    return {"granted": granted}


async def hammer(limits: Watched, order: dict[str, Any]) -> dict[str, Any]:
    """All kinds of requests; what was granted, and when."""
    chance = random.Random(order["seed"])
    until = time.monotonic() + order["seconds"]

    async def one() -> None:
        while time.monotonic() < until:
            priority = chance.choice((0, 1, 2, 3))
            weight, orders = (chance.randint(1, 6), 0) if priority in (0, 3) else (1, 1)
            if await limits.take(priority, weight, orders, patience_s=chance.choice((0.0, 1.0))) != 0.0:
                await asyncio.sleep(0.001)

    await asyncio.gather(*(one() for _ in range(3)))
    return {"grants": limits.grants}


async def wait(limits: Watched, order: dict[str, Any]) -> dict[str, Any]:
    """Wait for one turn."""
    return {"waited": await limits.take(order["priority"], order["weight"], 0, patience_s=30)}


DEEDS = {"drain": drain, "insist": insist, "hammer": hammer, "wait": wait}

if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
