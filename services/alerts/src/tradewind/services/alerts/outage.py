"""Tells that the database is away, without it: straight to the channels, from memory, once for each absence.

Only the copy that led when it went away tells. What was told is put into the table when the database is back.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Final

from tradewind.runtime.service import ServiceContext
from tradewind.services.alerts.channels import Sender, Undelivered
from tradewind.services.alerts.findings import Finding, finding
from tradewind.services.alerts.settings import Settings
from tradewind.store.alert_deliveries import Delivery, Told
from tradewind.store.alerts import NotificationKind

NAME: Final = "DatabaseAway"
SUBJECT: Final = "postgres"
_NS: Final = 1_000_000_000


class Outage:
    """One absence after another: ``note_away`` again and again while it lasts, ``note_back`` when it is over."""

    def __init__(self, context: ServiceContext, senders: Sequence[Sender]) -> None:
        self._settings: Settings = context.settings
        self._log = context.log
        self._senders = senders
        self._since_ns = 0
        self._since_s = 0.0
        self._next: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._told: set[str] = set()

    @property
    def told(self) -> bool:
        """Whether anybody was told of the absence that there is now."""
        return bool(self._told)

    @property
    def since_ns(self) -> int:
        """When it began, ns; 0 when there is none."""
        return self._since_ns

    def as_finding(self) -> Finding:
        """What the alert of it says."""
        return finding(NAME, SUBJECT, "the database did not answer")

    async def note_away(self) -> None:
        """It is away; tells when that has lasted."""
        now_s = time.monotonic()
        if not self._since_ns:
            self._since_ns, self._since_s = time.time_ns(), now_s
        if now_s - self._since_s >= self._settings.store_away_s:
            waiting = [one for one in self._senders if one.name not in self._told]
            await asyncio.gather(*(self._try(one, NotificationKind.OPENED, now_s) for one in waiting))

    async def note_back(self) -> None:
        """It is back; tells those who were told."""
        told, now_ns = self._told, time.time_ns()
        since_ns, self._since_ns = self._since_ns, 0
        self._told, self._next, self._attempts = set(), {}, {}
        over = [one for one in self._senders if one.name in told]
        await asyncio.gather(
            *(self._attempt(one, _message(one, NotificationKind.RESOLVED, since_ns, now_ns)) for one in over)
        )

    async def _try(self, sender: Sender, kind: NotificationKind, now_s: float) -> None:
        if now_s < self._next.get(sender.name, 0.0):
            return
        attempts = self._attempts[sender.name] = self._attempts.get(sender.name, 0) + 1
        if await self._attempt(sender, _message(sender, kind, self._since_ns, None)):
            self._told.add(sender.name)
        pause_s = min(self._settings.retry_first_s * 2.0 ** min(attempts, 20), self._settings.retry_longest_s)
        self._next[sender.name] = time.monotonic() + pause_s

    async def _attempt(self, sender: Sender, delivery: Delivery) -> bool:
        try:
            await sender.send(delivery)
        except Undelivered as error:
            self._log.warning("not told", channel=sender.name, problem=str(error))
            return False
        self._log.info("told", channel=sender.name, alerts=1)
        return True


def _message(sender: Sender, kind: NotificationKind, since_ns: int, until_ns: int | None) -> Delivery:
    found = finding(NAME, SUBJECT, "")
    told = Told(
        kind=kind,
        severity=found.severity,
        name=NAME,
        subject=SUBJECT,
        first_at=since_ns,
        resolved_at=until_ns,
        count=1,
    )
    # Named after its beginning: attempts and copies of one absence are the same message to who receives them.
    stamp = f"{since_ns // _NS:x}-{secrets.token_hex(4)}" if until_ns is not None else f"{since_ns:x}"
    delivery_id = f"{NAME}-{kind.value.lower()}-{stamp}"
    return Delivery(delivery_id=delivery_id, channel=sender.name, attempts=1, created_at=since_ns, told=(told,))
