"""What one OUCH session has said of its orders, without I/O: the answer to every question about them.

Messages go in by their sequence, from 1 on without a hole; then the record is the venue's own word.
"""

import dataclasses
from typing import Final

from tradewind.venue.ouch.messages import (
    Accepted,
    Canceled,
    Executed,
    OuchError,
    Outbound,
    Rejected,
    SystemEvent,
    read_outbound,
)

_DEAD: Final = "D"


@dataclasses.dataclass(slots=True)
class OuchOrder:
    """One order as the session tells it."""

    accepted: Accepted
    filled: int = 0
    canceled: int = 0
    cancel_reason: str = ""
    time_ns: int = 0
    """Of the last message, since midnight in New York."""

    @property
    def leaves(self) -> int:
        """Shares that still rest."""
        return max(0, self.accepted.shares - self.filled - self.canceled)

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.leaves > 0 and self.accepted.order_state != _DEAD


class OuchRecord:
    """The orders of one session by token."""

    def __init__(self, session: str = "") -> None:
        self.session = session
        self.next_sequence = 1
        self.orders: dict[str, OuchOrder] = {}
        self.rejected: dict[str, str] = {}
        """Token: reason."""
        self._by_reference: dict[int, str] = {}

    def knows(self, token: str) -> bool:
        """Whether the venue has decided about an order."""
        return token in self.orders or token in self.rejected

    def by_reference(self, reference: int) -> OuchOrder | None:
        """The order with a number of the venue."""
        token = self._by_reference.get(reference)
        return None if token is None else self.orders[token]

    def take(self, payload: bytes) -> Outbound:
        """The next message of the session.

        Raises:
            OuchError: it is none, or is about an order that was never accepted. The record is of no use after it.
        """
        message = read_outbound(payload)
        if isinstance(message, Accepted):
            if self.knows(message.token):
                raise OuchError(f"token {message.token} is decided about twice")
            self.orders[message.token] = OuchOrder(message, time_ns=message.time_ns)
            self._by_reference[message.order_reference] = message.token
        elif isinstance(message, Rejected):
            if self.knows(message.token):
                raise OuchError(f"token {message.token} is decided about twice")
            self.rejected[message.token] = message.reason
        elif not isinstance(message, SystemEvent):
            self._change(message)
        self.next_sequence += 1
        return message

    def _change(self, message: Executed | Canceled) -> None:
        order = self.orders.get(message.token)
        if order is None:
            raise OuchError(f"a message about token {message.token}, which was never accepted")
        if message.shares > order.leaves:
            raise OuchError(f"{message.shares} shares of token {message.token}, which has {order.leaves} left")
        order.time_ns = message.time_ns
        if isinstance(message, Executed):
            order.filled += message.shares
        else:
            order.canceled += message.shares
            order.cancel_reason = message.reason
