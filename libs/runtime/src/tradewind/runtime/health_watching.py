"""Shows as metrics which services of the process are ready."""

import asyncio
from typing import Final

from tradewind.runtime.health import HealthBoard
from tradewind.runtime.metrics import ProcessMetrics

_INTERVAL_S: Final = 0.25


async def watch_health(metrics: ProcessMetrics, board: HealthBoard) -> None:
    """Keep the gauge ``service_ready`` of each service up to date until cancelled."""
    while True:
        for row in board.rows():
            gauge = metrics.gauge("service_ready", "1 while the service does its work", "", {"service": row.name})
            gauge.set(1 if row.state == "ready" else 0)
        await asyncio.sleep(_INTERVAL_S)
