"""Asks one process for its state over its health port; every question is timed and its answer bounded."""

from typing import Final

import aiohttp
import msgspec

from tradewind.runtime.process_state import MAX_LATENCY_BYTES, LatencySamples, ProcessState

TIMEOUT_S: Final = 2.0
_MAX_STATE_BYTES: Final = 4_194_304
_decode: Final = msgspec.json.Decoder(ProcessState).decode


def open_session() -> aiohttp.ClientSession:
    """One session for all processes of a supervisor."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))


class ProcessAsker:
    """One process that answers on a port of the loopback."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def state(self) -> ProcessState | None:
        """Its state; None when it does not answer, or in no form that we know."""
        body = await self._get("/state", _MAX_STATE_BYTES)
        try:
            return _decode(body) if body else None
        except msgspec.DecodeError:
            return None

    async def samples(self, name: str) -> LatencySamples:
        """The samples of one latency; none when it does not answer."""
        body = await self._get(f"/latencies/{name}", MAX_LATENCY_BYTES)
        try:
            return LatencySamples.from_bytes(body) if body else LatencySamples.none()
        except ValueError:
            return LatencySamples.none()

    async def _get(self, path: str, max_bytes: int) -> bytes:
        try:
            async with self._session.get(self._url + path) as answer:
                answer.raise_for_status()
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > max_bytes:
                        return b""
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError):
            return b""
