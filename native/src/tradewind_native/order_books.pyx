"""Order-level (L3) books of many instruments. Twin: ``tradewind.venue.itch.order_books``."""

from libc.string cimport memcpy

from tradewind_native.market_record cimport RecordSpan, SIDE_BUY, SIDE_SELL, span_of
from tradewind_native.price_levels cimport key_of


cdef class OrderBooks:
    """Books built from order records; see the stub for the details."""

    @property
    def applied(self):
        """Records applied so far."""
        return self._books.applied

    @property
    def orders(self):
        """Orders that rest now."""
        return self._books.orders()

    @property
    def unknown_orders(self):
        """Records of orders that do not rest here."""
        return self._books.unknown_orders

    @property
    def repeated_orders(self):
        """Orders added again while they rested."""
        return self._books.repeated_orders

    @property
    def excess_sizes(self):
        """Cancels and executions of more than was left."""
        return self._books.excess_sizes

    def apply(self, object records):
        """Apply the order and CLEAR records, in order; answers how many there were."""
        cdef RecordSpan span = span_of(records)
        cdef MarketRecord record
        cdef Py_ssize_t index
        cdef uint64_t before = self._books.applied
        cdef Refusal refusal = Refusal.NONE
        with nogil:
            for index in range(span.count):
                memcpy(&record, span.data + index * span.stride, sizeof(MarketRecord))
                refusal = self._books.apply(record)
                if refusal != Refusal.NONE:
                    break
        if refusal != Refusal.NONE:
            raise ValueError(
                f"an order record of kind {record.kind} has order_id {record.order_id}, side {record.side} "
                f"and size {record.size}"
            )
        return self._books.applied - before

    cdef vector[OrderLevel]* _side(self, uint32_t instrument, int side) except? NULL:
        if side != SIDE_BUY and side != SIDE_SELL:
            raise ValueError(f"side is 1 (BUY) or 2 (SELL), not {side}")
        cdef LevelSides* sides = self._books.sides(instrument)
        return &sides.of(side) if sides != NULL else NULL

    def best(self, uint32_t instrument, int side):
        """(price, size) of the best level of a side, or None."""
        cdef vector[OrderLevel]* levels = self._side(instrument, side)
        if levels == NULL or levels.empty():
            return None
        return key_of(side, levels.back().key), levels.back().size

    def levels(self, uint32_t instrument, int side, Py_ssize_t depth):
        """Up to ``depth`` levels (price, size, orders) of a side, best first."""
        cdef vector[OrderLevel]* levels = self._side(instrument, side)
        cdef list answer = []
        cdef Py_ssize_t count, index, last
        if levels == NULL:
            return answer
        count = max(0, min(depth, <Py_ssize_t> levels.size()))
        last = levels.size() - 1
        for index in range(count):
            level = levels[0][last - index]
            answer.append((key_of(side, level.key), level.size, level.orders))
        return answer

    def depth(self, uint32_t instrument, int side):
        """The number of levels of a side."""
        cdef vector[OrderLevel]* levels = self._side(instrument, side)
        return 0 if levels == NULL else levels.size()

    def order(self, uint64_t order_id):
        """(instrument, side, price, size) of an order that rests, or None."""
        cdef RestingOrder* order = self._books.find(order_id)
        if order == NULL:
            return None
        return self._books.instrument_of(order[0]), order.side, order.price, order.size
