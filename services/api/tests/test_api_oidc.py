"""Logging in by an identity provider: a small real one, with keys, codes and PKCE, and what a false one gets."""

import base64
import contextlib
import dataclasses
import hashlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from aiohttp import web
from api_platform import RunningApi, api_settings, away_database, running_api
from cryptography.hazmat.primitives.asymmetric import rsa
from people_kit import invite

from tradewind.runtime.refusals import StartRefused
from tradewind.services.api.logins import oidc
from tradewind.store.database import Database

CLIENT, SECRET = "tradewind", "the client's secret"
ROLES: Final = "trading desk=trader,risk desk=risk"


@dataclasses.dataclass
class Provider:
    """Issues one code per visit. ``claims`` and ``header`` are laid over what is honest; ``key`` signs."""

    issuer: str = ""
    key: Any = dataclasses.field(default_factory=lambda: rsa.generate_private_key(65_537, 2_048))
    kid: str = "k1"
    claims: dict[str, Any] = dataclasses.field(default_factory=dict)
    named_issuer: str = ""
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    async def describe(self, _: web.Request) -> web.Response:
        here = self.issuer
        return web.json_response(
            {
                "issuer": self.named_issuer or here,
                "authorization_endpoint": f"{here}/authorize",
                "token_endpoint": f"{here}/token",
                "jwks_uri": f"{here}/keys",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]})

    def approve(self, address: str) -> dict[str, str]:
        """What the person's browser brings back after the login there."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        self.codes["code-1"] = asked
        return {"code": "code-1", "state": asked["state"]}

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        proven = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if asked is None or proven != asked["code_challenge"] or form["client_secret"] != SECRET:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "42", "iat": now, "exp": now + 60, "nonce": asked["nonce"],
            "preferred_username": "Olga@desk.example", "role": ["staff", "trading desk"],
        } | self.claims  # fmt: skip
        key = "a key that both might know, of some length" if self.algorithm == "HS256" else self.key
        signed = jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.kid})
        return web.json_response({"id_token": signed, "access_token": "x", "token_type": "Bearer"})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    one = Provider()
    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", one.describe), web.get("/keys", one.keys)])
    app.add_routes([web.post("/token", one.token)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield one
    await runner.cleanup()


def settings(provider: Provider, **changes: Any) -> Any:
    return api_settings(
        oidc_issuer=provider.issuer, oidc_client_id=CLIENT, oidc_client_secret=SECRET, oidc_roles=ROLES, **changes
    )


@contextlib.asynccontextmanager
async def visit(provider: Provider, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(database, settings(provider)) as api, api.visitor() as visitor:
        yield visitor


async def log_in(provider: Provider, visitor: RunningApi, **changes: str) -> tuple[int, str]:
    start = f"{visitor.origin}/api/v1/auth/oidc/start"
    async with visitor.http.get(start, allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        back = provider.approve(answer.headers["Location"]) | changes
    there = f"{visitor.origin}/api/v1/auth/oidc/return"
    async with visitor.http.get(there, params=back, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", "") or await answer.text()


async def test_a_person_comes_in_with_the_role_of_the_claim_and_it_follows(
    provider: Provider, database: Database
) -> None:
    async with visit(provider, database) as olga:
        _, state = await olga.get("/api/v1/auth/state")
        assert state["oidc"] == {"name": "single sign-on", "start_url": "/api/v1/auth/oidc/start"}
        assert await log_in(provider, olga) == (303, "/")
        _, state = await olga.get("/api/v1/auth/state")
        assert (state["user"]["name"], state["user"]["role"]) == ("olga", "trader")
        provider.claims = {"role": "risk desk", "preferred_username": "renamed"}
        assert (await log_in(provider, olga))[0] == 303
        _, state = await olga.get("/api/v1/auth/state")
        assert (state["user"]["name"], state["user"]["role"]) == ("olga", "risk")
        provider.key, provider.kid = rsa.generate_private_key(65_537, 2_048), "k2"
        oidc_of_api = olga.service.desk.oidc
        assert oidc_of_api is not None
        oidc_of_api._keys_at_s -= oidc.KEYS_AGAIN_S + 1
        assert (await log_in(provider, olga))[0] == 303  # the provider's keys have changed


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody else"},
        {"iss": "https://evil.example"},
        {"nonce": "of another login"},
        {"exp": 1},
        {"role": "cleaning"},
        {"role": None},
        {"preferred_username": ""},
        {"preferred_username": "anna"},  # the deployment's own
        {"preferred_username": "tina"},  # has a password here
    ],
)
async def test_what_does_not_hold_does_not_come_in(
    provider: Provider, database: Database, claims: dict[str, Any]
) -> None:
    await invite(database, "tina", "admin")
    provider.claims = claims
    async with visit(provider, database) as visitor:
        assert (await log_in(provider, visitor))[0] == 401
        assert (await visitor.get("/api/v1/health"))[0] == 401


async def test_a_signature_of_another_kind_or_key_does_not_come_in(provider: Provider, database: Database) -> None:
    async with visit(provider, database) as visitor:
        provider.algorithm = "HS256"
        assert (await log_in(provider, visitor))[0] == 401
        provider.algorithm = "RS256"
        assert (await log_in(provider, visitor))[0] == 303
        provider.key = rsa.generate_private_key(65_537, 2_048)  # under the same id
        assert (await log_in(provider, visitor))[0] == 401


async def test_a_return_that_was_not_begun_here_does_not_come_in(provider: Provider, database: Database) -> None:
    async with visit(provider, database) as visitor:
        assert (await log_in(provider, visitor, state="made up"))[0] == 401
        visitor.http.cookie_jar.clear()
        async with visitor.http.get(f"{visitor.origin}/api/v1/auth/oidc/return?code=c&state=s") as answer:
            assert answer.status == 401
        assert (await log_in(provider, visitor, code="another code"))[0] == 401


async def test_a_disabled_user_does_not_come_in(provider: Provider, database: Database) -> None:
    async with running_api(database, settings(provider)) as api, api.visitor() as olga:
        assert (await log_in(provider, olga))[0] == 303
        assert (await api.patch("/api/v1/users/olga", {"enabled": False, "why": "gone away"}))[0] == 200
        assert (await log_in(provider, olga))[0] == 401


async def test_a_provider_that_names_itself_another_is_refused(provider: Provider, database: Database) -> None:
    provider.named_issuer = "https://evil.example"
    async with visit(provider, database) as visitor:
        assert (await visitor.get("/api/v1/auth/oidc/start"))[0] == 401


async def test_without_a_provider_there_is_nothing(stored_api: RunningApi) -> None:
    assert (await stored_api.get("/api/v1/auth/oidc/start"))[0] == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"oidc_issuer": "http://login.example", "oidc_client_id": "x"},
        {"oidc_issuer": "https://login.example"},
        {"oidc_issuer": "https://login.example", "oidc_client_id": "x", "oidc_roles": "boss"},
        {"oidc_issuer": "https://login.example", "oidc_client_id": "x", "oidc_roles": "desk=owner"},
    ],
)
async def test_settings_that_are_unsafe_refuse_the_start(changes: dict[str, str]) -> None:
    with pytest.raises(StartRefused, match="TRADEWIND_API_OIDC_"):
        async with running_api(away_database(), api_settings(**changes)):
            pass
