"""Identifiers: plain strings at run time, distinct types to the checker.

The forms follow NautilusTrader where FIX names none: an instrument is ``SYMBOL.VENUE``, an account ``VENUE-name``.
"""

import re
from typing import Final, NewType

InstrumentId = NewType("InstrumentId", str)
"""``BTCUSDT.BINANCE``: the venue's symbol, a dot, the venue."""
Venue = NewType("Venue", str)
AccountId = NewType("AccountId", str)
"""``BINANCE-main``: the venue, a dash, the account's name at our house."""
StrategyId = NewType("StrategyId", str)
ClientOrderId = NewType("ClientOrderId", str)
"""FIX ClOrdID (11): made once per intent, never per attempt."""
VenueOrderId = NewType("VenueOrderId", str)
"""FIX OrderID (37)."""
TradeId = NewType("TradeId", str)
"""FIX ExecID (17) or the venue's trade number: unique per account and venue."""

EXTERNAL: Final = StrategyId("EXTERNAL")
"""The strategy that owns venue orders which none of ours claims."""

# The strictest venue in sight (Binance newClientOrderId) takes 36 characters; the run and the number need 12 of them.
_STRATEGY_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,22}[a-z0-9]")


class IdentifierError(ValueError):
    """An identifier breaks its form; the message says which form is wanted."""


def strategy_id(text: str) -> StrategyId:
    """A checked strategy id: 2 to 24 of ``a-z 0-9 -``, as in a folder or Kubernetes name.

    Raises:
        IdentifierError: the text has another form.
    """
    if not _STRATEGY_ID.fullmatch(text):
        raise IdentifierError(f"strategy id {text!r}: use 2 to 24 characters of a-z, 0-9 and '-', like 'ema-cross'")
    return StrategyId(text)


def client_order_id(strategy: StrategyId, run: int, number: int) -> ClientOrderId:
    """The id of the ``number``-th intent of the ``run``-th start of a strategy.

    ``run`` is a durable counter, so that a restarted strategy can never reuse an id, even of an intent that was
    published but not yet stored when its process died.
    """
    return ClientOrderId(f"{strategy}-{run}-{number}")


def instrument_id(symbol: str, venue: Venue) -> InstrumentId:
    """``SYMBOL.VENUE``."""
    return InstrumentId(f"{symbol}.{venue}")


def venue_of(instrument: InstrumentId) -> Venue:
    """The venue part of an instrument id."""
    return Venue(instrument.rpartition(".")[2])


def symbol_of(instrument: InstrumentId) -> str:
    """The venue's own symbol of an instrument id."""
    return instrument.rpartition(".")[0]
