"""From a URL to a bus: each scheme has one factory, and a new transport is one more line in ``TRANSPORTS``."""

import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.bus.interface import Bus
from tradewind.bus.memory import MemoryBus

TransportFactory = Callable[[str], Awaitable[Bus]]


class UnsupportedTransport(ValueError):
    """The URL names a transport that this version does not have, or has options that its transport does not know."""


async def _memory(url: str) -> Bus:
    if url.rstrip("/") != "memory:":
        raise UnsupportedTransport(f"{url!r}: the memory bus takes no host and no options; write memory://")
    return MemoryBus()


async def _kafka(url: str) -> Bus:
    # Not above: who has no Kafka does not wait for its client to be imported.
    from tradewind.bus.kafka import connect_kafka

    return await connect_kafka(url)


async def _rabbitmq(url: str) -> Bus:
    from tradewind.bus.rabbitmq import connect_rabbitmq

    return await connect_rabbitmq(url)


TRANSPORTS: Final[dict[str, TransportFactory]] = {
    "memory": _memory,
    "kafka": _kafka,
    "kafkas": _kafka,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}
"""URL scheme -> what opens a bus of that transport. A factory gets the whole URL."""


async def connect(url: str) -> Bus:
    """A new connection to the bus at ``url``. Each ``memory://`` connection is a bus of its own.

    Raises:
        UnsupportedTransport: no transport for the URL's scheme, or a URL that its transport cannot read.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if (factory := TRANSPORTS.get(scheme)) is None:
        supported = ", ".join(f"{name}://" for name in sorted(TRANSPORTS))
        raise UnsupportedTransport(f"no bus transport for {_scheme_of(scheme)}; supported: {supported}")
    return await factory(url)


def _scheme_of(scheme: str) -> str:
    # Never the whole URL: a broker's URL may hold a password, and errors go to logs.
    return f"{scheme}://" if scheme else "a URL without a scheme"
