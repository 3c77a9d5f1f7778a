"""Kraken's definitions of pairs as our instruments.

Source: Kraken REST API, "Get Tradable Asset Pairs". The streams call a pair by its ``wsname`` (XBT/USD), which is also
its two currencies here; its symbol is the ``altname`` (XBTUSD), which can be part of an address.
"""

import re
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.fixed_point import INT64_MAX, FixedPointError, to_mantissa
from tradewind.model.identifiers import Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import VenueRejected

_SYMBOL: Final = re.compile(r"[A-Z0-9.]+(/[A-Z0-9.]+)?")


class PairInfo(msgspec.Struct):
    """One pair. ``pair_decimals`` and ``lot_decimals`` are the decimals of prices and sizes."""

    altname: str
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    ordermin: str = "0"
    costmin: str = "0"
    tick_size: str = "0"


class PairsAnswer(msgspec.Struct):
    """The answer of ``GET /0/public/AssetPairs``."""

    error: list[str] = []
    result: dict[str, PairInfo] = {}


def symbols_of(text: str) -> tuple[str, ...]:
    """The symbols of a setting like ``XBT/USD,ETHEUR``, in order and without repetition.

    Raises:
        ValueError: none is named, or one has another form.
    """
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not symbols or not all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
        raise ValueError(f"TRADEWIND_SYMBOLS={text!r}: name pairs of Kraken like XBT/USD,ETH/EUR")
    return symbols


def instrument_of(info: PairInfo, venue: Venue) -> Instrument:
    """The instrument that a pair is.

    Raises:
        VenueRejected: it has no stream, or a step is no number or does not fit.
    """
    base, slash, quote = info.wsname.partition("/")
    if not slash:
        raise VenueRejected(0, f"{info.altname} has no stream; take it out of TRADEWIND_SYMBOLS")
    prices, sizes = info.pair_decimals, info.lot_decimals
    try:
        return Instrument(
            instrument_id=instrument_id(info.altname, venue),
            venue=venue,
            symbol=info.altname,
            base_currency=base,
            quote_currency=quote,
            price_precision=prices,
            size_precision=sizes,
            price_increment=to_mantissa(info.tick_size, prices) or 1,
            size_increment=1,
            min_size=to_mantissa(info.ordermin, sizes),
            max_size=INT64_MAX,
            max_price=INT64_MAX,
            min_notional=Decimal(info.costmin),
        )
    except (FixedPointError, ArithmeticError) as error:
        raise VenueRejected(0, f"{info.altname}: {error}; take it out of TRADEWIND_SYMBOLS") from error
