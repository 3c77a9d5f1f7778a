"""Passwords: argon2id in threads of their own, few at a time, so that logins never hold up the event loop.

Owner of the threads: this object; ``close`` lets them go. Bound: ``THREADS`` at work and ``WAITING`` in the queue; one
more is refused, for a flood of logins must cost no memory. Nobody learns by the time taken whether a name exists.
"""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST: Final = 12
LONGEST: Final = 128
THREADS: Final = 2
WAITING: Final = 32
_Work = Callable[[str, str], str]


class TooManyLogins(Exception):
    """Every thread is busy and the queue is full."""


class Passwords:
    """Hashes and checks. The figures are OWASP's for argon2id: 19 MiB, two passes, one lane."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._asked = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What to keep of a password.

        Raises:
            TooManyLogins: try again later.
        """
        return await self._in_thread(self._hash, password)

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the one; without a kept one the same work is done, and the answer is no.

        Raises:
            TooManyLogins: try again later.
        """
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_hex())
        matches = await self._in_thread(self._matches, kept or self._nobodys, password[:LONGEST])
        return matches == "yes" and kept is not None and len(password) <= LONGEST

    def close(self) -> None:
        """Let the threads go; none waits for anything but its own computation."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _hash(self, password: str, _unused: str = "") -> str:
        return self._hasher.hash(password)

    def _matches(self, kept: str, password: str) -> str:
        try:
            return "yes" if self._hasher.verify(kept, password) else "no"
        except (VerificationError, InvalidHashError):
            return "no"

    async def _in_thread(self, work: _Work, first: str, second: str = "") -> str:
        if self._asked >= THREADS + WAITING:
            raise TooManyLogins
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, first, second)
        finally:
            self._asked -= 1
