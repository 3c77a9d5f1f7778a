"""The services of the deployment's other processes, as they tell of themselves through Redis.

One task, owned by the service, looks every ``LOOK_S``. Bounds are those of the reader. Without Redis nobody else is
seen, and the page shows this process alone.
"""

import asyncio
import os
import socket
from typing import Final

from tradewind.runtime.presence import NoRedis, processes_seen
from tradewind.runtime.settings import PlatformSettings
from tradewind.store.presence import PresenceSeen, ProcessPresence, ServicePresence

LOOK_S: Final = 2.0


class Neighbours:
    """Who else is there."""

    def __init__(self, platform: PlatformSettings) -> None:
        self.services: tuple[ServicePresence, ...] = ()
        """By name; one that several processes run is there as often."""
        self.processes: tuple[ProcessPresence, ...] = ()
        self._platform = platform
        self._own = (socket.gethostname(), os.getpid())

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                self.processes = self._others(await processes_seen(self._platform))
            except NoRedis:
                self.processes = ()
            services = (one for process in self.processes for one in process.services)
            self.services = tuple(sorted(services, key=lambda one: one.name))
            await asyncio.sleep(LOOK_S)

    def _others(self, seen: PresenceSeen) -> tuple[ProcessPresence, ...]:
        return tuple(process for process in seen.processes if (process.host, process.pid) != self._own)
