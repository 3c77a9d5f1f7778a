"""Lockstep: a replay goes on only when it is told that everybody has answered the last step.

Starts no task: the player waits in ``StepGate.ended``, HTTP calls ``current`` and ``answered``. See
docs/protocols/lockstep.md.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

_SAY_EVERY_S: Final = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A step whose frames were all sent: its number from 1, the frames sent since the beginning, and whether a depth
    snapshot can be had."""

    number: int
    frames: int
    snapshot: bool


class StepGate:
    """The place where a replay waits between two steps."""

    def __init__(self, told: Callable[[], Awaitable[None]], log: FilteringBoundLogger) -> None:
        """``told`` returns when every private event of the step so far was delivered."""
        self._told = told
        self._log = log
        self._current: Step | None = None
        self._number = 0
        self._answered = asyncio.Event()
        self._changed = asyncio.Event()

    async def ended(self, frames: int, *, snapshot: bool) -> None:
        """Show the end of a step and wait until it was answered."""
        await self._told()
        self._number += 1
        self._answered.clear()
        self._current = Step(self._number, frames, snapshot)
        self._changed.set()
        while not self._answered.is_set():
            try:
                async with asyncio.timeout(_SAY_EVERY_S):
                    await self._answered.wait()
            except TimeoutError:
                self._log.warning("lockstep: the step is not answered yet", **dataclasses.asdict(self._current))

    async def current(self, after: int, timeout_s: float) -> Step | None:
        """The step that waits, as soon as its number is above ``after``; None when there is none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._current is None or self._current.number <= after:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._current

    def answered(self, number: int) -> bool:
        """Everybody has answered a step; False when it is not the one that waits."""
        if self._current is None or self._current.number != number:
            return False
        self._answered.set()
        return True
