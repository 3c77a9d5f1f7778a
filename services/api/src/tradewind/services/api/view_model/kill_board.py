"""Kill switches for the stream: read from the store again whenever an event says that one has moved."""

import asyncio
import contextlib
from typing import Final

from tradewind.bus.interface import Start
from tradewind.runtime.service import ServiceContext
from tradewind.services.api.view_model.changes import Revisions
from tradewind.services.api.view_model.queries import StoreQueries
from tradewind.services.api.view_model.views import KillSwitchView
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.kill_switches import KillSwitch
from tradewind.wire.events import KillSwitchChanged
from tradewind.wire.topics import RISK_STATE

RETRY_S: Final = 2.0
WATCH_S: Final = 2.0
"""How often an engaged one is looked at: the proof that it is flat is renewed without a word."""


class KillBoard:
    """The engaged kill switches and the last released. ``revision`` rises with every change. One task: ``run``."""

    def __init__(self, revisions: Revisions, queries: StoreQueries) -> None:
        self._revisions = revisions
        self._queries = queries
        self._moved = asyncio.Event()
        self._rows: list[KillSwitchView] = []
        self.revision = 0

    def rows(self) -> list[KillSwitchView]:
        """The engaged ones first."""
        return self._rows

    async def run(self, context: ServiceContext) -> None:
        """Keep the rows true until cancelled. While the store is away the last ones stay."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(context))
            tasks.create_task(self._keep())

    async def _follow(self, context: ServiceContext) -> None:
        subscription = await context.bus_for(RISK_STATE).subscribe(RISK_STATE, start=Start.LATEST)
        try:
            while True:
                for delivery in await subscription.receive():
                    if isinstance(delivery.payload, KillSwitchChanged):
                        self._moved.set()
        finally:
            await subscription.close()

    async def _keep(self) -> None:
        self._moved.set()
        while True:
            await self._wait()
            self._moved.clear()
            try:
                rows = [kill_switch_view(switch) for switch in await self._queries.kill_switches()]
            except DatabaseUnavailable:
                self._moved.set()
                await asyncio.sleep(RETRY_S)
                continue
            if rows != self._rows:
                self._rows = rows
                self.revision = self._revisions.next()

    async def _wait(self) -> None:
        is_engaged = any(row["released_at"] is None for row in self._rows)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WATCH_S if is_engaged else None):
                await self._moved.wait()


def kill_switch_view(switch: KillSwitch) -> KillSwitchView:
    """One kill switch and what is proven of it."""
    evidence = switch.evidence
    return KillSwitchView(
        kill_id=switch.kill_id,
        scope=switch.scope,
        stage=switch.stage,
        flatten=switch.flatten,
        reason=switch.reason,
        engaged_by=switch.engaged_by,
        engaged_why=switch.engaged_why,
        engaged_at=str(switch.engaged_at),
        stage_at=str(switch.stage_at),
        proven_at=None if evidence is None else str(evidence.ts),
        positions=[] if evidence is None else list(evidence.positions),
        dust=[] if evidence is None else list(evidence.dust),
        balances=[] if evidence is None else list(evidence.balances),
        released_by=switch.released_by,
        released_why=switch.released_why,
        released_at=None if switch.released_at is None else str(switch.released_at),
        forced=switch.forced,
    )
