"""TLS, passwords and permissions on a real RabbitMQ, and what a URL may say."""

import dataclasses
import datetime
import ipaddress
from pathlib import Path
from typing import Final

import pytest
from bus_contract import collect, market_topic, order_topic, publish_all, texts
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tradewind.bus.brokers.rabbitmq_broker import RabbitMQBroker, RabbitMQTls
from tradewind.bus.brokers.rabbitmq_testing import RabbitMQFactory
from tradewind.bus.connecting import UnsupportedTransport, connect
from tradewind.bus.interface import Start
from tradewind.bus.rabbitmq_settings import HEARTBEAT_S, QUEUE_LIMIT, settings_from

PASSWORD: Final = "s3cret/with:odd@signs"  # Quoted in the URL.
QUOTED: Final = "s3cret%2Fwith%3Aodd%40signs"


@dataclasses.dataclass
class Certificates:
    """Files: an authority, and a certificate that it signed for 127.0.0.1, of broker and client alike, with its key."""

    authority: Path
    certificate: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    folder.mkdir(exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _signed("tradewind test authority", authority_key, "tradewind test authority", authority_key, ca=True)
    leaf = _signed("tradewind test", key, "tradewind test authority", authority_key, ca=False)
    files = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    files.authority.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    files.certificate.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _signed(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


async def test_tls_with_certificates_that_both_sides_trust(rabbitmq_of: RabbitMQFactory, tmp_path: Path) -> None:
    ours, other = certificates(tmp_path), certificates(tmp_path / "other")
    broker = rabbitmq_of(tls=RabbitMQTls(ours.authority, ours.certificate, ours.key))
    own = f"cert={ours.certificate}&key={ours.key}"
    bus = await connect(f"{broker.url}&{own}")
    topic = order_topic()
    subscription = await bus.subscribe(topic, group="reader")
    await publish_all(bus, topic, "a", ["one"])
    assert texts(await collect(subscription, 1, commit=True)) == ["one"]
    await bus.close()
    for wrong in (
        f"{broker.url}",
        f"{broker.url}&cert={other.certificate}&key={other.key}",
        f"amqps://{broker.address}/?ca={other.authority}&{own}",
        f"amqps://{broker.address}/?{own}",
        f"amqp://{broker.address}/",
    ):
        with pytest.raises(ConnectionError, match=broker.address):
            await connect(wrong)


async def test_a_password_is_needed_and_never_repeated(own_rabbitmq: RabbitMQBroker) -> None:
    with pytest.raises(ConnectionError, match="refuses user 'guest'") as caught:
        await connect(f"amqp://guest:wrong-password@{own_rabbitmq.address}/")
    assert "wrong-password" not in str(caught.value)
    with pytest.raises(ConnectionError, match="no vhost 'nowhere'"):
        await connect(f"amqp://{own_rabbitmq.address}/nowhere")
    await (await connect(f"amqp://{own_rabbitmq.address}")).close()


async def test_what_the_broker_does_not_permit_is_an_error_that_says_so(rabbitmq_of: RabbitMQFactory) -> None:
    limits = {f"default_permissions.{right}": "^$" for right in ("configure", "read", "write")}
    broker = rabbitmq_of(settings={"default_user": "weak", "default_pass": PASSWORD, **limits})
    bus = await connect(f"amqp://weak:{QUOTED}@{broker.address}/")
    for topic in (order_topic(), market_topic()):
        with pytest.raises(PermissionError, match="permissions"):
            await bus.subscribe(topic, start=Start.EARLIEST)
        with pytest.raises(PermissionError, match="permissions"):
            await bus.replay(topic)
    with pytest.raises(PermissionError, match="permissions"):
        await bus.subscribe(order_topic(), group="reader")
    with pytest.raises(PermissionError, match="permissions"):
        await publish_all(bus, order_topic(), "a", ["one"])
    await bus.close()


async def test_connecting_to_nobody_fails_and_says_to_whom() -> None:
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:1 does not answer") as caught:
        await connect("amqp://user:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://h?qos=1", "no option 'qos'; it knows prefix, heartbeat, queue_limit, stream_limit"),
        ("amqp://h?ca=file", "no option 'ca'"),
        ("amqps://h?ca=/nowhere/ca.pem", "cannot be read"),
        ("amqps://h?key=/nowhere/key.pem", "give cert too"),
        ("amqp://h?heartbeat=0", "from 1 to 600"),
        ("amqp://h?heartbeat=x", "whole number"),
        ("amqp://h?queue_limit=-5", "whole number"),
        ("amqp://h?stream_limit=", "whole number"),
        (f"amqp://h?prefix={'p' * 65}", "longer than 64"),
        ("amqp://user:secret@h:port/", "no valid host and port"),
    ],
)
async def test_a_url_that_cannot_be_read_says_why(url: str, said: str) -> None:
    with pytest.raises(UnsupportedTransport) as caught:
        await connect(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_says_where_and_how() -> None:
    settings = settings_from(f"amqp://me:{QUOTED}@broker.example:5673/a%2Fb?prefix=p.&heartbeat=3&queue_limit=7")
    assert (settings.host, settings.port, settings.vhost) == ("broker.example", 5673, "a/b")
    assert (settings.user, settings.password, settings.prefix) == ("me", PASSWORD, "p.")
    assert (settings.heartbeat_s, settings.queue_limit, settings.tls) == (3, 7, None)
    assert PASSWORD not in repr(settings)
    plain = settings_from("amqp://broker")
    assert (plain.port, plain.vhost, plain.user, plain.heartbeat_s) == (5672, "/", "guest", HEARTBEAT_S)
    assert plain.queue_limit == QUEUE_LIMIT
    assert settings_from("amqps://broker").port == 5671
