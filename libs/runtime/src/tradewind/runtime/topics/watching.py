"""Shows the lag of groups once, or again and again until cancelled."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live

from tradewind.runtime.topics.brokers import Buses
from tradewind.runtime.topics.overviews import describe, lag_rows, lag_table
from tradewind.wire.topics import Topic

Rows = list[dict[str, Any]]


async def watch_lag(
    buses: Buses, topics: Sequence[Topic], interval_s: float | None, show: Callable[[Rows], object]
) -> None:
    """Show the lag once, or each ``interval_s`` until cancelled."""
    show(lag_rows(await describe(buses, topics)))
    while interval_s is not None:
        await asyncio.sleep(interval_s)
        show(lag_rows(await describe(buses, topics)))


@contextlib.contextmanager
def lag_screen(*, live: bool) -> Iterator[Callable[[Rows], object]]:
    """Shows rows as a table: in its place when ``live`` on a terminal, else one under the other."""
    console = plain_console()
    if not (live and sys.stdout.isatty()):
        yield lambda rows: console.print(lag_table(rows))
        return
    with Live(console=console, auto_refresh=False) as screen:
        yield lambda rows: screen.update(lag_table(rows), refresh=True)


def plain_console() -> Console:
    """Standard output. Where it is no terminal nothing is folded: the next program wants whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


_WIDE = 240
