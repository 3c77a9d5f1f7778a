"""TLS and SASL on a real broker with a certificate of our own making."""

import asyncio
import datetime
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from bus_contract import collect, order_topic, publish_all, texts
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tradewind.bus.brokers.kafka_broker import KafkaBroker, KafkaSecurity
from tradewind.bus.connecting import connect

PASSWORD: Final = "s3cret/with:odd@signs"  # Quoted in the URL.
QUOTED: Final = "s3cret%2Fwith%3Aodd%40signs"


def certificate(folder: Path) -> Path:
    """A file with a new key and the certificate that it signs for itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tradewind test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "broker.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return pem


async def passes(url: str) -> None:
    bus = await connect(url)
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["one"])
    assert texts(await collect(subscription, 1, commit=True)) == ["one"]
    assert texts(await bus.replay(topic)) == ["one"]
    await bus.close()


async def test_tls_with_a_certificate_that_the_url_trusts(kafka_of: Callable[..., KafkaBroker], tmp_path: Path) -> None:
    broker = kafka_of(security=KafkaSecurity(certificate(tmp_path)))
    await passes(f"{broker.url}?ca={tmp_path / 'ca.pem'}")
    for wrong in (f"{broker.url}?connect_s=1", f"kafka://{broker.address}?connect_s=1&request_ms=7000"):
        with pytest.raises(ConnectionError):
            await connect(wrong)
    await asyncio.sleep(1.0)  # See below.


# aiokafka leaves the socket of a refused login to the garbage collector, which warns in whatever test runs then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_sasl_over_tls(kafka_of: Callable[..., KafkaBroker], tmp_path: Path, mechanism: str) -> None:
    broker = kafka_of(security=KafkaSecurity(certificate(tmp_path), mechanism, {"alice": PASSWORD}))
    options = f"sasl={mechanism}&ca={tmp_path / 'ca.pem'}"
    await passes(f"kafkas://alice:{QUOTED}@{broker.address}?{options}")
    with pytest.raises(ConnectionError) as caught:
        await connect(f"kafkas://alice:wrong-password@{broker.address}?{options}&connect_s=1")
    assert "wrong-password" not in str(caught.value)
    await asyncio.sleep(1.0)  # The client does not wait for the broker to say goodbye to a connection that it refused.
