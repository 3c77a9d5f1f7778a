"""A plan: what one batch of inputs makes durable, and what may happen only after that."""

from typing import Final

import msgspec

from tradewind.model.identifiers import ClientOrderId, InstrumentId, VenueOrderId, symbol_of
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.order_store import BookRow, FillRow, Outgoing
from tradewind.store.recovery_rows import RecoveryRows
from tradewind.store.risk_counters import RiskRows
from tradewind.venue.adapter import NewOrder

_ADOPTED: Final = "venue-"


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel that goes to the venue after the commit."""

    instrument_id: InstrumentId
    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId | None = None
    """Set when the venue does not know the order by our name."""


def adopted_name(instrument_id: InstrumentId, venue_order_id: VenueOrderId) -> ClientOrderId:
    """Our name of an order that has none of its own, or one that is another order's: the same for the same order."""
    return ClientOrderId(f"{_ADOPTED}{symbol_of(instrument_id)}-{venue_order_id}")


def cancel_of(order: Order) -> Cancel:
    """The cancel of an order, by the name that the venue knows."""
    by_venue_id = order.client_order_id.startswith(_ADOPTED)
    return Cancel(
        instrument_id=order.instrument_id,
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id if by_venue_id else None,
    )


class Plan(msgspec.Struct, kw_only=True):
    """The outcome of planning.

    Rows go to the store in one transaction; then submits and cancels go to the venue, and ``outgoing`` to the bus.
    """

    new_orders: dict[ClientOrderId, Order] = {}
    changed_orders: dict[ClientOrderId, Order] = {}
    fills: list[FillRow] = []
    positions: dict[tuple[str, str], Position] = {}
    books: dict[tuple[str, str], BookRow] = {}
    outgoing: list[Outgoing] = []
    submits: list[NewOrder] = []
    cancels: list[Cancel] = []
    risk: RiskRows | None = None
    recovery: RecoveryRows | None = None
    alarms: list[str] = []
    """What a person must hear of at once."""

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to say."""
        rows = self.new_orders or self.changed_orders or self.fills or self.books or self.risk or self.recovery
        return not (rows or self.outgoing)
