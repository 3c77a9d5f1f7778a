"""OKX's definitions of instruments as ours.

Source: OKX API guide v5, "Get instruments". Sizes of futures and swaps are contracts, as in all of the venue's data.
"""

import re
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.model.fixed_point import INT64_MAX, FixedPointError, to_mantissa
from tradewind.model.identifiers import Venue, instrument_id
from tradewind.model.instruments import Instrument
from tradewind.venue.adapter import VenueRejected

_SYMBOL: Final = re.compile(r"[A-Z0-9]+-[A-Z0-9]+(-SWAP|-[0-9]{6})?")
UNKNOWN_INSTRUMENT: Final = 51001


class InstrumentInfo(msgspec.Struct):
    """One instrument. Numbers are texts; what does not apply to a kind of instrument is an empty text."""

    instId: str
    tickSz: str
    lotSz: str
    minSz: str
    baseCcy: str = ""
    quoteCcy: str = ""
    uly: str = ""
    maxLmtSz: str = ""


class InstrumentsAnswer(msgspec.Struct):
    """The answer of ``GET /api/v5/public/instruments``."""

    code: str
    msg: str = ""
    data: list[InstrumentInfo] = []


def kind_of(symbol: str) -> str:
    """The venue's instType of a symbol: BTC-USDT is SPOT, BTC-USDT-SWAP a SWAP, BTC-USD-220527 one of FUTURES."""
    parts = symbol.split("-")
    if len(parts) == 2:
        return "SPOT"
    return "SWAP" if parts[2] == "SWAP" else "FUTURES"


def symbols_of(text: str) -> tuple[str, ...]:
    """The symbols of a setting like ``BTC-USDT,ETH-USDT-SWAP``, in order and without repetition.

    Raises:
        ValueError: none is named, or one has another form.
    """
    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    if not symbols or not all(_SYMBOL.fullmatch(symbol) for symbol in symbols):
        raise ValueError(f"TRADEWIND_SYMBOLS={text!r}: name instruments of OKX like BTC-USDT,ETH-USDT-SWAP")
    return symbols


def instrument_of(info: InstrumentInfo, venue: Venue) -> Instrument:
    """The instrument that an answer defines.

    Raises:
        VenueRejected: a step is no number or does not fit; take the symbol out of the configured ones.
    """
    base, quote = info.baseCcy, info.quoteCcy
    if not base:
        base, _, quote = info.uly.partition("-")
    try:
        price_precision, size_precision = decimals(info.tickSz), decimals(info.lotSz)
        return Instrument(
            instrument_id=instrument_id(info.instId, venue),
            venue=venue,
            symbol=info.instId,
            base_currency=base,
            quote_currency=quote,
            price_precision=price_precision,
            size_precision=size_precision,
            price_increment=to_mantissa(info.tickSz, price_precision),
            size_increment=to_mantissa(info.lotSz, size_precision),
            min_size=to_mantissa(info.minSz, size_precision),
            max_size=_largest(info.maxLmtSz, size_precision),
            max_price=INT64_MAX,
            min_notional=Decimal(0),
        )
    except (FixedPointError, ArithmeticError) as error:
        raise VenueRejected(0, f"{info.instId}: {error}; take it out of TRADEWIND_SYMBOLS") from error


def decimals(number: str) -> int:
    """How many decimals a decimal text has without its trailing zeros, with an exponent or not."""
    exponent = Decimal(number).normalize().as_tuple().exponent
    if not isinstance(exponent, int):
        raise FixedPointError(f"{number!r} is not a number")
    return max(0, -exponent)


def _largest(text: str, precision: int) -> int:
    """The venue's largest size, or the largest that a record holds when the venue names none or a larger one."""
    if not text or not Decimal(text) or Decimal(text).scaleb(precision) > INT64_MAX:
        return INT64_MAX
    return int(Decimal(text).scaleb(precision))
