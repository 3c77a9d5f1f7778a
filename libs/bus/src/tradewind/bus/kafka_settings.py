"""What a ``kafka://`` URL says.

``kafka://host:port[,host:port]?option=value`` connects in the clear, ``kafkas://`` over TLS; a name and a password
before the host turn SASL on. The password never appears in an error or a ``repr``.

==================  ==========================================================================================
``prefix``          stands before every topic and group at the broker, so that many platforms can share it
``sasl``            PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (default SCRAM-SHA-512)
``ca``              file with the certificates to trust, PEM; without it the system's
``cert``, ``key``   our own certificate and its key, PEM
``session_ms``      a group takes a member that is silent for so long as dead (default 10000)
``request_ms``      a request without an answer has failed (default 15000)
``connect_s``       how long connecting is tried before it fails (default 30)
==================  ==========================================================================================
"""

import dataclasses
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any, Final

from tradewind.bus.connecting import UnsupportedTransport

OPTIONS: Final = ("ca", "cert", "connect_s", "key", "prefix", "request_ms", "sasl", "session_ms")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
DEFAULT_PORT: Final = 9092

_TLS_OPTIONS: Final = frozenset({"ca", "cert", "key"})


@dataclasses.dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach one cluster, and how patient to be. Build it with ``kafka_settings``."""

    servers: tuple[str, ...]
    prefix: str = ""
    session_ms: int = 10_000
    request_ms: int = 15_000
    connect_s: float = 30.0
    security: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def client(self) -> dict[str, Any]:
        """Arguments that every client of aiokafka takes."""
        return {"bootstrap_servers": list(self.servers), "request_timeout_ms": self.request_ms, **self.security}

    @property
    def heartbeat_ms(self) -> int:
        """Ten in a session: a rebalance is noticed within one."""
        return max(self.session_ms // 10, 50)

    @property
    def rebalance_ms(self) -> int:
        """How long the others wait for a member that must give up its partitions."""
        return self.session_ms * 6 // 10

    @property
    def commit_grace_s(self) -> float:
        """How long a member that must give up its partitions waits for its reader to commit."""
        return self.session_ms * 4 / 10_000


def kafka_settings(url: str) -> KafkaSettings:
    """The settings in a URL.

    Raises:
        UnsupportedTransport: an option that is not known, a value that cannot be, or no host.
    """
    try:
        return _settings(url)
    except ValueError as error:
        if isinstance(error, UnsupportedTransport):
            raise
        raise UnsupportedTransport(f"Kafka URL: {error}") from None


def _settings(url: str) -> KafkaSettings:
    parts = urllib.parse.urlsplit(url)
    options = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise UnsupportedTransport(f"Kafka URL: unknown option {', '.join(unknown)}; known: {', '.join(OPTIONS)}")
    login, _, hosts = parts.netloc.rpartition("@")
    if parts.path.strip("/"):
        raise ValueError("it takes no path; write kafka://host:port?prefix=NAME.")
    settings = KafkaSettings(
        servers=_servers(hosts),
        prefix=options.get("prefix", ""),
        session_ms=_positive(options, "session_ms", 10_000),
        request_ms=_positive(options, "request_ms", 15_000),
        connect_s=float(_positive(options, "connect_s", 30)),
        security=_security(parts.scheme == "kafkas", login, options),
    )
    if settings.request_ms <= settings.rebalance_ms:
        raise ValueError("request_ms must be more than 0.6 of session_ms: joining a group takes so long")
    return settings


def _servers(hosts: str) -> tuple[str, ...]:
    servers = []
    for host in hosts.split(","):
        address = urllib.parse.urlsplit(f"//{host}")
        if not address.hostname:
            raise ValueError("it names no host; write kafka://host:port[,host:port]")
        name = f"[{address.hostname}]" if ":" in address.hostname else address.hostname
        servers.append(f"{name}:{address.port or DEFAULT_PORT}")
    return tuple(servers)


def _positive(options: Mapping[str, str], name: str, default: int) -> int:
    value = options.get(name, str(default))
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 10**9):
        raise ValueError(f"{name} must be a whole number above 0")
    return int(value)


def _security(tls: bool, login: str, options: Mapping[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if tls:
        result["ssl_context"] = _ssl_context(options)
    elif given := sorted(_TLS_OPTIONS & options.keys()):
        raise ValueError(f"{', '.join(given)} need kafkas://")
    if login:
        name, _, password = login.partition(":")
        mechanism = options.get("sasl", "SCRAM-SHA-512")
        if mechanism not in MECHANISMS:
            raise ValueError(f"sasl must be one of {', '.join(MECHANISMS)}")
        result["sasl_mechanism"] = mechanism
        result["sasl_plain_username"] = urllib.parse.unquote(name)
        result["sasl_plain_password"] = urllib.parse.unquote(password)
    elif "sasl" in options:
        raise ValueError("sasl needs a name and a password before the host")
    result["security_protocol"] = f"{'SASL_' if login else ''}{'SSL' if tls else 'PLAINTEXT'}"
    return result


def _ssl_context(options: Mapping[str, str]) -> ssl.SSLContext:
    if "key" in options and "cert" not in options:
        raise ValueError("key needs cert")
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"ca, cert or key cannot be read: {error}") from error
    return context
