"""The send deadline: what was committed in time is not sent when its turn to be written comes too late."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from order_path_kit import cancel
from scripted_venue import ScriptedVenue
from test_execution_service import FAST, Desk, fresh, not_ready, ready, running, until

from tradewind.model.order_status import OrderStatus
from tradewind.store.database import Database
from tradewind.store.leases import LeaseRepository

S = OrderStatus


class Renewals:
    """Renewals that get no answer while they are held; then nobody gets a new lease either."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.held = False
        renew, acquire = LeaseRepository.renew, LeaseRepository.acquire

        async def perhaps(leases: LeaseRepository, *arguments: Any) -> bool:
            while self.held:
                await asyncio.sleep(0.01)
            return await renew(leases, *arguments)

        async def nobody(leases: LeaseRepository, *arguments: Any) -> Any:
            return None if self.held else await acquire(leases, *arguments)

        patch.setattr(LeaseRepository, "renew", perhaps)
        patch.setattr(LeaseRepository, "acquire", nobody)

    async def run_out(self) -> None:
        """Let the lease of the present session end unrenewed."""
        self.held = True
        await asyncio.sleep(FAST.lease_duration_s)


@pytest.fixture
def renewals(monkeypatch: pytest.MonkeyPatch) -> Renewals:
    return Renewals(monkeypatch)


@pytest.fixture
async def desk(database: Database, renewals: Renewals, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with running(database, ScriptedVenue(), monkeypatch) as one:
        await until(lambda: ready(one))
        yield one


async def test_an_order_whose_turn_comes_after_the_deadline_is_not_sent(desk: Desk, renewals: Renewals) -> None:
    desk.venue.may_send.clear()
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.SUBMITTED)
    await renewals.run_out()
    desk.venue.may_send.set()
    await until(lambda: not_ready(desk))
    assert desk.venue.submits == []
    renewals.held = False
    assert (await desk.reaches("a-1-1", S.REJECTED)).reason.startswith("NOT_AT_VENUE")
    assert desk.venue.submits == []


async def test_a_cancel_after_the_deadline_waits_for_the_next_lease(desk: Desk, renewals: Renewals) -> None:
    await desk.send(fresh("a-1-1"))
    await desk.reaches("a-1-1", S.ACCEPTED)
    await renewals.run_out()
    await desk.send(cancel("a-1-1"))
    await until(lambda: not_ready(desk))
    assert desk.venue.cancels == []
    renewals.held = False
    await desk.reaches("a-1-1", S.CANCELED)
