"""What callbacks get: views of the market record, one object per instrument that is written again for each event.

Prices and sizes are int mantissas of the instrument; the ``decimal`` properties give them exactly.
"""

from decimal import Decimal

from tradewind.model.enums import OrderSide
from tradewind.model.identifiers import InstrumentId
from tradewind.model.instruments import Instrument


class Quote:
    """Best bid and best ask. Times in ns UTC: ``ts_event`` of the venue, ``ts_recv`` ours."""

    __slots__ = (
        "ask_price",
        "ask_size",
        "bid_price",
        "bid_size",
        "instrument",
        "instrument_id",
        "sequence",
        "ts_event",
        "ts_recv",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument_id: InstrumentId = instrument.instrument_id
        self.instrument = instrument
        self.bid_price = 0
        self.bid_size = 0
        self.ask_price = 0
        self.ask_size = 0
        self.sequence = 0
        self.ts_event = 0
        self.ts_recv = 0

    @property
    def bid(self) -> Decimal:
        """The bid price in quote currency."""
        return self.instrument.decimal_price(self.bid_price)

    @property
    def ask(self) -> Decimal:
        """The ask price in quote currency."""
        return self.instrument.decimal_price(self.ask_price)

    @property
    def mid(self) -> Decimal:
        """The middle between bid and ask, exact."""
        return self.instrument.decimal_price(self.bid_price + self.ask_price) / 2

    @property
    def spread(self) -> int:
        """Ask less bid, as a mantissa."""
        return self.ask_price - self.bid_price

    def __repr__(self) -> str:
        return f"Quote({self.instrument_id}: {self.bid} / {self.ask})"


class Trade:
    """One printed trade. ``side`` is the aggressor's, None where the venue does not tell."""

    __slots__ = ("instrument", "instrument_id", "price", "sequence", "side", "size", "trade_id", "ts_event", "ts_recv")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument_id: InstrumentId = instrument.instrument_id
        self.instrument = instrument
        self.price = 0
        self.size = 0
        self.side: OrderSide | None = None
        self.trade_id = 0
        self.sequence = 0
        self.ts_event = 0
        self.ts_recv = 0

    @property
    def decimal_price(self) -> Decimal:
        """The price in quote currency."""
        return self.instrument.decimal_price(self.price)

    @property
    def decimal_size(self) -> Decimal:
        """The size in base currency."""
        return self.instrument.decimal_size(self.size)

    def __repr__(self) -> str:
        return f"Trade({self.instrument_id}: {self.decimal_size} at {self.decimal_price})"
