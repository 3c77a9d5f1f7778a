"""What the checks share: one sentence for a failure, bounded waits, and what a client leaves behind.

Nothing here needs a test framework. A check is ``async def check(venue)``; ``run_check`` starts a counterpart, runs it
and stops it.
"""

import asyncio
import contextlib
import logging
import os
import threading
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

WAIT_S: Final = 20.0
"""Nothing that is waited for may take longer; generous, as tests share a machine."""
CHECK_S: Final = 50.0
_POLL_S: Final = 0.01
_SOCKET: Final = "socket:"

C = TypeVar("C", bound="Startable")


class NotConforming(AssertionError):
    """An adapter does not do what its interface promises; the message says what was wanted and what came."""


class Startable(Protocol):
    """What every counterpart is."""

    adapter: str
    exempt: Mapping[str, str]

    async def start(self) -> None:
        """Begin to listen, on a free port the first time and on the same one later."""
        ...

    async def stop(self) -> None:
        """Close the port and all connections."""
        ...


def require(condition: object, sentence: str) -> None:
    """Raise ``NotConforming`` unless the condition holds."""
    if not condition:
        raise NotConforming(sentence)


def require_one_sentence(error: BaseException, *parts: str) -> None:
    """What a user is told is one line, names what it is about, and is no bare class name."""
    said = str(error)
    require(said and "\n" not in said, f"{type(error).__name__} must say one clear sentence, and says {said!r}")
    for part in parts:
        require(part.lower() in said.lower(), f"{type(error).__name__} must name {part!r}, and says {said!r}")


async def until(condition: Callable[[], object], wanted: str, describe: Callable[[], object] = lambda: "") -> None:
    """Wait for a condition; what was wanted is in the error when it does not come within ``WAIT_S``."""
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                if condition():
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotConforming(f"in {WAIT_S:.0f} s there was not: {wanted}. {describe()}".rstrip()) from None


async def run_check(check: Callable[[C], Awaitable[None]], make: Callable[[], C]) -> None:
    """Run one check against a counterpart of its own.

    Raises:
        NotConforming: the adapter fails it.
        unittest.SkipTest: the counterpart says why this check cannot be of its venue.
    """
    venue = make()
    name = getattr(check, "__name__", "")
    if name in venue.exempt:
        raise unittest.SkipTest(f"{venue.adapter}: {venue.exempt[name]}")
    try:
        async with asyncio.timeout(CHECK_S):
            await venue.start()
            await check(venue)
    except TimeoutError:
        raise NotConforming(f"the check {name} did not end in {CHECK_S:.0f} s") from None
    finally:
        await venue.stop()


class LogLines(logging.Handler):
    """Keeps every line of every logger, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(self.format(record))


@contextlib.contextmanager
def all_log_lines() -> Iterator[list[str]]:
    """What is logged meanwhile, from DEBUG on."""
    handler, root = LogLines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def require_no_secret(secrets: Any, texts: Mapping[str, str]) -> None:
    """None of the secrets is in any of the texts, which are named by where they were shown."""
    for secret in secrets:
        for where, text in texts.items():
            # The secret itself is not repeated in the error.
            require(secret not in text, f"a key or password is shown in {where}")


@contextlib.asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Every task, thread and socket that begins in the block must be gone soon after it."""
    tasks, threads, sockets = asyncio.all_tasks(), set(threading.enumerate()), _sockets()
    yield

    def left() -> list[str]:
        found = [f"task {task.get_name()} {task.get_coro()}" for task in asyncio.all_tasks() - tasks]
        # Threads of the event loop's own pool serve name look-ups and stay.
        found += [t.name for t in set(threading.enumerate()) - threads if not t.name.startswith("asyncio_")]
        return found + sorted(_sockets() - sockets)

    await until(lambda: not left(), "a clean stop", lambda: f"left are {left()}")


def _sockets() -> set[str]:
    """Open sockets of this process; empty where the system does not tell (it needs /proc)."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{number}")
                if target.startswith(_SOCKET):
                    found.add(target)
    return found
