"""Lock-out: every failed login of a name, or from an address, makes the next one wait longer.

Counted in memory and, where there is one, in Redis, so that several api services count together; the longer wait holds.
Bounds: ``MOST`` names and addresses in memory, the oldest are forgotten; in Redis they expire.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final

from tradewind.store.redis_link import RedisLink

MOST: Final = 10_000
FREE: Final = 5
"""Failures that cost nothing: people mistype."""
FREE_OF_ADDRESS: Final = 20
"""Several people sit behind one address."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 900.0
FORGOTTEN_S: Final = 3_600.0
_COUNT: Final = """
local n = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
if n > tonumber(ARGV[2]) then
  local wait = math.min(tonumber(ARGV[3]) * 2 ^ (n - tonumber(ARGV[2]) - 1), tonumber(ARGV[4]))
  redis.call('SET', KEYS[2], '1', 'PX', math.floor(wait))
end
return n
"""


class Attempts:
    """Failed logins by name and address."""

    def __init__(self, link: RedisLink | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def wait_s(self, name: str, address: str) -> float:
        """Seconds until the next login of the name from the address may be tried; 0: now."""
        waits = [self._own_wait(key, free) for key, free in _keys(name, address)]
        if self._link is not None:
            for key, _ in _keys(name, address):
                left_ms = await self._link.attempt(partial(self._link.client.pttl, f"tradewind:locked:{key}"))
                waits.append(max(left_ms or 0, 0) / 1_000)
        return max(waits)

    async def count(self, name: str, address: str) -> None:
        """One more try that has not succeeded yet: before the password is checked, so that many at once count too."""
        now = self._clock()
        for key, free in _keys(name, address):
            failures, last = self._failed.pop(key, (0, now))
            self._failed[key] = (1 if now - last > FORGOTTEN_S else failures + 1, now)
            if len(self._failed) > MOST:
                self._failed.popitem(last=False)
            if self._link is not None:
                await self._link.attempt(partial(_count_in_redis, self._link, key, free))

    async def succeeded(self, name: str, address: str) -> None:
        """The name's own person has come in: the name's failures are forgotten, of the address this one try.

        Not all of the address: else whoever has one account could try others' passwords without end.
        """
        (of_name, _), (of_address, _) = _keys(name, address)
        self._failed.pop(of_name, None)
        failures, last = self._failed.get(of_address, (0, 0.0))
        if failures:
            self._failed[of_address] = (failures - 1, last)
        if self._link is not None:
            client = self._link.client
            keys = (f"tradewind:failed:{of_name}", f"tradewind:locked:{of_name}")
            await self._link.attempt(lambda: client.delete(*keys))
            await self._link.attempt(lambda: client.decr(f"tradewind:failed:{of_address}"))

    def _own_wait(self, key: str, free: int) -> float:
        failures, last = self._failed.get(key, (0, 0.0))
        if failures <= free or (past := self._clock() - last) > FORGOTTEN_S:
            return 0.0
        return max(min(FIRST_WAIT_S * 2.0 ** min(failures - free - 1, 30), LONGEST_WAIT_S) - past, 0.0)


async def _count_in_redis(link: RedisLink, key: str, free: int) -> object:
    keys = (f"tradewind:failed:{key}", f"tradewind:locked:{key}")
    times = (int(FORGOTTEN_S * 1_000), free, int(FIRST_WAIT_S * 1_000), int(LONGEST_WAIT_S * 1_000))
    return await link.client.eval(_COUNT, 2, *keys, *map(str, times))


def _keys(name: str, address: str) -> tuple[tuple[str, int], tuple[str, int]]:
    # What is typed as a name may be a password: it is not written anywhere in clear.
    hashed = hashlib.sha256(name.lower().encode()).hexdigest()[:32]
    return (f"name:{hashed}", FREE), (f"address:{address}", FREE_OF_ADDRESS)
