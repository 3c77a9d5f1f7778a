"""Opens what the services of a process share: stores and buses; closes it again in the opposite order.

What is away at the start is waited for with back-off, said once in words. Nothing here starts a service.
"""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tradewind.bus.connecting import TRANSPORTS, connect
from tradewind.bus.interface import Bus
from tradewind.runtime.broker_urls import BrokerUrl, plane_urls
from tradewind.runtime.logging import get_logger
from tradewind.runtime.presence import telling_presence
from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.settings import PREFIX, PlatformSettings
from tradewind.runtime.stores_starting import open_stores
from tradewind.runtime.supervising import SharedResources
from tradewind.runtime.waiting import until_there


@contextlib.asynccontextmanager
async def open_shared(platform: PlatformSettings) -> AsyncIterator[SharedResources]:
    """Stores with their schema up to date, and one connected bus per URL.

    Raises:
        StartRefused: a URL has no meaning, or a store answers and refuses us.
    """
    _check_brokers(platform)
    async with (
        _traces(platform),
        open_stores(platform) as stores,
        _open_buses(platform) as (market_bus, order_bus),
        telling_presence(stores.redis_url),
    ):
        yield SharedResources(platform, market_bus, order_bus, stores.database, stores.last_values)


def _traces(platform: PlatformSettings) -> contextlib.AbstractAsyncContextManager[None]:
    """Export traces, if they are wanted: only then is the library for it loaded."""
    url = platform.tracing_otlp_url
    if not url:
        return contextlib.nullcontext()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StartRefused(f"{PREFIX}TRACING_OTLP_URL: it takes an address such as http://collector:4318/v1/traces")
    from tradewind.runtime.trace_exporting import exporting_traces

    return exporting_traces(url, platform.tracing_ratio)


def _check_brokers(platform: PlatformSettings) -> None:
    # Before the stores, which may be waited for: nobody waits to be told of a wrong setting.
    for broker in plane_urls(platform):
        try:
            known = urlsplit(broker.url).scheme in TRANSPORTS
        except ValueError:
            known = False
        if not known:
            schemes = ", ".join(f"{name}://" for name in sorted(TRANSPORTS))
            raise StartRefused(f"{broker.variable}: no broker's address; it begins with one of {schemes}")


@contextlib.asynccontextmanager
async def _open_buses(platform: PlatformSettings) -> AsyncIterator[tuple[Bus, Bus]]:
    market, orders = plane_urls(platform)
    async with contextlib.AsyncExitStack() as stack:
        market_bus = await _open_bus(stack, market)
        if orders.url == market.url:
            yield market_bus, market_bus
            return
        yield market_bus, await _open_bus(stack, orders)


async def _open_bus(stack: contextlib.AsyncExitStack, broker: BrokerUrl) -> Bus:
    async def attempt() -> Bus:
        try:
            return await connect(broker.url)
        except OSError as error:
            # A broker's client may repeat its address, and what is raised here is logged.
            raise ConnectionError(broker.without_password(str(error))) from None

    try:
        bus = await until_there("the message bus", attempt, get_logger("platform"))
    except ValueError as error:
        raise StartRefused(f"{broker.variable}: {broker.without_password(str(error))}") from None
    stack.push_async_callback(bus.close)
    return bus
