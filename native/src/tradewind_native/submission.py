"""What the matching engine answers to a submitted order. Shared by the kernel and its twin."""

import enum
from typing import NamedTuple


class MatchingTimeInForce(enum.IntEnum):
    """FIX TimeInForce (59) as the matching engine takes it."""

    GTC = 0
    IOC = 1
    FOK = 2


class SubmitStatus(enum.IntEnum):
    """What became of a submitted order."""

    ACCEPTED = 1
    """It rests with its whole size."""
    FILLED = 2
    PARTIALLY_FILLED = 3
    """It traded and its remainder rests."""
    CANCELED = 4
    """It does not rest: remainder of IOC or market, FOK that could not be filled whole. See ``fills``."""
    REJECTED_POST_ONLY = 5
    """It would have traded at once."""
    REJECTED_SELF_TRADE = 6
    """It would have traded with an order of the same owner."""


class Fill(NamedTuple):
    """One match with a resting order; ``price`` is the resting order's."""

    maker_order_id: int
    price: int
    size: int
    maker_remaining: int
    maker_owner: int


class SubmitResult(NamedTuple):
    """The answer to one submit: its fills in the order they happened."""

    status: SubmitStatus
    remaining: int
    fills: list[Fill]
