"""One wake-up per burst: a reader sleeps on a future that the first publish of a burst sets, and the rest do not."""

import asyncio


class WakeUp:
    """The sleep of one reader. Not for threads: reader and publishers share one event loop."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[None] | None = None
        """What the reader sleeps on, or None while it is awake; publishers look before they call ``wake``."""

    def wake(self) -> None:
        """End the sleep, if there is one."""
        future, self.future = self.future, None
        if future is not None and not future.done():
            future.set_result(None)

    async def sleep(self, timeout_s: float | None) -> None:
        """Sleep until ``wake`` or until ``timeout_s`` passed; the event loop turns at least once.

        Raises:
            RuntimeError: another task sleeps here already.
        """
        if self.future is not None:
            raise RuntimeError("two tasks wait on one subscription; give each its own, or one task that hands on")
        loop = asyncio.get_running_loop()
        future = self.future = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(max(timeout_s, 0.0), self.wake)
        try:
            await future
        finally:
            if self.future is future:
                self.future = None
            if timer is not None:
                timer.cancel()
