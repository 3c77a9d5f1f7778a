"""TLS by settings, the client's address behind a proxy, and what a flood gets."""

import datetime
import ipaddress
import os
import ssl
import time
from pathlib import Path

import aiohttp
import pytest
from api_platform import PEOPLE, RunningApi, api_settings, away_database, bearer, running_api, token_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from people_kit import PASSWORD, invite

from tradewind.runtime.refusals import StartRefused
from tradewind.services.api.logins.clients import CLIENT, SECURE, Clients
from tradewind.services.api.logins.operator_tokens import OperatorTokens
from tradewind.services.api.logins.throttling import Throttle
from tradewind.store.database import Database


def make_pair(folder: Path, serial: int) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradewind test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    for path in paths:  # written within one tick of the file system's clock they would look the same
        os.utime(path, ns=(serial * 10**9, serial * 10**9))
    return paths


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def test_tls_is_served_cookies_are_secure_and_a_new_certificate_needs_no_restart(
    database: Database, tmp_path: Path
) -> None:
    certificate, key = make_pair(tmp_path, 1)
    settings = api_settings(tls_certificate=str(certificate), tls_key=str(key))
    async with running_api(database, settings, client_tls=trusting(certificate)) as api:
        token = await invite(database, "tina", "trader")
        async with api.visitor(tls=trusting(certificate)) as tina:
            body = {"token": token, "password": PASSWORD}
            async with tina.http.post(tina.origin + "/api/v1/auth/claim", json=body) as answer:
                assert answer.status == 200
                assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
                assert all("Secure" in line for line in answer.headers.getall("Set-Cookie"))
            assert (await tina.get("/api/v1/health"))[0] == 200
        first = trusting(certificate)
        make_pair(tmp_path, 2)
        assert api.service.tls is not None
        assert api.service.tls.context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert api.service.tls.renew()
        async with api.visitor(tls=trusting(certificate)) as later, api.visitor(tls=first) as behind:
            assert (await later.get("/api/v1/auth/state"))[0] == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await behind.get("/api/v1/auth/state")
        key.write_text("half a file")
        assert not api.service.tls.renew()
        async with api.visitor(tls=trusting(certificate)) as later:
            assert (await later.get("/api/v1/auth/state"))[0] == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"tls_certificate": "/nowhere"},
        {"tls_certificate": "/nowhere", "tls_key": "/nowhere"},
        {"signing_key": "short"},
        {"operator_tokens": "anna:admin:short"},
        {"operator_tokens": f"anna:owner:{'x' * 32}"},
        {"operator_tokens": "x" * 40},
        {"trusted_proxies": "everybody"},
    ],
)
async def test_a_setting_that_would_weaken_it_refuses_the_start(changes: dict[str, str]) -> None:
    with pytest.raises(StartRefused, match="TRADEWIND_API_"):
        async with running_api(away_database(), api_settings(**changes)):
            pass


@pytest.mark.parametrize(
    ("peer", "told", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.1", "rubbish", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("198.51.100.2", "203.0.113.9", "198.51.100.2"),
    ],
)
def test_only_a_trusted_proxy_tells_the_address(peer: str, told: str, address: str) -> None:
    scope = {"client": (peer, 1), "scheme": "http"}
    headers = {"x-forwarded-for": [told], "x-forwarded-proto": ["https"]}
    assert Clients("10.0.0.0/24").note(scope, headers) == scope[CLIENT] == address
    assert scope[SECURE] is (peer == "10.0.0.1")


async def test_a_flood_from_one_address_or_one_person_is_told_to_wait() -> None:
    async with running_api(away_database(), api_settings(requests_per_s=20)) as api:
        answers = [await _status(api, "vera") for _ in range(60)]
        assert 429 in answers
    async with running_api(away_database(), api_settings(requests_per_s_of_one=5)) as api:
        answers = [await _status(api, "vera") for _ in range(20)]
        assert (answers[0], answers[-1]) == (200, 429)
        assert await _status(api, "tom") == 200


async def _status(api: RunningApi, name: str) -> int:
    async with api.http.get(api.origin + "/api/v1/positions", headers=bearer(name)) as answer:
        assert answer.status != 429 or int(answer.headers["Retry-After"]) >= 1
        return answer.status


def test_a_bucket_refills() -> None:
    now = time.monotonic()
    throttle = Throttle(10.0, clock=lambda: now)
    assert [throttle.wait_s("a") for _ in range(20)] == [0.0] * 20
    assert throttle.wait_s("a") == pytest.approx(0.1)
    assert throttle.wait_s("b") == 0.0
    now += 0.25
    assert [throttle.wait_s("a") > 0 for _ in range(3)] == [False, False, True]


def test_tokens_of_the_deployment_may_stand_on_lines() -> None:
    tokens = OperatorTokens("\n".join(f"{name}:{role}:{token_of(name)}" for name, role in PEOPLE.items()) + "\n")
    assert tokens.names == PEOPLE.keys()
    who = tokens.identity(token_of("rita"), "10.0.0.1")
    assert who is not None
    assert (who.name, who.role) == ("rita", "risk")
