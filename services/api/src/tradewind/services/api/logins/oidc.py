"""Logging in by an identity provider: OpenID Connect, authorization code with PKCE.

The provider is asked for its addresses and keys when somebody comes, each answer bounded in time and size. What the
browser carries between the two requests is signed here. The role comes from a claim of the id token; whoever has none
of the named values does not come in.
"""

import base64
import hashlib
import re
import secrets
import time
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
import jwt
import msgspec

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.venue_target import is_loopback
from tradewind.services.api.logins.access_tokens import AccessTokens
from tradewind.services.api.logins.identity import Role
from tradewind.services.api.settings import ApiSettings

TIMEOUT_S: Final = 10.0
STATE_S: Final = 600
KEYS_AGAIN_S: Final = 10.0
LEEWAY_S: Final = 30
_LONGEST_ANSWER: Final = 1_000_000
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


class OidcRefused(Exception):
    """Nobody comes in this way; the message may be shown."""


class Arrival(msgspec.Struct, frozen=True):
    """Who the provider says has come."""

    subject: str
    name: str
    role: Role


class _Provider(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class Oidc:
    """One provider."""

    def __init__(self, settings: ApiSettings, signer: AccessTokens) -> None:
        """
        Raises:
            StartRefused: a setting is missing or unsafe.
        """
        self._settings = settings
        self._signer = signer
        self._keys: jwt.PyJWKSet | None = None
        self._keys_at_s = 0.0
        self._roles = _roles(settings.oidc_roles)
        parts = urlsplit(settings.oidc_issuer)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise StartRefused("TRADEWIND_API_OIDC_ISSUER takes the provider's https:// address")
        if not settings.oidc_client_id:
            raise StartRefused("TRADEWIND_API_OIDC_CLIENT_ID is not set; it goes with TRADEWIND_API_OIDC_ISSUER")

    @property
    def name(self) -> str:
        """What people call the provider."""
        return self._settings.oidc_name

    async def start(self, return_url: str) -> tuple[str, str]:
        """Where to send the browser, and what it must bring back in a cookie.

        Raises:
            OidcRefused: the provider does not answer as one.
        """
        provider = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": return_url,
            "scope": self._settings.oidc_scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in provider.authorization_endpoint else "?"
        carried = self._signer.seal({"state": state, "nonce": nonce, "verifier": verifier}, STATE_S)
        return f"{provider.authorization_endpoint}{joint}{urlencode(query)}", carried

    async def arrive(self, return_url: str, carried: str, state: str, code: str) -> Arrival:
        """Who came back from the provider.

        Raises:
            OidcRefused: it is not who we sent, or the provider's word does not hold, or there is no role for it.
        """
        sent = self._signer.unseal(carried)
        if sent is None or not secrets.compare_digest(sent["state"].encode(), state.encode()):
            raise OidcRefused("this login was not begun here, or too long ago; begin again")
        provider = await self._provider()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": return_url,
            "client_id": self._settings.oidc_client_id,
            "code_verifier": sent["verifier"],
        }
        if self._settings.oidc_client_secret:
            form["client_secret"] = self._settings.oidc_client_secret
        answer = await self._ask("POST", provider.token_endpoint, form)
        claims = await self._checked(provider, str(answer.get("id_token", "")), sent["nonce"])
        return Arrival(f"{provider.issuer} {claims['sub']}", self._name_of(claims), self._role_of(claims))

    async def _provider(self) -> _Provider:
        issuer = self._settings.oidc_issuer.rstrip("/")
        found = await self._ask("GET", f"{issuer}/.well-known/openid-configuration")
        try:
            provider = msgspec.convert(found, _Provider)
        except msgspec.ValidationError as error:
            raise OidcRefused("the identity provider does not describe itself as one") from error
        if provider.issuer.rstrip("/") != issuer:
            raise OidcRefused("the identity provider names itself another one")
        return provider

    async def _checked(self, provider: _Provider, id_token: str, nonce: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(id_token)
            key = await self._key(provider, str(header.get("kid", "")))
            claims: dict[str, Any] = jwt.decode(
                id_token, key, algorithms=list(_ALGORITHMS), audience=self._settings.oidc_client_id,
                issuer=provider.issuer, leeway=LEEWAY_S, options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise OidcRefused("the identity provider's token does not hold; begin again") from error
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise OidcRefused("the identity provider's token is of another login; begin again")
        return claims

    async def _key(self, provider: _Provider, kid: str) -> jwt.PyJWK:
        for fresh in (False, True):
            # A provider changes its keys; a stranger's made-up ids must not make us ask it again and again.
            if self._keys is None or (fresh and time.monotonic() - self._keys_at_s > KEYS_AGAIN_S):
                self._keys = jwt.PyJWKSet.from_dict(await self._ask("GET", provider.jwks_uri))
                self._keys_at_s = time.monotonic()
            found = [key for key in self._keys.keys if key.key_id == kid or not kid]
            if len(found) == 1:
                return found[0]
        raise jwt.InvalidKeyError("no such key")

    def _name_of(self, claims: dict[str, Any]) -> str:
        given = str(claims.get(self._settings.oidc_name_claim) or "").lower().partition("@")[0]
        name = re.sub(r"[^a-z0-9._-]", "-", given)[:32].lstrip("._-")
        if not name:
            raise OidcRefused(f"the identity provider gives no name ({self._settings.oidc_name_claim})")
        return name

    def _role_of(self, claims: dict[str, Any]) -> Role:
        value = claims.get(self._settings.oidc_role_claim)
        held = {str(one) for one in value} if isinstance(value, list) else {str(value)}
        for claimed, role in self._roles:
            if claimed in held:
                return role
        raise OidcRefused("the identity provider gives you no role here; ask whoever keeps it")

    async def _ask(self, method: str, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
                http.request(method, url, data=form, allow_redirects=False) as answer,
            ):
                body = b""
                async for chunk in answer.content.iter_chunked(_LONGEST_ANSWER):
                    body += chunk
                    if len(body) > _LONGEST_ANSWER:
                        raise OidcRefused("the identity provider's answer is too long")
                if answer.status != HTTPStatus.OK:
                    raise OidcRefused(f"the identity provider answered {answer.status}; begin again")
            return msgspec.json.decode(body, type=dict[str, Any])
        except (TimeoutError, aiohttp.ClientError, msgspec.DecodeError) as error:
            raise OidcRefused("the identity provider does not answer; try again later") from error


def _roles(text: str) -> list[tuple[str, Role]]:
    """``claim=role`` pairs, the first that holds counts; empty: the claim is the role itself."""
    if not text:
        return [(role.value, role) for role in reversed(Role)]
    pairs = [one.strip().rpartition("=") for one in text.split(",") if one.strip()]
    if any(not claimed or role not in set(Role) for claimed, _, role in pairs):
        raise StartRefused(
            f"TRADEWIND_API_OIDC_ROLES takes value=role, with commas between; the role is one of {', '.join(Role)}"
        )
    return [(claimed, Role(role)) for claimed, _, role in pairs]


def oidc_of(settings: ApiSettings, signer: AccessTokens) -> Oidc | None:
    """The provider that the settings name, if any.

    Raises:
        StartRefused: a setting is missing or unsafe.
    """
    return Oidc(settings, signer) if settings.oidc_issuer else None
