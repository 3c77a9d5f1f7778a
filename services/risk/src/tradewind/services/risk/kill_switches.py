"""Owns the kill switches: engages, drives stage by stage until the venue's word proves them flat, releases by hand.

``KillSwitches`` starts no task; the service runs two of its methods as tasks. ``follow_reports`` keeps the newest
report of each switch and never waits for anything else, so that account events flow while the database is away.
``drive`` makes every step: persist the stage, then tell it, then ask the execution service for the next. Bound: one
report per switch, and as many switches as scopes. On cancel nothing is owed: the stage is in the store, and the next
start goes on from it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tradewind.bus.interface import Delivery
from tradewind.model.enums import KillStage, TradingState
from tradewind.model.identifiers import AccountId
from tradewind.runtime.service import ServiceContext
from tradewind.services.risk.scopes import ByHand, InvalidRequest, Scope, check_request, parse_scope
from tradewind.services.risk.settings import Settings
from tradewind.services.risk.trading_states import TradingStates
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.kill_switches import Evidence, KillSwitch, KillSwitchRefused, KillSwitchRepository
from tradewind.wire.commands import EngageKillSwitch, ProveFlat, ReleaseKillSwitch
from tradewind.wire.events import FlatnessReported, KillSwitchChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ACCOUNT_EVENTS, ORDERS_COMMANDS, RISK_STATE

T = TypeVar("T")
_TICK_S: Final = 0.25
_NS: Final = 1_000_000_000
_ASKS_KEPT: Final = 100
_MOST_DOUBLINGS: Final = 3
"""Each step without an answer doubles the wait for the next, so many times at most."""
_STUCK_FACTOR: Final = 5
"""While nothing moves, steps are asked for so many times less often."""


class _Drive:
    """What this process knows of one engaged switch besides the store's row. Times are of the monotonic clock."""

    def __init__(self, switch: KillSwitch, now: float) -> None:
        self.switch = switch
        self.scope: Scope = parse_scope(switch.scope)
        self.asks: dict[str, None] = {}
        self.next_ask_at = now
        self.unanswered = 0
        self.report: FlatnessReported | None = None
        self.seen: tuple[object, ...] = ()
        self.moved_at = now
        self.answered_at = now

    def be_patient(self, now: float) -> None:
        """Count silence and standstill from now on: until now it was we who could not go on."""
        self.moved_at = self.answered_at = now

    def take(self, report: FlatnessReported, now: float) -> None:
        """Keep the answer to a step; it counts as movement when it finds something else than the last."""
        self.report = report
        self.unanswered = 0
        self.answered_at = now
        seen = (report.stage, report.open_orders, report.positions)
        if seen != self.seen:
            self.seen = seen
            self.moved_at = now


class KillSwitches:
    """The switches of one deployment. ``account_id`` is the account that a firm-wide switch acts on."""

    def __init__(self, context: ServiceContext, states: TradingStates, account_id: AccountId) -> None:
        self._context = context
        self._settings: Settings = context.settings
        self._states = states
        self._account_id = account_id
        self._repository = KillSwitchRepository(context.database)
        self._event_ids = EventIds()
        self._drives: dict[int, _Drive] = {}
        self._wake = asyncio.Event()
        self._stuck_said = ""
        metrics = context.metrics
        self._engaged = metrics.gauge("kill_switches_engaged", "Kill switches that no hand has released")
        self._age = metrics.gauge("kill_switch_not_flat_age", "Since the oldest not flat was engaged", unit="seconds")

    async def resume(self) -> None:
        """Go on with every switch that is engaged in the store, at its stage. Waits while the database is away."""
        for switch in await self._stored(self._repository.engaged):
            self._drives[switch.kill_id] = _Drive(switch, time.monotonic())
            await self._tell(switch, switch.engaged_by, switch.engaged_why)

    async def engage(self, command: EngageKillSwitch) -> None:
        """Halt the scope, stored before it is told, and begin to cancel.

        Raises:
            InvalidRequest: it cannot be obeyed.
        """
        check_request(command)

        async def store() -> tuple[KillSwitch, str]:
            return await self._repository.engage(
                command.scope,
                command_id=command.event_id,
                flatten=command.flatten,
                actor=command.actor,
                why=command.why,
            )

        # Cancels wait for no disk; what is stored later is the same halt.
        switch, before = await self._stored(store, cancel_for=command)
        if switch.released_at is not None:
            return
        self._drives[switch.kill_id] = _Drive(switch, time.monotonic())
        after = f"{switch.stage}{', flatten' if switch.flatten else ''}"
        action = f"kill switch of {command.scope} engaged"
        await self._states.announce(command, TradingState.HALTED, action, before, after)
        await self._tell(switch, command.actor, command.why)
        self._wake.set()

    async def release(self, command: ReleaseKillSwitch) -> None:
        """Give the scope back to trading.

        Raises:
            InvalidRequest: it cannot be obeyed: nothing is engaged, or it is not proven flat and not forced.
        """
        check_request(command)

        async def store() -> tuple[KillSwitch, str]:
            return await self._repository.release(
                command.scope,
                command_id=command.event_id,
                state=command.state,
                force=command.force,
                actor=command.actor,
                why=command.why,
            )

        try:
            switch, before = await self._stored(store)
        except KillSwitchRefused as error:
            raise InvalidRequest(str(error)) from error
        self._drives.pop(switch.kill_id, None)
        action = f"kill switch of {command.scope} released{' by force' if switch.forced else ''}"
        await self._states.announce(command, command.state, action, before, f"RELEASED, {command.state}")
        await self._tell(switch, command.actor, command.why)
        self._wake.set()

    # -- the two tasks -----------------------------------------------------------------------------------------------

    async def follow_reports(self) -> None:
        """Keep what the execution services say, until cancelled. Reports that no step of this process asked for are
        passed over: they tell of another time."""
        subscription = await self._context.order_bus.subscribe(ACCOUNT_EVENTS)
        try:
            while True:
                for delivery in await subscription.receive():
                    self._take(delivery)
        finally:
            await subscription.close()

    async def drive(self) -> None:
        """Bring every engaged switch on, until cancelled."""
        tick_s = min(_TICK_S, self._settings.ask_every_s)
        while True:
            self._wake.clear()
            for drive in list(self._drives.values()):
                try:
                    await self._advance(drive)
                except DatabaseUnavailable as error:
                    await self._states.wait_for_database(error)
                    self._context.health.set_ready()
                    self._stuck_said = ""
                    drive.be_patient(time.monotonic())
            self._measure()
            try:
                async with asyncio.timeout(tick_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _take(self, delivery: Delivery) -> None:
        report = delivery.payload
        if isinstance(report, FlatnessReported):
            drive = self._drives.get(report.kill_id)
            if drive is not None and report.causation_id in drive.asks:
                drive.take(report, time.monotonic())
                self._wake.set()

    async def _advance(self, drive: _Drive) -> None:
        stage, reason, evidence = self._judge(drive, time.monotonic())
        if (stage, reason) != (drive.switch.stage, drive.switch.reason):
            moved = await self._repository.move(drive.switch, stage, reason, evidence)
            if moved is None:
                # A hand was quicker: it has put another drive here, or none.
                return
            drive.switch = moved
            await self._tell(moved, moved.engaged_by, moved.engaged_why)
        if time.monotonic() >= drive.next_ask_at and self._drives.get(drive.switch.kill_id) is drive:
            await self._ask(drive)

    def _judge(self, drive: _Drive, now: float) -> tuple[KillStage, str, Evidence | None]:
        """Which stage a switch is at, why, and the proof."""
        switch, report, patience_s = drive.switch, drive.report, self._settings.stuck_after_s
        if switch.stage is KillStage.FLAT and (report is None or not _is_disproof(report, switch)):
            return switch.stage, switch.reason, switch.evidence
        if now - drive.answered_at > patience_s:
            account = drive.scope.account_id or self._account_id
            reason = f"no answer from the execution service of {account}; see that it runs and is ready"
            return KillStage.STUCK, reason, None
        if report is None:
            stage = KillStage.CANCELING if switch.stage is KillStage.ENGAGED else switch.stage
            return stage, switch.reason, None
        if report.stage is KillStage.FLAT:
            return KillStage.FLAT, "", _evidence(report)
        if now - drive.moved_at > patience_s:
            return KillStage.STUCK, report.reason, None
        return report.stage, report.reason, None

    async def _ask(self, drive: _Drive) -> None:
        scope, now_ns = drive.scope, time.time_ns()
        account_id = scope.account_id or self._account_id
        command = ProveFlat(
            event_id=self._event_ids(),
            correlation_id=f"kill:{drive.switch.kill_id}",
            causation_id="",
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=account_id,
            kill_id=drive.switch.kill_id,
            scope=scope.text,
            strategy_id=scope.strategy_id,
            instrument_id=scope.instrument_id,
            flatten=drive.switch.flatten,
        )
        drive.asks[command.event_id] = None
        if len(drive.asks) > _ASKS_KEPT:
            del drive.asks[next(iter(drive.asks))]
        drive.next_ask_at = time.monotonic() + self._pause_s(drive)
        drive.unanswered += 1
        await self._context.order_bus.publish(ORDERS_COMMANDS, account_id, command)

    def _pause_s(self, drive: _Drive) -> float:
        settings = self._settings
        if drive.switch.stage is KillStage.FLAT:
            return settings.watch_every_s
        factor = 1 << min(drive.unanswered, _MOST_DOUBLINGS)
        if drive.switch.stage is KillStage.STUCK:
            factor = max(factor, _STUCK_FACTOR)
        return min(settings.ask_every_s * factor, settings.watch_every_s)

    # -- telling -----------------------------------------------------------------------------------------------------

    async def _stored(self, work: Callable[[], Awaitable[T]], cancel_for: ByHand | None = None) -> T:
        """The outcome of ``work``, as soon as the database is there."""
        waited = False
        while True:
            try:
                done = await work()
            except DatabaseUnavailable as error:
                if cancel_for is not None and not waited:
                    await self._states.cancel_for(cancel_for)
                waited = True
                await self._states.wait_for_database(error)
            else:
                if waited:
                    self._context.health.set_ready()
                return done

    async def _tell(self, switch: KillSwitch, actor: str, why: str) -> None:
        now_ns = time.time_ns()
        message = KillSwitchChanged(
            event_id=self._event_ids(),
            correlation_id=f"kill:{switch.kill_id}",
            causation_id="",
            ts_event=switch.stage_at,
            ts_init=now_ns,
            kill_id=switch.kill_id,
            scope=switch.scope,
            stage=switch.stage,
            flatten=switch.flatten,
            reason=switch.reason,
            actor=actor,
            why=why,
        )
        await self._context.order_bus.publish(RISK_STATE, f"kill:{switch.scope}", message)
        self._context.log.warning(
            "kill switch", scope=switch.scope, stage=switch.stage, flatten=switch.flatten, reason=switch.reason
        )

    def _measure(self) -> None:
        switches = [drive.switch for drive in self._drives.values()]
        ages = [time.time_ns() - one.engaged_at for one in switches if one.stage is not KillStage.FLAT]
        self._engaged.set(len(switches))
        self._age.set(max(ages, default=0) / _NS)
        stuck = [f"the kill switch of {one.scope} is STUCK: {one.reason}" for one in switches if _is_stuck(one)]
        if stuck:
            self._stuck_said = "; ".join(stuck)
            self._context.health.set_not_ready(self._stuck_said)
        elif self._stuck_said:
            self._stuck_said = ""
            self._context.health.set_ready()


def _is_stuck(switch: KillSwitch) -> bool:
    return switch.stage is KillStage.STUCK


def _is_disproof(report: FlatnessReported, switch: KillSwitch) -> bool:
    """Whether a later look found what may not be there; a failed query does not."""
    return report.open_orders > 0 or (switch.flatten and bool(report.positions))


def _evidence(report: FlatnessReported) -> Evidence:
    return Evidence(
        ts=report.ts_snapshot,
        open_orders=report.open_orders,
        positions=report.positions,
        dust=report.dust,
        balances=tuple(f"{balance.currency} {balance.total:f}" for balance in report.balances),
    )
