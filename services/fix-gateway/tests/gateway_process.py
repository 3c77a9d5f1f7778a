"""A gateway as a process of its own, to be killed: ``python gateway_process.py DSN VENUE_PORT DATA_DIR PORT BUS_URL``.

With ``memory://`` market data and the execution service run with it, on a bus that dies with the process.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from gateway_kit import CLIENTS, platform_of, services

from tradewind.bus.connecting import connect
from tradewind.runtime.service import ServiceKind
from tradewind.runtime.testing import running, service_context
from tradewind.services.fix_gateway.service import SERVICE
from tradewind.services.fix_gateway.settings import GatewaySettings
from tradewind.store.database import Database


async def main(dsn: str, venue_port: int, data_dir: Path, port: int, bus_url: str) -> None:
    """Run until killed."""
    settings = GatewaySettings(clients_secret=CLIENTS, port=port, heartbeat_s=1)
    bus = await connect(bus_url)
    async with Database(dsn) as database, AsyncExitStack() as stack:
        platform = platform_of(venue_port, data_dir)
        if bus_url == "memory://":
            await stack.enter_async_context(services(database, bus, venue_port, data_dir))
        context = await stack.enter_async_context(
            service_context("fix-gateway", ServiceKind.EDGE, settings, database, bus=bus, platform=platform)
        )
        await stack.enter_async_context(running(SERVICE, context))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
