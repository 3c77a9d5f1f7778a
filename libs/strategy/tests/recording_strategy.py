"""A strategy that writes down what it was told."""

from typing import Any

from tradewind.strategy import Strategy
from tradewind.wire.events import OrderEvent


class Recorder(Strategy):
    """Writes down what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.events: list[OrderEvent] = []

    def on_start(self) -> None:
        self.seen.append(("start",))

    def on_quote(self, quote: Any) -> None:
        self.seen.append(("quote", quote.instrument_id, quote.bid_price, quote.ask_price))

    def on_trade(self, trade: Any) -> None:
        self.seen.append(("trade", trade.instrument_id, trade.price, trade.size, trade.side))

    def on_timer(self, name: str) -> None:
        self.seen.append(("timer", name, self.context.time_ns))

    def on_bar(self, bar: Any) -> None:
        self.seen.append(("bar", bar.ts_open, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count))

    def on_order_event(self, event: OrderEvent) -> None:
        self.events.append(event)

    def on_stop(self) -> None:
        self.seen.append(("stop",))
