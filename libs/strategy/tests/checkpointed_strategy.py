"""A strategy whose state says exactly what it was told, and in which order."""

from typing import Any

import msgspec

from tradewind.model.order_status import OrderStatus
from tradewind.strategy import Strategy
from tradewind.wire.events import OrderEvent, OrderFilled


class Diary(msgspec.Struct):
    """``told`` has every order event by order and sequence; the others are counted."""

    told: list[tuple[str, int]] = []
    filled: int = 0
    quotes: int = 0


class Diarist(Strategy):
    """Keeps at most two orders open, and replaces a cancelled one at once, from inside ``on_order_event``."""

    State = Diary
    state: Diary

    def __init__(self) -> None:
        self.adopted = 0
        self.starts = 0

    def on_start(self) -> None:
        self.starts += 1

    def on_adopt(self) -> None:
        self.adopted += 1

    def on_quote(self, quote: Any) -> None:
        self.state.quotes += 1
        if len(self.context.open_orders()) < 2:
            self.context.buy(quote.instrument_id, 1_000, quote.bid_price)

    def on_order_event(self, event: OrderEvent) -> None:
        self.state.told.append((event.client_order_id, event.sequence))
        if isinstance(event, OrderFilled):
            self.state.filled += event.size
        if event.status is OrderStatus.CANCELED:
            self.context.buy(event.instrument_id, 1_000, 5_900_000)
