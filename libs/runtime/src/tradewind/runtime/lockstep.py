"""What services ask the simulated venue during a replay in lockstep. See docs/protocols/lockstep.md."""

import asyncio
from typing import Final

import aiohttp
import msgspec

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_RETRY_S: Final = 0.1
_MAX_BYTES: Final = 4_096


class ReplayStep(msgspec.Struct, frozen=True):
    """A step whose frames were all sent: its number from 1, the frames sent since the beginning of the replay, and
    whether a depth snapshot can be had."""

    number: int
    frames: int
    snapshot: bool


class _BalancesSaid(msgspec.Struct, frozen=True):
    update_time_ms: int


def lockstep_strategies(setting: str) -> frozenset[str]:
    """The strategy ids of ``PlatformSettings.lockstep``; empty: no lockstep."""
    return frozenset(name.strip() for name in setting.split(",") if name.strip())


class SteppingVenue:
    """The stepping side of one simulated venue. A call waits while the venue does not answer."""

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url
        self._session: aiohttp.ClientSession | None = None

    async def next_step(self, after: int) -> ReplayStep:
        """The step that waits for its answers, once its number is above ``after``."""
        while True:
            body = await self._call("GET", f"/sim/v1/step?after={after}")
            if (step := msgspec.json.decode(body, type=ReplayStep | None)) is not None:
                return step

    async def answer(self, number: int) -> None:
        """Everybody has answered: the replay goes on."""
        await self._call("POST", f"/sim/v1/step?number={number}")

    async def say_balances(self) -> int:
        """Have the private stream say the balances once more; the event's time in ms. All before it was told before."""
        body = await self._call("POST", "/sim/v1/balances")
        return msgspec.json.decode(body, type=_BalancesSaid).update_time_ms

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, path: str) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        while True:
            try:
                async with self._session.request(method, self._rest_url + path) as answer:
                    if answer.status == 409:
                        return b"null"  # answered before: the first answer was lost on its way to us
                    answer.raise_for_status()
                    return await answer.content.read(_MAX_BYTES)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(_RETRY_S)
