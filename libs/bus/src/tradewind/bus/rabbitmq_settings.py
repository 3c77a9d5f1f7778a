"""The URL of a RabbitMQ: ``amqp://user:password@host:port/vhost?option=value``, or ``amqps`` for TLS.

=============  ======================================================================================================
``prefix``     put before the name of every exchange and queue, so that several platforms can share a broker
``heartbeat``  seconds; a peer that is silent for about twice as long (the broker) or three times (us) is given up
``queue_limit``  messages of a partition that a group may leave before ``publish`` waits; counts when the group begins
``stream_limit``  bytes of a partition that are kept at most, whatever its age; counts when the topic first appears
``ca``         file with the certificate authorities that the broker's certificate must come from (amqps)
``cert``, ``key``  files with our own certificate and its key, where the broker asks for one (amqps)
=============  ======================================================================================================
"""

import dataclasses
import ssl
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tradewind.bus.connecting import UnsupportedTransport

HEARTBEAT_S: Final = 10
QUEUE_LIMIT: Final = 10_000
STREAM_LIMIT: Final = 8 * 1024**3

_OPTIONS: Final = ("prefix", "heartbeat", "queue_limit", "stream_limit")
_TLS_OPTIONS: Final = ("ca", "cert", "key")
_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_MAX_PREFIX: Final = 64
_MAX_HEARTBEAT_S: Final = 600
_MAX_LIMIT: Final = 2**50


@dataclasses.dataclass(frozen=True, slots=True)
class RabbitMQSettings:
    """What a URL says. Not printed with its password."""

    host: str
    port: int
    vhost: str = "/"
    user: str = "guest"
    password: str = dataclasses.field(default="guest", repr=False)
    prefix: str = ""
    heartbeat_s: int = HEARTBEAT_S
    queue_limit: int = QUEUE_LIMIT
    stream_limit: int = STREAM_LIMIT
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        """``host:port``, for messages."""
        return f"{self.host}:{self.port}"


def settings_from(url: str) -> RabbitMQSettings:
    """What ``url`` says.

    Raises:
        UnsupportedTransport: an option that is not known or a value that is none; the password is never repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UnsupportedTransport("the RabbitMQ URL has no valid host and port") from error
    options = _options(parts.scheme, parts.query)
    return RabbitMQSettings(
        host=parts.hostname or "127.0.0.1",
        port=port or _PORTS[parts.scheme],
        vhost=unquote(parts.path[1:]) or "/",
        user="guest" if parts.username is None else unquote(parts.username),
        password="guest" if parts.password is None else unquote(parts.password),
        prefix=_prefix(options),
        heartbeat_s=_number(options, "heartbeat", HEARTBEAT_S, _MAX_HEARTBEAT_S),
        queue_limit=_number(options, "queue_limit", QUEUE_LIMIT, _MAX_LIMIT),
        stream_limit=_number(options, "stream_limit", STREAM_LIMIT, _MAX_LIMIT),
        tls=_tls(options) if parts.scheme == "amqps" else None,
    )


def _options(scheme: str, query: str) -> dict[str, str]:
    known = (*_OPTIONS, *_TLS_OPTIONS) if scheme == "amqps" else _OPTIONS
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(known)):
        raise UnsupportedTransport(f"{scheme}:// has no option {unknown[0]!r}; it knows {', '.join(known)}")
    return options


def _prefix(options: Mapping[str, str]) -> str:
    prefix = options.get("prefix", "")
    if len(prefix.encode()) > _MAX_PREFIX:
        raise UnsupportedTransport(f"the prefix {prefix!r} is longer than {_MAX_PREFIX} bytes")
    return prefix


def _number(options: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise UnsupportedTransport(f"option {name}={text!r} must be a whole number from 1 to {most}")
    return int(text)


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    if "key" in options and "cert" not in options:
        raise UnsupportedTransport("option key needs the certificate that it belongs to: give cert too")
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if cert := options.get("cert"):
            context.load_cert_chain(cert, options.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise UnsupportedTransport(f"ca, cert or key cannot be read: {error}") from error
    return context
