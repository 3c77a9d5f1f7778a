"""The venue's clients as the platform's settings name them: the one place where settings become an adapter.

``TRADEWIND_VENUE_ADAPTER`` chooses among the installed ones. ``venue_limits`` gives a service the rate limits that all
processes of the deployment count together. Its one task belongs to the block: it holds a few tokens ahead for orders,
and ends with it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from tradewind.runtime.refusals import StartRefused
from tradewind.runtime.service import ServiceContext
from tradewind.runtime.settings import PREFIX, PlatformSettings, SettingsError
from tradewind.runtime.tasks import TaskNursery
from tradewind.runtime.venue_target import own_variables
from tradewind.store.rate_limits import SharedRateLimits
from tradewind.venue.adapter import ExecutionClient
from tradewind.venue.adapters import (
    DEFAULT_RECEIVE_WINDOW_S,
    DEFAULT_STALE_AFTER_S,
    AdapterUnavailable,
    FeedClient,
    VenueAdapter,
    VenueSettings,
    adapter_named,
    execution_of,
    market_data_of,
)

C = TypeVar("C")


def execution_client_of(
    platform: PlatformSettings, limits: Any = None, receive_window_s: float = DEFAULT_RECEIVE_WINDOW_S
) -> ExecutionClient:
    """A client of the configured account; nothing is connected yet. Without ``limits`` it counts alone.

    ``receive_window_s``: the venue refuses a request that reaches it later than this after it was signed.

    Raises:
        StartRefused: there is no such adapter here, it takes no orders, or a setting has a wrong form.
    """
    settings = msgspec.structs.replace(_settings_of(platform, limits), receive_window_s=receive_window_s)
    return _made(execution_of, platform, settings)


def feed_client_of(
    platform: PlatformSettings, limits: Any = None, stale_after_s: float = DEFAULT_STALE_AFTER_S
) -> FeedClient:
    """A client of the venue's public data; nothing is connected yet. It is connected anew after so long a silence.

    Raises:
        StartRefused: there is no such adapter here, it has no market data, or a setting has a wrong form.
    """
    settings = msgspec.structs.replace(_settings_of(platform, limits), stale_after_s=stale_after_s)
    return _made(market_data_of, platform, settings)


@contextlib.asynccontextmanager
async def venue_limits(context: ServiceContext, *, for_orders: bool) -> AsyncIterator[Any]:
    """The adapter's rate limits for the configured venue, counted together with every process of the same Redis.

    ``for_orders``: hold a few tokens ahead, so that an order waits for no round trip.

    Raises:
        StartRefused: there is no such adapter here.
    """
    platform = context.platform
    adapter = await asyncio.to_thread(_adapter_of, platform)  # its code is loaded now, which takes a while
    shared = SharedRateLimits(
        context.last_values.url,
        venue=platform.venue,
        # The venue counts weight by the address that requests come from; who reaches it by another one says so.
        address=f"{urlsplit(platform.venue_rest_url).netloc}:{platform.venue_egress}",
        account=platform.account,
        log=context.log,
    )
    async with TaskNursery("rate-limits", log=context.log) as nursery:
        try:
            if for_orders:
                nursery.spawn(shared.keep(), "keeper")
            yield adapter.limits(shared)
        finally:
            await nursery.close()
            await shared.close()


def _adapter_of(platform: PlatformSettings) -> VenueAdapter:
    try:
        return adapter_named(platform.venue_adapter)
    except AdapterUnavailable as error:
        raise StartRefused(f"{PREFIX}VENUE_ADAPTER={platform.venue_adapter!r}: {error}") from error


def _made(make: Callable[[VenueAdapter, VenueSettings], C], platform: PlatformSettings, settings: VenueSettings) -> C:
    try:
        return make(_adapter_of(platform), settings)
    except AdapterUnavailable as error:
        raise StartRefused(f"{PREFIX}VENUE_ADAPTER={platform.venue_adapter!r}: {error}") from error
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _settings_of(platform: PlatformSettings, limits: Any) -> VenueSettings:
    return VenueSettings(
        venue=platform.venue,
        account=platform.account,
        symbols=platform.symbols,
        rest_url=platform.venue_rest_url,
        stream_url=platform.venue_stream_url,
        api_key=platform.venue_api_key,
        api_secret=platform.venue_api_secret,
        limits=limits,
        own=own_variables(platform),
    )
