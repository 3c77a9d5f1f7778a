"""The policy ``flatten``: what it asks for next, until the strategy has no order and no position. No I/O.

A stop without it uses the first half: only the orders end.
"""

from typing import Final

from tradewind.model.enums import OrderSide, TimeInForce
from tradewind.model.identifiers import ClientOrderId, InstrumentId
from tradewind.model.instruments import Instrument
from tradewind.model.positions import Position
from tradewind.strategy.engine import StrategyEngine

REASON: Final = "state and store disagree, the policy is flatten"
FIRST_PAUSE_NS: Final = 1_000_000_000
LONGEST_PAUSE_NS: Final = 30_000_000_000


class Flattening:
    """Cancels first; when no order is open it closes one order per position at the market, reduce-only.

    Reduce-only orders pass while trading is REDUCING. After each the next is tried only after a pause, which doubles.
    """

    def __init__(self, engine: StrategyEngine, reason: str = REASON, *, closes: bool = True) -> None:
        self._engine = engine
        self._reason = reason
        self._closes = closes
        self._next_ns: dict[InstrumentId, int] = {}
        self._pause_ns: dict[InstrumentId, int] = {}
        self._tried: dict[InstrumentId, ClientOrderId] = {}

    def step(self, now_ns: int) -> str | None:
        """Ask for what comes next; answers what is waited for, or None when nothing is left to close."""
        engine = self._engine
        if count := len(engine.tracker.open):
            engine.desk.cancel_all(None, self._reason)
            return f"waits for the end of {count} orders"
        if not self._closes:
            return None
        waiting = [self._close(position, now_ns) for position in engine.tracker.positions.values()]
        words = [text for text in waiting if text is not None]
        return "; ".join(words) or None

    def dust(self) -> list[str]:
        """Positions too small for an order of their own: they stay."""
        return [
            f"{position.signed_size} units {position.instrument_id}"
            for position in self._engine.tracker.positions.values()
            if position.signed_size
        ]

    def _close(self, position: Position, now_ns: int) -> str | None:
        instrument_id = position.instrument_id
        if not position.signed_size:
            return None
        instrument = self._engine.market.instruments.get(instrument_id)
        if instrument is None:
            return f"cannot close {instrument_id}: it is not among this strategy's symbols; add it, or hold or adopt"
        size = _closing_size(position, instrument)
        if not size:
            return None
        if now_ns >= self._next_ns.get(instrument_id, 0):
            self._submit(position, size, now_ns)
        return f"closes {instrument.decimal_size(position.signed_size):f} {instrument_id}{self._refusal(instrument_id)}"

    def _submit(self, position: Position, size: int, now_ns: int) -> None:
        instrument_id = position.instrument_id
        side = OrderSide.SELL if position.signed_size > 0 else OrderSide.BUY
        order = self._engine.desk.submit(
            instrument_id, side, size, None, TimeInForce.GTC, post_only=False, reduce_only=True
        )
        if order is not None:
            self._tried[instrument_id] = order.client_order_id
        pause_ns = self._pause_ns.get(instrument_id, FIRST_PAUSE_NS)
        self._next_ns[instrument_id] = now_ns + pause_ns
        self._pause_ns[instrument_id] = min(pause_ns * 2, LONGEST_PAUSE_NS)

    def _refusal(self, instrument_id: InstrumentId) -> str:
        tried = self._tried.get(instrument_id)
        order = None if tried is None else self._engine.tracker.find(tried)
        return "" if order is None or order.reason is None else f" (the last order: {order.reason})"


def _closing_size(position: Position, instrument: Instrument) -> int:
    """The most that one order may close, on the venue's steps; 0 when it is dust."""
    size = min(abs(position.signed_size), instrument.max_size)
    size -= size % instrument.size_increment
    worth = position.average_price * instrument.decimal_size(size)
    return 0 if size < max(instrument.min_size, 1) or worth < instrument.min_notional else size
