"""A plan: what one batch of inputs makes durable, and what may happen only after that."""

import msgspec

from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.order_store import BookRow, FillRow, Outgoing
from tradewind.store.risk_counters import RiskRows
from tradewind.venue.adapter import NewOrder


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel that goes to the venue after the commit."""

    instrument_id: InstrumentId
    client_order_id: ClientOrderId


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

    @property
    def is_empty(self) -> bool:
        """Nothing to write and nothing to say."""
        rows = self.new_orders or self.changed_orders or self.fills or self.books or self.risk
        return not (rows or self.outgoing)
