"""Api tokens that the deployment itself gives, by setting or secret file, for its scripts: they need no database."""

import hmac
from typing import Final

from tradewind.runtime.refusals import StartRefused
from tradewind.services.api.logins.directory import hash_of
from tradewind.services.api.logins.identity import Identity, Role

SHORTEST: Final = 32
_FORM: Final = "TRADEWIND_API_OPERATOR_TOKENS takes name:role:token, several with spaces or lines between them"


class OperatorTokens:
    """Who comes with which of them."""

    def __init__(self, text: str) -> None:
        """``text`` is ``name:role:token`` as often as wanted.

        Raises:
            StartRefused: it has another form, or a token is too short to be safe.
        """
        self._known: list[tuple[bytes, str, Role]] = []
        for one in text.split():
            name, role, token = (*one.split(":", 2), "", "")[:3]
            if not name or role not in set(Role):
                raise StartRefused(f"{_FORM}; the role is one of {', '.join(Role)}")
            if len(token) < SHORTEST:
                raise StartRefused(f"{_FORM}; the token of {name} is shorter than {SHORTEST} characters")
            self._known.append((hash_of(token), name, Role(role)))

    @property
    def names(self) -> frozenset[str]:
        """Names that nobody else may have."""
        return frozenset(name for _, name, _ in self._known)

    def identity(self, token: str, client: str) -> Identity | None:
        """Who comes with a token. Every known one is compared, in a time that tells nothing."""
        given, found = hash_of(token), None
        for known, name, role in self._known:
            if hmac.compare_digest(known, given):
                found = Identity(name=name, role=role, client=client, token_id=f"operator:{name}")
        return found
