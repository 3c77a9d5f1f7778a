"""OKX and Kraken against the conformance kit."""

import pytest

from tradewind.venue.checked_books.conformance_venues import KrakenVenue, OkxVenue
from tradewind.venue.conformance import MARKET_DATA_CHECKS, MarketDataCheck, MarketDataCounterpart, run_check

COUNTERPARTS: tuple[type[MarketDataCounterpart], ...] = (OkxVenue, KrakenVenue)


@pytest.mark.parametrize("venue", COUNTERPARTS, ids=lambda venue: venue.adapter)
@pytest.mark.parametrize("check", MARKET_DATA_CHECKS, ids=lambda check: check.__name__)
async def test_market_data_conforms(check: MarketDataCheck, venue: type[MarketDataCounterpart]) -> None:
    await run_check(check, venue)
