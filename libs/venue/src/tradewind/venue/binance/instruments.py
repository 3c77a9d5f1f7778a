"""exchangeInfo to instruments.

Source: Binance spot API, "Filters": PRICE_FILTER, LOT_SIZE, NOTIONAL and the older MIN_NOTIONAL. A zero switches a rule
off.
"""

from decimal import Decimal
from typing import Final

from tradewind.model.fixed_point import INT64_MAX, FixedPointError, to_mantissa
from tradewind.model.identifiers import Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import VenueError
from tradewind.venue.binance.messages import SymbolFilter, SymbolInfo

_NO_FILTER: Final = SymbolFilter(filterType="")


class UnusableInstrument(VenueError):
    """The venue defines a symbol in a way that we cannot hold exactly; take it out of the configured symbols."""


def instrument_of(info: SymbolInfo, venue: Venue) -> Instrument:
    """The instrument that a symbol of exchangeInfo is.

    Prices have the decimals of the tick. Sizes have the decimals of the base asset, not of the step: public depth
    carries sizes finer than the step of today (orders from before a change of the step rest on).

    Raises:
        UnusableInstrument: a filter is no number, or its value does not fit.
    """
    filters = {each.filterType: each for each in info.filters}
    price, lot = filters.get("PRICE_FILTER", _NO_FILTER), filters.get("LOT_SIZE", _NO_FILTER)
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL", _NO_FILTER)
    try:
        price_precision = decimals(price.tickSize) if Decimal(price.tickSize) else info.baseAssetPrecision
        size_precision = max(info.baseAssetPrecision, decimals(lot.stepSize))
        return Instrument(
            instrument_id=instrument_id(info.symbol, venue),
            venue=venue,
            symbol=info.symbol,
            base_currency=info.baseAsset,
            quote_currency=info.quoteAsset,
            price_precision=price_precision,
            size_precision=size_precision,
            price_increment=to_mantissa(price.tickSize, price_precision) or 1,
            size_increment=to_mantissa(lot.stepSize, size_precision) or 1,
            min_size=to_mantissa(lot.minQty, size_precision),
            max_size=to_mantissa(lot.maxQty, size_precision) or INT64_MAX,
            max_price=to_mantissa(price.maxPrice, price_precision) or INT64_MAX,
            min_notional=Decimal(notional.minNotional),
        )
    except (FixedPointError, ArithmeticError) as error:
        raise UnusableInstrument(f"{info.symbol}: {error}; take it out of TRADEWIND_SYMBOLS") from error


def decimals(number: str) -> int:
    """How many decimals a plain decimal text has without its trailing zeros: ``0.01000000`` has 2."""
    return len(number.partition(".")[2].rstrip("0"))
