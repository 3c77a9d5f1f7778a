"""What the store knows of a strategy when it starts: positions, unfinished orders, and which fills they contain."""

import dataclasses
from typing import Final

from tradewind.model.identifiers import TradeId
from tradewind.model.orders import Order
from tradewind.model.positions import Position
from tradewind.store.database import DatabaseUnavailable
from tradewind.store.order_store import OrderStore

RECENT_TRADES: Final = 10_000
ATTEMPTS: Final = 20


@dataclasses.dataclass(frozen=True, slots=True)
class StoredState:
    """One consistent picture of an account. ``trade_ids`` are the newest fills that the positions contain."""

    positions: list[Position]
    orders: list[Order]
    trade_ids: list[TradeId]


async def load_state(store: OrderStore) -> StoredState:
    """Read positions between two equal readings of the fills, so that a fill is in both or in neither.

    Raises:
        DatabaseUnavailable: no answer, or fills came in faster than they could be read: try again.
    """
    trade_ids = await store.recent_trade_ids(RECENT_TRADES)
    for _ in range(ATTEMPTS):
        positions, orders = await store.positions(), await store.unfinished_orders()
        before, trade_ids = trade_ids, await store.recent_trade_ids(RECENT_TRADES)
        if before == trade_ids:
            return StoredState(positions, orders, trade_ids)
    raise DatabaseUnavailable(f"positions changed during each of {ATTEMPTS} attempts to read them; try again")
