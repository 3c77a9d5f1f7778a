"""The conditions: from what was seen to what is found. No I/O and no clock of its own."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from tradewind.services.alerts.bus_eye import BusEye
from tradewind.services.alerts.findings import Finding, finding
from tradewind.services.alerts.memory import Memory
from tradewind.services.alerts.presence_eye import PresenceEye
from tradewind.services.alerts.settings import Settings
from tradewind.services.alerts.store_eye import StoreSeen
from tradewind.store.alert_deliveries import Channel
from tradewind.store.alerts import Severity, fingerprint_of
from tradewind.store.presence import ProcessPresence, ServicePresence
from tradewind.wire.events import LimitUsed

NS: Final = 1_000_000_000
OWN_LEASE: Final = "alerts"
_LESS: Final = 0.5
"""An alert of a number ends only when that is below this part of its bound."""
_NAMED: Final = 5
"""So many of a long list are named."""
_LITTLE_LESS: Final = 0.9
"""The same for limits, which may be nearly used up for long."""
_OF_LOSS: Final = frozenset({"max_daily_loss", "max_drawdown"})
"""Limits that are an event when they are reached; at the others a busy strategy may work all day."""
_FLAT: Final = "FLAT"
_READY: Final = "ready"
_STOPPED: Final = "stopped"
_FAILED: Final = "FAILED"


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """All that a look works with. ``open``: fingerprints of alerts that are not resolved."""

    settings: Settings
    now: int
    now_s: float
    open: Collection[str]
    memory: Memory

    def exceeds(self, name: str, subject: str, value: float, bound: float, part: float = _LESS) -> bool:
        """Whether a number has come to its bound; with its alert open, already above ``part`` of that."""
        return value > bound * part if fingerprint_of(name, subject) in self.open else value >= bound


def of_store(moment: Moment, seen: StoreSeen) -> Iterator[Finding]:
    """Orders in doubt, differences, kill switches, halts, leases."""
    settings = moment.settings
    for one in seen.unknown:
        if moment.now - one.since >= settings.unknown_order_s * NS:
            what = "1 order" if one.orders == 1 else f"{one.orders} orders"
            yield finding("OrderOutcomeUnknown", one.account_id, f"the outcome of {what} is not known")
    for account, differences in seen.differing.items():
        if differences:
            what = "1 balance differs" if differences == 1 else f"{differences} balances differ"
            yield finding("ReconciliationDifference", account, f"{what} between the venue and our books")
    for switch in seen.switches:
        yield finding(
            "KillSwitchEngaged", switch.scope, f"the kill switch of {switch.scope} is engaged: {switch.stage}"
        )
        if switch.stage != _FLAT:
            reason = f": {switch.reason}" if switch.reason else ""
            summary = f"the kill switch of {switch.scope} is {switch.stage}, not FLAT{reason}"
            yield finding("KillSwitchNotFlat", switch.scope, summary, hold_s=settings.kill_not_flat_s)
    engaged = {switch.scope for switch in seen.switches}
    for scope, actor in seen.halted.items():
        if scope not in engaged:
            yield finding("TradingHalted", scope, f"trading of {scope} is HALTED by {actor}")
    for lease, epoch in seen.epochs.items():
        changes = moment.memory.times(f"lease {lease}", epoch, moment.now_s, settings.lease_window_s)
        if lease != OWN_LEASE and changes >= settings.lease_changes:
            yield finding("LeaseLost", lease, f"the lease {lease} changed hands {changes} times")


def of_bus(moment: Moment, eye: BusEye) -> Iterator[Finding]:
    """Feeds, lag, messages put aside."""
    settings = moment.settings
    for venue, (unwell, count) in eye.unwell_feeds().items():
        named = ", ".join(f"{instrument} {state}" for instrument, state in list(unwell.items())[:_NAMED])
        summary = f"{len(unwell)} of {count} feeds of {venue} are not live: {named}"
        severity = Severity.CRITICAL if len(unwell) == count else Severity.WARNING
        yield finding("BookOutOfSync", venue, summary, hold_s=settings.feed_s, severity=severity)
    for uses in eye.limits(moment.now_s).values():
        yield from _of_limits(moment, uses)
    for service, reason in eye.failed.items():
        yield finding("StrategyFailed", service, f"{service}: {reason}")
    for (topic, group), waiting in eye.lag.items():
        subject = f"{topic} {group}"
        if moment.exceeds("OrderMessagesWait", subject, waiting, settings.lag_messages):
            summary = f"{group} is {waiting} messages behind on {topic}"
            yield finding("OrderMessagesWait", subject, summary, hold_s=settings.lag_s)
    for topic, count in eye.put_aside.items():
        _, at = moment.memory.grown(f"dead:{topic}", count, moment.now)
        if at and moment.now - at < settings.put_aside_window_s * NS:
            yield finding("MessagePutAside", topic, f"messages of {topic} were put aside, {count} there now")


def _of_limits(moment: Moment, uses: Iterable[LimitUsed]) -> Iterator[Finding]:
    settings = moment.settings
    for one in uses:
        if one.scope == "firm":
            continue  # an account's share of it is made larger as it fills: it is always nearly used up
        subject = f"{one.scope} {one.name}"
        share = float(one.used / one.limit) if one.limit > 0 else 0.0
        if moment.exceeds("LimitNearBound", subject, share, settings.limit_share, _LITTLE_LESS):
            severity = Severity.CRITICAL if share >= 1.0 and one.name in _OF_LOSS else Severity.WARNING
            summary = f"{share:.0%} of {one.name} of {one.scope} is used"
            yield finding("LimitNearBound", subject, summary, hold_s=settings.limit_s, severity=severity)


def of_presence(moment: Moment, eye: PresenceEye, own_name: str) -> Iterator[Finding]:
    """Services that are away, not ready, restarting; strategies that failed."""
    if eye.seen is None:
        return
    there, settings = eye.services(), moment.settings
    for name in there:
        moment.memory.note_service(name, moment.now)
    for name, at in moment.memory.services().items():
        if name in there or name == own_name:
            continue
        if moment.now - at > settings.forget_service_s * NS:
            moment.memory.forget(f"service:{name}")
        else:
            yield finding("ServiceAway", name, f"no process tells of {name}", hold_s=settings.service_away_s)
    for name, copies in there.items():
        yield from _of_service(moment, name, copies)
    for process in eye.seen.processes:
        yield from _of_loop(moment, process)
    restarts: dict[str, int] = {}
    for what, count in eye.starts().items():
        name = what.partition(" ")[0]
        restarts[name] = restarts.get(name, 0) + moment.memory.times(
            f"restarts {what}", count, moment.now_s, settings.restart_window_s
        )
    for name, count in restarts.items():
        if count >= settings.restarts:
            yield finding("ServiceRestarting", name, f"{name} was started again {count} times")


def _of_service(moment: Moment, name: str, copies: Iterable[ServicePresence]) -> Iterator[Finding]:
    copies = list(copies)
    failed = [one for one in copies if one.reason.startswith(_FAILED)]
    if failed:
        yield finding("StrategyFailed", name, f"{name}: {failed[0].reason}")
        return
    # A copy that stands by is not ready, and nothing is wrong as long as another one is. Stopped is on purpose.
    waiting = [one for one in copies if one.state not in (_READY, _STOPPED)]
    if waiting and len(waiting) == len(copies):
        worst = waiting[0]
        severity = Severity.CRITICAL if worst.kind == "order-path" else Severity.WARNING
        reason = f": {worst.reason}" if worst.reason else ""
        hold_s = moment.settings.service_not_ready_s
        yield finding("ServiceNotReady", name, f"{name} is {worst.state}{reason}", hold_s=hold_s, severity=severity)


def _of_loop(moment: Moment, process: ProcessPresence) -> Iterator[Finding]:
    if process.vitals is None or not process.services:
        return
    # A process of its own goes by its service; one that runs many by its host.
    subject = process.services[0].name if len(process.services) == 1 else process.host
    lag_ms = process.vitals.loop_lag_s * 1_000
    if moment.exceeds("EventLoopLate", subject, lag_ms, moment.settings.loop_lag_ms):
        summary = f"the event loop of {subject} is {lag_ms:.0f} ms late"
        yield finding("EventLoopLate", subject, summary, hold_s=moment.settings.loop_lag_s)


def of_stores_away(moment: Moment, *, presence_problem: str, bus_problem: str) -> Iterator[Finding]:
    """Redis and the broker, when they do not answer. The database is told of elsewhere: there is no store for it."""
    hold_s = moment.settings.store_away_s
    if presence_problem:
        yield finding("RedisAway", "redis", f"Redis does not answer: {presence_problem}", hold_s=hold_s)
    if bus_problem:
        yield finding("BrokerAway", "orders", f"the message broker: {bus_problem}", hold_s=hold_s)


def of_channels(moment: Moment, channels: Iterable[Channel]) -> Iterator[Finding]:
    """Channels that do not take messages."""
    for one in channels:
        if one.configured and one.failing_since is not None:
            summary = f"{one.channel} failed {one.failures} times in a row: {one.problem}"
            yield finding("NotificationFailed", one.channel, summary, hold_s=moment.settings.channel_s)
