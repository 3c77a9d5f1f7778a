"""Background tasks of one connection to a broker. The bus lies below ``tradewind.runtime`` and cannot use its nursery.

Who owns a task: the object here, and through it the bus that closes it. Tasks run in no promised order; their number is
bound by what a bus holds: one per subscription, sender and partition in use. A task that fails is logged; whoever
spawned it makes loops that do not fail. ``close`` cancels all and waits for them.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tradewind.bus.interface import BusClosed

T = TypeVar("T")
CLOSE_TIMEOUT_S: Final = 30.0

_log = logging.getLogger(__name__)


class OwnedTasks:
    """The background tasks of ``owner``, which is a word for their names."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start ``coro`` as a task.

        Raises:
            BusClosed: all were ended.
        """
        if self._closed:
            coro.close()
            raise BusClosed("the bus is closed; connect again")
        task = asyncio.get_running_loop().create_task(coro, name=f"{self._owner}.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def cancel(self, task: asyncio.Task[Any]) -> None:
        """End one of them and wait for it."""
        task.cancel()
        await asyncio.wait({task}, timeout=CLOSE_TIMEOUT_S)

    async def close(self) -> None:
        """Cancel all and wait for them."""
        self._closed = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
            for task in left:
                _log.error("%s does not end", task.get_name())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BusClosed):
            _log.error("%s failed", task.get_name(), exc_info=error)
