"""The service of a strategy: its process stays, and the strategy in it starts and stops as people want.

What is wanted stands in the database, so that a restart keeps a stopped strategy stopped. Settings that people stored
go before the environment's.

Tasks, all owned by one TaskGroup of ``StrategyHost.run``: commands, the states that other hosts tell, and the turns of
the strategy itself, one after the other: trading, ending, resting. A command is written to the database before it is
acted on; a repeated one is known by its id. The host that started last has the strategy; one that learns of a later
start ends its own without touching the market, and rests for good.
"""

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import msgspec

from tradewind.bus.interface import Start, Subscription
from tradewind.model.identifiers import AccountId, StrategyId, strategy_id
from tradewind.runtime.lockstep import lockstep_strategies
from tradewind.runtime.service import Service, ServiceContext, ServiceKind
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.strategy_control import (
    RunSuperseded,
    StrategyChange,
    StrategyControl,
    StrategyControlRepository,
)
from tradewind.strategy.deciding import Decision, HostState, decide
from tradewind.strategy.ending import end_in_market
from tradewind.strategy.log_telling import LogTeller
from tradewind.strategy.settings import Policy, StrategySettings
from tradewind.strategy.stored_settings import SettingsRefused, form, merged, values
from tradewind.strategy.strategy import Strategy
from tradewind.strategy.strategy_run import next_run, run_strategy, subscribed
from tradewind.wire.commands import BeginStrategyRun, ConfigureStrategy, StartStrategy, StopStrategy, StrategyCommand
from tradewind.wire.events import StrategyStatusChanged
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_COMMANDS, STRATEGY_COMMANDS, STRATEGY_STATE

STOP_BUDGET_S: Final = 3.0
REMEMBERED_NS: Final = 8 * 86_400 * 1_000_000_000
"""Longer than the topic keeps commands."""
T = TypeVar("T")


def strategy_service(
    name: str, strategy: type[Strategy], settings: type[StrategySettings] = StrategySettings
) -> Service:
    """The service of a strategy folder. Its strategy id is ``name`` without ``strategy-``.

    Raises:
        IdentifierError: the name has no valid form.
    """
    identity = strategy_id(name.removeprefix("strategy-"))

    async def run(context: ServiceContext) -> None:
        if identity in lockstep_strategies(context.platform.lockstep):
            # A run in lockstep is compared with others: nobody stops it, and nothing stored changes it.
            await run_strategy(context, strategy(), identity)
        else:
            await StrategyHost(context, strategy, identity).run()

    return Service(name=name, kind=ServiceKind.STRATEGY, run=run, settings=settings, stop_budget_s=STOP_BUDGET_S)


class StrategyHost:
    """One process's hold on one strategy. It is the ``Watcher`` of the runs that it makes."""

    def __init__(self, context: ServiceContext, make: Callable[[], Strategy], identity: StrategyId) -> None:
        self._context = context
        self._make = make
        self._identity = identity
        self._account_id = AccountId(f"{context.platform.venue}-{context.platform.account}")
        self._environment: StrategySettings = context.settings
        self._schema = _json(form(type(self._environment)))
        self._holder = secrets.token_hex(8)
        self._repository = StrategyControlRepository(context.database, identity, self._holder)
        self._ids = EventIds()
        self._log = LogTeller(context.market_bus, identity).telling(context.log)
        self._control = StrategyControl()
        self._known: set[str] = set()
        self._run = 0
        self._run_is_new = True
        self._state = HostState.STARTING
        self._reason = ""
        self._since_ns = time.time_ns()
        self._is_held = False
        self._is_superseded = False
        self._in_force: dict[str, Any] = {}
        self._refusal = ""
        self._changed = asyncio.Event()
        self.leaves_orders = False

    async def run(self) -> None:
        """Do what people want until cancelled."""
        context = self._context
        async with AsyncExitStack() as stack:
            # Before the database is read, so that no command falls between; what was taken before is known by its id.
            commands = await subscribed(stack, context, STRATEGY_COMMANDS, Start.EARLIEST)
            states = await subscribed(stack, context, STRATEGY_STATE, Start.LATEST)
            await self._load()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_turns(), name=f"{self._identity}.turns")
                tasks.create_task(self._read_commands(commands), name=f"{self._identity}.commands")
                tasks.create_task(self._watch_others(states), name=f"{self._identity}.others")

    # -- as the watcher of a run -----------------------------------------------------------------------------------

    async def begun(self, note: str) -> None:
        """The strategy trades."""
        if self._control.start_policy is not None:
            self._control = msgspec.structs.replace(self._control, start_policy=None)
            try:
                await self._stored(lambda: self._repository.put(self._control))
            except RunSuperseded:
                self.leaves_orders = True  # the run ends by this, and must not end what another has
                raise
        words = "; ".join(filter(None, (note, self._settings_words())))
        self._context.health.set_ready(words)
        await self._say(HostState.RUNNING, words)

    async def held(self, words: str) -> None:
        """State and store disagree, and the policy is to do nothing."""
        self._is_held = True
        await self._say(HostState.STOPPED, f"held: {words}")

    async def waits(self, words: str) -> None:
        """It closes what an earlier run left, before the strategy begins."""
        await self._say(HostState.STARTING, words)

    async def failed(self, words: str) -> None:
        """The strategy was stopped by its own error."""
        await self._say(HostState.FAILED, words)

    # -- turns -----------------------------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        while True:
            self._changed.clear()
            self._is_held = self.leaves_orders = False
            async with asyncio.TaskGroup() as group:
                turn = group.create_task(self._turn(), name=f"{self._identity}.turn")
                await self._changed.wait()
                leaves = self._control.wanted == "STOPPED" and self._control.stop_policy == Policy.HOLD
                self.leaves_orders = leaves or self._is_superseded
                if self._control.wanted == "STOPPED" and self._state is not HostState.STOPPED:
                    await self._say(HostState.STOPPING, self._stop_words())
                turn.cancel()

    async def _turn(self) -> None:
        try:
            if self._is_superseded:
                self._rest_for_good()
            elif self._control.wanted == "RUNNING":
                await self._trade()
            else:
                await self._end()
        except RunSuperseded:
            self._supersede()

    async def _trade(self) -> None:
        control = self._control
        try:
            settings = merged(self._environment, control.settings, control.start_policy or control.policy)
        except SettingsRefused as error:
            words = f"FAILED: settings of version {control.version} do not fit this strategy: {error}; set them anew"
            self._context.health.set_not_ready(words)
            self._log.error("strategy not started", reason=words)
            await self._say(HostState.FAILED, words)
            return
        self._in_force = values(settings)
        await self._begin_run()
        await self._say(HostState.STARTING, "")
        if words := self._settings_words():
            self._log.info("settings", source=words, over_environment=sorted(control.settings))
        context = dataclasses.replace(self._context, settings=settings, log=self._log)
        await run_strategy(context, self._make(), self._identity, run_number=self._run, watcher=self)

    async def _end(self) -> None:
        policy, health = self._control.stop_policy, self._context.health
        if policy is not None:
            await self._begin_run()
            health.set_ready(f"stopping: {self._stop_words()}")
            await self._say(HostState.STOPPING, self._stop_words())
            context = dataclasses.replace(self._context, settings=self._last_good_settings(), log=self._log)
            dust = await end_in_market(
                context, self._make(), self._identity, self._run, Policy(policy), self._tell_ending
            )
            self._control = msgspec.structs.replace(self._control, stop_policy=None)
            await self._stored(lambda: self._repository.put(self._control))
            self._log.info("strategy stopped", by=self._control.actor, why=self._control.why, policy=policy, dust=dust)
        health.set_ready(self._stop_words())
        await self._say(HostState.STOPPED, self._stop_words())

    async def _tell_ending(self, waiting: str) -> None:
        words = f"{self._stop_words()}; {waiting}"
        self._context.health.set_ready(f"stopping: {words}")
        await self._say(HostState.STOPPING, words)

    def _rest_for_good(self) -> None:
        words = "another process has started this strategy; this one does nothing: stop one of the two"
        self._state, self._reason = HostState.STOPPED, words
        self._context.health.set_not_ready(words)
        self._log.warning("superseded", run=self._run)

    async def _begin_run(self) -> None:
        """Take the number of a start, and have the order path refuse what earlier starts still send."""
        if not self._run_is_new:
            self._run = await self._stored(self._repository.next_run)
        self._run_is_new = False
        command = BeginStrategyRun(
            **self._identity_of_message(),
            account_id=self._account_id,
            strategy_id=self._identity,
            run=self._run,
        )
        await self._context.order_bus.publish(ORDERS_COMMANDS, self._account_id, command)

    # -- commands --------------------------------------------------------------------------------------------------

    async def _read_commands(self, subscription: Subscription) -> None:
        while True:
            for delivery in await subscription.receive():
                command = delivery.payload
                if isinstance(command, StartStrategy | StopStrategy | ConfigureStrategy) and (
                    command.strategy_id == self._identity and command.event_id not in self._known
                ):
                    with contextlib.suppress(RunSuperseded):
                        await self._take(command)

    async def _take(self, command: StrategyCommand) -> None:
        if self._is_superseded:
            return
        before = self._control
        decision = decide(
            command,
            before,
            self._environment,
            platform_symbols=self._context.platform.symbols,
            state=self._state,
            is_held=self._is_held,
            now_ns=time.time_ns(),
        )
        change = _change(command, before, decision)
        try:
            written = await self._stored(lambda: self._repository.take(change, decision.control))
        except RunSuperseded:
            self._supersede()
            raise
        self._known.add(command.event_id)
        self._control = decision.control or self._control
        if not written:
            # Written by an attempt whose answer was lost, or by a host before this one: the row tells.
            self._control = await self._stored(self._repository.load)
        await self._act(command, decision)

    async def _act(self, command: StrategyCommand, decision: Decision) -> None:
        told = {"action": decision.action, "by": command.actor, "why": command.why}
        self._refusal = decision.refusal
        if decision.refusal:
            self._log.warning("command refused", **told, reason=decision.refusal)
        else:
            self._log.info("command taken", **told)
        if decision.moves:
            self._changed.set()
        else:
            await self._say(self._state, self._reason)

    async def _watch_others(self, subscription: Subscription) -> None:
        while True:
            for delivery in await subscription.receive():
                told = delivery.payload
                is_ours = isinstance(told, StrategyStatusChanged) and told.strategy_id == self._identity
                if is_ours and told.run > self._run:  # type: ignore[union-attr]
                    self._supersede()

    def _supersede(self) -> None:
        if not self._is_superseded:
            self._is_superseded = True
            self._changed.set()

    # -- store and bus ---------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        context = self._context
        self._run = await next_run(context, self._identity, self._holder)
        self._control = await self._stored(self._repository.load)
        self._known = await self._stored(lambda: self._repository.known_commands(time.time_ns() - REMEMBERED_NS))

    async def _stored(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the database answers, as soon as it does."""
        while True:
            try:
                return await ask()
            except DatabaseUnavailable as error:
                self._log.warning("waits for the database", reason=str(error))
                await self._context.database.wait_until_available()

    async def _say(self, state: HostState, reason: str) -> None:
        if self._is_superseded:
            return
        if state is not self._state:
            self._since_ns = time.time_ns()
        elif reason == self._reason and state is HostState.STOPPING:
            return  # a wait is told once
        self._state, self._reason = state, reason
        control = self._control
        message = StrategyStatusChanged(
            **{**self._identity_of_message(), "ts_event": self._since_ns},
            account_id=self._account_id,
            strategy_id=self._identity,
            service=self._context.name,
            kind=getattr(self._make, "__name__", "Strategy"),
            state=state,
            wanted=control.wanted,
            reason=reason,
            run=self._run,
            version=control.version,
            policy=control.policy or self._environment.policy,
            settings=_json({**values(self._environment), **control.settings}),
            settings_in_force=_json(self._in_force),
            settings_schema=self._schema,
            refusal=self._refusal,
        )
        await self._context.order_bus.publish(STRATEGY_STATE, self._identity, message)

    def _identity_of_message(self) -> dict[str, Any]:
        event_id, now_ns = self._ids(), time.time_ns()
        return {
            "event_id": event_id,
            "correlation_id": event_id,
            "causation_id": "",
            "ts_event": now_ns,
            "ts_init": now_ns,
        }

    def _last_good_settings(self) -> StrategySettings:
        """For a stop: it must work with settings that do not fit any more, too."""
        try:
            return merged(self._environment, self._control.settings, self._control.policy)
        except SettingsRefused:
            return self._environment

    def _settings_words(self) -> str:
        version = self._control.version
        return f"settings of version {version}, stored, before the environment's" if version else ""

    def _stop_words(self) -> str:
        return f"stopped by {self._control.actor}: {self._control.why}"


def _change(command: StrategyCommand, before: StrategyControl, decision: Decision) -> StrategyChange:
    after = decision.control or before
    return StrategyChange(
        command_id=command.event_id,
        action=decision.action,
        refusal=decision.refusal,
        before=msgspec.to_builtins(before),
        after=msgspec.to_builtins(after),
        actor=command.actor,
        why=command.why,
        ts=time.time_ns(),
    )


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
