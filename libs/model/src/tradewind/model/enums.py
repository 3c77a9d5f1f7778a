"""Enumerations of the order domain, as FIX and NautilusTrader name them; the values are their wire form."""

import enum


class OrderSide(enum.StrEnum):
    """FIX Side (54)."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self is OrderSide.BUY else -1

    @property
    def opposite(self) -> "OrderSide":
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderType(enum.StrEnum):
    """FIX OrdType (40)."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP_MARKET = "STOP_MARKET"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(enum.StrEnum):
    """FIX TimeInForce (59)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"
    DAY = "DAY"


class LiquiditySide(enum.StrEnum):
    """FIX LastLiquidityInd (851)."""

    MAKER = "MAKER"
    TAKER = "TAKER"


class Resolution(enum.StrEnum):
    """What an operator knows of an order whose outcome is UNKNOWN, from the venue's own page or people."""

    NOT_AT_VENUE = "NOT_AT_VENUE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class Outcome(enum.StrEnum):
    """Whether we know what the venue did with the last thing we sent for an order."""

    KNOWN = "KNOWN"
    UNKNOWN = "UNKNOWN"


class TradingState(enum.StrEnum):
    """What a scope may do: anything, only reduce positions, or only cancel."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class KillStage(enum.StrEnum):
    """How far a kill switch has come: halted, cancelling, closing positions, waiting for proof, proven.

    STUCK goes on trying and says what is in the way; only a hand RELEASES.
    """

    ENGAGED = "ENGAGED"
    CANCELING = "CANCELING"
    FLATTENING = "FLATTENING"
    VERIFYING = "VERIFYING"
    FLAT = "FLAT"
    STUCK = "STUCK"
    RELEASED = "RELEASED"
