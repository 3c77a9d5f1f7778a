"""Access tokens: short-lived, signed, checked without asking anybody: a halt needs no database.

A token says who logged in, in which role, and until when the login lasts. The key comes from the settings, where
several api services must know each other's tokens, or is made at the start; then a restart makes every page renew its
token.
"""

import secrets
import time
from typing import Any, Final

import jwt
import msgspec

from tradewind.runtime.refusals import StartRefused

SHORTEST_KEY: Final = 32
_ALGORITHM: Final = "HS256"
_ISSUER: Final = "tradewind"
_SEALED: Final = "tradewind sealed"
_NS: Final = 1_000_000_000


class Claims(msgspec.Struct, frozen=True):
    """What a token says. ``exp`` and ``until`` are seconds: the ends of the token and of the login."""

    sub: str
    role: str
    sid: str
    exp: int
    until: int


class AccessTokens:
    """Makes and reads them."""

    def __init__(self, signing_key: str, lifetime_s: float) -> None:
        """An empty key: one is made.

        Raises:
            StartRefused: the key is too short to be one.
        """
        if signing_key and len(signing_key) < SHORTEST_KEY:
            raise StartRefused(
                f"TRADEWIND_API_SIGNING_KEY is shorter than {SHORTEST_KEY} characters; "
                "make one with: openssl rand -hex 32"
            )
        self._key = signing_key.encode() or secrets.token_bytes(SHORTEST_KEY)
        self.lifetime_s = lifetime_s

    def make(self, name: str, role: str, session_id: str, until_ns: int) -> tuple[str, int]:
        """A token, and when it ends (ns)."""
        until = until_ns // _NS
        ends = min(int(time.time() + self.lifetime_s), until)
        claims = {"iss": _ISSUER, "sub": name, "role": role, "sid": session_id, "exp": ends, "until": until}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM), ends * _NS

    def seal(self, content: dict[str, str], lifetime_s: int) -> str:
        """A text that only we could have made, for somebody to bring back within a time. It is no access token."""
        claims = {**content, "iss": _SEALED, "exp": int(time.time()) + lifetime_s}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def unseal(self, sealed: str) -> dict[str, Any] | None:
        """The content of what was sealed; None when it was not, or too long ago."""
        try:
            content: dict[str, Any] = jwt.decode(
                sealed, self._key, algorithms=[_ALGORITHM], issuer=_SEALED, options={"require": ["exp", "iss"]}
            )
        except jwt.InvalidTokenError:
            return None
        return content

    def read(self, token: str) -> Claims | None:
        """What a token says; None when it is not ours, or over."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], issuer=_ISSUER,
                options={"require": ["exp", "iss", "sub"], "verify_aud": False},
            )  # fmt: skip
            return msgspec.convert(claims, Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            return None
