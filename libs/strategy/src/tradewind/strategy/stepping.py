"""A strategy's side of a replay in lockstep: it answers each step, and sees order events only between steps.

Owns no task; ``running`` calls it from the two that read market data and order events. By the protocol
(docs/protocols/lockstep.md) the two never have something to do at once. Held events are those of one turn.
"""

import time
from collections.abc import Awaitable, Callable

from tradewind.bus.interface import Delivery, Subscription
from tradewind.model.identifiers import AccountId, StrategyId
from tradewind.wire.commands import ReplayStepAnswered
from tradewind.wire.events import ReplayStepEnded, ReplayStepSettled
from tradewind.wire.messages import EventIds


class Stepper:
    """Answers for one strategy. ``show`` has it take one order event, with all that follows from it."""

    def __init__(
        self,
        strategy_id: StrategyId,
        account_id: AccountId,
        show: Callable[[Delivery], Awaitable[None]],
        send: Callable[[ReplayStepAnswered], Awaitable[None]],
    ) -> None:
        self._strategy_id = strategy_id
        self._account_id = account_id
        self._show_event = show
        self._send = send
        self._ids = EventIds()
        self._turn = (0, 0)
        self._held: list[Delivery] = []

    async def ended(self, mark: ReplayStepEnded) -> None:
        """All market data of a step was shown to the strategy."""
        if mark.step > self._turn[0]:
            await self._answer(mark.step, 0)

    async def follow(self, orders: Subscription) -> None:
        """Hold order events back until their turn is settled, then show them all; until cancelled."""
        while True:
            for delivery in await orders.receive():
                settled = delivery.payload
                if not isinstance(settled, ReplayStepSettled):
                    self._held.append(delivery)
                elif settled.account_id == self._account_id and (settled.step, settled.turn) == self._turn:
                    await self._show()
                    await self._answer(settled.step, settled.turn + 1)

    async def leave(self) -> None:
        """Say that no step is answered any more."""
        await self._answer(0, 0)

    async def _show(self) -> None:
        held, self._held = self._held, []
        for delivery in held:
            await self._show_event(delivery)

    async def _answer(self, step: int, turn: int) -> None:
        self._turn = (step, turn)
        now = time.time_ns()
        await self._send(
            ReplayStepAnswered(
                event_id=self._ids(),
                correlation_id=f"step:{step}",
                causation_id="",
                ts_event=now,
                ts_init=now,
                account_id=self._account_id,
                strategy_id=self._strategy_id,
                step=step,
                turn=turn,
            )
        )
