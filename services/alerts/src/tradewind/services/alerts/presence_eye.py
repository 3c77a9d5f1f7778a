"""Who is there, as processes tell it through Redis. One task, owned by the service; the bounds are the reader's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.runtime.presence import NoRedis
from tradewind.store.presence import PresenceSeen, ServicePresence

LOOK_S: Final = 2.0

Look = Callable[[], Awaitable[PresenceSeen]]


class PresenceEye:
    """The newest answer; ``problem`` says why there is none."""

    def __init__(self, look: Look, every_s: float = LOOK_S) -> None:
        self._look = look
        self._every_s = every_s
        self.seen: PresenceSeen | None = None
        self.problem = ""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                self.seen, self.problem = await self._look(), ""
            except NoRedis as error:
                self.seen, self.problem = None, str(error)
            await asyncio.sleep(self._every_s)

    def services(self) -> dict[str, list[ServicePresence]]:
        """What each service says of itself, once for each process that runs it."""
        found: dict[str, list[ServicePresence]] = {}
        for process in self.seen.processes if self.seen is not None else ():
            for one in process.services:
                found.setdefault(one.name, []).append(one)
        return found

    def starts(self) -> dict[str, int]:
        """Restarts that each service's processes tell of, by `service process`."""
        return {
            f"{one.name} {process.process_id}": one.restarts
            for process in (self.seen.processes if self.seen is not None else ())
            for one in process.services
        }
