"""What one step of the exchange changed: to be written to the record first, then said to the clients."""

import dataclasses
from collections.abc import Callable

from tradewind.services.sim_venue.accounts import Holding
from tradewind.services.sim_venue.orders import AccountTrade, VenueOrder


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    """New values of all that changed in one step, and the private messages about it in their order.

    A step is written as a whole or not at all.
    """

    orders: list[VenueOrder]
    trades: list[AccountTrade]
    holdings: dict[tuple[str, str], Holding]
    house: dict[tuple[str, str], int]
    messages: list[tuple[str, bytes]]
    """(account, JSON event of its user data stream)."""
    ouch_messages: list[tuple[int, bytes]] = dataclasses.field(default_factory=list)
    """(sequence number, message) of the OUCH session."""
    ouch_tokens: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    """(token, order id) of orders that were entered over OUCH; 0: rejected."""


Journal = Callable[[Changes], int]
"""Takes a step for writing and answers its sequence number."""
