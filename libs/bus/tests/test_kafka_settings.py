"""What a Kafka URL may say, and that its password is never told."""

from pathlib import Path

import pytest

from tradewind.bus.connecting import UnsupportedTransport, connect
from tradewind.bus.kafka_settings import OPTIONS, kafka_settings


def test_a_url_names_brokers_and_options() -> None:
    settings = kafka_settings("kafka://one,two:1234,[::1]:9?prefix=blue.&session_ms=6000&request_ms=20000&connect_s=5")
    assert settings.servers == ("one:9092", "two:1234", "[::1]:9")
    assert (settings.prefix, settings.session_ms, settings.request_ms, settings.connect_s) == ("blue.", 6000, 20000, 5)
    assert settings.client["security_protocol"] == "PLAINTEXT"
    assert settings.heartbeat_ms < settings.commit_grace_s * 1_000 < settings.rebalance_ms < settings.session_ms


def test_a_login_turns_sasl_on_and_the_password_is_not_shown() -> None:
    settings = kafka_settings("kafka://us%40er:se%2Fcr%3Aet@host?sasl=PLAIN")
    assert settings.client["sasl_plain_username"] == "us@er"
    assert settings.client["sasl_plain_password"] == "se/cr:et"
    assert settings.client["security_protocol"] == "SASL_PLAINTEXT"
    assert kafka_settings("kafka://user:secret@host").client["sasl_mechanism"] == "SCRAM-SHA-512"
    assert kafka_settings("kafkas://user:secret@host").client["security_protocol"] == "SASL_SSL"
    assert "cr:et" not in repr(settings)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("?prefx=a", f"unknown option prefx; known: {', '.join(OPTIONS)}"),
        ("?sasl=GSSAPI", "sasl must be one of"),
        ("?session_ms=soon", "session_ms must be a whole number"),
        ("?session_ms=0", "session_ms must be a whole number"),
        ("?session_ms=60000", "request_ms must be more than 0.6 of session_ms"),
        ("/topic", "takes no path"),
        ("?ca=/nowhere.pem", "ca need kafkas://"),
        (":port", "Port could not be cast"),
        (",", "names no host"),
        ("?prefix", "bad query field"),
    ],
)
async def test_what_cannot_be_is_refused_without_the_password(rest: str, said: str) -> None:
    with pytest.raises(UnsupportedTransport) as caught:
        await connect(f"kafka://user:secret@host{rest}")
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://", "names no host"),
        ("kafka://host?sasl=PLAIN", "needs a name and a password"),
        ("kafkas://host?key=/k.pem", "key needs cert"),
        ("kafkas://host?ca=/nowhere.pem", "cannot be read"),
    ],
)
def test_what_is_missing_is_named(url: str, said: str) -> None:
    with pytest.raises(UnsupportedTransport, match=said):
        kafka_settings(url)


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("no certificate")
    with pytest.raises(UnsupportedTransport, match="cannot be read"):
        kafka_settings(f"kafkas://host?ca={nonsense}")
