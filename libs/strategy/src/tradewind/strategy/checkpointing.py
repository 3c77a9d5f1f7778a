"""Saves a strategy's checkpoints beside its work, never in its way.

Who owns the task: the TaskGroup of ``running.run_strategy``. Order and bound: one checkpoint is on its way at a time,
and none waits; the next is taken when the one before is stored, so the latest wins. When the database is away the
strategy goes on, the last checkpoint stands, and the newest is saved when it is back. On cancel: what is on its way may
be lost; ``save_last`` follows.

A checkpoint is taken between callbacks, and only when no command waits to be published: so it never contains an intent
that nobody was told of.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.runtime.service import ServiceContext
from tradewind.store.checkpoints import CheckpointRefused, CheckpointRepository
from tradewind.store.database import DatabaseUnavailable
from tradewind.strategy.engine import Captured, StrategyEngine, StrategyFailed
from tradewind.strategy.saved_state import StateTooLarge

PAUSE_S: Final = 0.02
"""Between two checkpoints: what a flood of order events may cost the database."""
LAST_SAVE_S: Final = 1.0


class Checkpointer:
    """Of one start of one strategy. ``journal_id`` is where the store stood when the strategy was loaded."""

    def __init__(self, context: ServiceContext, engine: StrategyEngine, journal_id: int) -> None:
        self._context = context
        self._engine = engine
        self._repository = CheckpointRepository(context.database, engine.tracker.account_id)
        self._journal_id = journal_id
        self._every_s: float = context.settings.checkpoint_s
        self._happened = asyncio.Event()
        self._was_busy = False
        self._ready: Captured | None = None
        self._failed: StrategyFailed | None = None
        self._last_state = b""
        self._last_complaint = ""
        metrics = context.metrics
        self._saved = metrics.counter("strategy_checkpoints", "Checkpoints saved")
        self._failures = metrics.counter("strategy_checkpoint_failures", "Checkpoints that could not be saved")

    def happened(self) -> None:
        """An order event was told, or commands were published: save soon. Commands do not wait at this moment."""
        if self._was_busy:
            self._was_busy = False
            try:
                self._ready = self._captured()
            except StrategyFailed as error:
                self._failed = error  # told by ``run``: who publishes has other things to do
        self._happened.set()

    async def run(self, is_busy: Callable[[], bool], fail: Callable[[StrategyFailed], Awaitable[None]]) -> None:
        """Save until cancelled, or until the strategy has failed. ``is_busy``: commands wait to be published."""
        while self._failed is not None or not self._engine.is_mute:
            due = await self._wait()
            try:
                if self._failed is not None:
                    raise self._failed
                captured, self._ready = self._ready, None
                if captured is None and is_busy():
                    self._was_busy = True  # whoever publishes takes it when the last command has left
                    continue
                captured = captured or self._captured()
            except StrategyFailed as error:
                await fail(error)
                return
            if captured is not None and (due or captured.state != self._last_state):
                await self._keep_saving(captured)
            await asyncio.sleep(PAUSE_S)

    async def save_first(self) -> None:
        """Save before the strategy sees anything, and wait for a database that is away.

        Raises:
            StrategyFailed: ``on_save`` raised.
        """
        captured = self._captured()
        while captured is not None and not await self._save(captured):
            await self._context.database.wait_until_available()

    def capture_last(self) -> None:
        """Take the state as ``on_stop`` left it."""
        self._ready = self._captured()

    async def save_last(self) -> None:
        """Save what ``capture_last`` took, within LAST_SAVE_S; without it the next start begins at the one before."""
        captured, self._ready = self._ready, None
        if captured is None:
            return
        try:
            async with asyncio.timeout(LAST_SAVE_S):
                await self._save(captured)
        except TimeoutError:
            self._complain(f"the last checkpoint was not saved within {LAST_SAVE_S} s; the one before it stands")

    async def _wait(self) -> bool:
        """Whether something happened; False when only time has passed."""
        try:
            async with asyncio.timeout(self._every_s):
                await self._happened.wait()
        except TimeoutError:
            return False
        self._happened.clear()
        return True

    async def _keep_saving(self, captured: Captured) -> None:
        if not await self._save(captured):
            await self._context.database.wait_until_available()
            self._happened.set()  # by then there is a newer one

    async def _save(self, captured: Captured) -> bool:
        """False when the database is away; what is refused is complained of and not tried again."""
        engine = self._engine
        try:
            self._journal_id = await self._repository.save(
                engine.tracker.strategy_id,
                captured.stored,
                run=engine.desk.run,
                journal_id=self._journal_id,
                last_event=captured.last_event,
            )
        except (DatabaseUnavailable, CheckpointRefused) as error:
            self._complain(str(error))
            return not isinstance(error, DatabaseUnavailable)
        self._last_state, self._last_complaint = captured.state, ""
        self._saved.inc()
        return True

    def _captured(self) -> Captured | None:
        try:
            return self._engine.capture()
        except StateTooLarge as error:
            self._complain(str(error))
            return None

    def _complain(self, words: str) -> None:
        self._failures.inc()
        if words != self._last_complaint:
            self._context.log.error("checkpoint not saved; a crash now begins at the one before", reason=words)
        self._last_complaint = words
