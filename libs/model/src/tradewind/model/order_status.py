"""The order state machine: one table of who may follow whom.

The venue's word is law: rows that look rude (a fill without an acknowledgement, a fill after a cancel) are there
because venues do these things. What is missing from the table is an error of ours, or a report older than what we know.
"""

import enum
from typing import Final


class OrderStatus(enum.StrEnum):
    """FIX OrdStatus (39), with NautilusTrader's INITIALIZED, DENIED, SUBMITTED and TRIGGERED."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"
    PENDING_UPDATE = "PENDING_UPDATE"
    PENDING_CANCEL = "PENDING_CANCEL"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    @property
    def is_closed(self) -> bool:
        """No more work of ours is open at the venue, though a late fill may still come."""
        return self in CLOSED

    @property
    def is_open(self) -> bool:
        """The venue has taken the order and may still fill it."""
        return self in OPEN


_S = OrderStatus

CLOSED: Final = frozenset({_S.DENIED, _S.REJECTED, _S.FILLED, _S.CANCELED, _S.EXPIRED})
OPEN: Final = frozenset({_S.ACCEPTED, _S.TRIGGERED, _S.PENDING_UPDATE, _S.PENDING_CANCEL, _S.PARTIALLY_FILLED})
PENDING: Final = frozenset({_S.PENDING_UPDATE, _S.PENDING_CANCEL})

_VENUE_ENDS: Final = frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED})
_WORKING: Final = _VENUE_ENDS | {_S.PENDING_UPDATE, _S.PENDING_CANCEL}

TRANSITIONS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    _S.INITIALIZED: frozenset({_S.DENIED, _S.SUBMITTED}),
    _S.DENIED: frozenset(),
    # A report may overtake the acknowledgement, so everything that follows ACCEPTED may also follow SUBMITTED.
    _S.SUBMITTED: _WORKING | {_S.ACCEPTED, _S.REJECTED, _S.TRIGGERED},
    _S.ACCEPTED: _WORKING | {_S.TRIGGERED, _S.REJECTED},
    # A venue that lost an order's acknowledgement may say "rejected" and fill it all the same.
    _S.REJECTED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED}),
    _S.TRIGGERED: _WORKING,
    # A refused modify or cancel restores the status that was before; the order keeps it as ``previous_status``. The
    # request may overtake the acknowledgement: then that status is SUBMITTED, and the venue may still reject the order.
    _S.PENDING_UPDATE: _WORKING | {_S.SUBMITTED, _S.ACCEPTED, _S.TRIGGERED, _S.REJECTED},
    _S.PENDING_CANCEL: _WORKING | {_S.SUBMITTED, _S.ACCEPTED, _S.TRIGGERED, _S.REJECTED},
    _S.PARTIALLY_FILLED: _WORKING,
    _S.FILLED: frozenset(),
    # The cancel/fill race: the fill was made before the cancel and is told after it.
    _S.CANCELED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED}),
    _S.EXPIRED: frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.EXPIRED}),
}


class InvalidTransition(ValueError):
    """The table has no such row."""


def check_transition(before: OrderStatus, after: OrderStatus) -> None:
    """Refuse a step that the table does not have.

    Raises:
        InvalidTransition: ``after`` may not follow ``before``.
    """
    if after not in TRANSITIONS[before]:
        raise InvalidTransition(f"an order cannot go from {before} to {after}")
