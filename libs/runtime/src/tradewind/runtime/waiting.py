"""Waits for something that is not there yet, with back-off, and says so once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger

T = TypeVar("T")
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0
SAID_AFTER_S: Final = 2.0  # services and processes start together: that one is a moment early is no news


async def until_there(
    what: str,
    attempt: Callable[[], Awaitable[T]],
    log: FilteringBoundLogger,
    said_after_s: float = SAID_AFTER_S,
) -> T:
    """What ``attempt`` gives once it no longer raises an OSError.

    ``what`` names it for the log, which hears of it after ``said_after_s`` and when it is over.

    Raises:
        Exception: any other error of ``attempt``: waiting would not help.
    """
    wait_s, waiting, began_s = FIRST_WAIT_S, False, time.monotonic()
    while True:
        try:
            found = await attempt()
        except OSError as error:  # ConnectionError and TimeoutError are among them
            if not waiting and time.monotonic() - began_s >= said_after_s:
                log.warning(f"{what} does not answer; waiting for it", error=str(error))
                waiting = True
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        else:
            if waiting:
                log.info(f"{what} is there")
            return found
