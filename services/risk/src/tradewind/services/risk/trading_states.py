"""Owns the trading states: stores each change with its audit line, then tells everyone, and cancels when halted.

The order is: stored, told, cancelled, committed on the bus. A process that dies in between does it again at its next
start; all of it may be repeated, at the price of a second audit line.
"""

import time
from typing import Final

from tradewind.model.enums import TradingState
from tradewind.model.identifiers import AccountId
from tradewind.runtime.service import ServiceContext
from tradewind.services.risk.scopes import ByHand, InvalidRequest, Scope, check_request, parse_scope
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.trading_states import KillSwitchEngaged, StoredTradingState, TradingStateRepository
from tradewind.wire.commands import CancelAllOrders, SetTradingState
from tradewind.wire.events import Audited, TradingStateChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import OPS_AUDIT, ORDERS_COMMANDS, RISK_STATE

KEPT_EVENT_IDS: Final = 1_000


class TradingStates:
    """The states of one deployment. ``account_id`` is the account that firm-wide cancels go to."""

    def __init__(self, context: ServiceContext, account_id: AccountId) -> None:
        self._context = context
        self._account_id = account_id
        self._repository = TradingStateRepository(context.database)
        self._event_ids = EventIds()
        self._done: dict[str, None] = {}
        self._states: dict[str, TradingState] = {}
        metrics = context.metrics
        self._changes = metrics.counter("risk_state_changes", "Trading states set")
        self._restricted = metrics.gauge("risk_restricted_scopes", "Scopes that are not ACTIVE")

    async def announce_stored(self) -> None:
        """Tell the stored states, and cancel again in what is halted: nobody knows whether the last process did.

        Waits while the database is away.
        """
        for stored in (await self._load()).values():
            now_ns = time.time_ns()
            event_id = self._event_ids()
            event = TradingStateChanged(
                event_id=event_id,
                correlation_id=event_id,
                causation_id="",
                ts_event=stored.ts,
                ts_init=now_ns,
                scope=stored.scope,
                state=stored.state,
                actor=stored.actor,
                why=stored.why,
            )
            await self._tell(event)
            if stored.state is TradingState.HALTED:
                await self._cancel(parse_scope(stored.scope), event_id, event_id, f"HALTED by {stored.actor}")

    async def obey(self, command: SetTradingState) -> None:
        """Bring a command to its full effect; one that was obeyed before is not obeyed again.

        Raises:
            InvalidRequest: it cannot be obeyed.
        """
        scope = check_request(command)
        if command.event_id in self._done:
            return
        before = await self._store(command, scope)
        await self.announce(command, command.state, f"trading state of {command.scope}", before, command.state)
        self._context.log.warning(
            "trading state set",
            scope=scope.text,
            before=before,
            state=command.state,
            actor=command.actor,
            why=command.why,
        )
        self._done[command.event_id] = None
        if len(self._done) > KEPT_EVENT_IDS:
            del self._done[next(iter(self._done))]

    async def announce(self, command: ByHand, state: TradingState, action: str, before: object, after: object) -> None:
        """Tell what the store has just taken: the scope's state and the audit; then cancel what rests in a halt."""
        await self._tell(self._changed(command, state))
        await self._context.order_bus.publish(OPS_AUDIT, command.actor, self._audited(command, action, before, after))
        if state is TradingState.HALTED:
            await self.cancel_for(command)
        self._changes.inc()

    async def cancel_for(self, command: ByHand) -> None:
        """Cancel all that rests in the scope of a halt."""
        reason = f"HALTED by {command.actor}: {command.why}"
        await self._cancel(parse_scope(command.scope), command.correlation_id, command.event_id, reason)

    async def wait_for_database(self, error: DatabaseUnavailable) -> None:
        """Not ready until it is back; who calls says when it is ready again."""
        self._context.health.set_not_ready(str(error))
        await self._context.database.wait_until_available()

    async def _load(self) -> dict[str, StoredTradingState]:
        while True:
            try:
                return await self._repository.all()
            except DatabaseUnavailable as error:
                await self.wait_for_database(error)

    async def _store(self, command: SetTradingState, scope: Scope) -> TradingState:
        waited = False
        while True:
            try:
                before = await self._repository.set(scope.text, command.state, actor=command.actor, why=command.why)
            except DatabaseUnavailable as error:
                # A halt must not wait for a disk: without the database nothing new is sent, and what rests can go now.
                if command.state is TradingState.HALTED and not waited:
                    await self.cancel_for(command)
                waited = True
                await self.wait_for_database(error)
            except KillSwitchEngaged as error:
                raise InvalidRequest(str(error)) from error
            else:
                if waited:
                    self._context.health.set_ready()
                return before

    async def _tell(self, event: TradingStateChanged) -> None:
        await self._context.order_bus.publish(RISK_STATE, event.scope, event)
        self._states[event.scope] = event.state
        self._restricted.set(sum(state is not TradingState.ACTIVE for state in self._states.values()))

    async def _cancel(self, scope: Scope, correlation_id: str, causation_id: str, reason: str) -> None:
        now_ns = time.time_ns()
        account_id = scope.account_id or self._account_id
        command = CancelAllOrders(
            event_id=self._event_ids(),
            correlation_id=correlation_id,
            causation_id=causation_id,
            ts_event=now_ns,
            ts_init=now_ns,
            account_id=account_id,
            strategy_id=scope.strategy_id,
            instrument_id=scope.instrument_id,
            reason=reason,
        )
        await self._context.order_bus.publish(ORDERS_COMMANDS, account_id, command)

    def _changed(self, command: ByHand, state: TradingState) -> TradingStateChanged:
        now_ns = time.time_ns()
        return TradingStateChanged(
            event_id=self._event_ids(),
            correlation_id=command.correlation_id,
            causation_id=command.event_id,
            ts_event=now_ns,
            ts_init=now_ns,
            scope=command.scope,
            state=state,
            actor=command.actor,
            why=command.why,
        )

    def _audited(self, command: ByHand, action: str, before: object, after: object) -> Audited:
        now_ns = time.time_ns()
        return Audited(
            event_id=self._event_ids(),
            correlation_id=command.correlation_id,
            causation_id=command.event_id,
            ts_event=now_ns,
            ts_init=now_ns,
            actor=command.actor,
            action=action,
            before=str(before),
            after=str(after),
            why=command.why,
        )
