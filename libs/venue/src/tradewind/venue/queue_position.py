"""Where our resting orders stand in the queues of a market that does not know of them: fills from recorded data.

A recording shows, for each price, the displayed size (which never holds our order) and the trades that printed. From
these alone follows what our order would have got at least, by these rules:

1. On arrival all of the size displayed at our price is ahead of us.
2. A trade at our price by an aggressor of the other side takes from what is ahead of us; what it has beyond that
   fills us.
3. A displayed size at our price below what is ahead of us caps it: whoever left was ahead. Sizes that left while more
   than that stays displayed count as having been behind us. A best price of our own side that is worse than ours
   leaves nobody ahead.
4. A trade at a worse price than ours, by an aggressor of the other side, would have met us first: it fills us up to its
   size.
5. An opposite best price at or through ours would have traded with us: it fills us up to the size displayed there.

One trade's size, and one displayed size, is given out once over all our orders, in price-time priority, in whole steps
of the size that we may trade. A fill is at our own price, as maker. So the estimate is never better than the recording
allows: what is ahead of us here is never less than what was ahead of us in the real queue (rule 3 is the pessimistic
reading of a cancel).

What it leaves out: our orders do not move the recorded market, and a display may be as old as the feed's own interval
(100 ms for depth, nothing for the best price). Sides are 1 (BUY) and 2 (SELL), prices and sizes int64 mantissas.
"""

import bisect
from collections.abc import Iterator
from typing import Final, NamedTuple

BUY: Final = 1
SELL: Final = 2


class PassiveFill(NamedTuple):
    """A fill of one of our resting orders, as maker, at its own price."""

    order_id: int
    price: int
    size: int
    remaining: int


class QueuePosition:
    """One resting order: how much is ahead of it and how much of it is left."""

    __slots__ = ("as_of", "order_id", "price", "queue_ahead", "remaining", "side")

    def __init__(self, order_id: int, side: int, price: int, size: int, queue_ahead: int, as_of: int) -> None:
        """``as_of`` is the feed's sequence that ``queue_ahead`` was read at: older displays say nothing new."""
        self.order_id = order_id
        self.side = side
        self.price = price
        self.remaining = size
        self.queue_ahead = queue_ahead
        self.as_of = as_of

    def cap(self, displayed: int) -> None:
        """Rule 3: no more can be ahead than is displayed."""
        self.queue_ahead = min(self.queue_ahead, displayed)

    def take(self, volume: int, step: int = 1) -> int:
        """Rule 2: let ``volume`` trade at our price; answers how much of it filled us, in whole steps."""
        filled = min(self.remaining, max(0, volume - self.queue_ahead) // step * step)
        self.queue_ahead = max(0, self.queue_ahead - volume)
        self.remaining -= filled
        return filled


class PassiveOrders:
    """All our resting orders of one instrument in price-time priority, and the rules over them.

    ``size_step`` is the size increment of our orders: public sizes may be finer than that.
    """

    def __init__(self, size_step: int = 1) -> None:
        self._size_step = size_step
        self._positions: dict[int, QueuePosition] = {}
        self._arrivals = 0
        # Sorted by (price key, arrival): the order that trades first comes first.
        self._queues: dict[int, list[tuple[int, int, QueuePosition]]] = {BUY: [], SELL: []}

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._positions

    def add(self, order_id: int, side: int, price: int, size: int, *, queue_ahead: int, as_of: int) -> None:
        """Let an order rest behind ``queue_ahead``.

        Raises:
            ValueError: an unknown side, no size, a negative queue, or an id that rests already.
        """
        if side not in self._queues or size <= 0 or queue_ahead < 0 or order_id in self._positions:
            raise ValueError(f"order {order_id}: side {side}, size {size}, queue {queue_ahead} cannot rest")
        position = QueuePosition(order_id, side, price, size, queue_ahead, as_of)
        self._arrivals += 1
        self._positions[order_id] = position
        bisect.insort(self._queues[side], (_key(side, price), self._arrivals, position), key=lambda entry: entry[:2])

    def cancel(self, order_id: int) -> int:
        """Take an order out; answers the size that rested, 0 if it does not rest."""
        position = self._positions.pop(order_id, None)
        if position is None:
            return 0
        queue = self._queues[position.side]
        queue[:] = [entry for entry in queue if entry[2] is not position]
        return position.remaining

    def position(self, order_id: int) -> QueuePosition:
        """The state of one resting order. Raises KeyError if it does not rest."""
        return self._positions[order_id]

    def best(self, side: int) -> int | None:
        """The price of our best order of a side, or None."""
        queue = self._queues[side]
        return queue[0][2].price if queue else None

    def prices(self) -> set[int]:
        """All prices at which we rest."""
        return {position.price for position in self._positions.values()}

    def ids(self, side: int) -> list[int]:
        """The ids of one side, the first to trade first."""
        return [entry[2].order_id for entry in self._queues[side]]

    def on_trade(self, price: int, size: int, aggressor: int) -> list[PassiveFill]:
        """Rules 2 and 4: a printed trade of ``size``; ``aggressor`` is the side that took."""
        fills: list[PassiveFill] = []
        for position in self._reached(_other(aggressor), price):
            if size <= 0:
                break
            if position.price != price:
                position.queue_ahead = 0
            filled = position.take(size, self._size_step)
            size -= filled
            if filled:
                fills.append(self._filled(position, filled))
        return fills

    def on_displayed(self, side: int, price: int, size: int, sequence: int) -> None:
        """Rule 3: ``size`` is now displayed at a price of our side, as of the feed's ``sequence``."""
        for entry in self._queues[side]:
            if entry[2].price == price and sequence > entry[2].as_of:
                entry[2].cap(size)

    def on_own_best(self, side: int, price: int, size: int, sequence: int) -> None:
        """Rule 3 for the best displayed price of our side: nothing is displayed at better prices than that."""
        for entry in self._queues[side]:
            if entry[0] > _key(side, price):
                break
            if sequence > entry[2].as_of:
                entry[2].cap(size if entry[2].price == price else 0)

    def on_opposite(self, side: int, price: int, available: int) -> list[PassiveFill]:
        """Rule 5: the side opposite to ours, ``side``, displays ``available`` at ``price``."""
        fills: list[PassiveFill] = []
        available = available // self._size_step * self._size_step
        for position in self._reached(_other(side), price):
            if available <= 0:
                break
            filled = min(position.remaining, available)
            position.queue_ahead = 0
            position.remaining -= filled
            available -= filled
            fills.append(self._filled(position, filled))
        return fills

    def _reached(self, side: int, price: int) -> Iterator[QueuePosition]:
        """Our orders of a side that a counterparty at ``price`` meets, the first to trade first."""
        limit = _key(side, price)
        for key, _, position in list(self._queues[side]):
            if key > limit:
                return
            yield position

    def _filled(self, position: QueuePosition, size: int) -> PassiveFill:
        if position.remaining == 0:
            self.cancel(position.order_id)
        return PassiveFill(position.order_id, position.price, size, position.remaining)


def _key(side: int, price: int) -> int:
    """Sorts the better price of a side first."""
    return -price if side == BUY else price


def _other(side: int) -> int:
    return SELL if side == BUY else BUY
