"""The one class that a quant writes.

All callbacks are plain functions: they run to their end before the next piece of data is looked at, and must not
block. A strategy subscribes by overriding: what it does not override costs nothing. The same class runs live, on paper
and in a backtest, because everything it can see or do goes through its context.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from tradewind.model.identifiers import InstrumentId

if TYPE_CHECKING:
    from tradewind.strategy.bars import Bar
    from tradewind.strategy.context import StrategyContext
    from tradewind.strategy.market_views import Quote, Trade
    from tradewind.wire.events import OrderEvent
    from tradewind_native.order_book import OrderBook


class Strategy:
    """Override the callbacks that you need.

    A callback that raises stops the strategy: its orders are cancelled, and the operator sees the error.
    ``settings`` is what the service was given: annotate it with your own settings class.

    With a ``State``, a struct whose fields all have defaults, ``state`` is saved while the strategy runs and comes back
    after a stop or a crash. Raise ``state_version`` whenever its fields change.
    """

    context: "StrategyContext"
    settings: Any
    State: type[msgspec.Struct] | None = None
    state_version: int = 1
    state: Any

    def on_load(self, state: Any) -> None:
        """Before ``on_start``: the saved state, or ``State()`` when there is none."""
        self.state = state

    def on_save(self) -> Any:
        """The state to save; called between other callbacks, and often: do not compute much here."""
        return self.state

    def on_old_state(self, version: int, fields: dict[str, Any]) -> Any:
        """Make a ``State`` of what an older ``state_version`` saved; None refuses it, and the policy decides."""
        return None

    def on_adopt(self) -> None:
        """After ``on_start``, when positions and orders that the state does not explain are now this strategy's."""

    def on_start(self) -> None:
        """Once, when instruments, positions and open orders are known, before the first data."""

    def on_quote(self, quote: "Quote") -> None:
        """The best bid or ask changed, and both exist. ``quote`` is one object, used again: copy what you keep."""

    def on_trade(self, trade: "Trade") -> None:
        """A trade was printed. ``trade`` is one object, used again: copy what you keep."""

    def on_book(self, instrument_id: InstrumentId, book: "OrderBook") -> None:
        """The price levels changed; called after each whole venue event, only while the book is in sync."""

    def on_bar(self, bar: "Bar") -> None:
        """A bar asked for with ``context.subscribe_bars`` has ended."""

    def on_timer(self, name: str) -> None:
        """A timer set with ``context.set_timer`` is due."""

    def on_order_event(self, event: "OrderEvent") -> None:
        """Something happened to one of this strategy's orders; orders and positions of the context are up to date."""

    def on_stop(self) -> None:
        """Once, on a normal stop. Afterwards everything that still rests is cancelled."""
