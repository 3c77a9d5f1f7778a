"""The audit of what hands do: a line is in the database before the command is on the bus.

While the database is away what could wait is refused. What makes trading safer is not: a halt, a kill switch and a
cancel go through, their lines are kept in memory, bounded, and written when the database is back; until then they are
in the log. One task, owned by the service, writes them.
"""

import asyncio
import time
from collections import deque
from typing import Any, Final

import msgspec

from tradewind.services.api.logins.identity import Identity
from tradewind.services.api.store_bounds import bounded
from tradewind.store.audit import AuditEntry, AuditRepository
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.messages import EventIds

MOST_OWED: Final = 1_000
RETRY_S: Final = 1.0
URGENT_S: Final = 0.5
LONGEST_TEXT: Final = 2_000


class AuditTrail:
    """Writes lines, now or later."""

    def __init__(self, repository: AuditRepository, timeout_s: float, log: Any) -> None:
        self._repository = repository
        self._timeout_s = timeout_s
        self._log = log
        self._ids = EventIds()
        self._owed: deque[AuditEntry] = deque(maxlen=MOST_OWED)

    @property
    def owed(self) -> int:
        """Lines that wait for the database."""
        return len(self._owed)

    async def write(
        self, who: Identity, *, action: str, subject: str, before: str, after: str, why: str, urgent: bool
    ) -> None:
        """Write one line.

        Raises:
            DatabaseUnavailable: it was not written, and ``urgent`` is not given; nothing may be done now.
        """
        entry = AuditEntry(
            ts=time.time_ns(),
            actor=who.name,
            action=action,
            before=before[:LONGEST_TEXT],
            after=after[:LONGEST_TEXT],
            why=why[:LONGEST_TEXT],
            role=who.role,
            subject=subject,
            client=who.client,
            entry_id=self._ids(),
        )
        if urgent and self._owed:
            self._owe(entry)  # the database is known to be away: a halt does not wait for it
            return
        try:
            async with bounded(min(self._timeout_s, URGENT_S) if urgent else self._timeout_s):
                await self._repository.append(entry)
        except DatabaseUnavailable:
            if not urgent:
                raise
            self._owe(entry)

    async def run(self) -> None:
        """Write what is owed, oldest first, until cancelled."""
        while True:
            await asyncio.sleep(RETRY_S)
            await self.settle()

    async def settle(self) -> None:
        """Try now to write what is owed."""
        while self._owed:
            entry = self._owed[0]
            try:
                async with bounded(self._timeout_s):
                    await self._repository.append(entry)
            except DatabaseUnavailable:
                return
            if self._owed and self._owed[0] is entry:  # else the bound has pushed it out meanwhile
                self._owed.popleft()

    def _owe(self, entry: AuditEntry) -> None:
        if len(self._owed) == MOST_OWED:
            self._log.error("audit line is in the log alone", line=msgspec.to_builtins(self._owed[0]))
        self._owed.append(entry)
        self._log.warning("audit line waits for the database", line=msgspec.to_builtins(entry))
