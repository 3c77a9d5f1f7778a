"""Instruments: what can be traded, and in which steps."""

from decimal import Decimal

import msgspec

from tradewind.model.fixed_point import MAX_PRECISION, FixedPointError, format_mantissa, from_mantissa, to_mantissa
from tradewind.model.identifiers import InstrumentId, Venue


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A spot currency pair as its venue defines it. Prices and sizes below are mantissas at its precisions."""

    instrument_id: InstrumentId
    venue: Venue
    symbol: str
    base_currency: str
    quote_currency: str
    price_precision: int
    size_precision: int
    price_increment: int
    size_increment: int
    min_size: int
    max_size: int
    max_price: int
    min_notional: Decimal

    def __post_init__(self) -> None:
        """Refuse steps and precisions that no price or size could be checked against.

        Raises:
            FixedPointError: a precision outside 0 to 18, or an increment below 1.
        """
        if not (0 <= self.price_precision <= MAX_PRECISION and 0 <= self.size_precision <= MAX_PRECISION):
            raise FixedPointError(f"{self.instrument_id}: precisions must be 0 to {MAX_PRECISION}")
        if self.price_increment < 1 or self.size_increment < 1:
            raise FixedPointError(f"{self.instrument_id}: increments are mantissas and must be at least 1")

    def price(self, value: str | Decimal | int) -> int:
        """The mantissa of a price that lies on a tick.

        Raises:
            FixedPointError: off-tick, negative, too large or not a number.
        """
        mantissa = to_mantissa(value, self.price_precision)
        self.check_price(mantissa)
        return mantissa

    def size(self, value: str | Decimal | int) -> int:
        """The mantissa of a size that lies on the size increment.

        Raises:
            FixedPointError: off-step, negative or not a number.
        """
        mantissa = to_mantissa(value, self.size_precision)
        if mantissa < 0 or mantissa % self.size_increment:
            raise FixedPointError(f"size {value} is not a multiple of {self.format_size(self.size_increment)}")
        return mantissa

    def check_price(self, mantissa: int) -> None:
        """Refuse a price mantissa that the venue would refuse.

        Raises:
            FixedPointError: not positive, past ``max_price``, or off-tick.
        """
        if not 0 < mantissa <= self.max_price:
            raise FixedPointError(
                f"price {self.format_price(mantissa)} is not above 0 and at most {self.format_price(self.max_price)}"
            )
        if mantissa % self.price_increment:
            raise FixedPointError(
                f"price {self.format_price(mantissa)} is not a multiple of {self.format_price(self.price_increment)}"
            )

    def format_price(self, mantissa: int) -> str:
        """Plain decimal text of a price mantissa."""
        return format_mantissa(mantissa, self.price_precision)

    def format_size(self, mantissa: int) -> str:
        """Plain decimal text of a size mantissa."""
        return format_mantissa(mantissa, self.size_precision)

    def decimal_size(self, size: int) -> Decimal:
        """A size in base currency, exact."""
        return from_mantissa(size, self.size_precision)

    def decimal_price(self, price: int) -> Decimal:
        """A price in quote currency, exact."""
        return from_mantissa(price, self.price_precision)

    def notional(self, price: int, size: int) -> Decimal:
        """Price times size in quote currency, exact."""
        return from_mantissa(price * size, self.price_precision + self.size_precision)
