"""Lets the made flow of a symbol happen in real time.

One task for each symbol, owned by the server. Bound: ``MAX_EVENTS`` at a time, then it gives way to the loop. After a
pause of the process the flow goes on from where it was, without catching up.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.services.sim_venue.flow import NS_PER_S
from tradewind.services.sim_venue.flow_market import FlowMarket

TICK_S: Final = 0.005
MAX_EVENTS: Final = 256
_LONGEST_LAG_S: Final = 1.0


@dataclasses.dataclass(slots=True)
class FlowStatus:
    """Where a flow stands; it ends when ``stop_asked`` is set. Times in ns UTC, 0: not yet."""

    began_ns: int = 0
    ended_ns: int = 0
    stop_asked: bool = False


async def run_flow(
    market: FlowMarket, status: FlowStatus, room: Callable[[], Awaitable[None]], duration_s: float = 0.0
) -> None:
    """Advance a market until cancelled. The flow ends when it is stopped, or after ``duration_s`` if that is not 0;
    the accounts' orders then still meet what rests.

    ``room`` is awaited between steps: it returns when the record of our fills has room.
    """
    clock = asyncio.get_running_loop().time
    begun_s = clock()
    elapsed_s = 0.0
    status.began_ns = time.time_ns()
    while True:
        until_ns = int(elapsed_s * NS_PER_S)
        if status.ended_ns:
            market.idle(until_ns)
        elif status.stop_asked or 0 < duration_s <= elapsed_s:
            status.ended_ns = time.time_ns()
        busy = not status.ended_ns and market.advance(until_ns, MAX_EVENTS) == MAX_EVENTS
        await asyncio.sleep(0 if busy else TICK_S)
        await room()
        lag_s = clock() - begun_s - elapsed_s
        begun_s += max(0.0, lag_s - _LONGEST_LAG_S)
        elapsed_s = clock() - begun_s
