"""Lockstep: carries out the commands of a replay's step only when every strategy has answered, one after another.

One task, ``run``, owned by the session. Three others feed it: commands and answers from the bus, market data, and the
private stream. Order: commands by strategy, each strategy's as it sent them. Bound: what the strategies may have open,
because none goes on before its answer was settled. See docs/protocols/lockstep.md.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.runtime.lockstep import SteppingVenue
from tradewind.runtime.service import ServiceContext
from tradewind.services.execution.order_path import OrderPath
from tradewind.services.execution.outbox import Outbox
from tradewind.wire.commands import BeginStrategyRun, OrderCommand, ReplayStepAnswered
from tradewind.wire.events import ReplayStepSettled
from tradewind.wire.messages import EventIds
from tradewind.wire.topics import ORDERS_EVENTS

_LOOK_S: Final = 0.0005
_SAY_EVERY_S: Final = 10.0
_NS_PER_MS: Final = 1_000_000


class StepKeeper:
    """The turns of one account. ``take`` carries out commands; the keeper decides when and in what order."""

    def __init__(
        self, context: ServiceContext, account_id: AccountId, strategies: frozenset[str], event_ids: EventIds
    ) -> None:
        self._context = context
        self._account_id = account_id
        self._event_ids = event_ids
        self._venue = SteppingVenue(context.platform.venue_rest_url)
        self._required = {StrategyId(name) for name in strategies}
        self._answers: dict[StrategyId, tuple[int, int]] = {}
        self._turn = (1, 0)
        self._market_step = 0
        self._balances_ns = 0
        self._held: list[OrderCommand | BeginStrategyRun] = []
        self._changed = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        """Whether every command that was held has been carried out."""
        return not self._held

    def hold(self, command: OrderCommand | BeginStrategyRun) -> None:
        """Keep a command until its turn."""
        self._held.append(command)
        self._changed.set()

    def answered(self, answer: ReplayStepAnswered) -> None:
        """A strategy has dealt with a turn, or leaves."""
        if answer.step:
            self._answers[answer.strategy_id] = (answer.step, answer.turn)
        else:
            self._required.discard(answer.strategy_id)
        self._changed.set()

    def market_seen(self, step: int) -> None:
        """All market data of a step has reached us."""
        self._market_step = step
        self._changed.set()

    def balances_seen(self, ts_event: int) -> None:
        """The private stream came to this event (ns), and all before it was applied."""
        self._balances_ns = ts_event
        self._changed.set()

    async def run(
        self,
        path: OrderPath,
        outbox: Outbox,
        take: Callable[[list[OrderCommand | BeginStrategyRun]], Awaitable[None]],
    ) -> None:
        """Turn after turn, until cancelled."""
        try:
            settled = outbox.told
            while True:
                await self._until(self._may_go_on)
                commands = sorted(self._held, key=lambda command: command.strategy_id or "")
                for command in commands:
                    await take([command])
                    await self._quiet(path)
                del self._held[: len(commands)]
                if not commands:
                    await self._quiet(path)
                if self._required:
                    told, settled = outbox.told - settled, outbox.told
                    await self._end_turn(quiet=not commands and not told)
        finally:
            await self._venue.close()

    async def _end_turn(self, *, quiet: bool) -> None:
        step, turn = self._turn
        if quiet:
            self._turn = (step + 1, 0)
            await self._venue.answer(step)
            return
        self._turn = (step, turn + 1)
        now = time.time_ns()
        message = ReplayStepSettled(
            event_id=self._event_ids(),
            correlation_id=f"step:{step}",
            causation_id="",
            ts_event=now,
            ts_init=now,
            account_id=self._account_id,
            step=step,
            turn=turn,
        )
        await self._context.order_bus.publish(ORDERS_EVENTS, self._account_id, message)

    def _may_go_on(self) -> bool:
        if not self._required:
            return bool(self._held)  # nobody answers any more: what the leaving ones left is carried out
        answered = all(self._answers.get(name) == self._turn for name in self._required)
        return answered and self._market_step >= self._turn[0]

    async def _quiet(self, path: OrderPath) -> None:
        """Until every request was answered and the private stream has told all that they caused."""
        await asyncio.sleep(0)  # lets sends and cancels that were just started say that they are on their way
        while path.sending:
            await asyncio.sleep(_LOOK_S)
        reached_ns = await self._venue.say_balances() * _NS_PER_MS
        await self._until(lambda: self._balances_ns >= reached_ns)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            try:
                async with asyncio.timeout(_SAY_EVERY_S):
                    await self._changed.wait()
            except TimeoutError:
                self._say()

    def _say(self) -> None:
        missing = sorted(name for name in self._required if self._answers.get(name) != self._turn)
        self._context.log.warning(
            "lockstep: the turn goes on when all have answered",
            step=self._turn[0],
            turn=self._turn[1],
            missing=missing,
            market_data=self._market_step,
        )
