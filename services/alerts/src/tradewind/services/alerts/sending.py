"""Delivers what is queued: one task per channel, one message at a time, in order, until it is taken or given up.

Owner of the tasks: the service; each attempt is a task of its own, ended before the next. While the database is away
nothing is claimed, so nothing new goes out from here; what was being sent then is sent again when it is back.
"""

import asyncio
import contextlib
import time
from typing import Final

from tradewind.runtime.service import ServiceContext
from tradewind.runtime.tasks import TaskNursery
from tradewind.services.alerts.channels import Sender, Undelivered
from tradewind.services.alerts.settings import Settings
from tradewind.store.alert_deliveries import AlertDeliveries, Delivery
from tradewind.store.database import DatabaseUnavailable

_NS: Final = 1_000_000_000
_CLAIM_MARGIN_S: Final = 15.0
"""A claim outlasts the attempt by this much: the outcome must be written within it."""
_MOST_DOUBLINGS: Final = 20
_LAST_MOMENT_S: Final = 1.0
"""When the service stops, an attempt may still take so long."""


class Deliverer:
    """One channel's worker."""

    def __init__(self, context: ServiceContext, sender: Sender, leads: asyncio.Event) -> None:
        self._settings: Settings = context.settings
        self._log = context.log
        self._sender = sender
        self._leads = leads
        self._queue = AlertDeliveries(context.database)
        metrics = context.metrics
        self._sent = metrics.counter("alert_messages_sent", "Messages that a channel took", channel=sender.name)
        self._failed = metrics.counter(
            "alert_attempts_failed", "Attempts that a channel did not take", channel=sender.name
        )

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._leads.wait()
            try:
                delivered = await self.deliver_next()
            except DatabaseUnavailable:
                delivered = False
            if not delivered:
                await asyncio.sleep(min(self._settings.evaluate_every_s, 1.0))

    async def deliver_next(self) -> bool:
        """One attempt at the channel's next message; whether there was one.

        Raises:
            DatabaseUnavailable: the queue does not answer.
        """
        now = time.time_ns()
        until = now + round((self._settings.send_timeout_s + _CLAIM_MARGIN_S) * _NS)
        delivery = await self._queue.claim(self._sender.name, now, until)
        if delivery is None:
            return False
        async with TaskNursery(f"alerts.{delivery.channel}", log=self._log) as nursery:
            attempt = nursery.spawn(self._attempt(delivery), "attempt")
            try:
                await asyncio.shield(attempt)
            except asyncio.CancelledError:
                # Nearly always the receiver has it in a moment; cut off here, it would get it a second time.
                await asyncio.wait([attempt], timeout=_LAST_MOMENT_S)
                raise
        return True

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            await self._sender.send(delivery)
        except Undelivered as error:
            await self._failure(delivery, error)
        except asyncio.CancelledError:
            # Whether it has gone out is not known. The next one need not wait for the end of this claim.
            with contextlib.suppress(DatabaseUnavailable):
                await self._queue.give_back(delivery)
            raise
        else:
            self._sent.inc()
            await self._queue.sent(delivery, time.time_ns())
            self._log.info("told", channel=delivery.channel, alerts=len(delivery.told), attempts=delivery.attempts)

    async def _failure(self, delivery: Delivery, error: Undelivered) -> None:
        self._failed.inc()
        now = time.time_ns()
        retry_at = self.retry_at(delivery, now) if error.again else None
        problem = str(error) if retry_at is not None else f"given up: {error}"
        self._log.warning("not told", channel=delivery.channel, problem=problem, attempts=delivery.attempts)
        await self._queue.failed(delivery, problem, now, retry_at=retry_at)

    def retry_at(self, delivery: Delivery, now: int) -> int | None:
        """When the next attempt is due, ns; None when the message has become too old."""
        settings = self._settings
        if now - delivery.created_at >= settings.give_up_s * _NS:
            return None
        pause_s = settings.retry_first_s * 2.0 ** min(delivery.attempts - 1, _MOST_DOUBLINGS)
        return now + round(min(pause_s, settings.retry_longest_s) * _NS)
