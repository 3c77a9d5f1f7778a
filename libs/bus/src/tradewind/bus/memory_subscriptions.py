"""What the subscriptions of both planes of the memory transport share: waiting, closing, dead letters."""

import abc
import asyncio
from collections.abc import Awaitable, Callable

from tradewind.bus.interface import BusClosed, Delivery, SubscriptionStatistics
from tradewind.bus.waking import WakeUp

DeadLetterPublish = Callable[[Delivery, str], Awaitable[None]]


class MemorySubscription(abc.ABC):
    """A ``Subscription``. Messages are taken only after the wait, so a cancelled ``receive`` loses nothing."""

    def __init__(self, topic: str, group: str | None, publish_dead_letter: DeadLetterPublish) -> None:
        self.topic = topic
        self.group = group
        self.wake_up = WakeUp()
        self.closed = False
        self.capacity = 0
        """Messages that may wait for it."""
        self._publish_dead_letter = publish_dead_letter
        self._delivered = 0
        self._dead_lettered = 0

    async def receive(self, limit: int = 256, timeout_s: float | None = None) -> list[Delivery]:
        """See ``Subscription.receive``. One task at a time."""
        if limit < 1:
            raise ValueError(f"receive limit must be at least 1, not {limit}")
        self._check_open()
        if not (taken := self._take(limit)):
            taken = await self._wait_and_take(limit, timeout_s)
        self._delivered += len(taken)
        return taken

    async def commit(self) -> None:
        """See ``Subscription.commit``."""
        self._check_open()
        self._commit()

    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """See ``Subscription.dead_letter``. The message still counts as received: the next ``commit`` covers it."""
        self._check_open()
        await self._publish_dead_letter(delivery, reason)
        self._dead_lettered += 1

    async def close(self) -> None:
        """See ``Subscription.close``. Closing twice is fine."""
        if not self.closed:
            self.closed = True
            self._leave()
            self.wake_up.wake()

    def statistics(self) -> SubscriptionStatistics:
        """Counters of this subscription now."""
        return SubscriptionStatistics(
            topic=self.topic,
            group=self.group,
            delivered=self._delivered,
            lag=self._lag(),
            dead_lettered=self._dead_lettered,
            capacity=self.capacity,
        )

    async def _wait_and_take(self, limit: int, timeout_s: float | None) -> list[Delivery]:
        loop = asyncio.get_running_loop()
        deadline = None if timeout_s is None else loop.time() + timeout_s
        while True:
            await self.wake_up.sleep(None if deadline is None else deadline - loop.time())
            self._check_open()
            if taken := self._take(limit):
                return taken
            if deadline is not None and loop.time() >= deadline:
                return []

    def _check_open(self) -> None:
        if self.closed:
            raise BusClosed(f"subscription to {self.topic} is closed; subscribe again")

    @abc.abstractmethod
    def _take(self, limit: int) -> list[Delivery]:
        """What is here now, at most ``limit``."""

    @abc.abstractmethod
    def _commit(self) -> None: ...

    @abc.abstractmethod
    def _leave(self) -> None:
        """Give up everything held in the topic."""

    @abc.abstractmethod
    def _lag(self) -> int: ...
