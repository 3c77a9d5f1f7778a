"""The service ``alerts``: evaluates conditions, keeps what is open, tells people."""

import asyncio

from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.services.alerts.settings import Settings


async def run(context: ServiceContext) -> None:
    """Watch until cancelled."""
    context.health.set_ready()
    await asyncio.Event().wait()


SERVICE = Service(name="alerts", kind=ServiceKind.EDGE, run=run, settings=Settings)
