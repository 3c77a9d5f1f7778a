"""A symbol whose market is a recording: our orders trade against what was displayed and printed, and never better.

Aggressive orders take from the displayed levels (see ``recorded_book``); passive ones wait in the displayed queue (see
``tradewind.venue.queue_position`` for the rules). The recording is not changed by what we do. An aggressive order that
reaches a price of our own resting orders makes these expire first (EXPIRE_MAKER), as on the exchange.
"""

import collections
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradewind.services.sim_venue.listings import Listing
from tradewind.services.sim_venue.orders import BUY, SELL, Execution, Placement, VenueOrder
from tradewind.services.sim_venue.public_events import Level, PublicTrade
from tradewind.services.sim_venue.recorded_book import RecordedBook
from tradewind.venue.queue_position import PassiveFill, PassiveOrders
from tradewind.wire.market_records import RecordArray, RecordKind

KEPT_TRADES: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_TRADE: Final = int(RecordKind.TRADE)
_TOP: Final = int(RecordKind.TOP_OF_BOOK)
_LEVEL: Final = int(RecordKind.LEVEL)


class ReplayMarket:
    """Our orders in a recorded market. Feed it with ``on_records``, in the order of the recording."""

    def __init__(self, listing: Listing, instrument: int, on_fill: Callable[[int, int, int], None]) -> None:
        self.listing = listing
        self.display = RecordedBook(instrument, listing.step)
        self._on_fill = on_fill
        self._passive = PassiveOrders(listing.step)
        self._owners: dict[int, int] = {}
        self._trades: collections.deque[RecordArray] = collections.deque(maxlen=KEPT_TRADES)
        self._last_price: int | None = None

    def takeable(self, side: int, size: int, owner: int) -> tuple[int, int]:
        """Size and cash that a market order would get. Our own orders are not part of the recording."""
        got = self.display.walk(_other(side), size, None)
        return sum(taken for _, taken in got), sum(self.listing.notional(price, taken) for price, taken in got)

    def reference_price(self) -> int | None:
        """The last printed price, else a best price."""
        if self._last_price is not None:
            return self._last_price
        best = self.display.best(BUY) or self.display.best(SELL)
        return best[0] if best else None

    def submit(self, order: VenueOrder, owner: int) -> Placement:
        """Take what is displayed up to the limit; the rest of a GTC limit order queues behind the display."""
        other = _other(order.side)
        market = order.order_type == "MARKET"
        got = self.display.walk(other, order.remaining, None if market else order.price)
        left = order.remaining - sum(size for _, size in got)
        crosses = bool(got) or self._own_in_reach(order, owner)
        if order.order_type == "LIMIT_MAKER" and crosses:
            return Placement([], rests=False, would_take=True)
        if order.time_in_force == "FOK" and left:
            return Placement([], rests=False)
        expired = self._expire_met(order, owner, got, left)
        for price, size in got:
            self.display.take(other, price, self.display.displayed(other, price), size)
        rests = bool(left) and not market and order.time_in_force == "GTC"
        if rests:
            ahead = self.display.displayed(order.side, order.price)
            as_of = self.display.sequence
            self._passive.add(order.order_id, order.side, order.price, left, queue_ahead=ahead, as_of=as_of)
            self._owners[order.order_id] = owner
        return Placement([Execution(price, size, None) for price, size in got], rests, expired_makers=expired)

    def cancel(self, order_id: int) -> None:
        """Take a resting order out."""
        self._passive.cancel(order_id)
        self._owners.pop(order_id, None)

    def queue_ahead(self, order_id: int) -> int:
        """How much is ahead of a resting order. Raises KeyError if it does not rest."""
        return self._passive.position(order_id).queue_ahead

    def best(self) -> tuple[Level, Level]:
        """Best bid and ask; (0, 0) for an empty side."""
        return self.display.best(BUY) or (0, 0), self.display.best(SELL) or (0, 0)

    @property
    def trades(self) -> list[PublicTrade]:
        """The last printed trades, oldest first."""
        return [_public_trade(record) for record in self._trades]

    def on_records(self, records: RecordArray) -> None:
        """Take a batch in its order; its LEVEL records must follow on the book."""
        self.display.book.apply(records)
        kinds = records["kind"]
        self._keep_trades(records, kinds)
        if len(self._passive):
            for record in records[self._relevant(records, kinds)].tolist():
                self._on_record(record)
        self._keep_best(records, kinds)

    def _keep_trades(self, records: RecordArray, kinds: npt.NDArray[Any]) -> None:
        places = np.flatnonzero(kinds == _TRADE)
        if len(places):
            # Copies: a record that is kept must not keep its whole arena alive.
            self._trades.extend(records[places[-KEPT_TRADES:]].copy())
            self._last_price = int(records["price"][places[-1]])

    def _keep_best(self, records: RecordArray, kinds: npt.NDArray[Any]) -> None:
        places = np.flatnonzero(kinds == _TOP)
        for record in records[places[-2:]].tolist():
            self.display.on_best(record[8], record[2], record[3], record[5])

    def _relevant(self, records: RecordArray, kinds: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Records that can change a queue or fill us: all but depth levels away from our prices."""
        prices, sides = records["price"], records["side"]
        near = np.isin(prices, list(self._passive.prices()))
        if (bid := self._passive.best(BUY)) is not None:
            near |= (sides == SELL) & (prices <= bid)
        if (ask := self._passive.best(SELL)) is not None:
            near |= (sides == BUY) & (prices >= ask)
        relevant: npt.NDArray[np.bool_] = (kinds == _TRADE) | (kinds == _TOP) | ((kinds == _LEVEL) & near)
        return relevant

    def _on_record(self, record: tuple[int, ...]) -> None:
        price, size, sequence, kind, side = record[2], record[3], record[5], record[7], record[8]
        if kind == _TRADE:
            self._filled(self._passive.on_trade(price, size, side))
        elif kind == _TOP:
            self.display.on_best(side, price, size, sequence)
            self._passive.on_own_best(side, price, size, sequence)
            self._meet(side, price, size)
        elif self.display.is_news(side, sequence):
            self._passive.on_displayed(side, price, size, sequence)
            self._meet(side, price, size)

    def _meet(self, side: int, price: int, displayed: int) -> None:
        """A displayed size that may be at or through our orders of the other side."""
        ours = self._passive.best(_other(side))
        if ours is None or (price > ours if side == SELL else price < ours):
            return
        fills = self._passive.on_opposite(side, price, self.display.available(side, price, displayed))
        if fills:
            self.display.take(side, price, displayed, sum(fill.size for fill in fills))
            self._filled(fills)

    def _filled(self, fills: list[PassiveFill]) -> None:
        for fill in fills:
            if fill.remaining == 0:
                del self._owners[fill.order_id]
            self._on_fill(fill.order_id, fill.price, fill.size)

    def _own_in_reach(self, order: VenueOrder, owner: int) -> bool:
        return any(True for _ in self._own_up_to(order.side, owner, order.price))

    def _own_up_to(self, side: int, owner: int, limit: int | None) -> list[int]:
        """Our resting orders that an incoming order of ``side`` meets down to a price, the first to trade first."""
        met = []
        for order_id in self._passive.ids(_other(side)):
            price = self._passive.position(order_id).price
            if limit is not None and (price > limit if side == BUY else price < limit):
                break
            if self._owners[order_id] == owner:
                met.append(order_id)
        return met

    def _expire_met(self, order: VenueOrder, owner: int, got: list[Level], left: int) -> tuple[int, ...]:
        """Take out our own orders that the incoming one meets before it is done."""
        if left:
            limit = None if order.order_type == "MARKET" else order.price
        elif got:
            # At the last price the display comes first: our own orders there joined its queue later.
            limit = got[-1][0] + (-1 if order.side == BUY else 1)
        else:
            return ()
        met = self._own_up_to(order.side, owner, limit)
        for order_id in met:
            self.cancel(order_id)
        return tuple(met)


def _public_trade(record: Any) -> PublicTrade:
    ts_event, _, price, size, order_id, _, _, _, side = record.item()[:9]
    return PublicTrade(order_id, price, size, side, ts_event // _NS_PER_MS)


def _other(side: int) -> int:
    return SELL if side == BUY else BUY
