"""Makes the market data client of Kraken from settings. Nothing is connected here."""

from typing import TYPE_CHECKING

from tradewind.model.identifiers import Venue
from tradewind.venue.adapters import VenueAdapter, VenueSettings
from tradewind.venue.kraken.instruments import symbols_of

if TYPE_CHECKING:
    from tradewind.venue.checked_books.market_data import CheckedMarketDataClient


def _market_data(settings: VenueSettings) -> "CheckedMarketDataClient":
    from tradewind.venue.checked_books.market_data import CheckedFeedOptions, CheckedMarketDataClient
    from tradewind.venue.checked_books.questions import PublicQuestions
    from tradewind.venue.kraken.market_data import DEFAULT_DEPTH, KrakenDialect

    depth = settings.own.get("depth", str(DEFAULT_DEPTH))
    if not (depth.isascii() and depth.isdigit()):
        raise ValueError(f"TRADEWIND_VENUE_KRAKEN_DEPTH={depth!r}: it takes a whole number")
    return CheckedMarketDataClient(
        Venue(settings.venue),
        symbols_of(settings.symbols),
        KrakenDialect(PublicQuestions(settings.rest_url), int(depth)),
        settings.stream_url,
        CheckedFeedOptions(stale_after_s=settings.stale_after_s),
    )


def _missing() -> str:
    try:
        import tradewind_native.book_frames  # noqa: F401
    except ImportError as error:
        return f"tradewind-native was built without book_frames ({error}); build it again."
    return ""


ADAPTER = VenueAdapter(
    name="kraken",
    about="Kraken v1 public data: books proved by checksum, trades, best prices; no orders",
    market_data=_market_data,
    missing=_missing,
)
