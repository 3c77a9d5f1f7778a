"""Price-time priority matching of one instrument in plain Python: the twin of ``tradewind_native.matching``.

Same answers, slower; it says in Python what the kernel means. One test module runs on both.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tradewind.wire.market_records import RecordSide
from tradewind_native.submission import Fill, MatchingTimeInForce, SubmitResult, SubmitStatus

__all__ = ["Fill", "MatchingEngine", "MatchingTimeInForce", "SubmitResult", "SubmitStatus"]

INT64_MAX: Final = 2**63 - 1


@dataclass(slots=True)
class RestingOrder:
    """One order in the queue of its price."""

    order_id: int
    side: int
    price: int
    size: int
    owner: int


@dataclass(slots=True)
class QueueLevel:
    """The orders of one price in the order of their arrival: a dict keeps it."""

    price: int
    size: int = 0
    orders: dict[int, RestingOrder] = field(default_factory=dict)


class QueueSide:
    """The levels of one side. Keys rise with the quality of the price, so that the best one is the last."""

    def __init__(self, side: RecordSide) -> None:
        self._sign = 1 if side is RecordSide.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, QueueLevel] = {}

    def at(self, price: int) -> QueueLevel | None:
        """The level of a price, if there is one."""
        return self._levels.get(price * self._sign)

    def made_at(self, price: int) -> QueueLevel:
        """The level of a price, made if there is none."""
        key = price * self._sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = QueueLevel(price)
            insort(self._keys, key)
        return level

    def drop(self, price: int) -> None:
        """Remove an emptied level."""
        key = price * self._sign
        del self._levels[key]
        del self._keys[bisect_left(self._keys, key)]

    def best(self) -> QueueLevel | None:
        """The best level, if there is one."""
        return self._levels[self._keys[-1]] if self._keys else None

    def best_within(self, limit: int | None) -> QueueLevel | None:
        """The best level if an order with this limit trades with it; any level for a market order."""
        if not self._keys:
            return None
        key = self._keys[-1]
        return self._levels[key] if limit is None or key >= limit * self._sign else None

    def best_first(self) -> Iterator[QueueLevel]:
        """All levels from the best one."""
        return (self._levels[key] for key in reversed(self._keys))

    def matching(self, limit: int | None) -> Iterator[QueueLevel]:
        """The levels that an order with this limit trades with, from the best one; all for a market order."""
        for level in self.best_first():
            if limit is not None and level.price * self._sign < limit * self._sign:
                return
            yield level


class MatchingEngine:
    """The Python twin of ``tradewind_native.matching.MatchingEngine``; see there."""

    def __init__(self) -> None:
        self._orders: dict[int, RestingOrder] = {}
        self._sides = {RecordSide.BUY: QueueSide(RecordSide.BUY), RecordSide.SELL: QueueSide(RecordSide.SELL)}

    def submit(
        self,
        order_id: int,
        side: int,
        price: int,
        size: int,
        *,
        market: bool = False,
        time_in_force: int = MatchingTimeInForce.GTC,
        post_only: bool = False,
        owner: int = 0,
        prevent_self_trade: bool = False,
    ) -> SubmitResult:
        """Match an order and let its remainder rest where its time in force says so.

        Raises:
            ValueError: an order with this id rests already, the size is not above 0, the side or time in force is
                unknown, or post_only is asked for an order that cannot rest.
            OverflowError: a number is no int64, or the whole size resting at the price would not be. Nothing traded.
        """
        for number in (order_id, price, size, owner):
            _check_int64(number)
        self._check(order_id, side, size, time_in_force)
        if post_only and (market or time_in_force != MatchingTimeInForce.GTC):
            raise ValueError(f"order {order_id}: post_only is for GTC limit orders")
        rests = not market and time_in_force == MatchingTimeInForce.GTC
        if rests:
            self._check_room(order_id, side, price, size)
        against = self._side(RecordSide.SELL if side == RecordSide.BUY else RecordSide.BUY)
        limit = None if market else price
        if against.best_within(limit) is not None:
            if post_only:
                return SubmitResult(SubmitStatus.REJECTED_POST_ONLY, size, [])
            if time_in_force == MatchingTimeInForce.FOK and not _can_fill(against, limit, size):
                return SubmitResult(SubmitStatus.CANCELED, size, [])
            if prevent_self_trade and owner != 0 and _meets_owner(against, limit, size, owner):
                return SubmitResult(SubmitStatus.REJECTED_SELF_TRADE, size, [])
        fills = self._match(against, limit, size)
        size -= sum(fill.size for fill in fills)
        if size == 0:
            return SubmitResult(SubmitStatus.FILLED, 0, fills)
        if not rests:
            return SubmitResult(SubmitStatus.CANCELED, size, fills)
        self._rest(RestingOrder(order_id, side, price, size, owner))
        return SubmitResult(SubmitStatus.PARTIALLY_FILLED if fills else SubmitStatus.ACCEPTED, size, fills)

    def _check(self, order_id: int, side: int, size: int, time_in_force: int) -> None:
        if size <= 0:
            raise ValueError(f"order {order_id}: size {size} is not above 0")
        self._side(side)
        if time_in_force not in (MatchingTimeInForce.GTC, MatchingTimeInForce.IOC, MatchingTimeInForce.FOK):
            raise ValueError(f"order {order_id}: time in force is 0 (GTC), 1 (IOC) or 2 (FOK), not {time_in_force}")
        if order_id in self._orders:
            raise ValueError(f"order {order_id} already rests")

    def _check_room(self, order_id: int, side: int, price: int, size: int) -> None:
        level = self._side(side).at(price)
        if level is not None and level.size > INT64_MAX - size:
            raise OverflowError(f"order {order_id}: the size resting at {price} would not fit 64 bits")

    def _match(self, against: QueueSide, limit: int | None, size: int) -> list[Fill]:
        fills: list[Fill] = []
        while size > 0 and (level := against.best_within(limit)) is not None:
            maker = next(iter(level.orders.values()))
            traded = min(size, maker.size)
            size -= traded
            maker.size -= traded
            level.size -= traded
            fills.append(Fill(maker.order_id, maker.price, traded, maker.size, maker.owner))
            if maker.size == 0:
                self._leave_queue(against, level, maker)
        return fills

    def _rest(self, order: RestingOrder) -> None:
        level = self._side(order.side).made_at(order.price)
        level.orders[order.order_id] = order
        level.size += order.size
        self._orders[order.order_id] = order

    def _leave_queue(self, side: QueueSide, level: QueueLevel, order: RestingOrder) -> None:
        del level.orders[order.order_id]
        del self._orders[order.order_id]
        if not level.orders:
            side.drop(level.price)

    def cancel(self, order_id: int) -> int:
        """Take an order out; answers the size that rested, 0 if it does not rest."""
        _check_int64(order_id)
        order = self._orders.get(order_id)
        if order is None:
            return 0
        side = self._side(order.side)
        level = side.made_at(order.price)
        level.size -= order.size
        self._leave_queue(side, level, order)
        return order.size

    def reduce(self, order_id: int, new_size: int) -> int:
        """Make an order smaller without loss of priority; answers the size taken away, 0 if it does not rest.

        Raises:
            ValueError: the new size is above the resting one (cancel and submit anew), or not above 0 (cancel).
        """
        _check_int64(order_id)
        _check_int64(new_size)
        if new_size <= 0:
            raise ValueError(f"order {order_id}: new size {new_size} is not above 0; to end an order cancel it")
        order = self._orders.get(order_id)
        if order is None:
            return 0
        taken = order.size - new_size
        if taken < 0:
            raise ValueError(f"order {order_id}: new size {new_size} is above the resting {order.size}")
        order.size = new_size
        self._side(order.side).made_at(order.price).size -= taken
        return taken

    def remaining(self, order_id: int) -> int:
        """The resting size of an order; 0 if it does not rest."""
        _check_int64(order_id)
        order = self._orders.get(order_id)
        return 0 if order is None else order.size

    def queue_ahead(self, order_id: int) -> int:
        """The size that trades before this order at its price.

        Raises:
            KeyError: the order does not rest.
        """
        _check_int64(order_id)
        order = self._orders[order_id]
        total = 0
        for other in self._side(order.side).made_at(order.price).orders.values():
            if other is order:
                break
            total += other.size
        return total

    def __len__(self) -> int:
        return len(self._orders)

    def _side(self, side: int) -> QueueSide:
        if side not in (RecordSide.BUY, RecordSide.SELL):
            raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")
        return self._sides[RecordSide(side)]

    def best_bid(self) -> tuple[int, int] | None:
        """(price, size) of the best bid, or None."""
        return _price_and_size(self._sides[RecordSide.BUY].best())

    def best_ask(self) -> tuple[int, int] | None:
        """(price, size) of the best ask, or None."""
        return _price_and_size(self._sides[RecordSide.SELL].best())

    def levels(self, side: int, depth: int) -> list[tuple[int, int]]:
        """Up to ``depth`` levels (price, size) of a side, best first."""
        levels = zip(range(depth), self._side(side).best_first(), strict=False)
        return [(level.price, level.size) for _, level in levels]

    def size_at(self, side: int, price: int) -> int:
        """The resting size at a price; 0 where there is none."""
        level = self._side(side).at(price)
        return 0 if level is None else level.size


def _check_int64(number: int) -> None:
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise OverflowError(f"{number} does not fit 64 bits")


def _price_and_size(level: QueueLevel | None) -> tuple[int, int] | None:
    return None if level is None else (level.price, level.size)


def _can_fill(against: QueueSide, limit: int | None, size: int) -> bool:
    """Whether the whole size can trade."""
    for level in against.matching(limit):
        size -= level.size
        if size <= 0:
            return True
    return False


def _meets_owner(against: QueueSide, limit: int | None, size: int, owner: int) -> bool:
    """Whether an order of ``owner`` is among those that ``size`` would trade with."""
    for level in against.matching(limit):
        for order in level.orders.values():
            if order.owner == owner:
                return True
            size -= order.size
            if size <= 0:
                return False
    return False
