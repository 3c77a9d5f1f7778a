"""A gateway as a process of its own, to be killed: ``python gateway_process.py DSN VENUE_PORT DATA_DIR PORT``.

With it run market data and the execution service, on a memory bus that dies with the process.
"""

import asyncio
import sys
from pathlib import Path

from gateway_kit import CLIENTS, services

from tradewind.bus.memory import MemoryBus
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.testing import running, service_context
from tradewind.services.fix_gateway.service import SERVICE
from tradewind.services.fix_gateway.settings import GatewaySettings
from tradewind.store.database import Database


async def main(dsn: str, venue_port: int, data_dir: Path, port: int) -> None:
    """Run until killed."""
    settings = GatewaySettings(clients_secret=CLIENTS, port=port, heartbeat_s=1)
    bus = MemoryBus()
    async with (
        Database(dsn) as database,
        services(database, bus, venue_port, data_dir) as platform,
        service_context("fix-gateway", ServiceKind.EDGE, settings, database, bus=bus, platform=platform) as context,
        running(SERVICE, context),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])))
