"""The messages of one session in memory, as SoupBinTCP packets, and who waits for the next one."""

import asyncio
from array import array
from bisect import bisect_right
from typing import Final, Protocol

from tradewind.venue.itch.soupbintcp import sequenced

_OFFSET: Final = "Q"


class SoupSession(Protocol):
    """What a server needs of a session. Sequence numbers begin at 1."""

    name: str

    @property
    def next_sequence(self) -> int:
        """The number that the next message will have."""
        ...

    @property
    def ended(self) -> bool:
        """No message will come any more."""
        ...

    async def read(self, sequence: int, most_bytes: int) -> tuple[bytes, int]:
        """Packets from a number on, about so many bytes, and the number after them; none when there are none yet."""
        ...

    async def more(self, sequence: int) -> None:
        """Wait until there is a message with this number, or the session has ended."""
        ...


class Waiters:
    """Tasks that wait for the next message."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self) -> None:
        """Until ``wake``."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def wake(self) -> None:
        """Let all of them look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


class MessageStore:
    """A ``SoupSession`` whose messages are all kept. Its owner sees to the bound: ``size`` says how many there are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = False
        self._packets = bytearray()
        self._ends = array(_OFFSET, [0])
        self._waiters = Waiters()

    @property
    def size(self) -> int:
        """How many messages there are."""
        return len(self._ends) - 1

    @property
    def next_sequence(self) -> int:
        """See ``SoupSession``."""
        return len(self._ends)

    def append(self, message: bytes) -> None:
        """The next message."""
        self._packets += sequenced(message)
        self._ends.append(len(self._packets))
        self._waiters.wake()

    def end(self) -> None:
        """Say that nothing comes any more."""
        self.ended = True
        self._waiters.wake()

    async def read(self, sequence: int, most_bytes: int) -> tuple[bytes, int]:
        """See ``SoupSession``."""
        start = self._ends[sequence - 1]
        end = bisect_right(self._ends, start + most_bytes) - 1
        end = max(end, min(sequence, self.size))
        return bytes(self._packets[start : self._ends[end]]), max(sequence, end + 1)

    async def more(self, sequence: int) -> None:
        """See ``SoupSession``."""
        while sequence >= self.next_sequence and not self.ended:
            await self._waiters.wait()
