"""The questions of an ``ExecutionClient`` that REST answers, whatever protocol its orders travel by."""

from collections.abc import Sequence

from tradewind.model.identifiers import AccountId, ClientOrderId, InstrumentId, Venue, VenueOrderId
from tradewind.model.instruments import Instrument
from tradewind.venue.binance.account_queries import AccountQueries
from tradewind.venue.reports import BalanceReport, FillReport, MassStatus, OrderStatusReport


class RestAnswers:
    """What the clients of one account share; each method: see ``ExecutionClient``. All raise VenueError."""

    def __init__(self, account_id: AccountId, queries: AccountQueries, visibility_delay_s: float) -> None:
        self.venue: Venue = queries.venue
        self.account_id = account_id
        self.visibility_delay_s = visibility_delay_s
        self._queries = queries

    async def instruments(self) -> Sequence[Instrument]:
        """See ``ExecutionClient.instruments``."""
        return await self._queries.instruments()

    async def order_status(
        self,
        instrument_id: InstrumentId,
        client_order_id: ClientOrderId,
        venue_order_id: VenueOrderId | None = None,
    ) -> OrderStatusReport:
        """See ``ExecutionClient.order_status``."""
        return await self._queries.order_status(instrument_id, client_order_id, venue_order_id)

    async def orders_from(self, instrument_id: InstrumentId, first: VenueOrderId) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.orders_from``."""
        return await self._queries.orders_from(instrument_id, first)

    async def open_orders(self) -> Sequence[OrderStatusReport]:
        """See ``ExecutionClient.open_orders``."""
        return await self._queries.open_orders()

    async def fills(
        self, instrument_id: InstrumentId, *, since_ns: int | None = None, venue_order_id: VenueOrderId | None = None
    ) -> Sequence[FillReport]:
        """See ``ExecutionClient.fills``; a fill from here names the order by the venue's id only."""
        return await self._queries.fills(instrument_id, since_ns=since_ns, venue_order_id=venue_order_id)

    async def balances(self) -> BalanceReport:
        """See ``ExecutionClient.balances``."""
        return await self._queries.balances()

    async def mass_status(self, since_ns: int) -> MassStatus:
        """See ``ExecutionClient.mass_status``."""
        return await self._queries.mass_status(since_ns)
