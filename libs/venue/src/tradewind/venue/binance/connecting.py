"""Makes the clients of one venue from settings. Nothing is connected here."""

from collections.abc import Sequence

from tradewind.model.identifiers import AccountId, Venue
from tradewind.venue.adapters import VenueAdapter, VenueSettings
from tradewind.venue.binance.account_queries import AccountQueries
from tradewind.venue.binance.connection_pool import ConnectionPool
from tradewind.venue.binance.execution import BinanceExecutionClient, visibility_delay
from tradewind.venue.binance.http_connection import HttpAddress
from tradewind.venue.binance.market_data import BinanceMarketDataClient, FeedOptions
from tradewind.venue.binance.namesakes import Namesakes
from tradewind.venue.binance.order_entry import ANSWER_TIMEOUT_S, OrderEntry
from tradewind.venue.binance.rate_limits import RateLimits
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.binance.signing import RECV_WINDOW_MS, RequestSigner, VenueClock


def market_data_client(
    *,
    venue: str,
    symbols: Sequence[str],
    rest_url: str,
    stream_url: str,
    options: FeedOptions | None = None,
    limits: RateLimits | None = None,
) -> BinanceMarketDataClient:
    """A client of the public streams; it needs no key. Addresses are base URLs without a path of the API."""
    rest = BinanceRest(rest_url, limits or RateLimits())
    return BinanceMarketDataClient(Venue(venue), symbols, rest, stream_url, options)


def execution_client(
    *,
    venue: str,
    account: str,
    symbols: Sequence[str],
    rest_url: str,
    stream_url: str,
    api_key: str,
    api_secret: str,
    answer_timeout_s: float = ANSWER_TIMEOUT_S,
    visibility_delay_s: float | None = None,
    receive_window_s: float = RECV_WINDOW_MS / 1_000,
    limits: RateLimits | None = None,
) -> BinanceExecutionClient:
    """A client of one account, ``<venue>-<account>`` in our words.

    ``receive_window_s``: the venue refuses a request that reaches it later than this after it was signed.

    Raises:
        ValueError: an address or key has a wrong form; the message names it without showing a secret.
    """
    if not (api_key.isascii() and api_key.isprintable() and api_key):
        raise ValueError("the venue's API key must be printable ASCII without line ends; check TRADEWIND_VENUE_API_KEY")
    account_id = AccountId(f"{venue}-{account}")
    limits = limits or RateLimits()
    signer = RequestSigner(api_key, api_secret, VenueClock(), round(receive_window_s * 1_000))
    rest = BinanceRest(rest_url, limits, signer)
    pool = ConnectionPool(HttpAddress.of(rest_url))
    names = Namesakes()
    entry = OrderEntry(
        account_id,
        pool,
        signer,
        limits,
        answer_timeout_s=answer_timeout_s,
        names=names,
        learn_time=rest.learn_time,
    )
    return BinanceExecutionClient(
        account_id,
        AccountQueries(Venue(venue), account_id, symbols, rest, names),
        entry,
        rest,
        stream_url,
        visibility_delay_s=visibility_delay(receive_window_s) if visibility_delay_s is None else visibility_delay_s,
        names=names,
    )


def symbols_of(text: str) -> tuple[str, ...]:
    """The symbols of a setting like ``BTCUSDT,ETHUSDT``, in order and without repetition.

    Raises:
        ValueError: none is named, or one has other characters than letters and digits.
    """
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not symbols or not all(symbol.isascii() and symbol.isalnum() for symbol in symbols):
        raise ValueError(f"TRADEWIND_SYMBOLS={text!r}: name symbols like BTCUSDT,ETHUSDT")
    return symbols


def _market_data(settings: VenueSettings) -> BinanceMarketDataClient:
    return market_data_client(
        venue=settings.venue,
        symbols=symbols_of(settings.symbols),
        rest_url=settings.rest_url,
        stream_url=settings.stream_url,
        options=FeedOptions(stale_after_s=settings.stale_after_s),
        limits=settings.limits,
    )


def _execution(settings: VenueSettings) -> BinanceExecutionClient:
    return execution_client(
        venue=settings.venue,
        account=settings.account,
        symbols=symbols_of(settings.symbols),
        rest_url=settings.rest_url,
        stream_url=settings.stream_url,
        api_key=settings.api_key,
        api_secret=settings.api_secret,
        receive_window_s=settings.receive_window_s,
        limits=settings.limits,
    )


ADAPTER = VenueAdapter(
    name="binance",
    about="Binance spot, the real one or the simulated venue",
    market_data=_market_data,
    execution=_execution,
    limits=RateLimits,
)
