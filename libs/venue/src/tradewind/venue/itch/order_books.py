"""Order-level (L3) books of many instruments in plain Python: the twin of ``tradewind_native.order_books``."""

from dataclasses import dataclass
from typing import Any

from tradewind.wire.market_records import RecordArray, RecordFlag, RecordKind, RecordSide

SIDES = (RecordSide.BUY, RecordSide.SELL)


@dataclass(slots=True)
class RestingOrder:
    """An order in a book."""

    instrument: int
    side: int
    price: int
    size: int


class OrderBooks:
    """Books from order records; meaning and errors: the stub of ``tradewind_native.order_books``."""

    def __init__(self) -> None:
        self._orders: dict[int, RestingOrder] = {}
        self._sides: dict[tuple[int, int], dict[int, list[int]]] = {}
        self._replaced: tuple[int, int] | None = None  # sequence, side
        self.applied = 0
        self.unknown_orders = 0
        self.repeated_orders = 0
        self.excess_sizes = 0

    @property
    def orders(self) -> int:
        """Orders that rest now."""
        return len(self._orders)

    def apply(self, records: RecordArray) -> int:
        """Apply the order and CLEAR records, in order; answers how many there were."""
        before = self.applied
        for record in records:
            kind = int(record["kind"])
            if kind == RecordKind.CLEAR:
                self._clear(int(record["instrument"]))
            elif kind in (RecordKind.ORDER_ADD, RecordKind.ORDER_CANCEL, RecordKind.ORDER_EXECUTE):
                self._check(record, kind)
                (self._add if kind == RecordKind.ORDER_ADD else self._reduce)(record)
            else:
                continue
            self.applied += 1
        return self.applied - before

    def best(self, instrument: int, side: int) -> tuple[int, int] | None:
        """(price, size) of the best level of a side, or None."""
        levels = self.levels(instrument, side, 1)
        return levels[0][:2] if levels else None

    def levels(self, instrument: int, side: int, depth: int) -> list[tuple[int, int, int]]:
        """Up to ``depth`` levels (price, size, orders) of a side, best first."""
        levels = self._levels(instrument, side)
        prices = sorted(levels, reverse=side == RecordSide.BUY)[: max(0, depth)]
        return [(price, levels[price][0], levels[price][1]) for price in prices]

    def depth(self, instrument: int, side: int) -> int:
        """The number of levels of a side."""
        return len(self._levels(instrument, side))

    def order(self, order_id: int) -> tuple[int, int, int, int] | None:
        """(instrument, side, price, size) of an order that rests, or None."""
        order = self._orders.get(order_id)
        return None if order is None else (order.instrument, order.side, order.price, order.size)

    def _levels(self, instrument: int, side: int) -> dict[int, list[int]]:
        if side not in SIDES:
            raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")
        return self._sides.setdefault((instrument, side), {})

    def _check(self, record: Any, kind: int) -> None:
        bad_side = kind == RecordKind.ORDER_ADD and record["side"] > RecordSide.SELL
        if record["size"] < 0 or bad_side:
            raise ValueError(
                f"an order record of kind {kind} has order_id {record['order_id']}, side {record['side']} "
                f"and size {record['size']}"
            )

    def _add(self, record: Any) -> None:
        order_id, side, size = int(record["order_id"]), int(record["side"]), int(record["size"])
        if side == RecordSide.NONE:
            if self._replaced is None or self._replaced[0] != record["sequence"]:
                self.unknown_orders += 1
                return
            side, self._replaced = self._replaced[1], None
        if order_id in self._orders:
            self.repeated_orders += 1
            self._remove(order_id)
        if size == 0:
            return
        order = RestingOrder(int(record["instrument"]), side, int(record["price"]), size)
        self._orders[order_id] = order
        level = self._levels(order.instrument, side).setdefault(order.price, [0, 0])
        level[0] += size
        level[1] += 1

    def _reduce(self, record: Any) -> None:
        order_id, size = int(record["order_id"]), int(record["size"])
        order = self._orders.get(order_id)
        cancel = record["kind"] == RecordKind.ORDER_CANCEL
        if cancel and not record["flags"] & RecordFlag.LAST:
            self._replaced = None if order is None else (int(record["sequence"]), order.side)
        if order is None:
            self.unknown_orders += 1
            return
        whole = cancel and size == 0
        self.excess_sizes += not whole and size > order.size
        if whole or size >= order.size:
            self._remove(order_id)
            return
        order.size -= size
        self._levels(order.instrument, order.side)[order.price][0] -= size

    def _remove(self, order_id: int) -> None:
        order = self._orders.pop(order_id)
        levels = self._levels(order.instrument, order.side)
        level = levels[order.price]
        level[0] -= order.size
        level[1] -= 1
        if level[1] == 0:
            del levels[order.price]

    def _clear(self, instrument: int) -> None:
        for order_id in [known for known, order in self._orders.items() if order.instrument == instrument]:
            self._remove(order_id)
