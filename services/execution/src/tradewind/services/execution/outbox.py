"""Publishing what the store has committed, and remembering how far the bus has it.

Owner: one session. Order: commit order. The journal itself is the outbox: a mark says up to where it was published, and
is moved every ``_EVERY_S``. If the process dies before that, messages are published again at the next start; consumers
dedupe on ``event_id``.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tradewind.model.identifiers import AccountId
from tradewind.runtime.service import ServiceContext
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_store import OrderStore, Outgoing
from tradewind.venue.reports import BalanceReport
from tradewind.wire.events import AccountBalancesChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS, BY_NAME

_EVERY_S: Final = 0.2
_LAST_CHANCE_S: Final = 1.0


class Outbox:
    """The way from the store to the bus."""

    def __init__(self, context: ServiceContext, store: OrderStore) -> None:
        self._bus = context.order_bus
        self._store = store
        self._account_id: AccountId = store.account_id
        self._event_ids = EventIds()
        self.told = 0
        """Messages published since the session began."""
        self._published = 0
        self._marked = 0

    async def publish(self, outgoing: Sequence[Outgoing], position: int | None) -> None:
        """Hand committed messages to the bus, in order; ``position`` is the journal's after them."""
        for item in outgoing:
            await self._bus.publish(item.topic, self._account_id, item.message)
        self.told += len(outgoing)
        if position is not None:
            self._published = position

    async def tell_balances(self, report: BalanceReport) -> None:
        """Pass the venue's balances on: its word of the moment, asked for at every start, so it is not journalled."""
        message = AccountBalancesChanged(
            event_id=self._event_ids(),
            correlation_id=f"balances:{report.account_id}",
            causation_id="",
            ts_event=report.ts_event,
            ts_init=time.time_ns(),
            account_id=report.account_id,
            balances=report.balances,
            snapshot=report.snapshot,
        )
        await self._bus.publish(ACCOUNT_EVENTS, self._account_id, message)

    async def replay(self) -> int:
        """Publish again what an earlier process committed and may not have published; returns how many."""
        total = 0
        while rows := await self._store.unpublished():
            for row in rows:
                await self._bus.publish(BY_NAME[row.topic], self._account_id, row.message)
            total += len(rows)
            self._published = rows[-1].position
            await self.mark()
        return total

    async def keep_marking(self) -> None:
        """Move the mark now and then, until cancelled; then a last time."""
        try:
            while True:
                await asyncio.sleep(_EVERY_S)
                await self.mark()
        except asyncio.CancelledError:
            try:
                async with asyncio.timeout(_LAST_CHANCE_S):
                    await self.mark()
            except (TimeoutError, DatabaseUnavailable):
                pass  # they are published again at the next start, and known by their event ids
            raise

    async def mark(self) -> None:
        """Tell the store how far the bus has everything."""
        if self._published > self._marked:
            position = self._published
            await self._store.mark_published(position)
            self._marked = position
