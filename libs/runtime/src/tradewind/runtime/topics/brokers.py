"""The brokers of both planes, opened for a short look."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from tradewind.bus.connecting import connect
from tradewind.bus.interface import Bus
from tradewind.runtime.broker_urls import BUS_VARIABLE, BrokerUrl, plane_urls
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PlatformSettings
from tradewind.wire.topics import Plane

CONNECT_TIMEOUT_S: Final = 15.0
CLOSE_TIMEOUT_S: Final = 5.0


class BrokerUnseen(StartRefused):
    """The broker of a plane cannot be looked at; the message says why and what to do."""


Buses = Mapping[Plane, Bus]
"""Plane -> an open bus. A plane that is not there could not be opened, and nothing asked for needs it."""


@contextlib.asynccontextmanager
async def open_buses(platform: PlatformSettings, needed: Collection[Plane]) -> AsyncIterator[tuple[Buses, list[str]]]:
    """The buses of both planes, and why one that is not ``needed`` is missing.

    Raises:
        BrokerUnseen: a needed one is the memory bus, or does not answer.
    """
    urls = dict(zip((Plane.MARKET_DATA, Plane.ORDERS), plane_urls(platform), strict=True))
    opened: dict[str, Bus] = {}
    buses: dict[Plane, Bus] = {}
    missing: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        for plane in sorted(Plane, key=lambda one: one not in needed):
            broker = urls[plane]
            try:
                if broker.url not in opened:
                    opened[broker.url] = await _open(broker)
                    stack.push_async_callback(_close, opened[broker.url])
            except BrokerUnseen as reason:
                if plane in needed:
                    raise
                missing.append(str(reason))
            else:
                buses[plane] = opened[broker.url]
        yield buses, missing


async def _open(broker: BrokerUrl) -> Bus:
    if broker.is_memory:
        raise BrokerUnseen(
            f"the bus is memory://, which lives inside the platform's own process, so nobody outside can look at it; "
            f"set {BUS_VARIABLE} to the broker that the platform uses (kafka://… or amqp://…)"
        )
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await connect(broker.url)
    except ValueError as error:
        raise BrokerUnseen(f"{broker.variable}: {broker.without_password(str(error))}") from None
    except OSError as error:
        why = broker.without_password(str(error)) or f"no answer in {CONNECT_TIMEOUT_S:g} s"
        raise BrokerUnseen(
            f"no broker answers at {_place(broker.url)} ({why}); start it, or correct {broker.variable}"
        ) from None


async def _close(bus: Bus) -> None:
    # A broker that is gone must not keep the command from ending.
    with contextlib.suppress(OSError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await bus.close()


def _place(url: str) -> str:
    # Never the user's part of the address: it may hold a password.
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
