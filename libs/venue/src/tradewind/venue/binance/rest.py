"""REST requests for questions: typed answers, our exceptions, the venue's limits. Orders go through ``order_entry``.

Source: Binance spot API, "General API Information" and "Request Security". Every request has a time-out, every answer a
bound. Nothing here changes orders, so each request may be repeated by the caller.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import aiohttp
import msgspec
from yarl import URL

from tradewind.model.identifiers import Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import RateLimited, VenueRejected, VenueUnavailable
from tradewind.venue.binance.errors import CLOCK_CODE, error_of
from tradewind.venue.binance.instruments import instrument_of
from tradewind.venue.binance.messages import ExchangeInfo, ServerTime
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.signing import RequestSigner, encode_query
from tradewind.venue.request_budget import RequestClass

T = TypeVar("T")

REQUEST_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 3.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
DEPTH_LIMIT: Final = 5_000
API_KEY_HEADER: Final = "X-MBX-APIKEY"
# Request weights as the venue lists them at each endpoint.
TIME_WEIGHT: Final = 1
EXCHANGE_INFO_WEIGHT: Final = 20
DEPTH_5000_WEIGHT: Final = 250


class BinanceRest:
    """One REST address, with or without an account's key. Close it when done."""

    def __init__(
        self,
        base_url: str,
        limits: RateLimits,
        signer: RequestSigner | None = None,
        *,
        timeout_s: float = REQUEST_TIMEOUT_S,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.limits = limits
        self.signer = signer
        self._base_url = base_url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._max_answer_bytes = max_answer_bytes
        self._session: aiohttp.ClientSession | None = None

    async def query(
        self, path: str, parameters: Mapping[str, str | int], weight: int, answer: type[T], *, signed: bool = False
    ) -> T:
        """``GET`` a typed answer.

        Raises:
            VenueRejected: the venue refuses the question (OrderNotFound among others).
            VenueUnavailable: no answer, or none that can be read; RateLimited when it must wait.
        """
        return self.read(path, await self.request("GET", path, parameters, weight, signed=signed), answer)

    def read(self, path: str, body: bytes, answer: type[T]) -> T:
        """The typed form of a body.

        Raises:
            VenueUnavailable: it is not what ``path`` answers.
        """
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VenueUnavailable(f"the venue's answer to {path} cannot be read: {error}") from error

    async def request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str | int],
        weight: int,
        *,
        signed: bool = False,
        keyed: bool = False,
    ) -> bytes:
        """Send one request and return the body of its 200 answer. ``keyed`` sends the key without a signature.

        Raises:
            VenueRejected, VenueUnavailable, RateLimited: see ``query``.
        """
        try:
            return await self._request(method, path, parameters, weight, signed=signed, keyed=keyed)
        except VenueRejected as error:
            if error.code != CLOCK_CODE or not signed or self.signer is None:
                raise
            self.signer.clock.doubt()
        await self.learn_time()
        return await self._request(method, path, parameters, weight, signed=signed, keyed=keyed)

    async def learn_time(self) -> None:
        """Set the signer's clock by the venue's.

        Raises:
            VenueUnavailable: no answer.
        """
        sent_ns = time.time_ns()
        answer = await self.query("/api/v3/time", {}, TIME_WEIGHT, ServerTime)
        if self.signer is not None:
            self.signer.clock.learn(answer.serverTime, sent_ns, time.time_ns())

    async def instruments(self, symbols: Sequence[str], venue: Venue) -> list[Instrument]:
        """Definitions of symbols, in their order; takes the venue's rate limits over.

        Raises:
            VenueRejected: a symbol is not known there.
            VenueUnavailable: no answer.
            UnusableInstrument: a definition cannot be held.
        """
        parameters = {"symbols": json.dumps(list(symbols), separators=(",", ":"))}
        try:
            info = await self.query("/api/v3/exchangeInfo", parameters, EXCHANGE_INFO_WEIGHT, ExchangeInfo)
        except VenueRejected as error:
            # The venue does not say which of them it means.
            named = ", ".join(symbols)
            raise VenueRejected(error.code, f"{error.reason} Asked for {named}; check TRADEWIND_SYMBOLS") from error
        self.limits.configure((r.rateLimitType, r.interval, r.intervalNum, r.limit) for r in info.rateLimits)
        found = {each.symbol: each for each in info.symbols}
        if missing := [symbol for symbol in symbols if symbol not in found]:
            raise VenueUnavailable(f"the venue's exchangeInfo does not define {', '.join(missing)}")
        return [instrument_of(found[symbol], venue) for symbol in symbols]

    async def depth(self, symbol: str) -> bytes:
        """The depth snapshot of a symbol, as it came, for the decoder."""
        parameters: dict[str, str | int] = {"symbol": symbol, "limit": DEPTH_LIMIT}
        return await self.request("GET", "/api/v3/depth", parameters, DEPTH_5000_WEIGHT)

    async def close(self) -> None:
        """Close the connections. It may be used again afterwards."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self, method: str, path: str, parameters: Mapping[str, str | int], weight: int, *, signed: bool, keyed: bool
    ) -> bytes:
        await self.limits.take(RequestClass.QUERY, weight)
        query = encode_query(parameters)
        headers = {}
        if signed or keyed:
            if self.signer is None:
                raise VenueRejected(-2014, f"{path} needs an API key and this client has none")
            headers[API_KEY_HEADER] = self.signer.api_key
            query = self.signer.sign(query) if signed else query
        url = f"{self._base_url}{path}?{query}" if query else f"{self._base_url}{path}"
        try:
            return await self._exchange(method, url, headers)
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, VenueUnavailable):
                raise
            # The error's own text may hold the signed address; its kind says enough.
            raise VenueUnavailable(
                f"no answer from {self._base_url}{path} ({type(error).__name__}); try again later"
            ) from None

    async def _exchange(self, method: str, url: str, headers: dict[str, str]) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=True)
        address = URL(url, encoded=True)
        sent_s = time.monotonic()
        async with self._session.request(method, address, headers=headers, allow_redirects=False) as response:
            body = await self._read(response)
            self.limits.observe(response.headers, time.monotonic() - sent_s)
            if response.status in (429, 418):
                wait_s = self.limits.block(response.headers.get("Retry-After"), everyone=response.status == 418)
                await self.limits.tell()
                raise RateLimited(wait_s)
            if response.status != 200:
                raise error_of(response.status, body, changes_orders=False)
            return body

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > self._max_answer_bytes:
                response.close()
                raise VenueUnavailable(f"the venue's answer is larger than {self._max_answer_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)
