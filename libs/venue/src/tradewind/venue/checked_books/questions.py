"""Questions to a venue's public REST interface: typed answers, a time-out and a bound for each."""

from collections.abc import Mapping
from typing import Final, TypeVar

import aiohttp
import msgspec

from tradewind.venue.adapter import RateLimited, VenueRejected, VenueUnavailable

T = TypeVar("T")

REQUEST_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
DEFAULT_RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 600.0


class PublicQuestions:
    """One address, without a key. Close it when done; it may be used again afterwards."""

    def __init__(
        self, base_url: str, *, timeout_s: float = REQUEST_TIMEOUT_S, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._max_answer_bytes = max_answer_bytes
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, path: str, parameters: Mapping[str, str], answer: type[T]) -> T:
        """``GET`` a typed answer.

        Raises:
            VenueRejected: the venue refuses the question.
            VenueUnavailable: no answer, or none that can be read; RateLimited when it must wait.
        """
        try:
            body = await self._body(path, parameters)
            return msgspec.json.decode(body, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise VenueUnavailable(f"the venue's answer to {path} cannot be read: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, VenueUnavailable):
                raise
            raise VenueUnavailable(
                f"no answer from {self._base_url}{path} ({type(error).__name__}); try again later"
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _body(self, path: str, parameters: Mapping[str, str]) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        url = f"{self._base_url}{path}"
        async with self._session.get(url, params=parameters, allow_redirects=False) as response:
            if response.status == 429:
                raise RateLimited(_retry_s(response.headers.get("Retry-After", "")))
            body = await self._bounded(response)
            if 400 <= response.status < 500:
                raise VenueRejected(response.status, body[:200].decode("utf-8", "replace"))
            if response.status != 200:
                raise VenueUnavailable(f"{path} answered with HTTP {response.status}; try again later")
            return body

    async def _bounded(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_answer_bytes:
                response.close()
                raise VenueUnavailable(f"the venue's answer is larger than {self._max_answer_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


def _retry_s(text: str) -> float:
    return min(float(text), MAX_RETRY_S) if text.isascii() and text.isdigit() else DEFAULT_RETRY_S
