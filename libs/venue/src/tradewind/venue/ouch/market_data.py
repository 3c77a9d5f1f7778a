"""ITCH market data with the instruments that OUCH trades: ITCH itself says neither tick nor step nor currency."""

from collections.abc import Callable, Sequence

from tradewind.model.identifiers import Venue
from tradewind.model.instruments import Instrument
from tradewind.venue.binance.rest import BinanceRest
from tradewind.venue.itch.feed import ItchFeedStatistics
from tradewind.venue.itch.market_data import ItchMarketDataClient, ItchSource
from tradewind.venue.ouch.execution import ShareQueries


class OuchVenueMarketData(ItchMarketDataClient):
    """See ``ItchMarketDataClient``."""

    def __init__(
        self,
        venue: Venue,
        symbols: Sequence[str],
        source: Callable[[ItchFeedStatistics], ItchSource],
        midnight: Callable[[], int],
        queries: ShareQueries,
        rest: BinanceRest,
    ) -> None:
        super().__init__(venue, symbols, source, midnight)
        self._queries = queries
        self._rest = rest

    async def instruments(self) -> Sequence[Instrument]:
        """The configured symbols as the venue's REST interface defines them, in shares; all are in the directory.

        Raises:
            VenueRejected: the venue does not know a symbol, or refuses us.
            VenueUnavailable: no answer; try again later.
        """
        await super().instruments()
        return await self._queries.instruments()

    async def close(self) -> None:
        """Close all connections."""
        await super().close()
        await self._rest.close()
