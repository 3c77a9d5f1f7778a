"""One line for people about what the platform does: live on a terminal, now and then in the log elsewhere."""

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

from tradewind.runtime.health import ServiceState
from tradewind.runtime.logging import get_logger
from tradewind.runtime.platform_view import OwnProcessView, PlatformView

RECORDS: Final = "market_records"
"""Counter: market records published by market-data."""
ORDERS: Final = "orders_sent"
"""Counter: orders that execution wrote towards the venue."""
FILLS: Final = "fills"
"""Counter: fills applied by execution."""
NET_PNL: Final = "net_pnl"
"""Gauge: net profit and loss per book, in quote currency, set by portfolio."""

_LIVE_INTERVAL_S: Final = 0.5
_LOG_INTERVAL_S: Final = 30.0


class PlatformStatus:
    """Makes the line from health and figures. Rates are over the time since the last call."""

    def __init__(self, view: PlatformView | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view or OwnProcessView()
        self._clock = clock
        self._started_s = self._last_s = clock()
        self._last_records = 0.0

    def __call__(self) -> str:
        now_s = self._clock()
        total = self._view.total
        rows = self._view.rows()
        ready = sum(row.state is ServiceState.READY for row in rows)
        records = total(RECORDS)
        elapsed_s = now_s - self._last_s
        rate = (records - self._last_records) / elapsed_s if elapsed_s > 0 else 0.0
        self._last_s, self._last_records = now_s, records
        parts = [
            f"up {duration(now_s - self._started_s)}",
            f"services {ready}/{len(rows)} ready",
            f"{rate:,.0f} records/s",
            f"orders {total(ORDERS):,.0f}",
            f"fills {total(FILLS):,.0f}",
            f"P&L {total(NET_PNL):+,.2f}",
        ]
        return " | ".join(parts)


def duration(seconds: float) -> str:
    """``H:MM:SS``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


async def show_status(line: Callable[[], str]) -> None:
    """Show ``line()`` until cancelled: at the bottom of a terminal, or as a log line each 30 s."""
    if sys.stdout.isatty():
        await _show_live(line)
    else:
        await _log_periodically(line)


async def _show_live(line: Callable[[], str]) -> None:
    # Imported late: a process without a terminal needs none of it.
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    # Log lines that go to a file must stay there; only a terminal shares its place with the live line.
    with Live(
        console=Console(), auto_refresh=False, transient=True, redirect_stdout=True, redirect_stderr=sys.stderr.isatty()
    ) as live:
        while True:
            live.update(Text(line(), style="bold", no_wrap=True, overflow="ellipsis"), refresh=True)
            await asyncio.sleep(_LIVE_INTERVAL_S)


async def _log_periodically(line: Callable[[], str]) -> None:
    log = get_logger("status")
    while True:
        await asyncio.sleep(_LOG_INTERVAL_S)
        log.info(line())
