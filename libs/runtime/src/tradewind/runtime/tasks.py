"""Background tasks with an owner: the only place that calls ``create_task`` bare.

Who owns a task: the nursery that spawned it, and through it the object that closes the nursery. Tasks run in no
promised order. Bound: ``max_tasks`` at the same time; one more is an error. A task that fails is logged and reported to
the owner's ``on_failure``; the others go on. ``close`` cancels all and waits for them.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from structlog.typing import FilteringBoundLogger

from tradewind.runtime.logging import get_logger

T = TypeVar("T")
MAX_TASKS: Final = 256
CLOSE_TIMEOUT_S: Final = 5.0


class TaskNursery:
    """The background tasks of one owner. Use it as an async context manager, or call ``close``."""

    def __init__(
        self,
        owner: str,
        *,
        on_failure: Callable[[str, BaseException], None] | None = None,
        log: FilteringBoundLogger | None = None,
        max_tasks: int = MAX_TASKS,
    ) -> None:
        self.owner = owner
        self._on_failure = on_failure
        self._log = log or get_logger(owner)
        self._max_tasks = max_tasks
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start ``coro`` as a task named ``<owner>.<name>``.

        Raises:
            RuntimeError: the nursery is closed, or has ``max_tasks`` already.
        """
        if self._closed or len(self._tasks) >= self._max_tasks:
            coro.close()
            why = "is closed" if self._closed else f"runs {self._max_tasks} tasks already; await some first"
            raise RuntimeError(f"nursery of {self.owner} {why}")
        task = asyncio.get_running_loop().create_task(coro, name=f"{self.owner}.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Cancel all tasks and wait for them; one that does not end in ``timeout_s`` is named in the log."""
        self._closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=timeout_s)
            for task in stuck:
                self._log.error("task ignores its cancellation", task=task.get_name())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._log.error("task failed", task=task.get_name(), exc_info=error)
        if self._on_failure is not None:
            self._on_failure(task.get_name(), error)


def spawn(owner: TaskNursery, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Start ``coro`` in the nursery of ``owner``; see ``TaskNursery.spawn``."""
    return owner.spawn(coro, name)
