"""Best bid and ask of each instrument, and when its feed was last heard: what orders and positions are valued at.

Ages are between our own clock's times: when the feed's bytes reached us, and now. The venue's times play no part.
"""

from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId


class ReferencePrices:
    """Prices by instrument. ``changed`` collects those whose price moved, for whoever values positions."""

    def __init__(self) -> None:
        self._bids: dict[InstrumentId, int] = {}
        self._asks: dict[InstrumentId, int] = {}
        self._heard: dict[InstrumentId, int] = {}
        self.changed: set[InstrumentId] = set()

    def take(self, instrument_id: InstrumentId, side: OrderSide, price: int, heard_ns: int) -> None:
        """The best price of a side, a mantissa; 0 when the side is empty. ``heard_ns`` is our time of its arrival."""
        prices = self._bids if side is OrderSide.BUY else self._asks
        if prices.get(instrument_id) != price:
            prices[instrument_id] = price
            self.changed.add(instrument_id)
        self.touch(instrument_id, heard_ns)

    def touch(self, instrument_id: InstrumentId, heard_ns: int) -> None:
        """The instrument's feed is alive, whatever it said: a best price that does not move is not an old one."""
        self._heard[instrument_id] = heard_ns

    def best(self, instrument_id: InstrumentId, side: OrderSide) -> int | None:
        """The best price of a side, of any age; None when there never was one."""
        return (self._bids if side is OrderSide.BUY else self._asks).get(instrument_id) or None

    def highest(self, instrument_id: InstrumentId) -> int | None:
        """The higher of both sides: what exposures are counted at."""
        return max(self._bids.get(instrument_id, 0), self._asks.get(instrument_id, 0)) or None

    def exit_price(self, instrument_id: InstrumentId, signed_size: int) -> int | None:
        """What closing a position would pay: the bid for a long one, the ask for a short one, else the other side."""
        first, second = (OrderSide.BUY, OrderSide.SELL) if signed_size > 0 else (OrderSide.SELL, OrderSide.BUY)
        return self.best(instrument_id, first) or self.best(instrument_id, second)

    def heard_ns(self, instrument_id: InstrumentId) -> int | None:
        """When the instrument's feed was last heard; None if never."""
        return self._heard.get(instrument_id)
