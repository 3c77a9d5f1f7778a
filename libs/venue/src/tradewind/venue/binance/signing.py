"""Signed requests: key, HMAC-SHA256 and a timestamp on the venue's clock.

Source: Binance spot API, "Request Security", SIGNED endpoints: ``signature`` is the HMAC-SHA256 of the query string;
the request is refused (-1021) unless ``serverTime - recvWindow <= timestamp < serverTime + 1 s``.
"""

import hmac
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus

RECV_WINDOW_MS: Final = 5_000
NS_PER_MS: Final = 1_000_000
PRECISE_MS: Final = 1_000
"""An answer that took longer says too little about the venue's clock to move ours for nothing."""


class VenueClock:
    """The venue's time: ours plus an offset learned from ``GET /api/v3/time``."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self.offset_ms = 0
        self._doubted = False

    def now_ms(self) -> int:
        """The venue's time in ms since the epoch, as well as we know it."""
        return self._now_ns() // NS_PER_MS + self.offset_ms

    def doubt(self) -> None:
        """The venue refused a timestamp: the next answer sets the clock, however slow it is."""
        self._doubted = True

    def learn(self, server_ms: int, sent_ns: int, received_ns: int) -> None:
        """Take the offset from one answer: the venue read its clock somewhere between send and receipt.

        After a quick answer that is taken as half way. A slow one moves the offset only if it contradicts it, and then
        to the early side: a timestamp may be 5 s behind the venue's clock, but only 1 s ahead of it.
        """
        earliest_ms = server_ms - received_ns // NS_PER_MS
        span_ms = (received_ns - sent_ns) // NS_PER_MS
        doubted, self._doubted = self._doubted, False
        if not doubted and span_ms > PRECISE_MS and earliest_ms <= self.offset_ms <= earliest_ms + span_ms:
            return
        self.offset_ms = earliest_ms + min(span_ms, PRECISE_MS) // 2


class RequestSigner:
    """Holds the key and secret of one account; ``repr`` shows neither."""

    def __init__(self, api_key: str, api_secret: str, clock: VenueClock, recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self.api_key = api_key
        self.clock = clock
        self._secret = api_secret.encode()
        self._recv_window_ms = recv_window_ms

    def sign(self, query: str) -> str:
        """``query`` (already encoded, may be empty) with timestamp, recvWindow and signature."""
        separator = "&" if query else ""
        full = f"{query}{separator}recvWindow={self._recv_window_ms}&timestamp={self.clock.now_ms()}"
        signature = hmac.digest(self._secret, full.encode(), "sha256").hex()
        return f"{full}&signature={signature}"


def encode_query(parameters: Mapping[str, str | int]) -> str:
    """Parameters as a query string, in their order."""
    return "&".join(f"{name}={quote_plus(str(value))}" for name, value in parameters.items())
