"""Lets the made flow of a symbol happen in real time.

One task for each symbol, owned by the server. Bound: ``MAX_EVENTS`` at a time, then it gives way to the loop. After a
pause of the process the flow goes on from where it was, without catching up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.services.sim_venue.flow import NS_PER_S
from tradewind.services.sim_venue.flow_market import FlowMarket

TICK_S: Final = 0.005
MAX_EVENTS: Final = 256
_LONGEST_LAG_S: Final = 1.0


async def run_flow(market: FlowMarket, room: Callable[[], Awaitable[None]], duration_s: float = 0.0) -> None:
    """Advance a market until cancelled, or for ``duration_s`` if that is not 0.

    ``room`` is awaited between steps: it returns when the record of our fills has room.
    """
    clock = asyncio.get_running_loop().time
    begun_s = clock()
    elapsed_s = 0.0
    while not duration_s or elapsed_s < duration_s:
        if market.advance(int(elapsed_s * NS_PER_S), MAX_EVENTS) < MAX_EVENTS:
            await asyncio.sleep(TICK_S)
        else:
            await asyncio.sleep(0)
        await room()
        lag_s = clock() - begun_s - elapsed_s
        begun_s += max(0.0, lag_s - _LONGEST_LAG_S)
        elapsed_s = clock() - begun_s
