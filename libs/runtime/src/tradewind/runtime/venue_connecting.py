"""The venue's clients as the platform's settings name them: the one place where settings become an adapter."""

from tradewind.runtime.settings import PlatformSettings
from tradewind.venue.adapter import ExecutionClient
from tradewind.venue.binance.connecting import execution_client, symbols_of


def execution_client_of(platform: PlatformSettings) -> ExecutionClient:
    """A client of the configured account; nothing is connected yet.

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
    )
