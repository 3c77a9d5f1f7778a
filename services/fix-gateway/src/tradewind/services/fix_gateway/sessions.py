"""Who is logged on, as people see it: log lines, one metric, and what the service says of its health."""

import asyncio
from typing import TYPE_CHECKING

from tradewind.model.identifiers import AccountId, Venue
from tradewind.runtime.metrics import Metrics
from tradewind.runtime.service import ServiceContext
from tradewind.services.fix_gateway.handling import Desk
from tradewind.services.fix_gateway.settings import Client

if TYPE_CHECKING:
    from prometheus_client import Gauge


def logged_on(metrics: Metrics) -> "Gauge":
    """How many clients there are now."""
    return metrics.gauge("fix_sessions_logged_on", "FIX clients that are logged on")


class Sessions:
    """The sessions of all clients."""

    def __init__(self, context: ServiceContext, comp_id: str, clients: tuple[Client, ...]) -> None:
        self.venue = Venue(context.platform.venue)
        account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
        self._context = context
        self._desks = {}
        for client in clients:
            session_id = f"{client.begin_string}:{comp_id}->{client.comp_id}"
            self._desks[session_id] = Desk(
                client=client, session_id=session_id, account_id=account_id, venue=self.venue
            )
        self._on: set[str] = set()
        self._gauge = logged_on(context.metrics)
        self.woken = asyncio.Event()

    @property
    def desks(self) -> list[Desk]:
        """All of them."""
        return list(self._desks.values())

    def desk(self, session_id: str) -> Desk:
        """One session's client."""
        return self._desks[session_id]

    def find(self, begin_string: str, comp_id: str) -> Desk | None:
        """The client that names itself so."""
        found = (desk for desk in self._desks.values() if desk.client.comp_id == comp_id)
        return next((desk for desk in found if desk.client.begin_string == begin_string), None)

    def wake(self) -> None:
        """There may be something to send."""
        self.woken.set()

    def logged_on(self, session_id: str) -> None:
        """Say so."""
        self._on.add(session_id)
        self._context.log.info(
            "FIX client logged on", client=self._desks[session_id].client.comp_id, session=session_id
        )
        self.tell()
        self.wake()

    def logged_off(self, session_id: str) -> bool:
        """Say so; whether it had been logged on."""
        if session_id not in self._on:
            return False
        self._on.discard(session_id)
        client = self._desks[session_id].client.comp_id
        self._context.log.info("FIX client logged off", client=client, session=session_id)
        self.tell()
        return True

    def tell(self) -> None:
        """Ready, with who is there."""
        self._gauge.set(len(self._on))
        there = ", ".join(sorted(self._desks[one].client.comp_id for one in self._on))
        self._context.health.set_ready(
            f"{len(self._on)} of {len(self._desks)} FIX clients logged on: {there or 'none'}"
        )
