"""Asks the simulated venue how far its replay is, over the same HTTP address that everyone uses."""

import asyncio
from typing import Final

import aiohttp
import msgspec

_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_RETRY_S: Final = 0.05
_MAX_BYTES: Final = 65_536


class VenueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The part of ``GET /sim/v1/status`` that a run report needs. Times in ns UTC, 0 when not yet."""

    state: str
    ended: bool
    error: str
    frames: int
    frames_total: int | None
    malformed: int
    unknown: int
    began_ns: int
    ended_ns: int


class VenueProgress:
    """One simulated venue."""

    def __init__(self, rest_url: str) -> None:
        self._rest_url = rest_url

    async def status(self) -> VenueStatus:
        """The status now; waits while the venue does not answer yet."""
        return msgspec.json.decode(await self._call("GET", "/sim/v1/status"), type=VenueStatus)

    async def start(self) -> None:
        """Let a held replay begin."""
        await self._call("POST", "/sim/v1/start")

    async def stop(self) -> None:
        """End the replay here, as if the capture ended."""
        await self._call("POST", "/sim/v1/stop")

    async def _call(self, method: str, path: str) -> bytes:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                try:
                    async with session.request(method, self._rest_url + path) as answer:
                        answer.raise_for_status()
                        return await answer.content.read(_MAX_BYTES)
                except (aiohttp.ClientError, TimeoutError):
                    await asyncio.sleep(_RETRY_S)
