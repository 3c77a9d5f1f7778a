"""Publishing what the store has committed, and forgetting it once the bus has it.

Owner: one session. Order: commit order. Bound: ids of published messages wait at most ``_EVERY_S`` or ``_MOST`` before
they are deleted. If the process dies in between, they are published again at the next start, and consumers dedupe on
``event_id``.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from tradewind.runtime.service import ServiceContext
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_store import OrderStore, Outgoing
from tradewind.wire.topics import BY_NAME

_EVERY_S: Final = 0.2
_MOST: Final = 5_000


class Outbox:
    """The way from the store to the bus."""

    def __init__(self, context: ServiceContext, store: OrderStore) -> None:
        self._bus = context.order_bus
        self._store = store
        self._published: list[str] = []

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Hand committed messages to the bus, in order."""
        for item in outgoing:
            await self._bus.publish(item.topic, item.key, item.message)
            self._published.append(item.message.event_id)
        if len(self._published) > _MOST:
            await self.flush()

    async def replay(self) -> int:
        """Publish again what an earlier process committed and may not have published; returns how many."""
        total = 0
        while rows := await self._store.unpublished():
            for row in rows:
                await self._bus.publish(BY_NAME[row.topic], row.key, row.message)
                self._published.append(row.event_id)
            total += len(rows)
            await self.flush()
        return total

    async def keep_clean(self) -> None:
        """Delete published rows now and then, until cancelled; then a last time."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                await self.flush()
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(1.0):
                    await self.flush()
            except (TimeoutError, DatabaseUnavailable):
                pass  # they are published again at the next start, and known by their event ids
            raise

    async def flush(self) -> None:
        """Delete the rows of everything published so far."""
        if self._published:
            done, self._published = self._published, []
            await self._store.mark_published(done)
