"""Looks, judges, stores, publishes: one round after another, one writer.

Each change of an alert is stored with what is told of it, then published on ``ops.alerts``. A round that is cut short
is done again by the next: what was stored is seen there, and what was stored and not published is published at the
start.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from tradewind.runtime.logging import RateLimitedLog
from tradewind.runtime.service import ServiceContext
from tradewind.services.alerts.bus_eye import BusEye
from tradewind.services.alerts.conditions import (
    Moment,
    of_bus,
    of_channels,
    of_presence,
    of_store,
    of_stores_away,
)
from tradewind.services.alerts.findings import Finding
from tradewind.services.alerts.holding import Holder
from tradewind.services.alerts.memory import Memory
from tradewind.services.alerts.outage import Outage
from tradewind.services.alerts.presence_eye import PresenceEye
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.store_eye import StoreSeen, look_at_store
from tradewind.services.alerts.transitions import Change, Transitions
from tradewind.store.alert_deliveries import AlertDeliveries, Channel
from tradewind.store.alerts import Alert, AlertRepository, AlertState
from tradewind.store.database import DatabaseUnavailable
from tradewind.wire.events import AlertChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import OPS_ALERTS

NS: Final = 1_000_000_000
MOST_FINDINGS: Final = 500
PUBLISH_TIMEOUT_S: Final = 5.0
KEEP_NS: Final = 30 * 86_400 * NS
"""Resolved alerts and what was told of them are kept for so long."""
_TIDY_EVERY_S: Final = 3_600.0
_OF_PRESENCE: Final = frozenset(
    {"ServiceAway", "ServiceNotReady", "ServiceRestarting", "StrategyFailed", "EventLoopLate"}
)
_OF_BUS: Final = frozenset({"OrderMessagesWait", "MessagePutAside"})
_OF_LIMITS: Final = frozenset({"LimitNearBound"})
_OF_FEEDS: Final = frozenset({"BookOutOfSync"})


class Desk:
    """The rounds of one copy."""

    def __init__(
        self,
        context: ServiceContext,
        *,
        channels: tuple[Channel, ...],
        presence: PresenceEye,
        bus: BusEye,
        outage: Outage,
        leads: asyncio.Event,
    ) -> None:
        self._context = context
        self._settings: Settings = context.settings
        self._channels = channels
        self._presence = presence
        self._bus = bus
        self._outage = outage
        self._leads = leads
        self._alerts = AlertRepository(context.database)
        self._deliveries = AlertDeliveries(context.database)
        self._rules = Transitions(context.settings, channels)
        self._holder = Holder(context.settings.clear_s)
        self._memory: Memory | None = None
        self._unpublished: dict[int, Alert] = {}
        self._event_ids = EventIds()
        self._tidy_at = 0.0
        self._limited = RateLimitedLog(context.log)
        metrics = context.metrics
        self._open = metrics.gauge("alerts_unresolved", "Alerts that are open or acknowledged")
        self._changes = metrics.counter("alert_changes", "Alerts opened, made worse or resolved")
        self._rounds = metrics.latency("alert_round", "One look at everything, stored and published")

    async def run(self) -> None:
        """Round after round, until cancelled."""
        while True:
            if not self._leads.is_set():
                self._memory = None
                await self._leads.wait()
            started = time.monotonic_ns()
            try:
                await self.round()
            except DatabaseUnavailable as error:
                self._context.health.set_not_ready(str(error))
                await self._outage.note_away()
            else:
                self._context.health.set_ready()
                self._rounds.record(time.monotonic_ns() - started)
            await asyncio.sleep(self._settings.evaluate_every_s)

    async def round(self) -> None:
        """One look, and what follows from it.

        Raises:
            DatabaseUnavailable: it does not answer; what was not stored is found again.
        """
        memory = await self._begin()
        now, now_s = time.time_ns(), time.monotonic()
        seen = await look_at_store(self._context.database)
        channels = await self._deliveries.channels()
        unresolved = {one.fingerprint: one for one in await self._alerts.unresolved()}
        moment = Moment(settings=self._settings, now=now, now_s=now_s, open=unresolved.keys(), memory=memory)
        findings = self._found(moment, seen, channels)
        names = {fingerprint: alert.name for fingerprint, alert in unresolved.items()}
        judgement = self._holder.judge(findings, names, self._blind(), now_s)
        await self._end_outage(now)
        await self._apply(judgement.standing, unresolved, now)
        for fingerprint in judgement.over:
            await self._save(self._rules.resolved(unresolved[fingerprint], now), now)
        for alert in await self._alerts.flapping():
            await self._save(self._rules.calmed(alert, now), now)
        await self._publish_waiting()
        await self._tidy(memory, now, now_s)
        self._open.set(len(unresolved))

    async def _begin(self) -> Memory:
        if self._memory is None:
            await self._deliveries.register(list(self._channels), time.time_ns())
            memory = Memory(await self._deliveries.marks())
            # Whoever led before may have stored what it did not come to publish.
            self._unpublished.update({one.alert_id: one for one in await self._alerts.unresolved()})
            self._memory = memory
        return self._memory

    def _found(self, moment: Moment, seen: StoreSeen, channels: list[Channel]) -> dict[str, Finding]:
        findings: dict[str, Finding] = {}
        for one in self._all(moment, seen, channels):
            if len(findings) >= MOST_FINDINGS and one.fingerprint not in findings:
                self._limited.warning("many", "more findings than are kept", most=MOST_FINDINGS)
                break
            findings[one.fingerprint] = one
        return findings

    def _all(self, moment: Moment, seen: StoreSeen, channels: list[Channel]) -> Iterator[Finding]:
        yield from of_store(moment, seen)
        yield from of_channels(moment, channels)
        yield from of_stores_away(moment, presence_problem=self._presence.problem, bus_problem=self._bus.problem)
        yield from of_presence(moment, self._presence, self._context.name)
        yield from of_bus(moment, self._bus)

    def _blind(self) -> frozenset[str]:
        blind: frozenset[str] = frozenset()
        if self._presence.seen is None:
            blind |= _OF_PRESENCE
        if self._bus.problem or not self._bus.measured:
            blind |= _OF_BUS
        if not self._bus.limits(time.monotonic()):
            blind |= _OF_LIMITS
        if not self._bus.knows_feeds:
            blind |= _OF_FEEDS
        return blind

    async def _end_outage(self, now: int) -> None:
        """The database was away: if people were told, it goes into the table as what it was, and they are told."""
        since_ns = self._outage.since_ns
        if not since_ns:
            return
        if self._outage.told:
            found = self._outage.as_finding()
            known = await self._alerts.find_all([found.fingerprint])
            if not known or known[0].state is AlertState.RESOLVED:
                opened = self._rules.opened(found, known[0] if known else None, since_ns)
                stored = await self._save(Change(alert=opened.alert, telling=None), now)
                if stored is not None:
                    await self._save(Change(alert=self._rules.resolved(stored, now).alert, telling=None), now)
        await self._outage.note_back()

    async def _apply(self, standing: tuple[Finding, ...], unresolved: dict[str, Alert], now: int) -> None:
        new = [one for one in standing if one.fingerprint not in unresolved]
        for one in standing:
            if (before := unresolved.get(one.fingerprint)) is not None:
                await self._save(self._rules.seen(one, before, now), now)
        if not new:
            return
        known = {one.fingerprint: one for one in await self._alerts.find_all([one.fingerprint for one in new])}
        for one in new:
            before = known.get(one.fingerprint)
            # Not resolved any more: another copy has opened it since this round began.
            if before is None or before.state is AlertState.RESOLVED:
                await self._save(self._rules.opened(one, before, now), now)

    async def _save(self, change: Change | None, now: int) -> Alert | None:
        if change is None:
            return None
        stored = await self._alerts.save(change.alert, change.telling, now)
        if stored is None:
            # A person has acknowledged it in between, or another copy was quicker: the next round reads it anew.
            return None
        self._changes.inc()
        self._unpublished[stored.alert_id] = stored
        if change.telling is not None:
            self._context.log.warning(
                "alert", name=stored.name, subject=stored.subject, state=stored.state, severity=stored.severity
            )
        return stored

    async def _publish_waiting(self) -> None:
        for alert_id, alert in list(self._unpublished.items()):
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                    await self._context.order_bus.publish(OPS_ALERTS, str(alert_id), self._message(alert))
            except OSError as error:
                self._limited.warning("publish", "alerts wait for the broker", reason=type(error).__name__)
                return
            del self._unpublished[alert_id]

    def _message(self, alert: Alert) -> AlertChanged:
        return AlertChanged(
            event_id=self._event_ids(),
            correlation_id=f"alert:{alert.alert_id}",
            causation_id="",
            ts_event=alert.resolved_at or alert.last_at,
            ts_init=time.time_ns(),
            alert_id=alert.alert_id,
            revision=alert.revision,
            name=alert.name,
            severity=alert.severity,
            summary=alert.summary,
            subject=alert.subject,
            page=alert.page,
            state=alert.state,
            first_at=alert.first_at,
            last_at=alert.last_at,
            count=alert.count,
            acknowledged_by=alert.acknowledged_by,
            resolved_at=alert.resolved_at,
        )

    async def _tidy(self, memory: Memory, now: int, now_s: float) -> None:
        if memory.changed or memory.forgotten:
            await self._deliveries.remember(memory.changed, memory.forgotten)
            memory.stored()
        if now_s >= self._tidy_at:
            self._tidy_at = now_s + _TIDY_EVERY_S
            await self._alerts.forget_before(now - KEEP_NS)
