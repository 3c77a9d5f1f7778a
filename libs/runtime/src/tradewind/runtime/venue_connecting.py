"""The venue's clients as the platform's settings name them: the one place where settings become an adapter.

``venue_limits`` gives a service the rate limits that all processes of the deployment count together. Its one task
belongs to the block: it holds a few tokens ahead for orders, and ends with it.
"""

import contextlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tradewind.runtime.service import ServiceContext
from tradewind.runtime.settings import PlatformSettings
from tradewind.runtime.tasks import TaskNursery
from tradewind.store.rate_limits import SharedRateLimits
from tradewind.venue.adapter import ExecutionClient
from tradewind.venue.binance.connecting import execution_client, symbols_of
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.signing import RECV_WINDOW_MS


def execution_client_of(
    platform: PlatformSettings, limits: RateLimits | None = None, receive_window_s: float = RECV_WINDOW_MS / 1_000
) -> ExecutionClient:
    """A client of the configured account; nothing is connected yet. Without ``limits`` it counts alone.

    ``receive_window_s``: the venue refuses a request that reaches it later than this after it was signed.

    Raises:
        ValueError: a setting has a wrong form.
    """
    return execution_client(
        venue=platform.venue,
        account=platform.account,
        symbols=symbols_of(platform.symbols),
        rest_url=platform.venue_rest_url,
        stream_url=platform.venue_stream_url,
        api_key=platform.venue_api_key,
        api_secret=platform.venue_api_secret,
        receive_window_s=receive_window_s,
        limits=limits,
    )


@contextlib.asynccontextmanager
async def venue_limits(context: ServiceContext, *, for_orders: bool) -> AsyncIterator[RateLimits]:
    """The rate limits of the configured venue, counted together with every process of the same Redis.

    ``for_orders``: hold a few tokens ahead, so that an order waits for no round trip.
    """
    platform = context.platform
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
            yield RateLimits(shared)
        finally:
            await nursery.close()
            await shared.close()
