"""Who asks, and whether they may: API key, HMAC-SHA256 signature, timestamp and receive window.

Source: Binance spot API, "Request Security" (SIGNED endpoints) and error codes -1021, -1022, -1102, -1131, -2014 and
-2015. The signature covers the query string and the body, one after the other, without the parameter ``signature``.
"""

import hashlib
import hmac
import re
from typing import Final

from tradewind.services.sim_venue import refusals
from tradewind.services.sim_venue.refusals import Refused

DEFAULT_WINDOW_MS: Final = 5_000
MAX_WINDOW_MS: Final = 60_000
MAX_AHEAD_MS: Final = 1_000
_SIGNATURE: Final = re.compile(r"(?:^|&)signature=([^&]*)")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


class KeyRing:
    """API keys of the venue's accounts."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[str, bytes]] = {}

    def add(self, account: str, key: str, secret: str) -> None:
        """Let a key act for an account."""
        self._keys[key] = (account, secret.encode())

    def account(self, key: str | None) -> tuple[str, bytes]:
        """Account and secret of a key. Raises Refused -2014, -2015."""
        if key is None or not _KEY.fullmatch(key):
            raise Refused(-2014, "API-key format invalid.", 401)
        if (found := self._keys.get(key)) is None:
            raise Refused(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return found


def check_signature(secret: bytes, query: str, body: str) -> None:
    """Check the signature of a request. Raises Refused -1102, -1022."""
    found = _SIGNATURE.search(query) or _SIGNATURE.search(body)
    if found is None or not found[1]:
        raise refusals.missing("signature")
    signed = _SIGNATURE.sub("", query) + _SIGNATURE.sub("", body)
    wanted = hmac.new(secret, signed.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted.encode(), found[1].lower().encode("utf-8", "surrogateescape")):
        raise Refused(-1022, "Signature for this request is not valid.")


def check_time(timestamp_ms: int, window_ms: int, now_ms: int) -> None:
    """Check that a request was made just now. Raises Refused -1021, -1131."""
    if not 0 < window_ms <= MAX_WINDOW_MS:
        raise Refused(-1131, f"recvWindow must be less than {MAX_WINDOW_MS}.")
    if timestamp_ms >= now_ms + MAX_AHEAD_MS:
        raise Refused(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp_ms > window_ms:
        raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
