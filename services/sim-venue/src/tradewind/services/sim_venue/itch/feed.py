"""The books of the venue's own flow as one ITCH session at a time.

A session begins with the directory and every order that rests, and has every change from then on, so whoever reads it
from message 1 has the books. It ends at midnight in New York, where its times begin anew, or after ``most_messages``:
that is the bound of what is kept. The next one begins at once; a client that asks for an ended session is told that
there is none (reason S) and takes the active one from its message 1.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Final

from tradewind.services.sim_venue.itch import messages
from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import BUY
from tradewind.services.sim_venue.soup.message_store import MessageStore
from tradewind.venue.itch.days import midnight_before

MOST_MESSAGES: Final = 1_000_000
"""About 40 MB."""
_INTO_NEXT_DAY_NS: Final = 36 * 3_600_000_000_000
"""From a midnight into the next day, however long the first one is."""
_SESSION_NUMBERS: Final = 10**10


@dataclasses.dataclass(slots=True)
class _Resting:
    """An order as the feed has told it."""

    locate: int
    reference: int
    side: bytes
    price: int
    shares: int


class ItchFeed:
    """Turns what a matching engine does into messages. ``market_orders`` of a listing is what its market tells."""

    def __init__(
        self, now_ns: Callable[[], int] = time.time_ns, *, first_session: int = 1, most_messages: int = MOST_MESSAGES
    ) -> None:
        self.session = MessageStore("")
        self._now_ns = now_ns
        self._most_messages = most_messages
        self._next_session = first_session
        self._next_reference = 1
        self._listings: list[Listing] = []
        self._resting: dict[tuple[int, int], _Resting] = {}
        """By (locate, order id), in the order of their arrival: that is their priority within a price."""
        self._midnight_ns = self._next_midnight_ns = 0

    def market_orders(self, listing: Listing) -> "MarketOrders":
        """Who a symbol's market tells of its orders. All are taken before ``begin``."""
        self._listings.append(listing)
        return MarketOrders(self, listing, len(self._listings))

    def begin(self) -> None:
        """End the active session, if there is one, and begin the next."""
        if self.session.name:
            self.session.append(messages.system_event(self._time_ns(), messages.END_OF_MESSAGES))
            self.session.end()
        self._midnight_ns = midnight_before(self._now_ns())
        self._next_midnight_ns = midnight_before(self._midnight_ns + _INTO_NEXT_DAY_NS)
        self.session = MessageStore(f"{self._next_session % _SESSION_NUMBERS:010d}")
        self._next_session += 1
        now_ns, say = self._time_ns(), self.session.append
        say(messages.system_event(now_ns, messages.START_OF_MESSAGES))
        say(messages.system_event(now_ns, messages.START_OF_SYSTEM_HOURS))
        for locate, listing in enumerate(self._listings, 1):
            say(messages.stock_directory(now_ns, locate, listing.symbol))
            say(messages.trading_action(now_ns, locate, listing.symbol))
        say(messages.system_event(now_ns, messages.START_OF_MARKET_HOURS))
        for order in self._resting.values():
            self._say_added(order)

    def added(self, locate: int, order_id: int, side: int, price: int, shares: int) -> None:
        """An order rests; it gets a new reference number, even if it rested before."""
        self._begin_if_due()
        order = _Resting(locate, self._next_reference, b"B" if side == BUY else b"S", price, shares)
        self._next_reference += 1
        self._resting[locate, order_id] = order
        if self.session.name:
            self._say_added(order)

    def executed(self, locate: int, order_id: int, shares: int, match_number: int) -> None:
        """A resting order traded."""
        self._begin_if_due()
        order = self._resting[locate, order_id]
        order.shares -= shares
        if order.shares == 0:
            del self._resting[locate, order_id]
        if self.session.name:
            self.session.append(messages.order_executed(self._time_ns(), locate, order.reference, shares, match_number))

    def deleted(self, locate: int, order_id: int) -> None:
        """A resting order left."""
        self._begin_if_due()
        order = self._resting.pop((locate, order_id))
        if self.session.name:
            self.session.append(messages.order_deleted(self._time_ns(), locate, order.reference))

    def _begin_if_due(self) -> None:
        if self.session.name and (self.session.size >= self._most_messages or self._now_ns() >= self._next_midnight_ns):
            self.begin()

    def _say_added(self, order: _Resting) -> None:
        listing = self._listings[order.locate - 1]
        self.session.append(
            messages.add_order(
                self._time_ns(), order.locate, order.reference, order.side, order.shares, listing.symbol, order.price
            )
        )

    def _time_ns(self) -> int:
        return max(0, self._now_ns() - self._midnight_ns)


class MarketOrders:
    """See ``OrderWatcher``: one symbol's orders in the units of ITCH."""

    def __init__(self, feed: ItchFeed, listing: Listing, locate: int) -> None:
        self._feed = feed
        self._locate = locate
        self._step = listing.step
        self._price_unit = 10 ** (messages.PRICE_DECIMALS - listing.price_precision)

    def added(self, order_id: int, side: int, price: int, size: int) -> None:
        """See ``OrderWatcher``."""
        self._feed.added(self._locate, order_id, side, price * self._price_unit, size // self._step)

    def executed(self, order_id: int, size: int, trade_id: int) -> None:
        """See ``OrderWatcher``."""
        self._feed.executed(self._locate, order_id, size // self._step, trade_id)

    def deleted(self, order_id: int) -> None:
        """See ``OrderWatcher``."""
        self._feed.deleted(self._locate, order_id)
